"""When each cell was last seen, how long it was not, and how often it is seen at all.

In: the ledger, an area, a period. Out: numbers for each cell of each 100 km square, and the same as GeoJSON. Stops
before telling anybody (`blind`).

Several sensors together count as one pair of eyes: a cell is seen on a day when any of them saw it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import mapping
from sqlalchemy import Engine, select

from alerts.coverage.blocks import CAUSES, CELLS, DAYS, Block, Mask, cell_ids, join, unpack
from alerts.coverage.ground import Ground
from alerts.coverage.scenes import monday_of
from alerts.places import outlines
from schemas.database import reading
from schemas.errors import UsageError
from schemas.messages import Sensor
from schemas.tables import CoverageWeekRow

LONGEST_GAP = 400
"""Days from which on gaps between two sights are counted together."""
MOST_FEATURES = 20_000
"""Cells that are listed one by one: some 8 MB of GeoJSON."""

Ordinals = NDArray[np.int32]
"""Days as `date.toordinal` has them; 0 is never."""


@dataclass(frozen=True, slots=True)
class Sights:
    """The cells of one square that belong to an area; all arrays (10,000,), those of other cells mean nothing.

    Attributes:
        square: Which.
        mask: The area's cells in it.
        seen: Day of the last sight, 0 for never.
        obscured: Day when it was last acquired and hidden.
        failed: Day when it was last acquired and could not be read.
        causes: What hid it in the week of `obscured` (`blocks.CAUSES`).
        longest_gap: The most days on end without a sight, the ends of the period among them.
        gaps: How often so many days lay between two sights of a cell, int64 (401,).
    """

    square: str
    mask: Mask
    seen: Ordinals
    obscured: Ordinals
    failed: Ordinals
    causes: NDArray[np.uint8]
    longest_gap: Ordinals
    gaps: NDArray[np.int64]

    def why(self, since: Ordinals) -> NDArray[np.str_]:
        """Why nothing was seen after a day, cell by cell: a cause's name, `obscured`, `failed` or `not acquired`."""
        hidden = self.obscured > since
        by_cause = [hidden & (self.causes & bit != 0) for bit in CAUSES.values()]
        names = [cause.value if cause else "obscured" for cause in CAUSES]
        return np.select([*by_cause, hidden, self.failed > since], [*names, "obscured", "failed"], "not acquired")


def sights(engine: Engine, ground: Ground, sensors: Sequence[Sensor], first: date, last: date) -> Iterator[Sights]:
    """Every square of an area, also those without any acquisition; of one that cannot be listed, those in the ledger.

    Args:
        engine: The database.
        ground: The area's cells.
        sensors: Any of them sees.
        first: First day of the period, UTC.
        last: Its last day.
    """
    done = set()
    for square, blocks in _by_square(engine, ground, sensors, first, last):
        mask = ground.mask(square)
        if mask is not None:
            done.add(square)
            yield _sights(square, mask, blocks, first, last)
    for square, mask in (ground.masks or {}).items():
        if square not in done:
            yield _sights(square, mask, [], first, last)


def median_gap(found: Sequence[Sights]) -> float | None:
    """Median days between two sights of a cell; none where fewer than half of the cells were seen twice."""
    gaps = sum((each.gaps for each in found), np.zeros(LONGEST_GAP + 1, np.int64))
    if gaps.sum() < 0.5 * sum(int(each.mask.sum()) for each in found) or not gaps.any():
        return None
    return float(np.searchsorted(np.cumsum(gaps), gaps.sum() / 2))


def features(found: Sequence[Sights], today: date) -> dict[str, object]:
    """Cells as a GeoJSON FeatureCollection: `days_since_seen` (none: never in the period), `last_seen`, and why not.

    Raises:
        UsageError: more than 20,000 cells.
    """
    count = sum(int(each.mask.sum()) for each in found)
    if count > MOST_FEATURES:
        raise UsageError(f"{count} cells are too many to list: at most {MOST_FEATURES}; give --bbox, or draw a --map")
    return {"type": "FeatureCollection", "features": [each for one in found for each in _features(one, today)]}


