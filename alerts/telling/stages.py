"""What a delivery that is due passes before it is attempted, in this order.

In: a row that is due, and its message. Out: whether it may be told now; where not, the row says why. Stops before
attempting it (`deliveries.claim`).

The stages look at things as they are now, not as they were when the message came: a silence that was added meanwhile
holds, and so do quiet hours that a receiver's failure has led into.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.telling import silences
from alerts.telling.dispatch import QUIET, breaks_through
from alerts.telling.reminders import needless
from alerts.telling.routes import route_named
from alerts.telling.told import Told
from schemas.messages import DeliveryState, utc
from schemas.tables import DeliveryRow, SilenceRow

BEING_SENT = "being sent"
"""Stands in `error` while an attempt runs."""
LOOK_AGAIN = timedelta(seconds=1)
"""While another notifier has the earlier message in hand: it may be done long before its hold on it ends."""
_PENDING = DeliveryState.PENDING.value


@dataclass(frozen=True, slots=True)
class Passing:
    """A delivery on its way through the stages.

    Attributes:
        session: The transaction that claims it.
        row: The delivery, locked.
        told: Its message.
        silences: Those in force.
        before: Deliveries that are told in the same message, before it.
        now: The time.
    """

    session: Session
    row: DeliveryRow
    told: Told
    silences: list[SilenceRow]
    before: Collection[UUID]
    now: datetime


def needed(passing: Passing) -> bool:
    """A repeat is told only while its alert stands and nobody has acknowledged it."""
    row = passing.row
    reason = needless(passing.session, row.alert_id) if row.occasion else ""
    if reason:
        row.state, row.next_attempt_at, row.error = DeliveryState.WITHDRAWN.value, None, reason
    return not reason


def audible(passing: Passing) -> bool:
    """What a silence holds for is on record, and told to nobody."""
    silence = silences.silencing(passing.silences, passing.told)
    if silence is not None:
        row = passing.row
        row.state, row.next_attempt_at, row.error = DeliveryState.SILENCED.value, None, None
        row.silence_id = silence.silence_id
    return silence is None


def awake(passing: Passing) -> bool:
    """What comes in the quiet hours of its route waits for their end."""
    route = route_named(passing.session, passing.row.route)
    if route is None or route.quiet is None:
        return True
    end = route.quiet.until(passing.now)
    if end is None or breaks_through(passing.session, route, passing.told):
        return True
    passing.row.next_attempt_at, passing.row.error = end, f"{QUIET} {utc(end)}"
    return False


def in_order(passing: Passing) -> bool:
    """A message waits for the earlier ones of its alert to the same receiver."""
    row, now = passing.row, passing.now
    wanted = select(DeliveryRow.next_attempt_at, DeliveryRow.error).where(
        DeliveryRow.alert_id == row.alert_id,
        DeliveryRow.receiver == row.receiver,
        DeliveryRow.sequence < row.sequence,
        DeliveryRow.state == _PENDING,
        DeliveryRow.delivery_id.not_in(passing.before),
    )
    earlier = [
        now + LOOK_AGAIN if error == BEING_SENT else due or now for due, error in passing.session.execute(wanted)
    ]
    if earlier:
        row.next_attempt_at = max(now, *earlier) + timedelta(milliseconds=1)
    return not earlier


STAGES: tuple[Callable[[Passing], bool], ...] = (needed, audible, awake, in_order)


def passes(passing: Passing) -> bool:
    """Whether a delivery may be told now."""
    return all(stage(passing) for stage in STAGES)
