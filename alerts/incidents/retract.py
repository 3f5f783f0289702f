"""A person says that an incident is none, or takes that back.

Flows in: an incident and why. Flows out: the incident retracted or as its evidence has it, and an alert for those who
were told of it. Stops before verdicts themselves: who may give one, and what is learned from it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.incidents.announce import Telling, tell_end
from alerts.incidents.follow import tell_reinstated
from alerts.incidents.scenes import sensed_until
from alerts.locks import serialise
from alerts.settings import MatcherSettings
from schemas.errors import NotFound
from schemas.messages import IncidentState
from schemas.tables import IncidentRow

LONGEST_WHY = 500
"""Characters of a reason that are kept."""


def retract(
    session: Session, incident_id: UUID, why: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> None:
    """Retract an incident until it is reinstated: matches of its place within the window join it and are not told.

    Doing it twice changes nothing.

    Args:
        session: In a transaction; the alert waits in the outbox.
        incident_id: Which; where it was merged, the incident that took it up is meant.
        why: For people.
        clock: The present.

    Raises:
        NotFound: there is no such incident.
    """
    row = _as_it_stands(session, incident_id)
    if row.retracted_at is not None:
        return
    now = clock()
    row.state, row.closed_at, row.retracted_at, row.why = IncidentState.RETRACTED.value, now, now, why[:LONGEST_WHY]
    tell_end(Telling(session, now), row, IncidentState.RETRACTED)


def reinstate(telling: Telling, incident_id: UUID, rules: MatcherSettings) -> bool:
    """Take a person's retraction back: the incident is again what its matches and looks make of it.

    So are the parts that it was cut into since. What a newer processing version has retracted stays so.

    Args:
        telling: In a transaction; alerts wait in the outbox.
        incident_id: Which; where it was merged, the incident that took it up is meant.
        rules: When it is what.

    Returns:
        Whether a person had retracted it.

    Raises:
        NotFound: there is no such incident.
    """
    row = _as_it_stands(telling.session, incident_id)
    if row.retracted_at is None:
        return False
    rows = [row, *_parts(telling.session, row)]
    for each in rows:
        each.retracted_at = None
    tell_reinstated(telling, rows, sensed_until(telling.session, telling.now), rules)
    return True


def _as_it_stands(session: Session, incident_id: UUID) -> IncidentRow:
    """The row, or that of the incident that took it up, which nobody else changes until the transaction ends.

    Read anew: what the session held of it before it had the lock may be older than the matcher's last word.
    """
    serialise(session, "incidents")
    row = session.get(IncidentRow, incident_id, populate_existing=True)
    while row is not None and row.merged_into is not None:
        row = session.get(IncidentRow, row.merged_into, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no incident {incident_id}: `tocsin alerts list` shows those that were told of")
    return row


def _parts(session: Session, row: IncidentRow) -> list[IncidentRow]:
    """What was cut off an incident after it was retracted, and off those parts: they bear the same word."""
    found: list[IncidentRow] = []
    edge = [row.incident_id]
    while edge:
        wanted = select(IncidentRow).where(
            IncidentRow.split_from.in_(edge), IncidentRow.retracted_at == row.retracted_at
        )
        new = session.scalars(wanted.order_by(IncidentRow.incident_id)).all()
        found += new
        edge = [each.incident_id for each in new]
    return found
