"""The demo's valley as a picture: before, after, and what was alerted.

Flows in: the simulated scenes, the alerted cells and the truth. Flows out: a PNG, false colour (SWIR, NIR, red), one
panel before the events and one after them. Stops before any map service.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from commands.demo_report import DemoReport
    from simulation.scenario import Pass, Scenario

COLOURS = {"burn": (255, 60, 30), "flood": (60, 170, 255)}
"""Outline of alerted cells, by kind of event."""
TRUTH = (255, 255, 255)
"""Corner marks of the cells that were really hit."""
GAP_PX = 12
STEP = 2
"""Every second pixel is drawn: 20 m."""
BRIGHTEST = 0.45
"""Reflectance that is drawn white."""


def draw_map(report: DemoReport, scenario: Scenario, path: Path) -> None:
    """Write the PNG: coloured outlines are alerted cells, white corners are the truth."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    clear = [one for one in scenario.passes if one.sensor == "s2" and one.sky.cloud_share < 0.1]
    before, after = (_panel(scenario, one) for one in (next(c for c in reversed(clear) if c.backfill), clear[-1]))
    cells = scenario.world.cells()
    for event in report.events:
        alerted = {cell for a in report.alerts if a["query"] == event.query for cell in a["cells"]}
        for cell in alerted & cells.keys():
            _outline(after, cells[cell], COLOURS[event.truth.kind])
        for cell in event.truth.cells:
            _corners(after, cells[cell])
    gap = np.full((before.shape[0], GAP_PX, 3), 255, np.uint8)
    picture = np.concatenate([before, gap, after], axis=1)[::STEP, ::STEP]
    height, width, _ = picture.shape
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # a picture for people: it has no place
        with rasterio.open(path, "w", driver="PNG", width=width, height=height, count=3, dtype="uint8") as file:
            file.write(np.moveaxis(picture, -1, 0))


def _panel(scenario: Scenario, planned: Pass) -> NDArray[np.uint8]:
    """False colour of one pass, uint8 (rows, columns, 3), 10 m."""
    bands = scenario.acquire(planned).bands
    rows, columns = np.asarray(bands["B04"]).shape
    planes = [_stretched(_resized(np.asarray(bands[name]), rows, columns)) for name in ("B12", "B08", "B04")]
    return np.stack(planes, axis=-1)


def _resized(plane: NDArray[np.generic], rows: int, columns: int) -> NDArray[np.float32]:
    factor = rows // plane.shape[0]
    return np.kron(plane, np.ones((factor, factor), plane.dtype))[:rows, :columns].astype(np.float32)


def _stretched(digital: NDArray[np.float32]) -> NDArray[np.uint8]:
    reflectance = np.clip((digital - 1000) / 10000, 0, BRIGHTEST) / BRIGHTEST
    return np.asarray(np.sqrt(reflectance) * 255, dtype=np.uint8)


def _outline(picture: NDArray[np.uint8], at: tuple[slice, slice], colour: tuple[int, int, int]) -> None:
    rows, columns = at
    for thick in range(4):
        top, bottom = rows.start + 2 + thick, rows.stop - 3 - thick
        left, right = columns.start + 2 + thick, columns.stop - 3 - thick
        picture[[top, bottom], left : right + 1] = colour
        picture[top : bottom + 1, [left, right]] = colour


def _corners(picture: NDArray[np.uint8], at: tuple[slice, slice]) -> None:
    rows, columns = at
    for row, column in _ends(rows, columns):
        picture[row - 1 : row + 2, column - 8 : column + 9] = TRUTH
        picture[row - 8 : row + 9, column - 1 : column + 2] = TRUTH


def _ends(rows: slice, columns: slice) -> Iterable[tuple[int, int]]:
    return [
        (row, column) for row in (rows.start + 14, rows.stop - 15) for column in (columns.start + 14, columns.stop - 15)
    ]
