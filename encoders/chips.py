"""Chips of some cells, and what could be seen of each.

In: which pixels of 120 x 120 windows are valid, and what hides them. Out: one `Chip` per cell. Stops before encoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.clouds import Hidden
from encoders.interface import Pixels
from encoders.settings import EncoderSettings
from schemas.cells import CHIP_PX, Cell
from schemas.messages import Cause, CellState, Chip

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


def judge(cells: Sequence[Cell], valid: Mask, hidden: Hidden, settings: EncoderSettings) -> tuple[Chip, ...]:
    """What could be seen of each cell.

    Args:
        cells: n of them.
        valid: bool, (n, 120, 120), pixels with data in at least one band, defective ones not among them.
        hidden: What lies over them.
        settings: The two limits.
    """
    valid_px, cloud_px = _counts(valid), _counts(hidden.cloud & valid)
    few = any(count < settings.min_valid_fraction * CHIP_PX**2 for count in valid_px)
    defect_px = [0] * len(cells) if hidden.defect is None or not few else _counts(hidden.defect)
    shadow_px = [0] * len(cells) if hidden.shadow is None or not any(cloud_px) else _counts(hidden.shadow & valid)
    counts = zip(valid_px, cloud_px, shadow_px, defect_px, strict=True)
    return tuple(_chip(cell, *each, settings) for cell, each in zip(cells, counts, strict=True))


def _counts(mask: Mask) -> list[int]:
    counts: list[int] = mask.sum(axis=(1, 2)).tolist()
    return counts


def _chip(cell: Cell, valid_px: int, cloud_px: int, shadow_px: int, defect_px: int, settings: EncoderSettings) -> Chip:
    valid, cloud = valid_px / CHIP_PX**2, cloud_px / max(valid_px, 1)
    cause = None
    if valid == 0 or valid < settings.min_valid_fraction:
        # one that would have had enough pixels without the defects was acquired, and shows nothing
        spoilt = defect_px > 0 and valid + defect_px / CHIP_PX**2 >= settings.min_valid_fraction
        state, cause = (CellState.OBSCURED, Cause.NO_DATA) if spoilt else (CellState.NOT_ACQUIRED, None)
    elif cloud > settings.max_cloud_fraction:
        state, cause = CellState.OBSCURED, Cause.SHADOW if 2 * shadow_px > cloud_px else Cause.CLOUD
    else:
        state = CellState.SEEN
    return Chip(cell=cell.id, state=state, valid_fraction=round(valid, 4), cloud_fraction=round(cloud, 4), cause=cause)
