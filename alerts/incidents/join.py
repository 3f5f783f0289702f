"""Matches that belong together in space and time become one incident.

Flows in: the matches of a batch, inside a transaction. Flows out: rows of matches and incidents, and which incidents
are new. Stops before telling anybody (`announce`).

A match joins an incident of the same query and version when one of its cells is within reach (`gap_cells`) and within
the window (`window_days`), earlier or later. A group of matches that touches several incidents joins the oldest; the
others stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.places import groups, near, positions_of, reach_km
from alerts.settings import MatcherSettings
from schemas.messages import IncidentState, Match, StandingQuery, stable_id
from schemas.tables import IncidentRow, MatchRow


@dataclass(frozen=True, slots=True)
class Known:
    """A cell that already belongs to an incident."""

    cell: str
    incident: IncidentRow


def join(
    session: Session,
    query: StandingQuery,
    matches: Sequence[Match],
    *,
    may_open: bool,
    rules: MatcherSettings,
    now: datetime,
) -> list[IncidentRow]:
    """Store the matches of one query and acquisition; matches that are stored already change nothing.

    Args:
        session: In a transaction that no other matcher's runs beside (`locks.serialise`).
        query: Whose matches these are.
        matches: Of one acquisition.
        may_open: False for a new version of a scene that was matched before: it adds to incidents, and opens none.
        rules: Reach and window.
        now: When what opens has opened.

    Returns:
        The incidents that were opened.
    """
    new = _without_stored(session, matches)
    if not new:
        return []
    known = _known(session, query, new[0].sensing_at, rules)
    opened = []
    for group in groups([match.cell for match in new], reach_km(rules.gap_cells)):
        members = [new[i] for i in group]
        incident = _touched(members, known, rules)
        if incident is None and may_open:
            incident = _open(query, members, now)
            session.add(incident)
            session.flush()
            opened.append(incident)
        if incident is not None:
            _add(session, incident, members)
    return opened


def match_id(match: Match) -> UUID:
    """The same scene, cell and version of a query match once, in whatever processing version and replay."""
    return stable_id("match", match.query_id, match.query_version, match.cell, match.physical_key)


def _without_stored(session: Session, matches: Sequence[Match]) -> list[Match]:
    ids = {match_id(match): match for match in matches}
    stored = set(session.scalars(select(MatchRow.match_id).where(MatchRow.match_id.in_(ids))))
    return [match for name, match in ids.items() if name not in stored]


def _known(session: Session, query: StandingQuery, sensing_at: datetime, rules: MatcherSettings) -> list[Known]:
    """Cells of the query's incidents that lie within the window around a time."""
    wanted = (
        select(MatchRow.cell, IncidentRow)
        .join(IncidentRow, IncidentRow.incident_id == MatchRow.incident_id)
        .where(
            MatchRow.query_id == query.query_id,
            IncidentRow.query_version == query.version,
            MatchRow.sensing_at >= sensing_at - rules.window,
            MatchRow.sensing_at <= sensing_at + rules.window,
        )
        .distinct()
    )
    return [Known(cell, incident) for cell, incident in session.execute(wanted)]


def _touched(members: Sequence[Match], known: Sequence[Known], rules: MatcherSettings) -> IncidentRow | None:
    """The oldest incident within reach of any of these matches."""
    if not known:
        return None
    close = near(
        positions_of([match.cell for match in members]),
        positions_of([each.cell for each in known]),
        reach_km(rules.gap_cells),
    )
    found = [known[i].incident for i in np.flatnonzero(np.any(close, axis=0)).tolist()]
    return min(found, key=lambda incident: (incident.opened_at, incident.incident_id.hex), default=None)


def _open(query: StandingQuery, members: Sequence[Match], now: datetime) -> IncidentRow:
    first = min(members, key=lambda match: match.cell)
    return IncidentRow(
        incident_id=stable_id("incident", query.query_id, query.version, first.cell, first.physical_key),
        query_id=query.query_id,
        query_version=query.version,
        state=IncidentState.OPENED.value,
        first_sensing_at=first.sensing_at,
        last_sensing_at=first.sensing_at,
        opened_at=now,
        score=first.score,
        sequence=0,
    )


def _add(session: Session, incident: IncidentRow, members: Sequence[Match]) -> None:
    for match in members:
        session.add(
            MatchRow(
                match_id=match_id(match),
                incident_id=incident.incident_id,
                query_id=match.query_id,
                cell=match.cell,
                sensor=match.sensor,
                sensing_at=match.sensing_at,
                score=match.score,
                message=match.model_dump_json(),
            )
        )
        incident.first_sensing_at = min(incident.first_sensing_at, match.sensing_at)
        incident.last_sensing_at = max(incident.last_sensing_at, match.sensing_at)
        incident.score = max(incident.score, match.score)
