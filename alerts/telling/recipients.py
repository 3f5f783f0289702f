"""What became of a delivery at each of its recipients, over all attempts.

Flows in: who took a message, and who never will. Flows out: who need not be asked again. Stops before asking (`kinds`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine, delete, select

from schemas.database import reading, transaction
from schemas.tables import DeliveryRow, RecipientRow

LONGEST_REFUSAL = 500


@dataclass(frozen=True, slots=True)
class RecordedRecipients:
    """The record of one delivery."""

    engine: Engine
    delivery_id: UUID

    def settled(self) -> Mapping[str, str | None]:
        """Recipients that need no further attempt, with the reason for those that refused for good."""
        wanted = select(RecipientRow.recipient, RecipientRow.refusal).where(
            RecipientRow.delivery_id == self.delivery_id
        )
        with reading(self.engine) as session:
            return {row.recipient: row.refusal for row in session.execute(wanted)}

    def settle(self, recipient: str, refusal: str | None = None) -> None:
        """The recipient has it, or will never take it."""
        shown = None if refusal is None else refusal[:LONGEST_REFUSAL]
        with transaction(self.engine) as session:
            session.merge(
                RecipientRow(
                    delivery_id=self.delivery_id, recipient=recipient, refusal=shown, settled_at=datetime.now(UTC)
                )
            )

    def ask_again(self) -> None:
        """A person sends the delivery again: what was refused for good may be taken now."""
        with transaction(self.engine) as session:
            session.execute(
                delete(RecipientRow).where(
                    RecipientRow.delivery_id == self.delivery_id, RecipientRow.refusal.is_not(None)
                )
            )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recipient who will never take a message."""

    delivery_id: UUID
    receiver: str
    recipient: str
    why: str
    refused_at: datetime


def list_refusals(engine: Engine, receiver: str | None = None) -> list[Refusal]:
    """Who refused for good, the latest first.

    Args:
        engine: The database.
        receiver: Only recipients of this one.
    """
    wanted = (
        select(RecipientRow, DeliveryRow.receiver)
        .join(
            DeliveryRow,
            (DeliveryRow.delivery_id == RecipientRow.delivery_id) | (DeliveryRow.batch == RecipientRow.delivery_id),
        )
        .where(RecipientRow.refusal.is_not(None))
        .order_by(RecipientRow.settled_at.desc(), RecipientRow.recipient)
        .distinct()
    )
    if receiver is not None:
        wanted = wanted.where(DeliveryRow.receiver == receiver)
    with reading(engine) as session:
        return [
            Refusal(row.delivery_id, name, row.recipient, row.refusal or "", row.settled_at)
            for row, name in session.execute(wanted)
        ]
