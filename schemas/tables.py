"""All tables of the relational store on one page.

Flows in: rows that the services write. Flows out: the truth that outlives broker and processes. Stops before
queries: each service keeps its own.

A change here needs a migration in `schemas/migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from schemas.database import Base, UtcDateTime


class SourceRow(Base):
    """A STAC catalogue that the operator wants polled."""

    __tablename__ = "sources"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    url: Mapped[str] = mapped_column(String(1000))
    collections: Mapped[list[str]] = mapped_column(JSON)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    """Items published before this are not asked for."""
    area: Mapped[dict[str, object] | None] = mapped_column(JSON)
    """GeoJSON geometry, or none for everywhere."""
    allowed_hosts: Mapped[list[str]] = mapped_column(JSON)
    """Hosts that hrefs may lead to, beyond those of the preset."""
    preset: Mapped[str | None] = mapped_column(String(50))
    """Name in `ingest/presets`, or none for a catalogue that we know nothing of."""
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CursorRow(Base):
    """How far a collection of a source has been read; moves only after Kafka's acknowledgement."""

    __tablename__ = "cursors"
    source: Mapped[str] = mapped_column(ForeignKey("sources.name", ondelete="CASCADE"), primary_key=True)
    collection: Mapped[str] = mapped_column(String(200), primary_key=True)
    read_until: Mapped[datetime] = mapped_column(UtcDateTime)
    polled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(1000))
    """Why the last poll failed, or none."""


class AcquisitionRow(Base):
    """The ledger: every announcement that we have read, and how far it has come."""

    __tablename__ = "acquisitions"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    physical_key: Mapped[str] = mapped_column(String(300), index=True)
    source: Mapped[str] = mapped_column(String(100), index=True)
    collection: Mapped[str] = mapped_column(String(200))
    item_id: Mapped[str] = mapped_column(String(300), index=True)
    sensor: Mapped[str] = mapped_column(String(2))
    processed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    state: Mapped[str] = mapped_column(String(20), index=True)
    """waiting (incomplete item), queued, encoded, matched, failed, superseded, ignored (stale version)."""
    reason: Mapped[str | None] = mapped_column(String(2000))
    message: Mapped[str] = mapped_column()
    """The `Acquisition`, JSON: what is published again when a broker forgets."""
    topic: Mapped[str] = mapped_column(String(100))
    backfill: Mapped[bool] = mapped_column(default=False)
    published_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When Kafka acknowledged it."""
    encoded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    matched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    batches: Mapped[int | None] = mapped_column()
    """How many embedding batches it gave; 0 when no cell could be seen."""


class OutboxRow(Base):
    """A message that must reach Kafka: written with its cause in one transaction, removed after the broker's ack."""

    __tablename__ = "outbox"
    outbox_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    topic: Mapped[str] = mapped_column(String(100), index=True)
    key: Mapped[str] = mapped_column(String(300))
    value: Mapped[bytes] = mapped_column(LargeBinary)
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MatchedBatchRow(Base):
    """An embedding batch that has been matched: so that a second arrival changes nothing."""

    __tablename__ = "matched_batches"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    release: Mapped[str] = mapped_column(String(100), primary_key=True)
    batch: Mapped[int] = mapped_column(primary_key=True)
    matched_at: Mapped[datetime] = mapped_column(UtcDateTime)


class MatchedSceneRow(Base):
    """A scene as the matcher knows it: the newest version of which it had a batch."""

    __tablename__ = "matched_scenes"
    physical_key: Mapped[str] = mapped_column(String(300), primary_key=True)
    acquisition_id: Mapped[UUID] = mapped_column()
    """The version that counts; batches of an older one change nothing."""
    processed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    news: Mapped[bool] = mapped_column()
    """Whether people may be told of what it shows: no older version was matched in full."""
    complete: Mapped[bool] = mapped_column()
    """Whether all batches of this version have been matched."""


