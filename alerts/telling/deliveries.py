"""Who must still be told of what: the record of deliveries, their waits and their ends.

Flows in: alerts and receivers, outcomes of attempts. Flows out: one delivery at a time that is due, claimed for us.
Stops before telling (`notify`).

A delivery that is claimed is not due again for a while: two notifiers don't attempt it at once, and one that dies
in the middle leaves it to the next. So an attempt may be repeated, always with the same idempotency key.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, func, select, update
from sqlalchemy.orm import Session

from alerts.settings import NotifierSettings
from schemas.database import transaction
from schemas.errors import Rejected
from schemas.messages import Alert, DeliveryState, stable_id
from schemas.tables import AlertRow, DeliveryRow

BEING_SENT = "being sent"
"""Stands in `error` while an attempt runs."""
LONGEST_ERROR = 2000
_PENDING = DeliveryState.PENDING.value


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that is ours to attempt now."""

    delivery_id: UUID
    receiver: str
    attempt: int
    alert: Alert


def plan(engine: Engine, alert: Alert, receivers: Sequence[str]) -> int:
    """Write one delivery per receiver and note that the alert was taken up; a second time changes nothing.

    Returns:
        How many deliveries were written.

    Raises:
        Rejected: the alert is not in the database: it belongs to another one.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        row = session.get(AlertRow, (alert.alert_id, alert.sequence), with_for_update=True)
        if row is None:
            raise Rejected(f"alert {alert.alert_id} #{alert.sequence} is not in this database: whose broker is this?")
        if row.notified_at is not None:
            return 0
        row.notified_at = now
        session.add_all(_new(alert, receiver, now) for receiver in receivers)
    return len(receivers)


def claim(engine: Engine, hold: timedelta) -> Due | None:
    """Take the next delivery that is due, the first messages of all alerts before the later ones.

    A message waits for the earlier ones of its alert to the same receiver, so that they arrive in order.

    Args:
        engine: The database.
        hold: For how long it is ours; longer than an attempt can last.
    """
    with transaction(engine) as session:
        while (row := _next(session)) is not None:
            earlier = session.scalar(
                select(func.max(DeliveryRow.next_attempt_at)).where(
                    DeliveryRow.alert_id == row.alert_id,
                    DeliveryRow.receiver == row.receiver,
                    DeliveryRow.sequence < row.sequence,
                    DeliveryRow.state == _PENDING,
                )
            )
            if earlier is None:
                break
            row.next_attempt_at = max(earlier, datetime.now(UTC)) + timedelta(milliseconds=1)
            session.flush()
        if row is None:
            return None
        row.attempts += 1
        row.error, row.next_attempt_at = BEING_SENT, datetime.now(UTC) + hold
        alert = session.get_one(AlertRow, (row.alert_id, row.sequence))
        return Due(row.delivery_id, row.receiver, row.attempts, Alert.from_bytes(alert.message.encode()))


def delivered(engine: Engine, due: Due) -> None:
    """The receiver took it."""
    _set(
        engine,
        DeliveryRow.delivery_id == due.delivery_id,
        state=DeliveryState.DELIVERED.value,
        delivered_at=datetime.now(UTC),
        next_attempt_at=None,
        error=None,
    )


def failed(engine: Engine, due: Due, reason: str, wait: timedelta, most: int) -> None:
    """The receiver did not take it: all that is due to it waits as well, and what has waited too often is given up.

    Args:
        engine: The database.
        due: What was attempted.
        reason: For people.
        wait: Until the next attempt.
        most: Attempts before a delivery is given up.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        rows = (
            select(DeliveryRow)
            .where(
                DeliveryRow.receiver == due.receiver,
                DeliveryRow.state == _PENDING,
                (DeliveryRow.next_attempt_at <= now) | (DeliveryRow.delivery_id == due.delivery_id),
            )
            .order_by(DeliveryRow.delivery_id)
            .with_for_update()  # not what another notifier claims meanwhile
        )
        for row in session.scalars(rows):
            if row.delivery_id != due.delivery_id:
                row.attempts += 1
            row.error, row.next_attempt_at = reason[:LONGEST_ERROR], now + wait
            if row.attempts >= most:
                row.state, row.next_attempt_at = DeliveryState.FAILED.value, None


def give_up(engine: Engine, due: Due, reason: str) -> None:
    """It can never be delivered."""
    _set(
        engine,
        DeliveryRow.delivery_id == due.delivery_id,
        state=DeliveryState.FAILED.value,
        next_attempt_at=None,
        error=reason[:LONGEST_ERROR],
    )


def redeliver(engine: Engine, *, delivery_ids: Sequence[UUID] | None = None, receiver: str | None = None) -> int:
    """Attempt failed deliveries again, all of them or those named.

    Returns:
        How many that is.
    """
    chosen = DeliveryRow.state == DeliveryState.FAILED.value
    if delivery_ids is not None:
        chosen &= DeliveryRow.delivery_id.in_(delivery_ids)
    if receiver is not None:
        chosen &= DeliveryRow.receiver == receiver
    return _set(engine, chosen, state=_PENDING, attempts=0, next_attempt_at=datetime.now(UTC))


def resume(engine: Engine) -> int:
    """At start: what a notifier was sending when it died is due at once. It may go out twice, with one key."""
    return _set(
        engine, (DeliveryRow.state == _PENDING) & (DeliveryRow.error == BEING_SENT), next_attempt_at=datetime.now(UTC)
    )


def wait_after(attempt: int, settings: NotifierSettings) -> timedelta:
    """How long to wait after so many attempts: doubling up to a limit, give or take a fifth."""
    seconds = min(settings.first_delay_s * 2.0 ** min(attempt - 1, 60), settings.longest_delay_s)
    return timedelta(seconds=seconds * random.uniform(0.8, 1.2))


def _next(session: Session) -> DeliveryRow | None:
    wanted = (
        select(DeliveryRow)
        .where(DeliveryRow.state == _PENDING, DeliveryRow.next_attempt_at <= datetime.now(UTC))
        .order_by(DeliveryRow.sequence, DeliveryRow.next_attempt_at, DeliveryRow.delivery_id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(wanted).first()


def _new(alert: Alert, receiver: str, now: datetime) -> DeliveryRow:
    return DeliveryRow(
        delivery_id=stable_id("delivery", alert.alert_id, alert.sequence, receiver),
        alert_id=alert.alert_id,
        sequence=alert.sequence,
        receiver=receiver,
        state=_PENDING,
        attempts=0,
        next_attempt_at=now,
    )


def _set(engine: Engine, chosen: ColumnElement[bool], **values: object) -> int:
    with transaction(engine) as session:
        rows = session.scalars(update(DeliveryRow).where(chosen).values(**values).returning(DeliveryRow.delivery_id))
        return len(list(rows))
