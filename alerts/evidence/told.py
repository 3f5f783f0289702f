"""All that the relational store knows about one alert, as it was told.

Flows in: the id of an alert. Flows out: its message, the matches of its incident, the acquisitions, releases and
thresholds behind them. Stops before the archive (`looks`) and before pixels (`chips`).

An incident goes on after a message of it was sent. What belongs to a message is told by the message itself: matches
of other scenes than it names, or of other cells, came later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from alerts import answers
from alerts.telling.cap import Earlier
from alerts.telling.told import earlier
from schemas.database import reading
from schemas.errors import NotFound
from schemas.messages import Acquisition, Alert, Match, StandingQuery
from schemas.tables import AcquisitionRow, AlertRow, MatchedBatchRow, MatchRow, QueryRow, ThresholdRow

MAX_SCENES = 500
"""Ids in one question to the database: some take no more than a thousand."""


@dataclass(frozen=True, slots=True)
class Line:
    """The threshold of the query for one release, sensor and stratum, as it stands now."""

    release: str
    sensor: str
    stratum: str
    score: float | None
    presence: float | None
    score_low: float | None
    score_high: float | None
    basis: str
    background: int
    needed: int | None
    expected_per_week: float | None
    computed_at: datetime
    vector: bytes
    """float32 (k, 384), little-endian."""


@dataclass(frozen=True, slots=True)
class Told:
    """One message of an alert and what stands behind it.

    Attributes:
        alert: The message.
        earlier: Messages of the same alert before it.
        query: The standing query as it is now; none when it has been forgotten.
        matches: Of the incident as this message tells it, the highest scores first.
        acquisitions: By id, those of the matches that the ledger knows.
        releases: By acquisition id, the encoder releases whose vectors were matched.
        lines: Thresholds of the query, all releases and sensors.
    """

    alert: Alert
    earlier: tuple[Earlier, ...]
    query: StandingQuery | None
    matches: tuple[Match, ...]
    acquisitions: dict[UUID, Acquisition]
    releases: dict[UUID, tuple[str, ...]]
    lines: tuple[Line, ...]


def find_alert(engine: Engine, name: str, sequence: int | None = None) -> Alert:
    """An alert's message.

    Args:
        engine: The database.
        name: Its id, or 4 or more characters from its start.
        sequence: Which of its messages; none: the last.

    Raises:
        NotFound: no alert has that id, several begin so, or it has no such message.
    """
    with reading(engine) as session:
        last = answers.find_alert(session, name)
        if sequence is None:
            return last
        row = session.get(AlertRow, (last.alert_id, sequence))
    if row is None:
        raise NotFound(f"alert {last.alert_id} has no message {sequence}: leave --sequence out for its last one")
    return Alert.from_bytes(row.message.encode())


def told(engine: Engine, alert: Alert) -> Told:
    """What stands behind a message."""
    with reading(engine) as session:
        matches = _matches(session, alert)
        ids = list(dict.fromkeys(match.acquisition_id for match in matches))
        return Told(
            alert,
            earlier(session, alert),
            _query(session, alert),
            matches,
            acquisitions_of(session, ids),
            _releases(session, ids),
            _lines(session, alert.incident.query_id),
        )


def acquisitions_of(session: Session, ids: Iterable[UUID]) -> dict[UUID, Acquisition]:
    """Acquisitions by id, those that the ledger knows."""
    found: dict[UUID, Acquisition] = {}
    for some in _parts(list(ids)):
        rows = select(AcquisitionRow.acquisition_id, AcquisitionRow.message).where(
            AcquisitionRow.acquisition_id.in_(some)
        )
        found |= {key: Acquisition.from_bytes(message.encode()) for key, message in session.execute(rows)}
    return found


def _matches(session: Session, alert: Alert) -> tuple[Match, ...]:
    """The stored matches of the incident that this message knew; its own where none are stored."""
    incident = alert.incident
    rows = session.scalars(select(MatchRow.message).where(MatchRow.incident_id == incident.incident_id))
    items, cells = set(incident.item_ids), set(incident.cells)
    stored = [Match.from_bytes(message.encode()) for message in rows]
    known = [match for match in stored if match.item_id in items and match.cell in cells] or list(alert.matches)
    return tuple(sorted(known, key=lambda match: (-match.score, match.cell, match.item_id)))


def _query(session: Session, alert: Alert) -> StandingQuery | None:
    row = session.get(QueryRow, alert.incident.query_id)
    return None if row is None else StandingQuery.from_bytes(row.message.encode())


def _releases(session: Session, ids: list[UUID]) -> dict[UUID, tuple[str, ...]]:
    found: dict[UUID, tuple[str, ...]] = {}
    for some in _parts(ids):
        wanted = (
            select(MatchedBatchRow.acquisition_id, MatchedBatchRow.release)
            .where(MatchedBatchRow.acquisition_id.in_(some))
            .distinct()
            .order_by(MatchedBatchRow.release)
        )
        for key, release in session.execute(wanted):
            found[key] = (*found.get(key, ()), release)
    return found


def _lines(session: Session, query_id: UUID) -> tuple[Line, ...]:
    row = ThresholdRow
    wanted = select(row).where(row.query_id == query_id).order_by(row.release, row.sensor, row.stratum)
    return tuple(
        Line(
            one.release,
            one.sensor,
            one.stratum,
            one.score,
            one.presence,
            one.score_low,
            one.score_high,
            one.basis,
            one.background,
            one.needed,
            one.expected_per_week,
            one.computed_at,
            one.vector,
        )
        for one in session.scalars(wanted)
    )


def _parts(ids: list[UUID]) -> Iterable[list[UUID]]:
    return (ids[start : start + MAX_SCENES] for start in range(0, len(ids), MAX_SCENES))
