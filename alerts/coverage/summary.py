"""What could be seen under a query's area over a period, and what could not.

Flows in: raw coverage rows, and weeks of the ledger whose raw rows have been dropped. Flows out: per sensor, how many
cells were seen, only obscured, failed or never acquired. Stops before weeks (`weeks`), single cells (`sights`) and
notices (`blind`).

"Could not see" is never reported as "nothing there": a cell counts as seen when one acquisition saw it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, select

from alerts.coverage.blocks import CELLS, Block, unpack
from alerts.coverage.ground import Ground, ground_of
from alerts.coverage.scenes import monday_of, scene_of
from alerts.coverage.weeks import days_of, days_within
from schemas.database import reading
from schemas.messages import Sensor, StandingQuery
from schemas.tables import CoverageRow, CoverageWeekRow

_FAILED, _OBSCURED, _SEEN = 1, 2, 3
"""How much can be said of a cell; the most that any look says counts."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Coverage of one sensor over a period.

    Attributes:
        sensor: s1 or s2.
        acquisitions: Scenes that touched the area, as far as their raw rows are kept (`TOCSIN_COVERAGE_RAW_DAYS`).
        cells: Cells of the area; none where there is no area, or one too large to list.
        seen: Cells seen at least once.
        obscured: Cells acquired but never seen: cloud, no data.
        failed: Cells whose pixels could not be read, and that nothing else showed.
        not_acquired: Cells that no scene touched; none where `cells` is.
        last_seen_at: Sensing time of the newest scene that saw any cell; none where no raw row says so.
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
        since: Sensing at or after; days of weeks whose raw rows have been dropped count whole.
        until: Sensing before.

    Raises:
        UsageError: the period is empty.
    """
    ground = ground_of(area)
    best: dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]] = {}

    def enter(square: str, block: Block) -> bool:
        """Whether it says anything of the area."""
        mask = ground.mask(square)
        if mask is None:
            return False
        said = np.select([block.seen > 0, block.obscured > 0, block.failed > 0], [_SEEN, _OBSCURED, _FAILED])
        said = np.where(mask, said, 0).astype(np.uint8)
        best[square] = np.maximum(best.get(square, np.zeros(CELLS, np.uint8)), said)
        return bool(said.any())

    scenes = 0
    last_seen_at: datetime | None = None
    for row in _rows(engine, sensor, area, since, until):
        blocks = scene_of(row).blocks
        touched = [square for square, block in blocks.items() if enter(square, block)]
        scenes += bool(touched)
        if any((blocks[square].seen[ground.mask(square)] > 0).any() for square in touched):
            last_seen_at = max(last_seen_at or row.sensing_at, row.sensing_at)
    for square, block in _sealed(engine, sensor, ground, since, until):
        enter(square, block)
    counts = sum((np.bincount(states, minlength=4) for states in best.values()), np.zeros(4, int))
    cells = ground.cells
    return Seen(
        sensor,
        scenes,
        cells,
        int(counts[_SEEN]),
        int(counts[_OBSCURED]),
        int(counts[_FAILED]),
        None if cells is None else cells - int(counts[1:].sum()),
        last_seen_at,
    )


def _rows(
    engine: Engine, sensor: Sensor, area: BaseGeometry | None, since: datetime, until: datetime
) -> Iterator[CoverageRow]:
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
        yield from session.scalars(wanted.execution_options(yield_per=50))


def _sealed(
    engine: Engine, sensor: Sensor, ground: Ground, since: datetime, until: datetime
) -> Iterator[tuple[str, Block]]:
    """Blocks whose raw rows are gone, with the days of the period only."""
    first, last = days_of(since, until)
    wanted = select(CoverageWeekRow).where(
        CoverageWeekRow.sensor == sensor,
        CoverageWeekRow.sealed.is_(True),
        CoverageWeekRow.monday >= monday_of(first),
        CoverageWeekRow.monday <= last,
    )
    with reading(engine) as session:
        for row in session.scalars(ground.within(wanted).execution_options(yield_per=200)):
            yield row.square, unpack(row.planes).on(days_within(row.monday, first, last))
