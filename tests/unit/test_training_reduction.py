"""The reduction to 20 m that training and inference share, on chips worked out by hand."""

import numpy as np
import pytest

from encoders.nano_planes import BRIGHTEST, Planes, reduced


def planes(pixels: np.ndarray, sensor: str, absent: tuple[int, ...] = ()) -> Planes:
    present = np.array([i not in absent for i in range(pixels.shape[1])])
    return reduced(pixels, present, sensor)


def test_means_leave_gaps_out() -> None:
    pixels = np.full((1, 13, 4, 4), 0.2, np.float32)
    pixels[0, 1, 0, 0], pixels[0, 1, 0, 1] = np.nan, 0.5
    pixels[0, 1, 2:, 2:] = np.inf
    chips = planes(pixels, "s2")
    np.testing.assert_allclose(chips.means[0, 1], [[0.3, 0.2], [0.2, 0.0]], atol=1e-6)
    np.testing.assert_allclose(chips.valid[0, 1], [[0.75, 1], [1, 0]])
    assert chips.valid[0, 2].min() == 1


@pytest.mark.parametrize("content", [0.3, np.nan, np.inf, 1e30])
def test_absent_planes_hold_nothing_whatever_they_held(content: float) -> None:
    pixels = np.full((2, 13, 8, 8), 0.2, np.float32)
    pixels[:, 7] = content
    chips = planes(pixels, "s2", absent=(7,))
    assert chips.means[:, 7].max() == chips.valid[:, 7].max() == chips.spread[:, 3].max() == 0
    assert np.isfinite(chips.means).all()


def test_spread_is_the_deviation_inside_a_pixel() -> None:
    pixels = np.random.default_rng(0).uniform(0, 1, (1, 13, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(planes(pixels, "s2").spread[0, 0, 0, 0], pixels[0, 1].std(), rtol=1e-4)


def test_radar_is_averaged_in_power_and_told_in_decibel() -> None:
    pixels = np.array([0.01, 0.01, 0.03, 0.03], np.float32).reshape(1, 1, 2, 2).repeat(2, axis=1)
    chips = planes(pixels, "s1")
    np.testing.assert_allclose(chips.means[0, :, 0, 0], 10 * np.log10(0.02), rtol=1e-5)
    np.testing.assert_allclose(chips.spread[0, :, 0, 0], 0.5, rtol=1e-4)


def test_an_odd_last_row_or_column_is_not_read() -> None:
    pixels = np.random.default_rng(1).uniform(0, 1, (2, 13, 9, 7)).astype(np.float32)
    np.testing.assert_array_equal(planes(pixels, "s2").means, planes(pixels[:, :, :8, :6], "s2").means)


def test_extremes_are_cut() -> None:
    assert planes(np.full((1, 13, 4, 4), 9, np.float32), "s2").means.max() == BRIGHTEST
    assert planes(np.full((1, 2, 4, 4), 1e-9, np.float32), "s1").means.min() == -40
