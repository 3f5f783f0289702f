"""How much is still under way: the ledger's answer, not the broker's.

Flows in: the database. Flows out: counts of unfinished work. Stops before doing anything about it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from sqlalchemy import Engine, Select, func, select

from alerts.telling.stages import BEING_SENT
from schemas.database import Base, reading
from schemas.messages import DeliveryState
from schemas.tables import AcquisitionRow, AlertRow, CursorRow, DeliveryRow, NoticeRow, OutboxRow, SourceRow

UNFINISHED = ("queued", "encoded")
"""States of an acquisition that somebody still works on."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is under way.

    Attributes:
        acquisitions: Announced to the encoder and not yet matched.
        outbox: Messages that the broker has not acknowledged.
        alerts: Alerts and notices that the notifier has not seen.
        deliveries: Deliveries that are due now, or being sent.
    """

    acquisitions: int
    outbox: int
    alerts: int
    deliveries: int

    def __bool__(self) -> bool:
        """Whether anything is left."""
        return any(getattr(self, field.name) for field in fields(self))


def unfinished(engine: Engine) -> Unfinished:
    """Count what is under way.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    now = datetime.now(UTC)
    due = (DeliveryRow.next_attempt_at.is_(None)) | (DeliveryRow.next_attempt_at <= now)
    due |= DeliveryRow.error == BEING_SENT
    with reading(engine) as session:
        return Unfinished(
            acquisitions=session.scalar(_count(AcquisitionRow).where(AcquisitionRow.state.in_(UNFINISHED))) or 0,
            outbox=session.scalar(_count(OutboxRow)) or 0,
            alerts=(session.scalar(_count(AlertRow).where(AlertRow.notified_at.is_(None))) or 0)
            + (session.scalar(_count(NoticeRow).where(NoticeRow.notified_at.is_(None))) or 0),
            deliveries=session.scalar(_count(DeliveryRow).where(DeliveryRow.state == DeliveryState.PENDING.value, due))
            or 0,
        )


def polled_since(engine: Engine, moment: datetime) -> bool:
    """Whether every collection of every source has been polled (well or badly) since a moment."""
    with reading(engine) as session:
        wanted = {(s.name, c) for s in session.scalars(select(SourceRow)) for c in s.collections}
        done = {
            (c.source, c.collection)
            for c in session.scalars(select(CursorRow))
            if c.polled_at and c.polled_at >= moment
        }
    return wanted <= done


def _count(table: type[Base]) -> Select[int]:
    return select(func.count()).select_from(table)
