"""When a sensor comes over a place again, from the passes that it has made so far.

Flows in: the coverage and ledger rows of a sensor round a place. Flows out: its passes, and the next one to expect.
Stops before what it saw (`other_sensor`).

No orbit is computed: each relative orbit has its own rhythm in the ledger, whatever platform flies it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from uuid import UUID

import shapely
from shapely.errors import GEOSException
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import select
from sqlalchemy.orm import Session

from alerts.incidents.lifecycle import OVERPASS
from schemas.messages import Sensor
from schemas.tables import AcquisitionRow, CoverageRow

PAST = timedelta(days=90)
"""How far back passes are counted: the rhythm of today's constellation, not of last year's."""
MISSED = 3
"""An orbit that has not come for so many of its own intervals is not expected any more."""


@dataclass(frozen=True, slots=True)
class Pass:
    """A scene that was acquired.

    Attributes:
        acquisition_id: Which.
        item_id: In its catalogue.
        physical_key: The scene, whatever its version.
        sensing_at: When.
        relative_orbit: On which orbit; none where the catalogue does not say.
        footprint: Lon/lat.
    """

    acquisition_id: UUID
    item_id: str
    physical_key: str
    sensing_at: datetime
    relative_orbit: int | None
    footprint: BaseGeometry


@dataclass(frozen=True, slots=True)
class Expected:
    """The next pass of a sensor over a place.

    Attributes:
        at: When, as the orbit's own rhythm has it.
        relative_orbit: On which orbit.
        every: Median of the gaps between its passes.
        passes: How many passes it rests on.
    """

    at: datetime
    relative_orbit: int | None
    every: timedelta
    passes: int


def passes(session: Session, sensor: Sensor, around: tuple[float, float, float, float], now: datetime) -> list[Pass]:
    """Scenes of a sensor that touch a box of the last `PAST` days, the oldest first.

    Args:
        session: To read in.
        sensor: s1 or s2.
        around: West, south, east, north, degrees.
        now: Until when.
    """
    west, south, east, north = around
    row, covered = AcquisitionRow, CoverageRow
    wanted = (
        select(
            row.message,
            row.acquisition_id,
            row.item_id,
            row.physical_key,
            row.sensing_at,
            covered.west,
            covered.south,
            covered.east,
            covered.north,
        )
        .join(covered, covered.acquisition_id == row.acquisition_id)
        .where(
            covered.sensor == sensor,
            covered.sensing_at > now - PAST,
            covered.sensing_at <= now,
            covered.west <= east,
            covered.east >= west,
            covered.south <= north,
            covered.north >= south,
        )
        .order_by(row.sensing_at, row.item_id)
    )
    found = []
    for message, acquisition_id, item_id, physical_key, sensing_at, *bounds in session.execute(wanted):
        said = json.loads(message)
        footprint = _footprint(said.get("footprint"), bounds)
        found.append(Pass(acquisition_id, item_id, physical_key, sensing_at, said.get("relative_orbit"), footprint))
    return found


def over(found: Sequence[Pass], lon: float, lat: float) -> list[Pass]:
    """Those whose footprint holds a point."""
    point = shapely.Point(lon, lat)
    return [one for one in found if one.footprint.intersects(point)]


def next_expected(found: Sequence[Pass], now: datetime) -> Expected | None:
    """The earliest pass to come; none where no orbit has come twice.

    An orbit comes again after the median of the gaps between its passes. Scenes of one overpass count once.

    Args:
        found: Passes over the place, in order of time.
        now: From when on.
    """
    by_orbit: dict[int | None, list[datetime]] = defaultdict(list)
    for one in found:
        times = by_orbit[one.relative_orbit]
        if not times or one.sensing_at - times[-1] >= OVERPASS:
            times.append(one.sensing_at)
    expected = []
    for orbit, times in by_orbit.items():
        if len(times) < 2:
            continue
        every = timedelta(seconds=median((b - a).total_seconds() for a, b in pairwise(times)))
        turns = max(1, (now - times[-1]) // every + 1)
        if turns <= MISSED:
            expected.append(Expected(times[-1] + turns * every, orbit, every, len(times)))
    return min(expected, key=lambda one: (one.at, one.relative_orbit or 0), default=None)


def _footprint(said: dict[str, object] | None, bounds: Sequence[float]) -> BaseGeometry:
    """As the catalogue has it; the bounds of the cells where that is none."""
    try:
        footprint: BaseGeometry = shape(said or {})
        if not footprint.is_empty:
            return footprint
    except (GEOSException, AttributeError, KeyError, TypeError, ValueError, IndexError):
        pass
    west, south, east, north = bounds
    return shapely.box(west, south, east, north)