class RecentBatchRow(Base):
    """The vectors of a batch, kept for the allowed lateness: a match that comes late finds what was seen after it."""

    __tablename__ = "recent_batches"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    release: Mapped[str] = mapped_column(String(100), primary_key=True)
    batch: Mapped[int] = mapped_column(primary_key=True)
    physical_key: Mapped[str] = mapped_column(String(300), index=True)
    sensor: Mapped[str] = mapped_column(String(2))
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    west: Mapped[float] = mapped_column()
    south: Mapped[float] = mapped_column()
    east: Mapped[float] = mapped_column()
    north: Mapped[float] = mapped_column()
    """Bounds of the cells' centres, degrees."""
    cells: Mapped[str] = mapped_column()
    """Ids, separated by blanks."""
    vectors: Mapped[bytes] = mapped_column(LargeBinary)
    """float16 (n, 384), little-endian."""


class LookRow(Base):
    """A cell of an incident as a later acquisition saw it, without matching."""

    __tablename__ = "looks"
    look_id: Mapped[UUID] = mapped_column(primary_key=True)
    """Named like the match that it might have been."""
    query_id: Mapped[UUID] = mapped_column()
    query_version: Mapped[int] = mapped_column()
    cell: Mapped[str] = mapped_column(String(9))
    sensor: Mapped[str] = mapped_column(String(2))
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    physical_key: Mapped[str] = mapped_column(String(300), index=True)
    acquisition_id: Mapped[UUID] = mapped_column()
    presence: Mapped[float] = mapped_column()
    """Cosine of cell and sentence."""
    level: Mapped[float | None] = mapped_column()
    """Below this it is clear; none: below halfway between before and after the cell's own match."""
    __table_args__ = (Index("ix_looks_query_cell", "query_id", "cell"),)


class CoverageRow(Base):
    """What one acquisition saw, packed."""

    __tablename__ = "coverage"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    physical_key: Mapped[str] = mapped_column(String(300), index=True)
    source: Mapped[str] = mapped_column(String(100))
    item_id: Mapped[str] = mapped_column(String(300))
    sensor: Mapped[str] = mapped_column(String(2))
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    west: Mapped[float] = mapped_column()
    south: Mapped[float] = mapped_column()
    east: Mapped[float] = mapped_column()
    north: Mapped[float] = mapped_column()
    seen: Mapped[int] = mapped_column()
    obscured: Mapped[int] = mapped_column()
    failed: Mapped[int] = mapped_column()
    chips: Mapped[bytes] = mapped_column(LargeBinary)
    """zlib of the JSON of `Coverage`."""
    reason: Mapped[str | None] = mapped_column(String(2000))


