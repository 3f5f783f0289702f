"""Reflectance of the ground: orders that every land-cover textbook shows."""

from dataclasses import replace

import numpy as np
import pytest

from simulation.biomes import BIOMES
from simulation.disturbance import burnt_spectra
from simulation.endmembers import SPECTRA, Material
from simulation.labels import LABELS, S2_BANDS, S2_GSD_M, S2_WAVELENGTHS_UM, Cover
from simulation.spectra import SNOW_HELD, TRAITS, conditions, crop_stage, mixture, reflectance, snow_share

GREEN, RED, NIR, SWIR1, SWIR2 = (S2_BANDS.index(b) for b in ("B03", "B04", "B08", "B11", "B12"))
TEMPERATE = next(b for b in BIOMES if b.name == "temperate")
SUMMER = conditions(TEMPERATE, 190, wetness=0.3, snow=0.0, green_shift=0.0)


def _mean(cover: Cover, now=SUMMER, regions: int = 300) -> np.ndarray:
    covers = np.full(regions, cover, np.uint8)
    traits = np.random.default_rng(0).random((regions, TRAITS)).astype(np.float32)
    return reflectance(mixture(covers, traits, now), traits, now.wetness).mean(axis=0)


def _ratio(spectrum: np.ndarray, plus: int, minus: int) -> float:
    return float((spectrum[plus] - spectrum[minus]) / (spectrum[plus] + spectrum[minus]))


def test_tables_have_a_row_per_name() -> None:
    assert SPECTRA.shape == (len(Material), len(S2_BANDS)) == (53, 13)
    assert len(S2_WAVELENGTHS_UM) == len(S2_GSD_M) == 13
    assert len(LABELS) == 12 and LABELS[Cover.SHRUB] == "Shrub and Scrub"
    assert set(SNOW_HELD) == set(Cover)
    assert SPECTRA.min() > 0 and SPECTRA.max() < 1


def test_ndvi_falls_from_forest_to_grass_to_bare_to_water() -> None:
    ndvi = [_ratio(_mean(c), NIR, RED) for c in (Cover.TREES, Cover.GRASS, Cover.BARE, Cover.WATER)]
    assert ndvi == sorted(ndvi, reverse=True)
    assert ndvi[0] > 0.7 and 0.05 < ndvi[2] < 0.35 and ndvi[3] < 0


def test_water_is_dark_beyond_the_visible_and_snow_is_bright_but_not_in_the_shortwave() -> None:
    water, snow = _mean(Cover.WATER), _mean(Cover.SNOW)
    assert water[SWIR1] < 0.02 and _ratio(water, GREEN, NIR) > 0.2
    assert snow[GREEN] > 0.5 and _ratio(snow, GREEN, SWIR1) > 0.6


def test_leaves_fall_in_winter_and_grass_dries_in_a_mediterranean_summer() -> None:
    winter = conditions(TEMPERATE, 5, wetness=0.3, snow=0.0, green_shift=0.0)
    assert _ratio(_mean(Cover.TREES, winter), NIR, RED) < _ratio(_mean(Cover.TREES), NIR, RED) - 0.1
    dry = next(b for b in BIOMES if b.name == "mediterranean")
    july, march = (conditions(dry, day, wetness=0.2, snow=0.0, green_shift=0.0) for day in (210, 80))
    assert _ratio(_mean(Cover.GRASS, july), NIR, RED) < _ratio(_mean(Cover.GRASS, march), NIR, RED) - 0.2


def test_wet_soil_is_darker() -> None:
    wet = conditions(TEMPERATE, 190, wetness=0.95, snow=0.0, green_shift=0.0)
    assert np.all(_mean(Cover.BARE, wet) < _mean(Cover.BARE))


def test_winter_grain_is_cut_before_summer_crops() -> None:
    traits = np.full((2, TRAITS), 0.5, np.float32)
    traits[:, 2], traits[:, 5] = (0.1, 0.9), 0.0
    june, september = (crop_stage(traits, replace(SUMMER, day=day))[0] for day in (150.0, 215.0))
    assert june[0] > 0.6
    assert september[1] > 0.8 and september[0] < 0.1


def test_mixtures_sum_to_one_under_any_sky() -> None:
    rng = np.random.default_rng(3)
    covers = rng.integers(0, len(Cover), 400).astype(np.uint8)
    traits = rng.random((400, TRAITS)).astype(np.float32)
    for biome in BIOMES:
        now = conditions(biome, float(rng.uniform(0, 365)), wetness=0.5, snow=0.7, green_shift=-0.2)
        shares = mixture(covers, traits, now)
        assert np.allclose(shares.sum(axis=1), 1, atol=1e-5) and shares.min() >= 0
        assert np.isfinite(reflectance(shares, traits, now.wetness)).all()


def test_snow_hides_grass_more_than_forest() -> None:
    now = conditions(TEMPERATE, 10, wetness=0.3, snow=1.0, green_shift=0.0)
    traits = np.full((2, TRAITS), 0.5, np.float32)
    grass, trees = snow_share(np.array([Cover.GRASS, Cover.TREES], np.uint8), traits, now)
    assert grass > 0.9 and trees < 0.5


@pytest.mark.parametrize("cover", [Cover.TREES, Cover.SHRUB, Cover.GRASS])
def test_a_burn_lowers_nir_and_nbr(cover: Cover) -> None:
    before = _mean(cover)
    burnt, _ = burnt_spectra(5.0, 0.5, 0.2, SPECTRA[Material.SOIL_BROWN])
    assert burnt[NIR] < 0.6 * before[NIR]
    assert _ratio(before, NIR, SWIR2) - _ratio(burnt, NIR, SWIR2) > 0.27  # dNBR of moderate severity, Key and Benson
    assert burnt[SWIR2] > burnt[NIR]


def test_char_fades_into_soil_with_age() -> None:
    soil = SPECTRA[Material.SOIL_LIGHT]
    fresh, old = (burnt_spectra(age, 0.5, 0.0, soil)[0] for age in (1.0, 900.0))
    assert np.abs(old - soil).sum() < np.abs(fresh - soil).sum()
