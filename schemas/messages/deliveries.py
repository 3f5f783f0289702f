"""What became of a message.

Flows in: attempts to tell, to handle. Flows out: deliveries and dead letters. Stops before trying again.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime

from schemas.arrays import Array
from schemas.messages.message import Message


class DeliveryState(StrEnum):
    """What became of one alert at one receiver."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    SILENCED = "silenced"
    """A silence was in force: it is on record and is not told."""
    WITHDRAWN = "withdrawn"
    """There is no need of it any more: a repeat of what has been acknowledged."""


class Delivery(Message):
    """One alert message to one receiver."""

    delivery_id: UUID
    """stable_id("delivery", alert id, sequence, receiver), with occasion and route where it is told again: also the
    idempotency key that receivers get."""
    alert_id: UUID
    sequence: int
    receiver: str
    state: DeliveryState
    attempts: int = 0
    error: str | None = None
    delivered_at: AwareDatetime | None = None


class DeadLetter(Message):
    """A message that could not be handled, with the reason. Topics `*.dlq.v1`."""

    dead_letter_id: UUID
    """stable_id("dead letter", topic, key, value): the same bad message twice is one dead letter."""
    topic: str
    partition: int
    offset: int
    key: str | None
    value: Array
    """uint8 (n,), the message as it came."""
    error: str
    """Class of the error."""
    reason: str
    """What happened, with which id, and what to do."""
    item_id: str | None = None
    service: str
    attempts: int
    failed_at: AwareDatetime
