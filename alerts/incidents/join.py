"""Matches that belong together in space and time are one incident.

Flows in: the matches of a batch, inside a transaction. Flows out: rows of matches and incidents, which incidents are
new, and which have become one. Stops before their state (`lifecycle`) and before telling anybody (`announce`).

Two matches of one query and version belong together when their cells are within reach (`gap_cells`) and their sensing
times within the window (`window_days`), and so does everything that is connected by such pairs. Whatever the order of
arrival, the same matches make the same incidents; only their ids remember which was known first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from alerts.incidents.looks import Passed, match_id
from alerts.places import centres, groups, near, positions, positions_of, reach_km
from alerts.settings import MatcherSettings
from schemas.messages import IncidentState, Match, StandingQuery, stable_id
from schemas.tables import IncidentRow, MatchRow

KM_PER_DEGREE = 111.0
"""Of latitude; a little less than it is, so that margins are a little too wide."""
POLAR_LAT = 80.0
"""Beyond this, and near the antimeridian, longitudes do not narrow a search."""


@dataclass(frozen=True)
class Joined:
    """What became of the matches of a batch.

    Attributes:
        opened: New incidents.
        merged: Incidents that were taken up by another one, in this order.
        stored: Matches that were not there before, in whatever version.
    """

    opened: list[IncidentRow] = field(default_factory=list)
    merged: list[IncidentRow] = field(default_factory=list)
    stored: list[Match] = field(default_factory=list)


@dataclass(frozen=True)
class Known:
    """Cells that belong to incidents already: where they are, and whose."""

    where: NDArray[np.float64]
    incident_ids: list[UUID]


def join(
    session: Session,
    query: StandingQuery,
    matches: Sequence[Match],
    *,
    now: datetime,
    rules: MatcherSettings,
    late: bool = False,
    passed: Passed | None = None,
) -> Joined:
    """Store the matches of one query and acquisition.

    A match of an older version of the scene is replaced; one of this version that is stored already changes nothing.

    Args:
        session: In a transaction that no other matcher's runs beside (`locks.serialise`).
        query: Whose matches these are.
        matches: Of one acquisition.
        now: When incidents open.
        rules: Reach and window.
        late: Whether they come after the allowed lateness.
        passed: What their cells must fall below to be clear; none: not known.
    """
    passed = passed or Passed(None, "")
    joined = Joined(stored=_replace(session, matches, passed))
    new = joined.stored
    if not new:
        return joined
    known, merged = _known(session, query, new, rules), dict[UUID, UUID]()
    for group in groups([match.cell for match in new], reach_km(rules.gap_cells)):
        members = [new[i] for i in group]
        names = {merged.get(name, name) for name in _touched(members, known, rules)}
        touched = sorted((session.get_one(IncidentRow, name) for name in names), key=_seniority)
        if not touched:
            touched = [_open(session, query, members, now)]
            joined.opened.append(touched[0])
        keeper, *others = touched
        for other in others:
            absorb(session, other, keeper, now)
            merged |= {name: keeper.incident_id for name, into in merged.items() if into == other.incident_id}
            merged[other.incident_id] = keeper.incident_id
            joined.merged.append(other)
        _add(session, keeper, members, late, passed)
    return joined


def absorb(session: Session, other: IncidentRow, keeper: IncidentRow, now: datetime) -> None:
    """Move all matches of an incident to the one that people were told of first."""
    moved = update(MatchRow).where(MatchRow.incident_id == other.incident_id)
    session.execute(moved.values(incident_id=keeper.incident_id, told=0), execution_options=_UNSEEN)
    other.state, other.merged_into, other.closed_at = IncidentState.MERGED.value, keeper.incident_id, now


def fresh(session: Session, query_id: UUID, query_version: int, cell: str, physical_key: str) -> IncidentRow:
    """A row for an incident of the match with this cell and scene: a new one, or the empty one of that name.

    What was merged or withdrawn and stands again by itself has its old id, and its alert goes on.
    """
    first = name_of(query_id, query_version, cell, physical_key)
    number = 1
    while True:
        name = first if number == 1 else stable_id(first, number)
        row = session.get(IncidentRow, name)
        if row is None:
            row = IncidentRow(incident_id=name, query_id=query_id, query_version=query_version, sequence=0)
            session.add(row)
            return row
        held = select(func.count()).where(MatchRow.incident_id == name)
        if row.retracted_at is None and not session.scalar(held):
            row.merged_into = row.split_from = row.closed_at = row.why = None
            return row
        number += 1


def name_of(query_id: UUID, query_version: int, cell: str, physical_key: str) -> UUID:
    """The id of an incident that this match opened."""
    return stable_id("incident", query_id, query_version, cell, physical_key)


_UNSEEN = {"synchronize_session": False}
"""Rows of matches are never held as objects: nothing to bring up to date."""


def _replace(session: Session, matches: Sequence[Match], passed: Passed) -> list[Match]:
    """Bring stored matches of older versions up to date; those that are not stored."""
    ids = {match_id(m.query_id, m.query_version, m.cell, m.physical_key): m for m in matches}
    wanted = select(MatchRow.match_id, MatchRow.acquisition_id).where(MatchRow.match_id.in_(ids))
    for name, acquisition_id in session.execute(wanted).all():
        match = ids.pop(name)
        if acquisition_id != match.acquisition_id:
            change = update(MatchRow).where(MatchRow.match_id == name).values(_of_version(match, passed))
            session.execute(change, execution_options=_UNSEEN)
    return list(ids.values())


def _known(session: Session, query: StandingQuery, new: Sequence[Match], rules: MatcherSettings) -> Known:
    """Cells of the query's incidents near these matches and within the window around them."""
    row, sensing_at = MatchRow, new[0].sensing_at
    lon, lat = centres([match.cell for match in new]).T
    margin = reach_km(rules.gap_cells) / KM_PER_DEGREE
    south, north = float(lat.min()) - margin, float(lat.max()) + margin
    wanted = select(row.lon, row.lat, row.incident_id).where(
        row.query_id == query.query_id,
        row.query_version == query.question,
        row.sensing_at >= sensing_at - rules.window,
        row.sensing_at <= sensing_at + rules.window,
        row.lat >= south,
        row.lat <= north,
    )
    highest = max(abs(south), abs(north))
    if highest < POLAR_LAT:
        wider = margin / float(np.cos(np.deg2rad(highest)))
        west, east = float(lon.min()) - wider, float(lon.max()) + wider
        if west > -180 and east < 180:
            wanted = wanted.where(row.lon >= west, row.lon <= east)
    found = session.execute(wanted.distinct()).all()
    lon_lat = np.array([(x, y) for x, y, _ in found], dtype=np.float64)
    return Known(positions(lon_lat), [name for _, _, name in found])