class QueryRow(Base):
    """A standing query at its present version."""

    __tablename__ = "queries"
    query_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    status: Mapped[str] = mapped_column(String(10), index=True)
    message: Mapped[str] = mapped_column()
    """The `StandingQuery`, JSON."""
    twin: Mapped[str | None] = mapped_column(String(64), index=True)
    """The same for queries with the same sentence and area: so that a twin is found among a hundred thousand."""
    revision: Mapped[int] = mapped_column(index=True)
    """Grows over all queries with every change: matchers read what is newer than what they hold."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ThresholdRow(Base):
    """The score that a standing query's matches must pass, per release, sensor and stratum."""

    __tablename__ = "thresholds"
    query_id: Mapped[UUID] = mapped_column(ForeignKey("queries.query_id", ondelete="CASCADE"), primary_key=True)
    release: Mapped[str] = mapped_column(String(100), primary_key=True)
    sensor: Mapped[str] = mapped_column(String(2), primary_key=True)
    stratum: Mapped[str] = mapped_column(String(20), primary_key=True, default="")
    """Region and season that it holds for (`alerts.budgets.strata`); empty: wherever no other does."""
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """The query's unit vectors, float32 (k, 384), little-endian; its score is the highest of the k products."""
    score: Mapped[float | None] = mapped_column()
    """Threshold on the mode's score; none: not enough history, nothing fires on it."""
    presence: Mapped[float | None] = mapped_column()
    """Threshold on the presence score that must be passed as well in appearance mode."""
    score_low: Mapped[float | None] = mapped_column()
    score_high: Mapped[float | None] = mapped_column()
    """Interval of the threshold, 90 %; none where nothing is known of it."""
    basis: Mapped[str] = mapped_column(String(20))
    """archive, manual, release (the release's own background, until the archive has enough), none."""
    background: Mapped[int] = mapped_column()
    """How many archive scores it was computed from."""
    needed: Mapped[int | None] = mapped_column()
    """How many the budget asks for; none where that is not known."""
    expected_per_week: Mapped[float | None] = mapped_column()
    """Alarms to expect in a week at this threshold, over the query's area; none where that is not known."""
    tail: Mapped[dict[str, object] | None] = mapped_column(JSON)
    """The model of the scores' tail (`alerts.budgets.tails`), with its version."""
    computed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class HeadRow(Base):
    """Examples from which a standing query's vectors are to be moved, and what became of the proposal."""

    __tablename__ = "heads"
    head_id: Mapped[UUID] = mapped_column(primary_key=True)
    query_id: Mapped[UUID] = mapped_column(ForeignKey("queries.query_id", ondelete="CASCADE"), index=True)
    query_version: Mapped[int] = mapped_column()
    examples: Mapped[dict[str, object]] = mapped_column(JSON)
    """`alerts.learning.examples.Judged`, with its version: names of chips, so that any release can learn from them."""
    report: Mapped[dict[str, object]] = mapped_column(JSON)
    """What was shown before it was put in force."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    applied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class IncidentRow(Base):
    """Cells that belong together, for one standing query."""

    __tablename__ = "incidents"
    incident_id: Mapped[UUID] = mapped_column(primary_key=True)
    query_id: Mapped[UUID] = mapped_column(index=True)
    query_version: Mapped[int] = mapped_column()
    state: Mapped[str] = mapped_column(String(20), index=True)
    told_state: Mapped[str | None] = mapped_column(String(20))
    """Its state as people were last told; none: nobody was."""
    first_sensing_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    score: Mapped[float] = mapped_column()
    sequence: Mapped[int] = mapped_column()
    """Number of its last alert message; 0: nobody was told."""
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """Sensing time from which it is resolved or expired; when it was retracted or merged."""
    merged_into: Mapped[UUID | None] = mapped_column(index=True)
    split_from: Mapped[UUID | None] = mapped_column()
    retracted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When a person said that it is none; it stays so whatever matches there."""
    why: Mapped[str | None] = mapped_column(String(500))


class MatchRow(Base):
    """A match and the incident that it belongs to."""

    __tablename__ = "matches"
    match_id: Mapped[UUID] = mapped_column(primary_key=True)
    """stable_id("match", query id, query version, cell, physical key)."""
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.incident_id", ondelete="CASCADE"), index=True)
    query_id: Mapped[UUID] = mapped_column()
    query_version: Mapped[int] = mapped_column(server_default="1")
    cell: Mapped[str] = mapped_column(String(9))
    lon: Mapped[float] = mapped_column(server_default="0")
    lat: Mapped[float] = mapped_column(server_default="0")
    """Centre of the cell, degrees."""
    sensor: Mapped[str] = mapped_column(String(2))
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime)
    physical_key: Mapped[str] = mapped_column(String(300), server_default="", index=True)
    acquisition_id: Mapped[UUID | None] = mapped_column()
    """The version of the scene that matched."""
    item_id: Mapped[str] = mapped_column(String(300), server_default="")
    score: Mapped[float] = mapped_column()
    presence: Mapped[float] = mapped_column(server_default="0")
    late: Mapped[int] = mapped_column(server_default="0")
    """1 where it came after the allowed lateness: what was seen after it is not known any more."""
    told: Mapped[int] = mapped_column(server_default="0")
    """Number of its incident's alert message that first told of it; 0: none yet."""
    message: Mapped[str] = mapped_column()
    """The `Match`, JSON."""
    __table_args__ = (
        Index("ix_matches_query_cell", "query_id", "cell"),
        Index("ix_matches_query_lat", "query_id", "lat"),
        Index("ix_matches_cell_sensing", "cell", "sensing_at"),
    )


class AlertRow(Base):
    """An alert message as it went out."""

    __tablename__ = "alerts"
    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(index=True)
    query_id: Mapped[UUID] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(20))
    message: Mapped[str] = mapped_column()
    """The `Alert`, JSON."""
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    notified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the notifier wrote its deliveries; alerts without it are published again at start."""


class NoticeRow(Base):
    """A notice as it went out."""

    __tablename__ = "notices"
    notice_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20), index=True)
    query_id: Mapped[UUID | None] = mapped_column(index=True)
    cleared: Mapped[bool] = mapped_column()
    """Whether it says that the matter is over."""
    message: Mapped[str] = mapped_column()
    """The `Notice`, JSON."""
    sent_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    notified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When the notifier wrote its deliveries; notices without it are published again at start."""


