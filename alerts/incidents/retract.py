"""A person says that an incident is none.

Flows in: an incident and why. Flows out: the incident retracted, and an alert for those who were told of it. Stops
before verdicts themselves: who may give one, and what is learned from it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from alerts.incidents.announce import Telling, tell_end
from alerts.locks import serialise
from schemas.errors import NotFound
from schemas.messages import IncidentState
from schemas.tables import IncidentRow

LONGEST_WHY = 500
"""Characters of a reason that are kept."""


def retract(
    session: Session, incident_id: UUID, why: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Retract an incident for good: matches of its place within the window join it, and nobody hears of them.

    Doing it twice changes nothing.

    Args:
        session: In a transaction; the alert waits in the outbox.
        incident_id: Which; where it was merged, the incident that took it up is meant.
        why: For people.
        clock: The present.

    Raises:
        NotFound: there is no such incident.
    """
    serialise(session, "incidents")
    row = session.get(IncidentRow, incident_id)
    while row is not None and row.merged_into is not None:
        row = session.get(IncidentRow, row.merged_into)
    if row is None:
        raise NotFound(f"there is no incident {incident_id}: `tocsin alerts list` shows those that were told of")
    if row.retracted_at is not None:
        return
    now = clock()
    row.state, row.closed_at, row.retracted_at, row.why = IncidentState.RETRACTED.value, now, now, why[:LONGEST_WHY]
    tell_end(Telling(session, now), row, IncidentState.RETRACTED)
