"""Units and gaps as CLOSP's own data reader leaves them."""

import json

import numpy as np
import pytest

from encoders.bands import BANDS
from encoders.closp_pixels import prepare, specification

ALL_S2 = np.ones(13, dtype=np.bool_)
ALL_S1 = np.ones(2, dtype=np.bool_)


def test_reflectance_stays_and_b10_and_gaps_become_zero() -> None:
    pixels = np.full((1, 13, 2, 2), 0.3, dtype=np.float32)
    pixels[0, 3, 0, 0] = np.nan
    pixels[0, 4, 0, 0] = np.inf
    prepared = prepare(pixels, "s2", ALL_S2)
    expected = np.full((1, 13, 2, 2), 0.3, dtype=np.float32)
    expected[0, 10] = expected[0, 3, 0, 0] = expected[0, 4, 0, 0] = 0.0
    np.testing.assert_array_equal(prepared, expected)
    assert prepared.dtype == np.float32


def test_linear_power_becomes_decibels() -> None:
    pixels = np.array([1.0, 0.1, 0.01, 1e-4], dtype=np.float32).reshape(1, 1, 2, 2).repeat(2, axis=1)
    expected = np.array([0.0, -10.0, -20.0, -40.0], dtype=np.float32).reshape(1, 1, 2, 2).repeat(2, axis=1)
    np.testing.assert_allclose(prepare(pixels, "s1", ALL_S1), expected, atol=1e-5)


def test_zero_and_negative_power_rest_on_the_floor() -> None:
    pixels = np.array([[[[0.0, -0.2]], [[1e-9, 1.0]]]], dtype=np.float32)
    np.testing.assert_allclose(prepare(pixels, "s1", ALL_S1), [[[[-40.0, -40.0]], [[-40.0, 0.0]]]], atol=1e-5)


def test_radar_gaps_take_the_value_of_the_authors_reader() -> None:
    pixels = np.array([[[[np.nan, np.inf]], [[0.1, 0.1]]]], dtype=np.float32)
    prepared = prepare(pixels, "s1", np.array([True, False]))
    np.testing.assert_array_equal(prepared, np.full((1, 2, 1, 2), 1e-6, dtype=np.float32))


def test_what_absent_bands_contain_is_ignored_and_the_input_is_untouched() -> None:
    mask = ALL_S2.copy()
    mask[5] = False
    one, other = np.full((2, 1, 13, 2, 2), 0.3, dtype=np.float32)
    other[0, 5] = 77.0
    np.testing.assert_array_equal(prepare(one, "s2", mask), prepare(other, "s2", mask))
    assert (other[0, 5] == 77.0).all()
    assert (other[0, 10] == np.float32(0.3)).all()


@pytest.mark.parametrize("variant", ["closp-rn", "closp-vs", "closp-vl", "geoclosp-rn"])
def test_specification_is_what_the_towers_do(variant: str) -> None:
    closp = pytest.importorskip("encoders.closp", reason="needs the [torch] extra")
    said = specification(variant)
    sizes = set(closp.empty(variant).sizes_px.values())
    assert sizes == {said["resize"]["px"] if said["resize"] else None}
    assert json.loads(json.dumps(said))["s2"]["bands"] == list(BANDS["s2"])
    zeroed = prepare(np.full((1, 13, 2, 2), 0.3, np.float32), "s2", ALL_S2)[0, :, 0, 0] == said["s2"]["absent"]
    assert [BANDS["s2"][place] for place in np.flatnonzero(zeroed)] == said["s2"]["zeroed"]


def test_variants_with_other_preparation_are_told_apart() -> None:
    assert specification("closp-rn") != specification("closp-vs")
    assert specification("closp-rn") == specification("geoclosp-rn")
