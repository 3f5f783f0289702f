"""What an incident is, as a function of its matches and of what was seen afterwards.

Flows in: matches by cell and sensor, looks at the same cells, the sensing time that has been reached. Flows out: the
incident's state and since when. Stops before storing it and before telling anybody (`follow`).

Nothing here knows in what order things arrived: only what was sensed when. docs/incidents.md has the rules in words.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from alerts.settings import MatcherSettings
from schemas.messages import IncidentState, Sensor
from schemas.tables import LookRow, MatchRow

OVERPASS = timedelta(hours=1)
"""What was sensed within this belongs to one overpass: neighbouring tiles and slices show the same ground within
minutes, and the next overpass of any orbit comes hours later."""
OPEN = frozenset({IncidentState.OPENED, IncidentState.GROWING, IncidentState.CONFIRMED})
"""States in which it is thought to be there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A cell as one sensor has matched it.

    Attributes:
        cell, sensor: Which.
        first_at: Sensing time of its first match.
        last_at: Sensing time of its last match.
        score: The highest score.
        halfway: Presence score halfway between before and after its weakest match.
        levels: Below what it is clear by the thresholds that its matches passed, the lowest by the query's vectors.
        late: Whether all of its matches came after the allowed lateness.
        told: Whether people have been told of it.
    """

    cell: str
    sensor: Sensor
    first_at: datetime
    last_at: datetime
    score: float
    halfway: float
    late: bool
    told: bool
    levels: Mapping[str, float | None] = field(default_factory=dict)

    def __or__(self, other: Place) -> Place:
        """The same cell and sensor, with other matches as well."""
        return Place(
            self.cell,
            self.sensor,
            min(self.first_at, other.first_at),
            max(self.last_at, other.last_at),
            max(self.score, other.score),
            min(self.halfway, other.halfway),
            self.late and other.late,
            self.told or other.told,
            {**self.levels, **other.levels},
        )

    def clear_below(self, look: Look) -> float:
        """What the presence score of a look must lie below for the cell to be clear.

        The lower of what the threshold says now and what the matches had to pass then: one that is computed anew and
        comes out higher calls nothing clear that has not changed. What other vectors have scored is not compared.
        """
        levels = [level for level in (look.level, self.levels.get(look.scored_by)) if level is not None]
        return min(levels, default=self.halfway)


@dataclass(frozen=True, slots=True)
class Look:
    """A cell of the incident, seen after its last match by the same sensor, not matching.

    Attributes:
        cell, sensor, sensing_at: Which, and when.
        presence: Cosine of cell and sentence.
        level: Below this it is clear by the threshold of its time; none: there was none on the presence score.
        scored_by: Digest of the query's vectors.
    """

    cell: str
    sensor: Sensor
    sensing_at: datetime
    presence: float
    level: float | None
    scored_by: str = ""


@dataclass(frozen=True)
class Evidence:
    """All that an incident's state follows from."""

    places: tuple[Place, ...]
    looks: tuple[Look, ...] = ()

    @cached_property
    def cells(self) -> dict[str, float]:
        """The highest score of each cell."""
        best: dict[str, float] = {}
        for place in self.places:
            best[place.cell] = max(place.score, best.get(place.cell, place.score))
        return best

    @cached_property
    def sensors(self) -> tuple[Sensor, ...]:
        """Which sensors have matched."""
        return tuple(sorted({place.sensor for place in self.places}))

    @cached_property
    def told_cells(self) -> frozenset[str]:
        """Cells that people have been told of."""
        return frozenset(place.cell for place in self.places if place.told)

    @property
    def first(self) -> Place:
        """Whose match was sensed first."""
        return min(self.places, key=lambda place: (place.first_at, place.sensor, place.cell))

    @property
    def last_at(self) -> datetime:
        """Sensing time of the last match."""
        return max(place.last_at for place in self.places)


@dataclass(frozen=True, slots=True)
class Status:
    """State of an incident, and the sensing time from which it is closed."""

    state: IncidentState
    closed_at: datetime | None = None


def read(session: Session, incident_ids: Sequence[UUID], rules: MatcherSettings) -> dict[UUID, Evidence]:
    """The evidence of some incidents that have matches; sums are made by the database, no message is read."""
    session.flush()
    row = MatchRow
    grouped = (
        select(
            row.incident_id,
            row.cell,
            row.sensor,
            func.min(row.sensing_at),
            func.max(row.sensing_at),
            func.max(row.score),
            func.min(row.presence - row.score / 2),
            func.min(row.late),
            func.max(row.told),
            row.scored_by,
            func.min(row.level),
        )
        .where(row.incident_id.in_(incident_ids))
        .group_by(row.incident_id, row.cell, row.sensor, row.scored_by)
        .order_by(row.incident_id, row.cell, row.sensor, row.scored_by)
    )
    places: dict[UUID, dict[tuple[str, Sensor], Place]] = defaultdict(dict)
    for incident_id, cell, name, first_at, last_at, score, halfway, late, told, scored_by, level in session.execute(
        grouped
    ):
        sensor = _sensor(name)
        place = Place(cell, sensor, first_at, last_at, score, halfway, late > 0, told > 0, {scored_by: level})
        known = places[incident_id].get((cell, sensor))
        places[incident_id][cell, sensor] = place if known is None else known | place
    looks: dict[UUID, list[Look]] = defaultdict(list)
    for incident_id, cell, name, sensing_at, *seen in session.execute(_later_looks(incident_ids)):
        place = places[incident_id][cell, _sensor(name)]
        if sensing_at <= place.last_at + rules.window:
            looks[incident_id].append(Look(cell, place.sensor, sensing_at, *seen))
    return {name: Evidence(tuple(found.values()), tuple(looks[name])) for name, found in places.items()}


