"""One message to one receiver on one occasion: how, and as which row.

In: a message, a receiver, a way. Out: a row whose id, and so the idempotency key, follows from them. Stops before
writing it (`dispatch`, `reminders`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from alerts.telling.told import Told, id_of, what
from schemas.messages import DeliveryState, stable_id
from schemas.tables import DeliveryRow


@dataclass(frozen=True, slots=True)
class Way:
    """How a message reaches receivers on one occasion.

    Attributes:
        route: Name of the route; empty: none.
        occasion: Empty where it is news.
        gathered: Under which word it is gathered with others; empty: alone.
        due_at: Not before.
    """

    route: str
    occasion: str
    gathered: str
    due_at: datetime


def new_delivery(told: Told, receiver: str, way: Way, *, silence_id: UUID | None = None) -> DeliveryRow:
    """A row of one message to one receiver on one occasion; its id follows from these."""
    again = (way.occasion, way.route) if way.occasion else ()
    return DeliveryRow(
        delivery_id=stable_id("delivery", id_of(told), told.sequence, receiver, *again),
        alert_id=id_of(told),
        sequence=told.sequence,
        what=what(told),
        receiver=receiver,
        occasion=way.occasion,
        route=way.route,
        gathered=way.gathered,
        state=DeliveryState.PENDING.value if silence_id is None else DeliveryState.SILENCED.value,
        silence_id=silence_id,
        attempts=0,
        next_attempt_at=way.due_at if silence_id is None else None,
    )
