"""A place's own materials: persistent, different between places, still what they are called."""

import numpy as np

from simulation.biomes import ALL_BIOMES, BIOMES
from simulation.endmembers import BURNT, LEAVES, SNOWS, SOILS, SPECTRA, WATERS, Material
from simulation.labels import S2_BANDS
from simulation.spectra import TRAITS
from simulation.varieties import BASIS, variants

BLUE, RED, NIR, SWIR1, SWIR2 = (S2_BANDS.index(b) for b in ("B02", "B04", "B08", "B11", "B12"))


def _tables(count: int) -> np.ndarray:
    rng = np.random.default_rng(8)
    places = rng.random((count, 3, TRAITS)).astype(np.float32)
    return np.stack([variants(traits, ALL_BIOMES[i % len(ALL_BIOMES)]) for i, traits in enumerate(places)])


def test_a_place_keeps_its_materials_whatever_its_weather_and_its_later_regions() -> None:
    traits = np.random.default_rng(1).random((5, TRAITS)).astype(np.float32)
    first = variants(traits, BIOMES[0])
    changed = traits.copy()
    changed[:, :8], changed[1:] = 0.5, 0.1
    assert np.array_equal(first, variants(changed, BIOMES[0]))
    assert first.shape == SPECTRA.shape and first.dtype == np.float32


def test_two_places_do_not_share_a_soil() -> None:
    tables = _tables(60)
    spread = np.log(tables[:, Material.SOIL_BROWN]).std(axis=0)
    assert np.all(spread > 0.15) and np.all(spread < 0.6)
    ratio = tables[:, Material.SOIL_BROWN, SWIR2] / tables[:, Material.SOIL_BROWN, NIR]
    assert ratio.std() / ratio.mean() > 0.08


def test_the_mean_variety_is_near_the_published_spectrum() -> None:
    middle = np.median(_tables(200), axis=0)
    rows = [
        Material.BROADLEAF,
        Material.SOIL_RED,
        Material.SAND,
        Material.CHAR,
        Material.OLD_SNOW,
        Material.TURBID_WATER,
    ]
    assert np.abs(np.log(middle[rows] / SPECTRA[rows])).max() < 0.15


def test_varieties_stay_what_they_are() -> None:
    tables = _tables(150)
    assert tables.min() >= 0.0005 and tables.max() <= 0.98
    assert np.all(tables[:, list(LEAVES), NIR] > 1.3 * tables[:, list(LEAVES), RED])
    assert np.all(tables[:, list(WATERS), SWIR1] < 0.05)
    assert np.all(tables[:, list(SNOWS), BLUE] > 2 * tables[:, list(SNOWS), SWIR2])
    assert np.mean(tables[:, list(SOILS), SWIR2] > tables[:, list(SOILS), BLUE]) > 0.9
    assert np.mean(tables[:, list(BURNT[:2]), SWIR2] > tables[:, list(BURNT[:2]), NIR]) == 1


def test_every_shape_is_finite_and_different() -> None:
    shapes = np.stack(list(BASIS.values()))
    assert np.isfinite(shapes).all() and np.linalg.matrix_rank(shapes) >= 11
