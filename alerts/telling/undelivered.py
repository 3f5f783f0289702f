"""What was given up: deliveries after their last attempt, and recipients who refused for good.

Flows in: the record of deliveries. Flows out: a list for people. Stops before sending again (`deliveries.redeliver`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from schemas.database import reading
from schemas.errors import NotFound
from schemas.messages import Alert, DeliveryState
from schemas.notices import Notice
from schemas.tables import AlertRow, DeliveryRow, NoticeRow, RecipientRow


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A delivery that somebody did not get.

    Attributes:
        delivery_id: Names it for a redrive.
        receiver: Name.
        about: The sentence, or the notice's text.
        subject_id: Of the alert or notice.
        sequence: Number of its message.
        attempts: How many there were.
        error: What the receiver said last.
        refused: Recipients of it who refused for good, with their reasons.
    """

    delivery_id: UUID
    receiver: str
    about: str
    subject_id: UUID
    sequence: int
    attempts: int
    error: str
    refused: Mapping[str, str]


def list_undelivered(engine: Engine, receiver: str | None = None) -> list[Undelivered]:
    """Deliveries that were given up, and those that some of their recipients refused, by receiver and message.

    Args:
        engine: The database.
        receiver: Only of this one.
    """
    with reading(engine) as session:
        refusals = _refusals(session)
        chosen = (DeliveryRow.state == DeliveryState.FAILED.value) | DeliveryRow.delivery_id.in_(list(refusals))
        wanted = select(DeliveryRow).where(chosen)
        if receiver is not None:
            wanted = wanted.where(DeliveryRow.receiver == receiver)
        rows = session.scalars(wanted.order_by(DeliveryRow.receiver, DeliveryRow.alert_id, DeliveryRow.sequence))
        return [
            Undelivered(
                row.delivery_id,
                row.receiver,
                _about(session, row.alert_id, row.sequence),
                row.alert_id,
                row.sequence,
                row.attempts,
                row.error or "",
                refusals.get(row.delivery_id, {}),
            )
            for row in rows.all()
        ]


def resolve(engine: Engine, which: str, receiver: str | None = None) -> UUID:
    """The one undelivered delivery whose id begins so.

    Raises:
        NotFound: there is none, or several.
    """
    ids = [each.delivery_id for each in list_undelivered(engine, receiver)]
    found = [each for each in ids if str(each).startswith(which.lower())]
    if len(found) != 1:
        many = "several deliveries begin" if found else "no delivery that was given up begins"
        raise NotFound(f"{many} with {which!r}: see tocsin receiver failed")
    return found[0]


def _refusals(session: Session) -> dict[UUID, dict[str, str]]:
    wanted = select(RecipientRow).where(RecipientRow.refusal.is_not(None)).order_by(RecipientRow.recipient)
    found: dict[UUID, dict[str, str]] = {}
    for row in session.scalars(wanted):
        found.setdefault(row.delivery_id, {})[row.recipient] = row.refusal or ""
    return found


def _about(session: Session, subject_id: UUID, sequence: int) -> str:
    """The sentence or the text; empty where the message is gone."""
    alert = session.get(AlertRow, (subject_id, sequence))
    if alert is not None:
        return Alert.from_bytes(alert.message.encode()).query
    notice = session.get(NoticeRow, (subject_id, sequence))
    return "" if notice is None else Notice.from_bytes(notice.message.encode()).text