class VerdictRow(Base):
    """What a person answered to an alert."""

    __tablename__ = "verdicts"
    verdict_id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(index=True)
    incident_id: Mapped[UUID] = mapped_column(index=True)
    query_id: Mapped[UUID] = mapped_column(index=True)
    answer: Mapped[str] = mapped_column(String(10))
    """true, false, unsure."""
    message: Mapped[str] = mapped_column()
    """The `Verdict`, JSON."""
    given_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReceiverRow(Base):
    """Somebody or something that is told."""

    __tablename__ = "receivers"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    """terminal, webhook, cap, geojson."""
    settings: Mapped[dict[str, object]] = mapped_column(JSON)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DeliveryRow(Base):
    """One message to one receiver on one occasion."""

    __tablename__ = "deliveries"
    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(index=True)
    """Of the alert, or of the notice."""
    sequence: Mapped[int] = mapped_column()
    what: Mapped[str] = mapped_column(String(10), default="alert", server_default="alert")
    """alert, notice."""
    receiver: Mapped[str] = mapped_column(String(100))
    occasion: Mapped[str] = mapped_column(String(30), default="", server_default="")
    """Empty: it is news; "repeat 2": told again; "step 1": told because nobody acknowledged."""
    route: Mapped[str] = mapped_column(String(100), default="", server_default="")
    """Name of the route that it takes; empty: none, told at once."""
    gathered: Mapped[str] = mapped_column(String(120), default="", server_default="")
    """What is due under the same word at one receiver is told in one message, where its kind can; empty: alone."""
    batch: Mapped[UUID | None] = mapped_column(index=True)
    """Of one message of several deliveries, once it has been attempted: repeated with the same content and key."""
    state: Mapped[str] = mapped_column(String(20), index=True)
    silence_id: Mapped[UUID | None] = mapped_column(index=True)
    """Which silence kept it back."""
    attempts: Mapped[int] = mapped_column()
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    holder: Mapped[str | None] = mapped_column(String(200))
    """Host and process that attempts it, or did last."""
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(2000))
    __table_args__ = (UniqueConstraint("alert_id", "sequence", "receiver", "occasion", "route"),)


class RouteRow(Base):
    """Which messages go to whom, when: in order, the first that takes a message first."""

    __tablename__ = "routes"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    position: Mapped[int] = mapped_column()
    settings: Mapped[dict[str, object]] = mapped_column(JSON)
    """The `Route`, JSON (`alerts.telling.routes`)."""
    release_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When what it gathers is told, or was told last."""
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SilenceRow(Base):
    """A time in which some messages are not told."""

    __tablename__ = "silences"
    silence_id: Mapped[UUID] = mapped_column(primary_key=True)
    query_id: Mapped[UUID | None] = mapped_column()
    area: Mapped[dict[str, object] | None] = mapped_column(JSON)
    """GeoJSON geometry, or none for everywhere."""
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    author: Mapped[str] = mapped_column(String(200))
    comment: Mapped[str] = mapped_column(String(2000))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(String(200))
    """Who ended it early; `ends_at` is then when."""


class AcknowledgementRow(Base):
    """Somebody has an alert in hand."""

    __tablename__ = "acknowledgements"
    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column()
    """The last message of it at that time."""
    person: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(String(2000))
    acknowledged_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReminderRow(Base):
    """An alert that a route tells again, or tells others, until somebody acknowledges it."""

    __tablename__ = "reminders"
    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(String(100), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """From when the steps of escalation are counted."""
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """From when the next repeat is counted."""
    repeats: Mapped[int] = mapped_column()
    steps: Mapped[int] = mapped_column()
    """How many of the route's have been told."""
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When to look again; none: it is over."""


class DeadLetterRow(Base):
    """A message that could not be handled: kept here too, because an embedded broker forgets."""

    __tablename__ = "dead_letters"
    dead_letter_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(String(100), index=True)
    item_id: Mapped[str | None] = mapped_column(String(300))
    message: Mapped[str] = mapped_column()
    """The `DeadLetter`, JSON."""
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    redriven_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
