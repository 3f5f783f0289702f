"""Chips of some cells, and what could be seen of each.

In: which pixels of 120 x 120 windows are valid, and which are cloud. Out: one `Chip` per cell. Stops before encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Pixels
from encoders.settings import EncoderSettings
from schemas.cells import CHIP_PX, Cell
from schemas.messages import CellState, Chip

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ChipBlock:
    """Some cells of a scene; row i of all three belongs to one cell.

    Attributes:
        cells: Where.
        pixels: float32, (n, bands, 120, 120), order `bands.BANDS`; reflectance or linear power; NaN is no data.
            On the device that was asked for.
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


def judge(cells: Sequence[Cell], valid: Mask, cloud: Mask, settings: EncoderSettings) -> tuple[Chip, ...]:
    """What could be seen of each cell.

    Args:
        cells: n of them.
        valid: bool, (n, 120, 120), pixels with data in at least one band.
        cloud: bool, (n, 120, 120), pixels under cloud or its shadow.
        settings: The two limits.
    """
    valid_px, cloud_px = (mask.sum(axis=(1, 2)).tolist() for mask in (valid, cloud & valid))
    return tuple(
        _chip(cell, v / CHIP_PX**2, c / max(v, 1), settings)
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
