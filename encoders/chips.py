"""Cells cut out of patches, and what could be seen of each.

In: patches of bands and the cells that they cover. Out: pixels of 120 x 120 windows and one `Chip` per cell. Stops
before encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Pixels
from encoders.rasters import Patch
from encoders.settings import EncoderSettings
from schemas.cells import CHIP_PX, GSD_M, Cell
from schemas.messages import CellState, Chip

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ChipBlock:
    """Some cells of a scene; row i of all three belongs to one cell.

    Attributes:
        cells: Where.
        pixels: float32, (n, bands, 120, 120), order `bands.BANDS`; reflectance or linear power; NaN is no data.
        chips: What could be seen there.
        present_bands: Bands that the scene has; the other planes are NaN.
    """

    cells: tuple[Cell, ...]
    pixels: Pixels
    chips: tuple[Chip, ...]
    present_bands: tuple[str, ...]

    @property
    def seen(self) -> list[int]:
        """Rows of the cells that may be encoded."""
        return [row for row, chip in enumerate(self.chips) if chip.state is CellState.SEEN]


def gather(patch: Patch, cells: Sequence[Cell], out: Pixels) -> None:
    """Windows of cells of a patch's zone.

    Pixels of 20 m and 60 m are repeated (nearest neighbour): each 10 m pixel lies in exactly one of them, so that no
    value is invented, nothing bleeds over no data, and chips are as Earth Engine and Sentinel Hub export them, which
    is what encoders were trained on.

    Args:
        patch: One band.
        cells: n of them.
        out: float32, (n, 120, 120), written; NaN outside the patch.
    """
    tops = np.array([cell.window[3] for cell in cells])
    lefts = np.array([cell.window[0] for cell in cells])
    for top in np.unique(tops):
        which = np.flatnonzero(tops == top)
        west = lefts[which].min()
        width = int((lefts[which].max() - west) / GSD_M) + CHIP_PX
        strip = _on_grid(patch, top, west, width)
        for index in which:
            start = int((lefts[index] - west) / GSD_M)
            out[index] = strip[:, start : start + CHIP_PX]


def _on_grid(patch: Patch, north_m: float, west_m: float, width: int) -> NDArray[np.float32]:
    """A row of windows on the 10 m grid, float32, (120, width)."""
    rows = ((patch.north_m - north_m + np.arange(CHIP_PX) * GSD_M) // patch.gsd_m).astype(int)
    cols = ((west_m - patch.west_m + np.arange(width) * GSD_M) // patch.gsd_m).astype(int)
    height, across = patch.values.shape
    outside_rows, outside_cols = (rows < 0) | (rows >= height), (cols < 0) | (cols >= across)
    if outside_rows.all() or outside_cols.all():
        return np.full((CHIP_PX, width), np.nan, np.float32)
    if patch.gsd_m == GSD_M and not (outside_rows.any() or outside_cols.any()):
        inside: NDArray[np.float32] = patch.values[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1]
        return inside
    strip: NDArray[np.float32] = patch.values[np.clip(rows, 0, height - 1)]
    strip[outside_rows] = np.nan
    strip = np.take(strip, np.clip(cols, 0, across - 1), axis=1)
    strip[:, outside_cols] = np.nan
    return strip


def judge(cells: Sequence[Cell], valid: Mask, cloud: Mask, settings: EncoderSettings) -> tuple[Chip, ...]:
    """What could be seen of each cell.

    Args:
        cells: n of them.
        valid: bool, (n, 120, 120), pixels with data in at least one band.
        cloud: bool, (n, 120, 120), pixels under cloud or its shadow.
        settings: The two limits.
    """
    valid_px = valid.sum(axis=(1, 2))
    cloud_px = (cloud & valid).sum(axis=(1, 2))
    return tuple(
        _chip(cell, int(v) / CHIP_PX**2, int(c) / max(int(v), 1), settings)
        for cell, v, c in zip(cells, valid_px, cloud_px, strict=True)
    )


def _chip(cell: Cell, valid: float, cloud: float, settings: EncoderSettings) -> Chip:
    if valid == 0 or valid < settings.min_valid_fraction:
        state = CellState.NOT_ACQUIRED
    elif cloud > settings.max_cloud_fraction:
        state = CellState.OBSCURED
    else:
        state = CellState.SEEN
    return Chip(cell=cell.id, state=state, valid_fraction=round(valid, 4), cloud_fraction=round(cloud, 4))
