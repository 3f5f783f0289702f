"""Where the time went between the satellite and the person, stage by stage.

Flows in: the ledger, alerts and deliveries. Flows out: seconds per stage, for each message of an alert. Stops before
statistics over many (`benchmarks.latency`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, func, select

from schemas.database import reading
from schemas.messages import Alert
from schemas.tables import AcquisitionRow, AlertRow, DeliveryRow

STAGES = ("published", "seen", "queued", "encoded", "matched", "delivered")
"""Each is the time from the one before it to itself; the first begins with sensing."""


@dataclass(frozen=True, slots=True)
class Stages:
    """One alert message's way.

    Attributes:
        alert_id: Of the alert.
        sequence: Of the message.
        item_id: The acquisition that caused it: the one sensed last among its matches.
        seconds: By name of `STAGES`; a stage that has not happened, or left no time, is missing. `published` (sensing
            to catalogue) is upstream of us; `seen` is our polling.
        ours_s: From first reading the announcement to the last delivery, or to the match where none is delivered.
    """

    alert_id: UUID
    sequence: int
    item_id: str
    seconds: dict[str, float]
    ours_s: float


def stages(engine: Engine) -> list[Stages]:
    """All alert messages in the order they were sent."""
    with reading(engine) as session:
        alerts = [
            Alert.from_bytes(m.encode()) for m in session.scalars(select(AlertRow.message).order_by(AlertRow.sent_at))
        ]
        ids = {match.acquisition_id for alert in alerts for match in alert.matches}
        ledger = {
            row.acquisition_id: row
            for row in session.scalars(select(AcquisitionRow).where(AcquisitionRow.acquisition_id.in_(ids)))
        }
        last = {
            (alert_id, sequence): moment
            for alert_id, sequence, moment in session.execute(
                select(DeliveryRow.alert_id, DeliveryRow.sequence, func.max(DeliveryRow.delivered_at)).group_by(
                    DeliveryRow.alert_id, DeliveryRow.sequence
                )
            )
        }
    found = []
    for alert in alerts:
        cause = max(alert.matches, key=lambda match: (match.sensing_at, match.item_id), default=None)
        row = None if cause is None else ledger.get(cause.acquisition_id)
        if row is not None:
            found.append(_stages(alert, row, last.get((alert.alert_id, alert.sequence))))
    return found


def _stages(alert: Alert, row: AcquisitionRow, delivered_at: datetime | None) -> Stages:
    moments = (row.published_at, row.seen_at, row.queued_at, row.encoded_at, alert.sent_at, delivered_at)
    seconds: dict[str, float] = {}
    before = row.sensing_at
    for name, moment in zip(STAGES, moments, strict=True):
        if moment is not None:
            seconds[name] = (moment - before).total_seconds()
            before = moment
    ours_s = ((delivered_at or alert.sent_at) - row.seen_at).total_seconds()
    return Stages(alert.alert_id, alert.sequence, row.item_id, seconds, ours_s)
