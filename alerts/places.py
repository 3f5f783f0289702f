"""Where cells are, and which of them belong together.

Flows in: ids of cells. Flows out: centres, and groups of cells that are near each other. Stops before time and
queries (`incidents`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from schemas.cells import Cell, cell_of

EARTH_KM = 6371.0
"""Mean radius of the Earth, kilometres."""
NEIGHBOUR_KM = 1.6
"""Centres nearer than this are neighbours, side by side or corner to corner (1.41 km), also across the edge of two
UTM zones, whose grids don't fit together."""


@lru_cache(maxsize=100_000)
def cell(cell_id: str) -> Cell:
    """The cell of an id, remembered: the same places come again with each pass."""
    return cell_of(cell_id)


@lru_cache(maxsize=100_000)
def centre(cell_id: str) -> tuple[float, float]:
    """Longitude and latitude of a cell's centre, degrees."""
    return cell(cell_id).centre


def positions(lon_lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the sphere, kilometres from its centre: float64 (n, 3). Straight distances do for a few cells."""
    lon, lat = np.deg2rad(lon_lat.reshape(-1, 2)).T
    return EARTH_KM * np.column_stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def positions_of(cell_ids: Sequence[str]) -> NDArray[np.float64]:
    """The same for cells by their ids."""
    return positions(np.array([centre(cell_id) for cell_id in cell_ids], dtype=np.float64))


def reach_km(gap_cells: int) -> float:
    """How far apart two centres of one incident may be, when so many cells may lie between them."""
    return NEIGHBOUR_KM * (1 + gap_cells)


def near(one: NDArray[np.float64], others: NDArray[np.float64], km: float) -> NDArray[np.bool_]:
    """Which of `others` (n, 3) lie within `km` of each of `one` (m, 3): bool (m, n)."""
    squares = ((one[:, None, :] - others[None, :, :]) ** 2).sum(axis=-1)
    return np.asarray(squares <= km * km)


def groups(cell_ids: Sequence[str], km: float) -> list[list[int]]:
    """Indexes of cells that are connected by steps of at most `km`; each group ascending, by its first member."""
    where = positions_of(cell_ids)
    left = list(range(len(cell_ids)))
    found: list[list[int]] = []
    while left:
        group, edge = [left[0]], [left[0]]
        left = left[1:]
        while edge and left:
            close = np.any(near(where[edge], where[left], km), axis=0)
            edge = [left[i] for i in np.flatnonzero(close)]
            left = [left[i] for i in np.flatnonzero(~close)]
            group += edge
        found.append(sorted(group))
    return found
