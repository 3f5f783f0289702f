"""From native pixels to windows of cells, in one pass: calibrated, brought to 10 m, cut.

In: a part of a band as its file has it. Out: float32 pixels of 120 x 120 windows. Stops before judging them.

Numbers of all bands of a tile are a sixth of the bytes of its chips, which overlap, are float32, and repeat coarse
pixels: whoever encodes on a GPU moves the numbers there and unfolds there. What is called here numpy arrays and torch
tensors have in common, so it is this same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from encoders.arrays import library
from encoders.interface import Pixels
from encoders.rasters import Patch
from schemas.cells import CHIP_PX, GSD_M

Window = tuple[float, float, float, float]
"""West, south, east, north of a cell's chip, metres in the CRS of the patch."""


def unfold(patch: Patch, windows: Sequence[Window], out: Pixels) -> None:
    """Windows of a patch, on the 10 m grid.

    Pixels of 20 m and 60 m are repeated (nearest neighbour): each 10 m pixel lies in exactly one of them, so that no
    value is invented, nothing bleeds over no data, and chips are as Earth Engine and Sentinel Hub export them, which
    is what encoders were trained on.

    Args:
        patch: One band; its numbers may be a torch tensor on any device.
        windows: n of them.
        out: float32, (n, 120, 120), written; NaN outside the patch. Of the library and on the device of the numbers.
    """
    values = _repeated(patch.values, patch.gsd_m // int(GSD_M))
    height, width = values.shape
    for chip, (west_m, _, _, north_m) in zip(out, windows, strict=True):
        top, left = round((patch.north_m - north_m) / GSD_M), round((west_m - patch.west_m) / GSD_M)
        if 0 <= top <= height - CHIP_PX and 0 <= left <= width - CHIP_PX:
            chip[:] = values[top : top + CHIP_PX, left : left + CHIP_PX]
        else:
            rows, columns = _overlap(top, height), _overlap(left, width)
            chip[:] = float("nan")
            chip[rows, columns] = values[_moved(rows, top), _moved(columns, left)]


def _overlap(start: int, size: int) -> slice:
    """Which pixels of a window that begins at `start` of a patch's pixels lie in it."""
    first = min(max(-start, 0), CHIP_PX)
    return slice(first, max(first, min(size - start, CHIP_PX)))


def _moved(part: slice, by: int) -> slice:
    """The same pixels of the patch; an empty part lies anywhere."""
    return slice(part.start + by, part.stop + by) if part.start < part.stop else part


def _repeated(values: NDArray[Any], times: int) -> NDArray[Any]:
    """Every pixel as often along both axes."""
    if times == 1:
        return values
    xp = library(values)
    height, width = values.shape
    wide = xp.broadcast_to(values[:, :, None], (height, width, times)).reshape(height, width * times)
    tall: NDArray[Any] = xp.broadcast_to(wide[:, None], (height, times, width * times))
    return tall.reshape(height * times, width * times)
