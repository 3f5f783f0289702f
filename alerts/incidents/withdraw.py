"""A newer version of a scene takes back what it does not show any more.

Flows in: a scene whose newest version has been matched in full. Flows out: matches and looks of its older versions
gone; incidents that fall apart without them, cut; those that have nothing left, named. Stops before telling anybody.

Only withdrawn matches cut an incident: cells that are merely gone leave it whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from alerts.incidents.join import fresh, name_of
from alerts.incidents.looks import IDS_AT_ONCE, batched
from alerts.places import near, positions, reach_km
from alerts.settings import MatcherSettings
from schemas.messages import IncidentState
from schemas.tables import IncidentRow, LookRow, MatchedSceneRow, MatchRow


@dataclass(frozen=True)
class Withdrawn:
    """What was left of the incidents that lost matches.

    Attributes:
        by: The version of the scene that took them back.
        empty: Those without any match.
        cut: Those that have fallen apart, each with its new parts.
        left: All others that lost some.
    """

    by: UUID
    empty: list[IncidentRow] = field(default_factory=list)
    cut: list[tuple[IncidentRow, list[IncidentRow]]] = field(default_factory=list)
    left: list[IncidentRow] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Found:
    """A match of an incident, as much of it as its place in space and time needs."""

    match_id: UUID
    cell: str
    lon: float
    lat: float
    sensing_at: datetime
    physical_key: str


def withdraw(session: Session, scene: MatchedSceneRow, now: datetime, rules: MatcherSettings) -> Withdrawn:
    """Take back matches and looks of older versions of a scene.

    Args:
        session: In the matcher's transaction.
        scene: With the version that counts, matched in full.
        now: When new parts open.
        rules: Reach and window.
    """
    old = (
        MatchRow.physical_key == scene.physical_key,
        or_(MatchRow.acquisition_id.is_(None), MatchRow.acquisition_id != scene.acquisition_id),
    )
    names = session.scalars(select(MatchRow.incident_id).where(*old).distinct()).all()
    session.execute(
        delete(LookRow).where(
            LookRow.physical_key == scene.physical_key, LookRow.acquisition_id != scene.acquisition_id
        )
    )
    result = Withdrawn(scene.acquisition_id)
    if not names:
        return result
    session.execute(delete(MatchRow).where(*old), execution_options={"synchronize_session": False})
    for row in (session.get_one(IncidentRow, name) for name in sorted(names, key=str)):
        parts = _parts(session, row, rules)
        if not parts:
            result.empty.append(row)
        elif len(parts) == 1:
            result.left.append(row)
        else:
            result.cut.append((row, [_cut(session, row, part, now) for part in parts[1:]]))
    return result


def _parts(session: Session, incident: IncidentRow, rules: MatcherSettings) -> list[list[_Found]]:
    """Matches that still belong together; first the part that the incident is named by, then the oldest."""
    row = MatchRow
    wanted = select(row.match_id, row.cell, row.lon, row.lat, row.sensing_at, row.physical_key).where(
        row.incident_id == incident.incident_id
    )
    runs: list[list[_Found]] = []
    by_cell: dict[str, list[_Found]] = defaultdict(list)
    for found in sorted((_Found(*each) for each in session.execute(wanted)), key=_when):
        runs_here = by_cell[found.cell]
        if not runs_here or found.sensing_at - runs_here[-1].sensing_at > rules.window:
            runs.append([])
            by_cell[found.cell] = runs_here = runs[-1]
        runs_here.append(found)
    where = positions(np.array([(run[0].lon, run[0].lat) for run in runs], dtype=np.float64))
    spans = np.array([(run[0].sensing_at.timestamp(), run[-1].sensing_at.timestamp()) for run in runs]).reshape(-1, 2)
    parts = connected(where, spans, reach_km(rules.gap_cells), rules.window.total_seconds())
    whole = [[one for i in part for one in runs[i]] for part in parts]
    return sorted(whole, key=lambda part: (not _named(incident, part), _first(part))) if len(whole) > 1 else whole


def connected(where: NDArray[np.float64], spans: NDArray[np.float64], km: float, window_s: float) -> list[list[int]]:
    """Runs of matches that are connected by steps of at most so many kilometres and seconds.

    Within a run no gap is longer than the window, so two runs touch in time exactly when neither ends more than a
    window before the other begins.

    Args:
        where: float64 (n, 3), kilometres on the sphere, one row for each run.
        spans: float64 (n, 2), first and last time of each, seconds.
        km: Reach.
        window_s: Window, seconds.
    """
    boxes: dict[tuple[int, ...], list[int]] = defaultdict(list)
    keys = [tuple(key) for key in np.floor(where / km).astype(int).tolist()]
    for i, key in enumerate(keys):
        boxes[key].append(i)
    parts: list[list[int]] = []
    left = set(range(len(where)))
    while left:
        part, edge = [], [left.pop()]
        while edge:
            i = edge.pop()
            part.append(i)
            some = [j for j in _around(boxes, keys[i]) if j in left]
            if some:
                close = near(where[[i]], where[some], km)[0]
                close &= spans[some, 0] - spans[i, 1] <= window_s
                close &= spans[i, 0] - spans[some, 1] <= window_s
                touched = [some[j] for j in np.flatnonzero(close).tolist()]
                left.difference_update(touched)
                edge += touched
        parts.append(sorted(part))
    return parts


def _around(boxes: dict[tuple[int, ...], list[int]], key: tuple[int, ...]) -> list[int]:
    x, y, z = key
    steps = (-1, 0, 1)
    return [i for a in steps for b in steps for c in steps for i in boxes.get((x + a, y + b, z + c), ())]


def _cut(session: Session, parent: IncidentRow, part: Sequence[_Found], now: datetime) -> IncidentRow:
    """Give a part that was cut off an incident of its own; what a person has said of the whole holds for it too."""
    first = min(part, key=_when)
    row = fresh(session, parent.query_id, parent.query_version, first.cell, first.physical_key)
    row.state, row.split_from = IncidentState.OPENED.value, parent.incident_id
    row.first_sensing_at, row.last_sensing_at = first.sensing_at, max(one.sensing_at for one in part)
    row.opened_at, row.score = parent.opened_at if row.sequence == 0 else row.opened_at, parent.score
    if parent.retracted_at is not None:
        row.state, row.closed_at = IncidentState.RETRACTED.value, parent.closed_at
        row.retracted_at, row.why = parent.retracted_at, parent.why
    session.flush()
    for some in batched([one.match_id for one in part], IDS_AT_ONCE):
        moved = update(MatchRow).where(MatchRow.match_id.in_(some)).values(incident_id=row.incident_id)
        session.execute(moved, execution_options={"synchronize_session": False})
    return row


def _named(incident: IncidentRow, part: Sequence[_Found]) -> bool:
    """Whether the match that opened the incident is among these."""
    query = (incident.query_id, incident.query_version)
    return any(name_of(*query, one.cell, one.physical_key) == incident.incident_id for one in part)


def _when(found: _Found) -> tuple[datetime, str, str]:
    return (found.sensing_at, found.cell, found.physical_key)


def _first(part: Sequence[_Found]) -> tuple[datetime, str, str]:
    return min(_when(one) for one in part)
