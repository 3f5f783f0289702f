"""An incident becomes an alert message, with its row and its place in the outbox.

Flows in: incidents that opened, and those that an acquisition touched. Flows out: `Alert` messages in the transaction
that makes them true. Stops before Kafka (`outbox.flush`) and before receivers (`notifier`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import shapely
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from alerts.places import outlines
from alerts.settings import MatcherSettings
from schemas import outbox
from schemas.database import reading
from schemas.geometry import to_geojson
from schemas.messages import Acquisition, Alert, Incident, IncidentState, Match, Sensor, StandingQuery, stable_id
from schemas.outbox import Sender
from schemas.publisher import Outgoing
from schemas.tables import AlertRow, IncidentRow, MatchRow, QueryRow
from schemas.topics import ALERTS

MAX_MATCHES = 2000
"""Matches listed in one alert, the highest scores first: an alert must fit into one Kafka message."""
MAX_CELLS = 20_000
"""Cells listed in one alert, the highest scores first; the rest can be had from `tocsin alerts`."""
MAX_VERTICES = 5000
"""Outlines finer than this are simplified."""


def tell_opened(session: Session, query: StandingQuery, opened: Sequence[IncidentRow], simulated: bool) -> None:
    """Write the first alert of new incidents."""
    for incident in opened:
        matches = _matches(session, incident)
        _write(session, incident, query, IncidentState.OPENED, matches, matches, simulated)


def tell_updates(session: Session, acquisition: Acquisition, rules: MatcherSettings) -> None:
    """Write at most one update for each incident that a wholly matched acquisition touched.

    An incident that the other sensor now has seen as well is confirmed; one with enough new cells has grown, unless
    the acquisition only fills in its past.
    """
    touched = (
        select(IncidentRow)
        .join(MatchRow, MatchRow.incident_id == IncidentRow.incident_id)
        .where(MatchRow.sensing_at == acquisition.sensing_at, MatchRow.sensor == acquisition.sensor)
        .distinct()
    )
    for incident in session.scalars(touched).all():
        told = _last_told(session, incident)
        matches = _matches(session, incident)
        new = [match for match in matches if match.cell not in set(told.incident.cells)]
        others = {match.sensor for match in matches} - set(told.incident.sensors)
        query = _query(session, incident)
        if others:
            news = [match for match in matches if match.sensor in others]
            _write(session, incident, query, IncidentState.CONFIRMED, matches, news, acquisition.simulated)
        elif _grown(new, told, rules) and not _late(acquisition, incident, rules):
            _write(session, incident, query, IncidentState.GROWING, matches, new, acquisition.simulated)


def republish(engine: Engine, publisher: Sender) -> int:
    """Send again what no notifier has taken up: a broker that forgets loses nothing.

    Returns:
        How many alerts that was.
    """
    with reading(engine) as session:
        rows = session.scalars(select(AlertRow).where(AlertRow.notified_at.is_(None)).order_by(AlertRow.sent_at))
        alerts = [Alert.from_bytes(row.message.encode()) for row in rows]
    publisher.send([_outgoing(alert).record() for alert in alerts])
    return len(alerts)


def _write(
    session: Session,
    row: IncidentRow,
    query: StandingQuery,
    kind: IncidentState,
    matches: Sequence[Match],
    news: Sequence[Match],
    simulated: bool,
) -> None:
    """Number an alert, store it and put it into the outbox."""
    row.sequence += 1
    if row.state != IncidentState.CONFIRMED.value:
        row.state = kind.value
    alert = Alert(
        alert_id=stable_id("alert", query.query_id, row.query_version, row.incident_id),
        sequence=row.sequence,
        kind=kind,
        query=query.sentence,
        mode=query.mode,
        incident=_incident(row, matches),
        geometry=to_geojson(outline([match.cell for match in matches])),
        matches=tuple(sorted(news, key=lambda match: (-match.score, match.cell))[:MAX_MATCHES]),
        sent_at=datetime.now(UTC),
        simulated=simulated,
    )
    session.add(
        AlertRow(
            alert_id=alert.alert_id,
            sequence=alert.sequence,
            incident_id=row.incident_id,
            query_id=query.query_id,
            kind=kind.value,
            message=alert.model_dump_json(),
            sent_at=alert.sent_at,
        )
    )
    outbox.write(session, _outgoing(alert))


def outline(cells: Sequence[str]) -> BaseGeometry:
    """The union of cells, lon/lat, split at the antimeridian, coarser where it would be too fine to send."""
    union = shapely.union_all(outlines(sorted(set(cells))))
    for tolerance_deg in (0.01, 0.05):
        if shapely.get_num_coordinates(union) <= MAX_VERTICES:
            return union
        union = shapely.simplify(union.buffer(tolerance_deg, join_style="mitre"), tolerance_deg)
    return union if shapely.get_num_coordinates(union) <= MAX_VERTICES else union.envelope


def _incident(row: IncidentRow, matches: Sequence[Match]) -> Incident:
    best: dict[str, float] = {}
    for match in matches:
        best[match.cell] = max(match.score, best.get(match.cell, match.score))
    sensors: tuple[Sensor, ...] = tuple(sorted({match.sensor for match in matches}))
    by_time = sorted(matches, key=lambda match: (match.sensing_at, match.item_id))
    return Incident(
        incident_id=row.incident_id,
        query_id=row.query_id,
        query_version=row.query_version,
        state=IncidentState(row.state),
        cells=tuple(sorted(sorted(best, key=lambda name: (-best[name], name))[:MAX_CELLS])),
        sensors=sensors,
        item_ids=tuple(dict.fromkeys(match.item_id for match in by_time)),
        first_sensing_at=row.first_sensing_at,
        last_sensing_at=row.last_sensing_at,
        opened_at=row.opened_at,
        score=row.score,
    )


def _matches(session: Session, incident: IncidentRow) -> list[Match]:
    session.flush()
    wanted = select(MatchRow.message).where(MatchRow.incident_id == incident.incident_id)
    return [Match.from_bytes(message.encode()) for message in session.scalars(wanted)]


def _last_told(session: Session, incident: IncidentRow) -> Alert:
    wanted = (
        select(AlertRow.message)
        .where(AlertRow.incident_id == incident.incident_id)
        .order_by(AlertRow.sequence.desc())
        .limit(1)
    )
    return Alert.from_bytes(session.scalars(wanted).one().encode())


def _query(session: Session, incident: IncidentRow) -> StandingQuery:
    row = session.get_one(QueryRow, incident.query_id)
    return StandingQuery.from_bytes(row.message.encode())


def _grown(new: Sequence[Match], told: Alert, rules: MatcherSettings) -> bool:
    cells = len({match.cell for match in new})
    return cells >= max(1.0, rules.growth_share * len(told.incident.cells))


def _late(acquisition: Acquisition, incident: IncidentRow, rules: MatcherSettings) -> bool:
    return (incident.last_sensing_at - acquisition.sensing_at).total_seconds() > rules.late_days * 86_400


def _outgoing(alert: Alert) -> Outgoing:
    return Outgoing(ALERTS.name, str(alert.incident.incident_id), alert)
