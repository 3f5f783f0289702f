"""A message becomes deliveries: by which routes, to whom, and when.

In: a message that was not taken up before, within the transaction that says so. Out: rows of deliveries, and reminders
of what is told again. Stops before attempting any of them (`deliveries.claim`).

Where no route takes a message, every receiver is told at once: a mistake in a route makes more noise, not less.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.orm import Session

from alerts.telling import reminders, silences
from alerts.telling.routes import Route, routes
from alerts.telling.routing import taken
from alerts.telling.told import Told, id_of, newest, state_of, what
from alerts.telling.ways import Way, new_delivery
from schemas.messages import DeliveryState
from schemas.tables import DeliveryRow, RouteRow

QUIET = "quiet hours until"
"""How `error` begins while a delivery waits for their end."""
_PENDING = DeliveryState.PENDING.value


def arrange(session: Session, told: Told, receivers: Sequence[str], now: datetime) -> list[DeliveryRow]:
    """Deliveries of a message; silenced ones are among them.

    Args:
        session: The caller's transaction, which holds the message's row.
        told: The message.
        receivers: Whom to tell where no route takes it.
        now: The time.
    """
    silence = silences.silencing(silences.in_force(session, now), told)
    chosen = taken(routes(session), told)
    rows: dict[str, DeliveryRow] = {}
    if not chosen:
        at_once = Way("", "", "", now)
        rows = {name: new_delivery(told, name, at_once, silence_id=_id(silence)) for name in receivers}
    for route in chosen:
        way = Way(route.name, "", route.name if route.gathers else "", _due(session, route, told, now))
        for name in route.receivers:
            rows.setdefault(name, new_delivery(told, name, way, silence_id=_id(silence)))
        if silence is None:
            _bring_forward(session, told, route, way)
        reminders.start(session, route, told, way.due_at)
    return list(rows.values())


def breaks_through(session: Session, route: Route, told: Told) -> bool:
    """Whether a message is told in quiet hours: its incident is confirmed by now, and the route lets such through."""
    if not route.break_through or what(told) == "notice":
        return False
    last = newest(session, id_of(told))
    return last is not None and state_of(last) == "confirmed"


def _due(session: Session, route: Route, told: Told, now: datetime) -> datetime:
    """When a message of a route is told: with what its window gathers, after the quiet hours."""
    due_at = _release(session, route, now)
    if route.quiet is None or breaks_through(session, route, told):
        return due_at
    return route.quiet.until(due_at) or due_at


def _release(session: Session, route: Route, now: datetime) -> datetime:
    """End of the window that gathers now; a new one begins where none does.

    An end further off than a window can last was written by a host whose clock is ahead, and is not believed.
    """
    wait, interval = timedelta(seconds=route.wait_s), timedelta(seconds=route.interval_s)
    if not wait and not interval:
        return now
    row = session.get_one(RouteRow, route.name, with_for_update=True)
    last = row.release_at
    if last is not None and now < last <= now + max(wait, interval):
        return last
    release_at = now + wait
    if last is not None and last <= now:
        release_at = max(release_at, last + interval)
    row.release_at = release_at
    return release_at


def _bring_forward(session: Session, told: Told, route: Route, way: Way) -> None:
    """Earlier messages of the same alert that a window or quiet hours keep back come with one that is told sooner.

    So they arrive in order and nothing urgent waits for them; from now on they go by its route.
    """
    kept_back = (DeliveryRow.attempts == 0) | DeliveryRow.error.startswith(QUIET)
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.alert_id == id_of(told),
            DeliveryRow.receiver.in_(route.receivers),
            DeliveryRow.sequence < told.sequence,
            DeliveryRow.state == _PENDING,
            DeliveryRow.next_attempt_at > way.due_at,
            kept_back,
        )
        .values(next_attempt_at=way.due_at, route=way.route, gathered=way.gathered)
    )


def _id(silence: object) -> UUID | None:
    return getattr(silence, "silence_id", None)