def _features(one: Sights, today: date) -> Iterator[dict[str, object]]:
    indexes = np.flatnonzero(one.mask)
    ids = cell_ids(one.square, indexes.tolist())
    why = one.why(one.seen)
    for index, cell, outline in zip(indexes.tolist(), ids, outlines(ids), strict=True):
        seen = int(one.seen[index])
        days = today.toordinal() - seen if seen else None
        properties = {
            "cell": cell,
            "days_since_seen": days,
            "last_seen": date.fromordinal(seen).isoformat() if seen else None,
            "longest_gap_days": int(one.longest_gap[index]),
            "since_then": None if days == 0 else str(why[index]),
        }
        yield {"type": "Feature", "geometry": mapping(outline), "properties": properties}


def _by_square(
    engine: Engine, ground: Ground, sensors: Sequence[Sensor], first: date, last: date
) -> Iterator[tuple[str, list[tuple[date, Block]]]]:
    """Blocks of each square, week by week, sensors joined."""
    wanted = (
        select(CoverageWeekRow)
        .where(
            CoverageWeekRow.sensor.in_(sensors),
            CoverageWeekRow.monday >= monday_of(first),
            CoverageWeekRow.monday <= last,
        )
        .order_by(CoverageWeekRow.square, CoverageWeekRow.monday)
    )
    with reading(engine) as session:
        rows = session.scalars(ground.within(wanted).execution_options(yield_per=200))
        for square, of_square in groupby(rows, key=lambda row: row.square):
            weeks = groupby(of_square, key=lambda row: row.monday)
            yield square, [(monday, join([unpack(row.planes) for row in of_week])) for monday, of_week in weeks]


def _sights(square: str, mask: Mask, blocks: Sequence[tuple[date, Block]], first: date, last: date) -> Sights:
    begin, end = first.toordinal(), last.toordinal()
    seen, obscured, failed, longest = (np.zeros(CELLS, np.int32) for _ in range(4))
    causes = np.zeros(CELLS, np.uint8)
    gaps = np.zeros(LONGEST_GAP + 1, np.int64)
    for monday, block in blocks:
        hidden_before = obscured.copy()
        for day in range(DAYS):
            today = (monday + timedelta(days=day)).toordinal()
            if not begin <= today <= end:
                continue
            bit = np.uint8(1 << day)
            now = block.seen & bit != 0
            if now.any():
                gap = today - np.where(seen > 0, seen, begin)[now]
                longest[now] = np.maximum(longest[now], gap)
                again = today - seen[now & mask & (seen > 0)]
                gaps += np.bincount(np.minimum(again, LONGEST_GAP), minlength=LONGEST_GAP + 1)
                seen[now] = today
            obscured[block.obscured & bit != 0] = today
            failed[block.failed & bit != 0] = today
        causes = np.where(obscured > hidden_before, block.causes, causes)
    rest = np.where(seen > 0, end - seen, end - begin + 1)
    return Sights(square, mask, seen, obscured, failed, causes, np.maximum(longest, rest).astype(np.int32), gaps)


@dataclass(frozen=True, slots=True)
class Spell:
    """What a period was like for an area's cells, all of the sensors together.

    Attributes:
        sensors: Whose sights count.
        cells: How many cells.
        blind_cells: Those never seen in it.
        longest_gap_days: The most days on end that any cell was not seen.
        median_gap_days: The same, of the median cell.
        revisit_days: Median days between two sights of a cell; none where too little is known.
    """

    sensors: tuple[Sensor, ...]
    cells: int
    blind_cells: int
    longest_gap_days: int
    median_gap_days: float
    revisit_days: float | None


def spell(found: Sequence[Sights], sensors: Sequence[Sensor]) -> Spell | None:
    """A period in five numbers; none where there is no cell at all."""
    longest = np.concatenate([each.longest_gap[each.mask] for each in found]) if found else np.zeros(0, np.int32)
    if not longest.size:
        return None
    blind = sum(int((each.seen[each.mask] == 0).sum()) for each in found)
    return Spell(tuple(sensors), len(longest), blind, int(longest.max()), float(np.median(longest)), median_gap(found))