def state_of(evidence: Evidence, clock: datetime | None, rules: MatcherSettings) -> Status:
    """What the incident is when sensing time has come to `clock`.

    Args:
        evidence: With at least one place.
        clock: Sensing time reached; none: unknown, nothing expires.
        rules: Window, shares and looks.
    """
    resolved_at = _resolved_at(evidence, rules)
    if resolved_at is not None:
        return Status(IncidentState.RESOLVED, resolved_at)
    over_at = evidence.last_at + rules.window
    if clock is not None and clock >= over_at + rules.late:
        return Status(IncidentState.EXPIRED, over_at)
    if _confirmed(evidence, rules):
        return Status(IncidentState.CONFIRMED)
    first_pass = _first_pass(evidence)
    grown = len(evidence.cells) - first_pass
    if grown >= max(1.0, rules.growth_share * first_pass):
        return Status(IncidentState.GROWING)
    return Status(IncidentState.OPENED)


def _confirmed(evidence: Evidence, rules: MatcherSettings) -> bool:
    """Both sensors, or enough cells that matched in two overpasses."""
    if len(evidence.sensors) > 1:
        return True
    again = sum(place.last_at - place.first_at >= OVERPASS for place in evidence.places)
    return again >= max(1.0, rules.confirm_share * _first_pass(evidence))


def _first_pass(evidence: Evidence) -> int:
    """Cells that the first overpass matched."""
    until = evidence.first.first_at + OVERPASS
    return len({place.cell for place in evidence.places if place.first_at < until})


def _resolved_at(evidence: Evidence, rules: MatcherSettings) -> datetime | None:
    """When enough cells were gone; none while they are not."""
    looks: dict[tuple[str, Sensor], list[Look]] = defaultdict(list)
    for look in evidence.looks:
        looks[look.cell, look.sensor].append(look)
    if not looks:
        return None
    recent = evidence.last_at - rules.window
    counted = [place for place in evidence.places if place.last_at >= recent]
    counted = [place for place in counted if not place.late] or counted
    gone: dict[str, datetime | None] = {}
    for place in counted:
        at = gone_at(place, looks[place.cell, place.sensor], rules.clear_looks)
        before = gone.get(place.cell, at)
        gone[place.cell] = None if at is None or before is None else max(at, before)
    times = sorted(at for at in gone.values() if at is not None)
    needed = max(1, math.ceil(rules.clear_share * len(gone) - 1e-9))
    return times[needed - 1] if len(times) >= needed else None


def gone_at(place: Place, looks: Sequence[Look], clear_looks: int) -> datetime | None:
    """When so many overpasses in a row had seen a place clear; none while the last ones had not.

    Looks of the overpass that matched don't count; an overpass is clear when all of its looks are.
    """
    later = sorted((look for look in looks if look.sensing_at >= place.last_at + OVERPASS), key=_when)
    in_a_row, gone, i = 0, None, 0
    while i < len(later):
        began, clear = later[i].sensing_at, True
        while i < len(later) and later[i].sensing_at < began + OVERPASS:
            clear = clear and later[i].presence < place.clear_below(later[i])
            i += 1
        in_a_row = in_a_row + 1 if clear else 0
        if in_a_row < clear_looks:
            gone = None
        elif in_a_row == clear_looks:
            gone = began
    return gone


def _when(look: Look) -> datetime:
    return look.sensing_at


def _later_looks(incident_ids: Sequence[UUID]):  # type: ignore[no-untyped-def]  # a Select of seven columns
    """Looks at the incidents' cells after their last match by the same sensor."""
    row = MatchRow
    keys = (row.incident_id, row.query_id, row.query_version, row.cell, row.sensor)
    last = (
        select(*keys, func.max(row.sensing_at).label("last_at"))
        .where(row.incident_id.in_(incident_ids))
        .group_by(*keys)
        .subquery()
    )
    return select(
        last.c.incident_id,
        LookRow.cell,
        LookRow.sensor,
        LookRow.sensing_at,
        LookRow.presence,
        LookRow.level,
        LookRow.scored_by,
    ).join(
        last,
        and_(
            LookRow.query_id == last.c.query_id,
            LookRow.query_version == last.c.query_version,
            LookRow.cell == last.c.cell,
            LookRow.sensor == last.c.sensor,
            LookRow.sensing_at > last.c.last_at,
        ),
    )


def _sensor(name: str) -> Sensor:
    return "s1" if name == "s1" else "s2"
