"""What was found, what became of it, and what was said of it.

In: rows of the matcher. Out: incidents with their lives, alert messages and notices. Stops before receivers.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from schemas.database import Base, UtcDateTime


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
    """Presence score below which it is clear, by the threshold of its time; none: below halfway between before and
    after the cell's own match."""
    scored_by: Mapped[str] = mapped_column(String(16), server_default="")
    """Digest of the query's vectors that scored it."""
    __table_args__ = (Index("ix_looks_query_cell", "query_id", "cell"),)


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
    level: Mapped[float | None] = mapped_column()
    """Presence score below which its cell is clear, by the threshold that it passed; none: no such score was known."""
    scored_by: Mapped[str] = mapped_column(String(16), server_default="")
    """Digest of the query's vectors that scored it: what two have scored is not compared."""
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
