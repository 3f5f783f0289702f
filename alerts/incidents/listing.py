"""What has been told: alerts with their deliveries, as people and other programs list them.

Flows in: rows of alerts and deliveries. Flows out: a GeoJSON FeatureCollection, one feature per alert as it was last
told, the newest first. Stops before printing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session

from alerts.answers import answers, find_alert
from alerts.telling.geojson import GeoJSON, collection, feature, matches
from schemas.database import reading
from schemas.messages import Alert, utc
from schemas.tables import AlertRow, DeliveryRow


def list_alerts(
    engine: Engine, *, query_id: UUID | None = None, since: datetime | None = None, limit: int = 1000
) -> GeoJSON:
    """Alerts as a FeatureCollection.

    Args:
        engine: The database.
        query_id: Only of this standing query.
        since: Only those told of at or after this.
        limit: At most so many alerts.
    """
    with reading(engine) as session:
        rows = list(session.scalars(_newest(query_id, since).limit(limit)))
        deliveries = _deliveries(session, [row.alert_id for row in rows])
        answered = answers(session, [row.alert_id for row in rows])
    return collection(
        feature(
            Alert.from_bytes(row.message.encode()),
            deliveries=deliveries.get(row.alert_id, []),
            **answered[row.alert_id],
        )
        for row in rows
    )


def show_alert(engine: Engine, name: str) -> GeoJSON:
    """One alert as a Feature, with the matches of its last message and its deliveries.

    Raises:
        NotFound: no alert has that id, or several begin so.
    """
    with reading(engine) as session:
        alert = find_alert(session, name)
        deliveries = _deliveries(session, [alert.alert_id]).get(alert.alert_id, [])
        answered = answers(session, [alert.alert_id])[alert.alert_id]
    return feature(alert, matches=matches(alert), deliveries=deliveries, **answered)


def _newest(query_id: UUID | None, since: datetime | None) -> Select[AlertRow]:
    """The last message of each alert."""
    last = (
        select(AlertRow.alert_id, func.max(AlertRow.sequence).label("sequence")).group_by(AlertRow.alert_id).subquery()
    )
    wanted = (
        select(AlertRow)
        .join(last, (last.c.alert_id == AlertRow.alert_id) & (last.c.sequence == AlertRow.sequence))
        .order_by(AlertRow.sent_at.desc(), AlertRow.alert_id)
    )
    if query_id is not None:
        wanted = wanted.where(AlertRow.query_id == query_id)
    return wanted if since is None else wanted.where(AlertRow.sent_at >= since)


def _deliveries(session: Session, alert_ids: Sequence[UUID]) -> dict[UUID, list[GeoJSON]]:
    """Deliveries of all messages of these alerts, in order."""
    wanted = (
        select(DeliveryRow)
        .where(DeliveryRow.alert_id.in_(alert_ids))
        .order_by(DeliveryRow.sequence, DeliveryRow.receiver, DeliveryRow.occasion)
    )
    found: dict[UUID, list[GeoJSON]] = {}
    for row in session.scalars(wanted):
        found.setdefault(row.alert_id, []).append(
            {
                "delivery_id": str(row.delivery_id),
                "sequence": row.sequence,
                "receiver": row.receiver,
                "route": row.route or None,
                "occasion": row.occasion or None,
                "state": row.state,
                "silence_id": None if row.silence_id is None else str(row.silence_id),
                "attempts": row.attempts,
                "delivered": None if row.delivered_at is None else utc(row.delivered_at),
                "next_attempt": None if row.next_attempt_at is None else utc(row.next_attempt_at),
                "error": row.error,
            }
        )
    return found
