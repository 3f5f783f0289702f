"""Unfolding native pixels into windows: the same of numpy arrays and of torch tensors, and right at every edge."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from encoders.offsets import Calibration
from encoders.rasters import Patch
from encoders.unfold import Window, unfold

REFLECTANCE = Calibration(1e-4, -0.1, 0)
POWER = Calibration(nodata=-32768, positive=True)
DECIBEL = Calibration(nodata=-32768, positive=True, decibel=True)


def numbers(dtype: str, height: int, width: int) -> np.ndarray:
    """Counts with gaps, saturated pixels and, of floats, NaN and infinity."""
    random = np.random.default_rng(5)
    if dtype == "uint16":
        return random.choice(np.array([0, 900, 1500, 4000, 65535], np.uint16), (height, width))
    return random.choice(np.array([-32768, -20, -3, 0, 0.1, 7, np.nan, np.inf], dtype), (height, width))


def window(row: int, column: int) -> Window:
    """Of the chip whose first pixel is that 10 m pixel of a patch at 500 000 / 5 000 000."""
    west, north = 500_000 + 10 * column, 5_000_000 - 10 * row
    return (west, north - 1200, west + 1200, north)


WINDOWS = [
    *(window(0, 0), window(37, 100), window(-60, 250), window(119, -119), window(500, 0), window(0, -120)),
    *(window(120, column) for column in (-100, 0, 100, 200, 300, 400)),
    *(window(220, column) for column in (0, 100, 250)),
    *(window(300, column) for column in (0, 100)),
]
"""Inside, across every edge, wholly outside; rows of cells from edge to edge, with a gap, and across an edge."""


def expected(patch: Patch) -> np.ndarray:
    """Pixel by pixel, as slowly as it can be done."""
    height, width = patch.numbers.shape
    times = patch.gsd_m // 10
    values = patch.calibration.values(patch.numbers)
    out = np.full((len(WINDOWS), 120, 120), np.nan, np.float32)
    for index, (west, _, _, north) in enumerate(WINDOWS):
        rows = ((patch.north_m - north) / 10 + np.arange(120)) // times
        columns = ((west - patch.west_m) / 10 + np.arange(120)) // times
        for i in np.flatnonzero((rows >= 0) & (rows < height)):
            for j in np.flatnonzero((columns >= 0) & (columns < width)):
                out[index, i, j] = values[int(rows[i]), int(columns[j])]
    return out


@pytest.mark.parametrize(
    ("dtype", "calibration"),
    [("uint16", REFLECTANCE), ("float32", POWER), ("float32", DECIBEL), ("float64", POWER)],
)
@pytest.mark.parametrize("gsd", [10, 20, 60])
def test_windows_are_right_of_arrays_and_of_tensors(dtype: str, calibration: Calibration, gsd: int) -> None:
    torch = pytest.importorskip("torch")
    raw = numbers(dtype, 3600 // gsd, 4200 // gsd)
    patch = Patch(raw, calibration, 500_000, 5_000_000, gsd)
    wanted = expected(patch)
    arrays = np.zeros_like(wanted)
    unfold(patch, WINDOWS, arrays)
    np.testing.assert_array_equal(arrays, wanted)

    tensors = torch.zeros(wanted.shape)
    unfold(replace(patch, numbers=torch.from_numpy(raw)), WINDOWS, tensors)
    np.testing.assert_allclose(tensors.numpy(), wanted, rtol=1e-6)  # torch's power of ten rounds otherwise


def test_an_empty_patch_gives_gaps() -> None:
    out = np.zeros((1, 120, 120), np.float32)
    unfold(Patch(np.empty((0, 0), np.uint16), REFLECTANCE, 500_000, 5_000_000, 20), WINDOWS[:1], out)
    assert np.isnan(out).all()


def test_the_numbers_of_a_file_stay_as_they_are() -> None:
    raw = numbers("float32", 120, 120)
    before = raw.copy()
    POWER.values(raw)
    np.testing.assert_array_equal(raw, before)
