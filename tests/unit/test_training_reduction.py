"""The reduction to 20 m that training caches and the shipped graph repeats."""

import numpy as np
import torch

from encoders.nano_pixels import gaps_filled
from training.nano_model import FINE, reduce_chips


def reduced(pixels: np.ndarray, sensor: str):
    filled, valid = gaps_filled(pixels, np.ones(pixels.shape[1], np.bool_))
    return reduce_chips(torch.from_numpy(filled), torch.from_numpy(valid), FINE[sensor], sensor == "s1")


def test_means_leave_gaps_out() -> None:
    pixels = np.full((1, 13, 4, 4), 0.2, np.float32)
    pixels[0, 1, 0, 0], pixels[0, 1, 0, 1] = np.nan, 0.5
    pixels[0, 1, 2:, 2:] = np.nan
    chips = reduced(pixels, "s2")
    np.testing.assert_allclose(chips.means[0, 1], [[0.3, 0.2], [0.2, 0.0]], atol=1e-6)
    np.testing.assert_allclose(chips.valid[0, 1], [[0.75, 1], [1, 0]])


def test_spread_is_the_deviation_inside_a_pixel() -> None:
    pixels = np.random.default_rng(0).uniform(0, 1, (1, 13, 2, 2)).astype(np.float32)
    np.testing.assert_allclose(reduced(pixels, "s2").spread[0, 0, 0, 0], pixels[0, 1].std(), rtol=1e-4)


def test_radar_is_averaged_in_power_and_told_in_decibel() -> None:
    pixels = np.array([0.01, 0.01, 0.03, 0.03], np.float32).reshape(1, 1, 2, 2).repeat(2, axis=1)
    chips = reduced(pixels, "s1")
    np.testing.assert_allclose(chips.means[0, :, 0, 0], 10 * np.log10(0.02), rtol=1e-5)
    np.testing.assert_allclose(chips.spread[0, :, 0, 0], 0.5, rtol=1e-4)
