"""Told again, and told to others, until somebody acknowledges.

In: alerts as a route takes them, and the clock. Out: further deliveries, each with its own id and key. Stops before
attempting them (`deliveries.claim`).

How far a route has come with an alert stands in one row, which changes in the transaction that writes the deliveries:
a step is told once, whichever notifier finds it due, and a restart forgets none. An escalation is a delivery of the
alert as it stands now, not a notice of its own: whoever is told needs the place, not the news that there was one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Engine, select
from sqlalchemy.orm import Session

from alerts.locks import serialise
from alerts.telling import silences
from alerts.telling.routes import Route, route_named
from alerts.telling.told import REOPENED, Told, is_over, newest
from alerts.telling.ways import Way, new_delivery
from schemas.database import reading, transaction
from schemas.errors import MalformedMessage
from schemas.messages import Alert, DeliveryState, utc
from schemas.tables import AcknowledgementRow, AlertRow, DeliveryRow, ReminderRow

LOOK_AGAIN = timedelta(minutes=1)
"""How often a silenced alert is looked at: its silence may be ended early; and one that cannot be read."""

log = structlog.get_logger(__name__)


def start(session: Session, route: Route, told: Told, told_at: datetime) -> None:
    """An alert is told on a route at a time: its next repeat is counted from there, its escalation from the first.

    Args:
        session: The caller's transaction.
        route: The route that takes it.
        told: The message; notices are not told again, they say when they are over.
        told_at: When it is told.
    """
    if not isinstance(told, Alert) or (route.repeat_s is None and not route.steps):
        return
    serialise(session, f"reminder {told.alert_id}")
    row = session.get(ReminderRow, (told.alert_id, route.name), with_for_update=True)
    if row is None:
        row = ReminderRow(
            alert_id=told.alert_id, route=route.name, started_at=told_at, told_at=told_at, repeats=0, steps=0
        )
        session.add(row)
    if told.kind.value == REOPENED:
        row.started_at, row.steps = told_at, 0
    row.told_at = max(row.told_at, told_at)
    row.next_at = None if needless(session, told.alert_id) else _next_at(row, route)


def remind(engine: Engine, now: datetime) -> int:
    """Write the deliveries of all repeats and steps that are due.

    Returns:
        How many deliveries that is.
    """
    due = ReminderRow.next_at <= now
    written = 0
    while _any(engine, due):
        with transaction(engine) as session:
            wanted = select(ReminderRow).where(due).order_by(ReminderRow.next_at).limit(1)
            row = session.scalars(wanted.with_for_update(skip_locked=True)).first()
            if row is None:  # another notifier has it
                break
            written += _remind(session, row, now)
    return written


def needless(session: Session, alert_id: UUID) -> str:
    """Why an alert need not be told again; empty where it must."""
    answered = acknowledgement(session, alert_id)
    if answered is not None:
        return f"{answered.person} acknowledged it at {utc(answered.acknowledged_at)}"
    alert = newest(session, alert_id)
    return f"it is {alert.kind.value}" if alert is not None and is_over(alert) else ""


def acknowledgement(session: Session, alert_id: UUID) -> AcknowledgementRow | None:
    """Who has an alert in hand; none where nobody has, or where it has been reopened since."""
    row = session.get(AcknowledgementRow, alert_id)
    if row is None:
        return None
    reopened = select(AlertRow.sequence).where(
        AlertRow.alert_id == alert_id, AlertRow.sequence > row.sequence, AlertRow.kind == REOPENED
    )
    return row if session.scalar(reopened.limit(1)) is None else None


def _remind(session: Session, row: ReminderRow, now: datetime) -> int:
    try:
        route, alert = route_named(session, row.route), newest(session, row.alert_id)
    except MalformedMessage as error:  # of a newer build, say, which then reminds
        log.error("stored alert cannot be read", alert_id=str(row.alert_id), reason=str(error))
        row.next_at = now + LOOK_AGAIN
        return 0
    if route is None or alert is None or needless(session, row.alert_id):
        row.next_at = None
        return 0
    silence = silences.silencing(silences.in_force(session, now), alert)
    if silence is not None:  # the time of a silence does not count: nobody would be told
        row.started_at = row.next_at = min(silence.ends_at, now + LOOK_AGAIN)
        return 0
    deliveries = [*_steps(row, route, alert, now), *_repeat(session, row, route, alert, now)]
    session.add_all(deliveries)
    row.next_at = _next_at(row, route)
    return len(deliveries)


def _steps(row: ReminderRow, route: Route, alert: Alert, now: datetime) -> Iterator[DeliveryRow]:
    """Deliveries of the steps that are due."""
    for step in route.steps[row.steps :]:
        if row.started_at + timedelta(seconds=step.after_s) > now:
            return
        row.steps += 1
        way = Way(route.name, f"step {row.steps}", "", now)
        yield from (new_delivery(alert, name, way) for name in dict.fromkeys(step.receivers))


def _repeat(session: Session, row: ReminderRow, route: Route, alert: Alert, now: datetime) -> Iterator[DeliveryRow]:
    """Deliveries of a repeat, if it is due, to those that nothing of this alert is on its way to."""
    if route.repeat_s is None or row.told_at + timedelta(seconds=route.repeat_s) > now:
        return
    row.repeats, row.told_at = row.repeats + 1, now
    on_its_way = select(DeliveryRow.receiver).where(
        DeliveryRow.alert_id == alert.alert_id, DeliveryRow.state == DeliveryState.PENDING.value
    )
    waiting = set(session.scalars(on_its_way))
    way = Way(route.name, f"repeat {row.repeats}", f"{route.name} again" if route.gathers else "", now)
    yield from (new_delivery(alert, name, way) for name in dict.fromkeys(route.receivers) if name not in waiting)


def _next_at(row: ReminderRow, route: Route) -> datetime | None:
    """The earliest of what is still to come."""
    times = [row.started_at + timedelta(seconds=step.after_s) for step in route.steps[row.steps : row.steps + 1]]
    if route.repeat_s is not None:
        times.append(row.told_at + timedelta(seconds=route.repeat_s))
    return min(times, default=None)


def _any(engine: Engine, due: ColumnElement[bool]) -> bool:
    """A look that waits for nobody: mostly nothing is due."""
    with reading(engine) as session:
        return session.scalars(select(ReminderRow.alert_id).where(due).limit(1)).first() is not None
