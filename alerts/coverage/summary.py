"""What could be seen under a query's area, and what could not.

Flows in: coverage rows of a period, an area. Flows out: per sensor, how many cells were seen, only obscured, failed
or never acquired. Stops before maps and blind-spot alarms.

"Could not see" is never reported as "nothing there": a cell counts as seen when one acquisition saw it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, select

from alerts.places import centres
from schemas.cells import cells_in
from schemas.database import reading
from schemas.errors import InvalidArea
from schemas.messages import CellState, Coverage, Sensor, StandingQuery
from schemas.tables import CoverageRow

_RANK = {CellState.NOT_ACQUIRED: 0, CellState.FAILED: 1, CellState.OBSCURED: 2, CellState.SEEN: 3}


@dataclass(frozen=True, slots=True)
class Seen:
    """Coverage of one sensor over a period.

    Attributes:
        sensor: s1 or s2.
        acquisitions: Scenes that touched the area.
        cells: Cells of the area; none where there is no area, or one too large to list.
        seen: Cells seen at least once.
        obscured: Cells acquired but never seen: cloud, no data.
        failed: Cells whose pixels could not be read, and that nothing else showed.
        not_acquired: Cells that no scene touched; none where `cells` is.
        last_seen_at: Sensing time of the newest scene that saw any cell.
    """

    sensor: Sensor
    acquisitions: int
    cells: int | None
    seen: int
    obscured: int
    failed: int
    not_acquired: int | None
    last_seen_at: datetime | None


def coverage_of(engine: Engine, query: StandingQuery, *, since: datetime, until: datetime) -> list[Seen]:
    """Coverage under a standing query's area, by each of its sensors."""
    area = None if query.area is None else shape(query.area)
    return [summary(engine, sensor, area, since=since, until=until) for sensor in query.sensors]


def summary(engine: Engine, sensor: Sensor, area: BaseGeometry | None, *, since: datetime, until: datetime) -> Seen:
    """Coverage of an area, or of everything that was acquired, by one sensor.

    Args:
        engine: The database.
        sensor: s1 or s2.
        area: Lon/lat, split at the antimeridian; none: everywhere.
        since: Sensing at or after.
        until: Sensing before.
    """
    best: dict[str, CellState] = {}
    scenes = 0
    last_seen_at: datetime | None = None
    for scene in _scenes(engine, sensor, area, since, until):
        states = dict(_inside(scene, area))
        scenes += bool(states)
        for cell, state in states.items():
            if _RANK[state] > _RANK[best.get(cell, CellState.NOT_ACQUIRED)]:
                best[cell] = state
        if CellState.SEEN in states.values():
            last_seen_at = max(last_seen_at or scene.sensing_at, scene.sensing_at)
    cells = _cells(area)
    counts = {state: sum(each is state for each in best.values()) for state in CellState}
    return Seen(
        sensor,
        scenes,
        cells,
        counts[CellState.SEEN],
        counts[CellState.OBSCURED],
        counts[CellState.FAILED],
        None if cells is None else max(cells - len(best), 0),
        last_seen_at,
    )


def _scenes(
    engine: Engine, sensor: Sensor, area: BaseGeometry | None, since: datetime, until: datetime
) -> Iterator[Coverage]:
    wanted = (
        select(CoverageRow)
        .where(CoverageRow.sensor == sensor, CoverageRow.sensing_at >= since, CoverageRow.sensing_at < until)
        .order_by(CoverageRow.sensing_at)
    )
    if area is not None:
        west, south, east, north = area.bounds
        wanted = wanted.where(
            CoverageRow.west <= east, CoverageRow.east >= west, CoverageRow.south <= north, CoverageRow.north >= south
        )
    with reading(engine) as session:
        for row in session.scalars(wanted.execution_options(yield_per=50)):
            yield Coverage.from_bytes(zlib.decompress(row.chips))


def _inside(scene: Coverage, area: BaseGeometry | None) -> Iterable[tuple[str, CellState]]:
    chips = [chip for chip in scene.chips if chip.state is not CellState.NOT_ACQUIRED]
    if area is None:
        return [(chip.cell, chip.state) for chip in chips]
    shapely.prepare(area)
    where = centres([chip.cell for chip in chips])
    inside = shapely.contains_xy(area, where[:, 0], where[:, 1])
    return [(chip.cell, chip.state) for chip, keep in zip(chips, inside, strict=True) if keep]


def _cells(area: BaseGeometry | None) -> int | None:
    if area is None:
        return None
    try:
        return len(cells_in(area))
    except InvalidArea:
        return None