def _touched(members: Sequence[Match], known: Known, rules: MatcherSettings) -> set[UUID]:
    """The incidents within reach of any of these matches."""
    if not known.incident_ids:
        return set()
    close = near(positions_of([match.cell for match in members]), known.where, reach_km(rules.gap_cells))
    return {known.incident_ids[i] for i in np.flatnonzero(np.any(close, axis=0)).tolist()}


def _seniority(incident: IncidentRow) -> tuple[bool, bool, datetime, str]:
    """Who keeps its id: what people were told of before what they were not, the oldest first; a retracted one last."""
    retracted = incident.retracted_at is not None
    return (retracted, incident.sequence == 0, incident.opened_at, incident.incident_id.hex)


def _open(session: Session, query: StandingQuery, members: Sequence[Match], now: datetime) -> IncidentRow:
    first = min(members, key=lambda match: match.cell)
    row = fresh(session, query.query_id, query.question, first.cell, first.physical_key)
    row.state = IncidentState.OPENED.value
    row.first_sensing_at = row.last_sensing_at = first.sensing_at
    row.opened_at = row.opened_at if row.sequence else now
    row.score = max(match.score for match in members)
    session.flush()
    return row


def _add(session: Session, incident: IncidentRow, members: Sequence[Match], late: bool, passed: Passed) -> None:
    rows = []
    for match, (lon, lat) in zip(members, centres([match.cell for match in members]).tolist(), strict=True):
        rows.append(
            {
                "match_id": match_id(match.query_id, match.query_version, match.cell, match.physical_key),
                "incident_id": incident.incident_id,
                "query_id": match.query_id,
                "query_version": match.query_version,
                "cell": match.cell,
                "lon": lon,
                "lat": lat,
                "sensor": match.sensor,
                "physical_key": match.physical_key,
                "late": int(late),
                "told": 0,
                **_of_version(match, passed),
            }
        )
    session.execute(insert(MatchRow), rows)
    incident.first_sensing_at = min(incident.first_sensing_at, *(match.sensing_at for match in members))
    incident.last_sensing_at = max(incident.last_sensing_at, *(match.sensing_at for match in members))
    incident.score = max(incident.score, *(match.score for match in members))


def _of_version(match: Match, passed: Passed) -> dict[str, object]:
    """What a newer version of the scene changes."""
    return {
        "acquisition_id": match.acquisition_id,
        "item_id": match.item_id,
        "sensing_at": match.sensing_at,
        "score": match.score,
        "presence": match.presence,
        "level": passed.level,
        "scored_by": passed.scored_by,
        "message": match.model_dump_json(),
    }
