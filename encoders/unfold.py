"""From native pixels to windows of cells, in one pass: calibrated, brought to 10 m, cut.

In: a part of a band as its file has it. Out: float32 pixels of 120 x 120 windows. Stops before judging them.

Numbers of all bands of a tile are a sixth of the bytes of its chips, which overlap, are float32, and repeat coarse
pixels: whoever encodes on a GPU moves the numbers there and unfolds there. What is called here numpy arrays and torch
tensors have in common, so it is this same function.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from encoders.arrays import library
from encoders.interface import Pixels
from encoders.rasters import Patch
from schemas.cells import CELL_M, CHIP_PX, GSD_M

Window = tuple[float, float, float, float]
"""West, south, east, north of a cell's chip, metres in the CRS of the patch."""

CELL_PX = int(CELL_M / GSD_M)
"""From a cell's chip to its neighbour's: they overlap by their margins."""


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
    corners = [
        (round((patch.north_m - north) / GSD_M), round((west - patch.west_m) / GSD_M)) for west, _, _, north in windows
    ]
    for chips in _neighbours(corners, height, width):
        top, left = corners[chips.start]
        if 0 <= top <= height - CHIP_PX and 0 <= left <= width - CHIP_PX:
            out[chips] = _beside(values[top : top + CHIP_PX, left : corners[chips.stop - 1][1] + CHIP_PX])
        else:
            rows, columns = _overlap(top, height), _overlap(left, width)
            out[chips] = float("nan")
            out[chips.start, rows, columns] = values[_moved(rows, top), _moved(columns, left)]


def _neighbours(corners: Sequence[tuple[int, int]], height: int, width: int) -> Iterator[slice]:
    """Windows of cells side by side, whole in the patch, together: a launch for each would take a GPU longer than the
    copy. All others one by one."""
    start = 0
    for at in range(1, len(corners) + 1):
        top, left = corners[at - 1]
        whole = 0 <= top <= height - CHIP_PX and left >= 0 and left + CELL_PX <= width - CHIP_PX  # this and the next
        if at == len(corners) or not whole or corners[at] != (top, left + CELL_PX):
            yield slice(start, at)
            start = at


def _beside(strip: NDArray[Any]) -> NDArray[Any]:
    """A view of the windows that a strip of whole windows is made of, (n, 120, 120)."""
    if isinstance(strip, np.ndarray):
        return sliding_window_view(strip, CHIP_PX, axis=1)[:, ::CELL_PX].swapaxes(0, 1)
    views: NDArray[Any] = strip.unfold(1, CHIP_PX, CELL_PX).swapaxes(0, 1)
    return views


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
