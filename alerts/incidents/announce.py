"""An incident becomes an alert message, with its row and its place in the outbox.

Flows in: an incident, what happened to it, and what it is made of. Flows out: `Alert` messages in the transaction
that makes them true. Stops before Kafka (`outbox.flush`) and before receivers (`notifier`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import shapely
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from alerts.incidents.lifecycle import OPEN, Evidence
from alerts.incidents.looks import Stratum
from alerts.incidents.other_sensor import OtherSensors
from alerts.places import outlines
from schemas import outbox
from schemas.database import reading
from schemas.geometry import mended, to_geojson
from schemas.messages import Alert, Incident, IncidentState, Match, StandingQuery, stable_id
from schemas.outbox import Sender
from schemas.publisher import Outgoing
from schemas.tables import AlertRow, IncidentRow, MatchRow, QueryRow, ThresholdRow
from schemas.topics import ALERTS

MAX_MATCHES = 2000
"""Matches listed in one alert, the highest scores first: an alert must fit into one Kafka message."""
MAX_CELLS = 20_000
"""Cells listed in one alert, the highest scores first; the rest can be had from `tocsin alerts`."""
MAX_VERTICES = 5000
"""Outlines finer than this are simplified."""
WORLD = shapely.box(-180, -90, 180, 90)
Surprise = Callable[[ThresholdRow, float], float | None]
"""How rarely, in days, a match at least so strong is to be expected: `alerts.budgets.surprise`."""


@dataclass
class Telling:
    """What alerts of one transaction share.

    Attributes:
        session: In which they are written.
        now: When.
        surprise: How rare a score is; none: not known.
        stratum: Which thresholds hold where and when; none: those without a stratum.
        simulated: Whether what causes them is simulated; none: as it was told last.
    """

    session: Session
    now: datetime
    surprise: Surprise | None = None
    stratum: Stratum | None = None
    simulated: bool | None = None
    others: OtherSensors = field(init=False)
    queries: dict[UUID, StandingQuery] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing is read yet."""
        self.others = OtherSensors(self.session, self.now)

    def query(self, query_id: UUID) -> StandingQuery:
        """A standing query, read once."""
        if query_id not in self.queries:
            row = self.session.get_one(QueryRow, query_id)
            self.queries[query_id] = StandingQuery.from_bytes(row.message.encode())
        return self.queries[query_id]


def tell(
    telling: Telling,
    row: IncidentRow,
    kind: IncidentState,
    evidence: Evidence,
    *,
    cells: Collection[str] | None = None,
    sensors: Collection[str] | None = None,
) -> None:
    """Tell what happened to an incident that has matches; from now on people know of all of them.

    Args:
        telling: Session, time and what makes alerts richer.
        row: The incident, its state brought up to date.
        kind: What happened.
        evidence: What it is made of.
        cells: Only their untold matches are listed; none: all untold ones.
        sensors: Likewise.
    """
    query = telling.query(row.query_id)
    incident = _incident(telling, row, evidence)
    alert = Alert(
        alert_id=stable_id("alert", row.query_id, row.query_version, row.incident_id),
        sequence=row.sequence + 1,
        kind=kind,
        query=query.sentence,
        mode=query.mode,
        incident=incident,
        geometry=to_geojson(outline(list(evidence.cells))),
        matches=() if incident.state not in OPEN else _untold(telling.session, row, cells, sensors),
        sent_at=telling.now,
        simulated=_simulated(telling, row),
        other_sensor=telling.others.of(row.incident_id, query, evidence),
    )
    _write(telling, row, alert)
    told = update(MatchRow).where(MatchRow.incident_id == row.incident_id, MatchRow.told == 0)
    telling.session.execute(told.values(told=row.sequence), execution_options={"synchronize_session": False})


def tell_end(telling: Telling, row: IncidentRow, kind: IncidentState) -> None:
    """Tell the end of an incident that has no matches any more, with the cells that people know; if anybody does."""
    last = last_told(telling.session, row)
    if last is None:
        return
    update_ = {
        "state": IncidentState(row.state),
        "closed_at": row.closed_at,
        "merged_into": row.merged_into,
        "split_from": row.split_from,
        "why": row.why,
    }
    alert = last.model_copy(
        update={
            "sequence": row.sequence + 1,
            "kind": kind,
            "incident": last.incident.model_copy(update=update_),
            "matches": (),
            "sent_at": telling.now,
            "other_sensor": None,
        }
    )
    _write(telling, row, alert)


def last_told(session: Session, row: IncidentRow) -> Alert | None:
    """What people were told of an incident last."""
    wanted = (
        select(AlertRow.message)
        .where(AlertRow.incident_id == row.incident_id)
        .order_by(AlertRow.sequence.desc())
        .limit(1)
    )
    message = session.scalars(wanted).first()
    return None if message is None else Alert.from_bytes(message.encode())


