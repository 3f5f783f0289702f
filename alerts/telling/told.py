"""What can be told: an alert or a notice, seen from the side of routes and silences.

In: either message. Out: what both have in common, and their rows. Stops before deciding who is told.
"""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.incidents.lifecycle import OPEN
from alerts.places import centres
from alerts.telling.cap import Earlier
from schemas.messages import Alert, IncidentState
from schemas.notices import Notice
from schemas.tables import AlertRow, NoticeRow

Told = Alert | Notice
What = Literal["alert", "notice"]
REOPENED = IncidentState.REOPENED.value
"""Kind of a message that says that what was over goes on: what people answered before was about another time."""


def what(told: Told) -> What:
    """As deliveries and routes call it."""
    return "alert" if isinstance(told, Alert) else "notice"


def id_of(told: Told) -> UUID:
    """The same for all messages about one incident, or about one matter."""
    return told.alert_id if isinstance(told, Alert) else told.notice_id


def query_of(told: Told) -> UUID | None:
    """The standing query that it is about, if it is about one."""
    return told.incident.query_id if isinstance(told, Alert) else told.query_id


def sensors_of(told: Told) -> tuple[str, ...]:
    """Sensors that have seen it, or that the notice is about; none where it is about no sensor."""
    if isinstance(told, Alert):
        return told.incident.sensors
    return (told.subject,) if told.subject in ("s1", "s2") else ()


def state_of(told: Told) -> str:
    """State of the incident; of a notice `raised` or `cleared`."""
    if isinstance(told, Alert):
        return told.incident.state.value
    return "cleared" if told.cleared else "raised"


def simulated(told: Told) -> bool:
    """Whether it is about simulated scenes; no notice says so."""
    return isinstance(told, Alert) and told.simulated


def touches(told: Told, area: BaseGeometry) -> bool:
    """Whether any part of it lies in an area; False where it has no place."""
    return told.geometry is not None and bool(shapely.intersects(area, shape(told.geometry)))


def within(told: Told, area: BaseGeometry) -> bool:
    """Whether all of it lies in an area: every cell's centre, or, where it has no cells, its outline; False without."""
    if isinstance(told, Alert) and told.incident.cells:
        places = centres(told.incident.cells)
        return bool(shapely.contains_xy(area, places[:, 0], places[:, 1]).all())
    outline = None if told.geometry is None else shape(told.geometry)
    return outline is not None and not outline.is_empty and bool(shapely.covers(area, outline))


def row_of(session: Session, told: Told) -> AlertRow | NoticeRow | None:
    """Its row, locked until the transaction ends."""
    which = (id_of(told), told.sequence)
    if isinstance(told, Alert):
        return session.get(AlertRow, which, with_for_update=True)
    return session.get(NoticeRow, which, with_for_update=True)


def stored(session: Session, kind: str, told_id: UUID, sequence: int) -> Told:
    """The message that a delivery is about."""
    if kind == "notice":
        return Notice.from_bytes(session.get_one(NoticeRow, (told_id, sequence)).message.encode())
    return Alert.from_bytes(session.get_one(AlertRow, (told_id, sequence)).message.encode())


def earlier(session: Session, told: Told) -> tuple[Earlier, ...]:
    """Messages of the same alert or notice before this one, in order, whoever got them."""
    table, column = (AlertRow, AlertRow.alert_id) if isinstance(told, Alert) else (NoticeRow, NoticeRow.notice_id)
    wanted = (
        select(table.sequence, table.sent_at)
        .where(column == id_of(told), table.sequence < told.sequence)
        .order_by(table.sequence)
    )
    return tuple(Earlier(sequence, sent_at) for sequence, sent_at in session.execute(wanted))


def newest(session: Session, alert_id: UUID) -> Alert | None:
    """An alert as it stands: its last message; none where there is no such alert."""
    wanted = select(AlertRow).where(AlertRow.alert_id == alert_id).order_by(AlertRow.sequence.desc()).limit(1)
    row = session.scalars(wanted).first()
    return None if row is None else Alert.from_bytes(row.message.encode())


def is_over(alert: Alert) -> bool:
    """Whether the incident has ended: resolved, expired, retracted or merged."""
    return alert.incident.state not in OPEN
