"""Training chips: shape, units, determinism, labels that follow from fractions, and visible events."""

import numpy as np
import pytest

from simulation.chips import Chips, judge, make_chips, make_pairs, season_of
from simulation.labels import BURNED, DAMAGED, FLOODED, LABELS, S1_BANDS, S2_BANDS

NIR, SWIR2 = S2_BANDS.index("B08"), S2_BANDS.index("B12")


@pytest.fixture(scope="module")
def optical() -> Chips:
    return make_chips(70, seed=6, sensor="s2")


@pytest.fixture(scope="module")
def radar() -> Chips:
    return make_chips(70, seed=5, sensor="s1")


def test_chips_have_the_encoders_shape_and_units(optical: Chips, radar: Chips) -> None:
    assert optical.pixels.shape == (70, 13, 120, 120) and optical.bands == S2_BANDS
    assert radar.pixels.shape == (70, 2, 120, 120) and radar.bands == S1_BANDS
    for chips in (optical, radar):
        assert chips.pixels.dtype == np.float32 and len(chips) == 70
        assert np.nanmin(chips.pixels) > 0
    assert np.nanmax(optical.pixels) < 1.8
    assert 0.05 < np.nanmedian(optical.pixels) < 0.3
    assert -16 < 10 * np.log10(np.nanmedian(radar.pixels[:, 0])) < -7


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_the_same_seed_gives_the_same_chips(sensor) -> None:
    one, same, other = (make_chips(4, seed=seed, sensor=sensor) for seed in (5, 5, 0))
    assert np.array_equal(one.pixels, same.pixels, equal_nan=True)
    assert one.labels == same.labels and one.attributes == same.attributes
    assert not np.array_equal(one.pixels, other.pixels, equal_nan=True)


def test_a_longer_batch_starts_with_the_shorter_one() -> None:
    short, long = (make_chips(n, seed=5, sensor="s1") for n in (2, 5))
    assert np.array_equal(short.pixels, long.pixels[:2], equal_nan=True)


def test_every_label_occurs(optical: Chips, radar: Chips) -> None:
    for chips in (optical, radar):
        assert {name for names in chips.labels for name in names} == set(LABELS)


def test_labels_follow_from_fractions(optical: Chips) -> None:
    for names, fractions in zip(optical.labels, optical.fractions, strict=True):
        assert ("Water" in names) == (fractions[0] >= np.float32(0.1))
        assert ("Burned Area" in names) == (fractions[BURNED] >= np.float32(0.4))
        assert fractions.min() >= 0 and fractions.max() <= 1.0001


def test_a_weak_event_is_ambiguous_not_absent() -> None:
    fractions = np.zeros(12, np.float32)
    fractions[[1, FLOODED, BURNED, DAMAGED]] = (0.9, 0.1, 0.3, 0.0)
    present, unsure = judge(fractions)
    assert present == {"Trees"} and unsure == {"Flooded Area", "Burned Area"}


def test_some_chips_are_cut_by_the_swath(optical: Chips) -> None:
    cut = np.isnan(optical.pixels).any(axis=(1, 2, 3))
    assert 0 < cut.sum() < 20
    assert np.array_equal(np.isnan(optical.pixels[:, 0]), np.isnan(optical.pixels[:, 12]))


def test_a_burn_between_two_looks_lowers_nbr() -> None:
    before, after = make_pairs(30, seed=5, sensor="s2", event="burn")
    burnt = np.flatnonzero(after.fractions[:, BURNED] > 0.5)
    assert len(burnt) > 5 and before.fractions[:, BURNED].max() == 0
    change = [_nbr(after.pixels[i]) - _nbr(before.pixels[i]) for i in burnt]
    assert np.median(change) < -0.15


def test_a_flood_between_two_looks_darkens_the_radar() -> None:
    before, after = make_pairs(30, seed=5, sensor="s1", event="flood")
    flooded = np.flatnonzero(after.fractions[:, FLOODED] > 0.5)
    assert len(flooded) > 4 and before.fractions[:, FLOODED].max() == 0
    change = [np.nanmedian(np.log10(after.pixels[i, 1])) - np.nanmedian(np.log10(before.pixels[i, 1])) for i in flooded]
    assert np.median(change) < -0.25


def test_pairs_without_an_event_show_the_same_covers() -> None:
    before, after = make_pairs(6, seed=5, sensor="s1", event="none")
    assert after.fractions[:, FLOODED:].max() == 0
    assert [a["scene"] for a in before.attributes] == [a["scene"] for a in after.attributes]


def test_biomes_can_be_left_out() -> None:
    chips = make_chips(6, seed=5, sensor="s1", biomes=("boreal",))
    assert {a["biome"] for a in chips.attributes} == {"boreal"}


def test_seasons_of_the_growing_year() -> None:
    assert [season_of(day) for day in (0, 90, 182, 270, 360)] == ["winter", "spring", "summer", "autumn", "winter"]


def _nbr(pixels: np.ndarray) -> float:
    nir, swir2 = np.nanmedian(pixels[NIR]), np.nanmedian(pixels[SWIR2])
    return float((nir - swir2) / (nir + swir2))