def republish(engine: Engine, publisher: Sender) -> int:
    """Send again what no notifier has taken up: a broker that forgets loses nothing.

    Returns:
        How many alerts that was.
    """
    with reading(engine) as session:
        wanted = select(AlertRow.message).where(AlertRow.notified_at.is_(None)).order_by(AlertRow.sent_at)
        alerts = Alert.readable(session.scalars(wanted))
    publisher.send([_outgoing(alert).record() for alert in alerts])
    return len(alerts)


def outline(cells: Sequence[str]) -> BaseGeometry:
    """The union of cells, lon/lat, split at the antimeridian, coarser where it would be too fine to send."""
    union = shapely.union_all(outlines(sorted(set(cells))))
    for tolerance_deg in (0.01, 0.05):
        if shapely.get_num_coordinates(union) <= MAX_VERTICES:
            return union
        wider = mended(union.buffer(tolerance_deg, join_style="mitre"))
        union = mended(shapely.simplify(shapely.intersection(wider, WORLD), tolerance_deg))
    return union if shapely.get_num_coordinates(union) <= MAX_VERTICES else union.envelope


def _write(telling: Telling, row: IncidentRow, alert: Alert) -> None:
    """Number an alert, store it and put it into the outbox."""
    row.sequence, row.told_state = alert.sequence, row.state
    telling.session.add(
        AlertRow(
            alert_id=alert.alert_id,
            sequence=alert.sequence,
            incident_id=row.incident_id,
            query_id=row.query_id,
            kind=alert.kind.value,
            message=alert.model_dump_json(),
            sent_at=alert.sent_at,
        )
    )
    outbox.write(telling.session, _outgoing(alert))
    telling.session.flush()


def _incident(telling: Telling, row: IncidentRow, evidence: Evidence) -> Incident:
    best = evidence.cells
    items = (
        select(MatchRow.item_id)
        .where(MatchRow.incident_id == row.incident_id)
        .group_by(MatchRow.item_id)
        .order_by(func.min(MatchRow.sensing_at), MatchRow.item_id)
    )
    return Incident(
        incident_id=row.incident_id,
        query_id=row.query_id,
        query_version=row.query_version,
        state=IncidentState(row.state),
        cells=tuple(sorted(sorted(best, key=lambda name: (-best[name], name))[:MAX_CELLS])),
        sensors=evidence.sensors,
        item_ids=tuple(telling.session.scalars(items)),
        first_sensing_at=row.first_sensing_at,
        last_sensing_at=row.last_sensing_at,
        opened_at=row.opened_at,
        score=row.score,
        closed_at=row.closed_at,
        merged_into=row.merged_into,
        split_from=row.split_from,
        why=row.why,
        expected_every_days=_rarity(telling, row, evidence),
    )


def _rarity(telling: Telling, row: IncidentRow, evidence: Evidence) -> float | None:
    """How rarely the strongest match is to be expected; over both sensors, the rarer one."""
    if telling.surprise is None:
        return None
    best = {sensor: max(p.score for p in evidence.places if p.sensor == sensor) for sensor in evidence.sensors}
    first = evidence.first
    name = "" if telling.stratum is None else telling.stratum(first.cell, first.first_at)
    wanted = (
        select(ThresholdRow)
        .where(ThresholdRow.query_id == row.query_id, ThresholdRow.stratum.in_({"", name}))
        .order_by(ThresholdRow.computed_at, ThresholdRow.stratum)
    )
    held = {each.sensor: each for each in telling.session.scalars(wanted)}
    days = [telling.surprise(held[sensor], score) for sensor, score in best.items() if sensor in held]
    return max((each for each in days if each is not None), default=None)


def _untold(
    session: Session, row: IncidentRow, cells: Collection[str] | None, sensors: Collection[str] | None
) -> tuple[Match, ...]:
    """Matches that no message has told of, the highest scores first."""
    wanted = (
        select(MatchRow.cell, MatchRow.message)
        .where(MatchRow.incident_id == row.incident_id, MatchRow.told == 0)
        .order_by(MatchRow.score.desc(), MatchRow.cell)
    )
    if sensors is not None:
        wanted = wanted.where(MatchRow.sensor.in_(sensors))
    if cells is None:
        wanted = wanted.limit(MAX_MATCHES)
    found = [message for cell, message in session.execute(wanted) if cells is None or cell in cells]
    return tuple(Match.from_bytes(message.encode()) for message in found[:MAX_MATCHES])


def _simulated(telling: Telling, row: IncidentRow) -> bool:
    if telling.simulated is not None:
        return telling.simulated
    last = last_told(telling.session, row)
    return last is not None and last.simulated


def _outgoing(alert: Alert) -> Outgoing:
    return Outgoing(ALERTS.name, str(alert.incident.incident_id), alert)
