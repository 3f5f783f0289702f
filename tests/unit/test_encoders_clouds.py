"""Cloud per pixel, from the product's classification or from plain reflectance."""

import numpy as np
import pytest

from encoders.bands import BANDS_S2
from encoders.clouds import classified, spectral

FIVE = ("B02", "B03", "B04", "B08", "B12")


def chip(**reflectance: float) -> np.ndarray:
    """One chip of 4 x 4 pixels, all alike; bands not given are no data."""
    pixels = np.full((1, len(BANDS_S2), 4, 4), np.nan, np.float32)
    for band, value in reflectance.items():
        pixels[:, BANDS_S2.index(band)] = value
    return pixels


CLOUD = {"B02": 0.53, "B03": 0.50, "B04": 0.48, "B08": 0.53, "B12": 0.32}
SNOW = {"B02": 0.72, "B03": 0.72, "B04": 0.66, "B08": 0.70, "B12": 0.05}
SAND = {"B02": 0.27, "B03": 0.38, "B04": 0.48, "B08": 0.55, "B12": 0.62}
BURNT = {"B02": 0.05, "B03": 0.06, "B04": 0.08, "B08": 0.12, "B12": 0.25}
FOREST = {"B02": 0.02, "B03": 0.04, "B04": 0.03, "B08": 0.35, "B12": 0.08}


def test_cloud_is_cloud() -> None:
    assert spectral(chip(**CLOUD), FIVE).all()


@pytest.mark.parametrize("ground", [SNOW, SAND, BURNT, FOREST], ids=["snow", "sand", "burnt", "forest"])
def test_ground_is_not_cloud(ground: dict[str, float]) -> None:
    assert not spectral(chip(**ground), FIVE).any()


def test_snow_is_told_by_the_first_short_wave_band_there_is() -> None:
    assert not spectral(chip(**SNOW, B11=0.11), (*FIVE, "B11")).any()
    assert spectral(chip(**CLOUD, B11=0.38), (*FIVE, "B11")).all()


def test_cirrus_band_tells_what_floats_over_dark_ground() -> None:
    assert spectral(chip(**FOREST, B10=0.04), (*FIVE, "B10")).all()
    assert not spectral(chip(**FOREST, B10=0.004), (*FIVE, "B10")).any()


def test_planes_that_are_not_present_are_not_read() -> None:
    assert not spectral(chip(**CLOUD), ("B04", "B08")).any()


def test_no_data_is_not_cloud() -> None:
    assert not spectral(chip(), FIVE).any()


def test_classification_shadow_cloud_cirrus_snow_and_gaps() -> None:
    scl = np.array([[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [np.nan] * 4]], np.float32)
    hidden, no_data = classified(scl)
    assert hidden.cloud[0].tolist() == [
        [False, False, False, True],
        [False] * 4,
        [True, True, True, False],
        [False] * 4,
    ]
    assert no_data[0].tolist() == [[True, True, False, False], [False] * 4, [False] * 4, [False] * 4]
    assert hidden.shadow is not None and np.argwhere(hidden.shadow[0]).tolist() == [[0, 3]]
    assert hidden.defect is not None and np.argwhere(hidden.defect[0]).tolist() == [[0, 1]]
