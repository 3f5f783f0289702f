"""Which cells an area is made of, square by square.

In: an area, or none for everywhere. Out: for each 100 km square of the ledger, which of its cells count. Stops before
what was seen there.

An area that is too large to list (more than 5 million cells), and everywhere, has no list of squares: then only what
was looked at can be counted, and nobody can say how many cells were not acquired.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Select

from alerts.coverage.blocks import CELLS, Mask, cell_ids, cell_index
from alerts.places import centres
from schemas.cells import cells_in
from schemas.errors import InvalidArea
from schemas.tables import CoverageWeekRow

_EVERY = np.ones(CELLS, bool)
MOST_SQUARES = 400
"""Squares that are named in one statement; more are filtered as they come."""


@dataclass(frozen=True)
class Ground:
    """The cells of an area.

    Attributes:
        area: Lon/lat, split at the antimeridian; none: everywhere.
        masks: Its cells by 100 km square, bool (10,000,); none where it cannot be listed.
    """

    area: BaseGeometry | None
    masks: dict[str, Mask] | None

    @property
    def cells(self) -> int | None:
        """How many there are."""
        return None if self.masks is None else sum(int(mask.sum()) for mask in self.masks.values())

    def mask(self, square: str) -> Mask | None:
        """Cells of a square that count; none where none does."""
        if self.masks is not None:
            return self.masks.get(square)
        if self.area is None:
            return _EVERY
        return _inside(self.area, square)

    def within(self, wanted: Select[CoverageWeekRow]) -> Select[CoverageWeekRow]:
        """Only blocks of its squares, as far as a statement can say it; `mask` has the last word."""
        if self.masks is None or len(self.masks) > MOST_SQUARES:
            return wanted
        return wanted.where(CoverageWeekRow.square.in_(sorted(self.masks)))


def ground_of(area: BaseGeometry | None) -> Ground:
    """The cells of an area; remembered, because a query's area is asked for again and again."""
    return Ground(None, None) if area is None else _ground(area.wkb)


@lru_cache(maxsize=64)
def _ground(wkb: bytes) -> Ground:
    area = shapely.from_wkb(wkb)
    try:
        cells = cells_in(area)
    except InvalidArea:
        return Ground(area, None)
    masks: dict[str, Mask] = {}
    for cell in cells:
        square = cell.square
        if square not in masks:
            masks[square] = np.zeros(CELLS, bool)
        masks[square][cell_index(cell.id)] = True
    return Ground(area, masks)


def _inside(area: BaseGeometry, square: str) -> Mask | None:
    lon, lat = _centres(square).T
    west, south, east, north = area.bounds
    near = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
    if not near.any():
        return None
    shapely.prepare(area)
    near[near] = shapely.contains_xy(area, lon[near], lat[near])
    return near if near.any() else None


@lru_cache(maxsize=512)
def _centres(square: str) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Degrees, float32 (10,000, 2): good to a metre, and only asked for areas of half a continent."""
    return np.asarray(centres(cell_ids(square, range(CELLS))), np.float32)
