"""Places: every scene can be painted, its arrays agree with each other, and it shows what its name says."""

from collections.abc import Callable

import numpy as np
import pytest

from simulation.fields import FieldPool, pool_for
from simulation.labels import LABELS, S1_BANDS, S2_BANDS, S2_GSD_M, S2_WAVELENGTHS_UM, Cover
from simulation.layout import Canvas, Place, coast, lake, natural, parcels, pivots, river, town
from simulation.scenes import SCENES, draw_place
from simulation.spectra import TRAITS

SIDE = (120, 120)


@pytest.fixture(scope="module")
def pool() -> FieldPool:
    return pool_for(5)


def _place(pool: FieldPool, seed: int, scene: str | None) -> Place:
    return draw_place(np.random.default_rng([7, seed]), pool, SIDE, scene, None)


def _canvas(pool: FieldPool, seed: int) -> Canvas:
    rng = np.random.default_rng([9, seed])
    canvas = Canvas(rng, pool, _place(pool, seed, "pasture").biome, SIDE)
    canvas.fill(None, Cover.GRASS)
    return canvas


def _share(place: Place, *covers: Cover) -> float:
    return float(place.is_cover(*covers).mean())


@pytest.mark.parametrize("scene", sorted(SCENES))
def test_every_scene_is_a_consistent_place(pool: FieldPool, scene: str) -> None:
    for seed in range(4):
        place = _place(pool, seed, scene)
        regions = len(place.cover)
        assert place.scene == scene and place.shape == SIDE
        assert place.regions.min() >= 0 and place.regions.max() < regions
        assert place.label.shape == (regions,) and place.traits.shape == (regions, TRAITS)
        assert set(place.cover.tolist()) <= set(Cover) and 0 <= place.traits.min() <= place.traits.max() <= 1
        for layer in (place.elevation_m, place.lowness, place.grain, place.patches):
            assert layer.shape == SIDE and layer.dtype == np.float32 and np.isfinite(layer).all()


@pytest.mark.parametrize(
    ("scene", "cover", "least"),
    [
        ("farmland", Cover.CROPS, 0.25),
        ("forest", Cover.TREES, 0.25),
        ("shrubland", Cover.SHRUB, 0.25),
        ("barren", Cover.BARE, 0.25),
        ("lake", Cover.WATER, 0.1),
        ("ice", Cover.SNOW, 0.25),
        ("wetland", Cover.FLOODED_VEGETATION, 0.25),
    ],
)
def test_scenes_show_what_their_names_say(pool: FieldPool, scene: str, cover: Cover, least: float) -> None:
    assert np.median([_share(_place(pool, seed, scene), cover) for seed in range(12)]) > least


def test_the_same_seed_gives_the_same_place(pool: FieldPool) -> None:
    one, same, other = (_place(pool, seed, None) for seed in (4, 4, 6))
    assert one.scene == same.scene and one.biome is same.biome
    assert np.array_equal(one.regions, same.regions) and np.array_equal(one.elevation_m, same.elevation_m)
    assert not np.array_equal(one.elevation_m, other.elevation_m)


def test_a_scene_is_drawn_when_none_is_named(pool: FieldPool) -> None:
    assert len({_place(pool, seed, None).scene for seed in range(60)}) > 8


def test_natural_covers_keep_their_shares(pool: FieldPool) -> None:
    canvas = _canvas(pool, 1)
    natural(canvas, {Cover.TREES: 0.6, Cover.SHRUB: 0.3, Cover.BARE: 0.1})
    place = canvas.place("forest")
    assert [_share(place, c) for c in (Cover.TREES, Cover.SHRUB, Cover.BARE)] == pytest.approx(
        [0.6, 0.3, 0.1], abs=0.02
    )


def test_parcels_have_one_cover_each_and_stay_inside_their_mask(pool: FieldPool) -> None:
    canvas = _canvas(pool, 2)
    left = np.zeros(SIDE, bool)
    left[:, :60] = True
    parcels(canvas, {Cover.CROPS: 0.7, Cover.BARE: 0.3}, left)
    place = canvas.place("farmland")
    assert _share(place, Cover.GRASS) == 0.5
    assert place.is_cover(Cover.GRASS)[:, 60:].all()
    assert len(np.unique(place.regions[:, :60])) > 3


def test_pivots_are_discs_that_touch_but_do_not_fill_their_squares(pool: FieldPool) -> None:
    canvas = Canvas(np.random.default_rng(3), pool, _place(pool, 3, "pivots").biome, (240, 240))
    canvas.fill(None, Cover.BARE)
    pivots(canvas)
    assert _share(canvas.place("pivots"), Cover.CROPS) == pytest.approx(np.pi * 0.48**2, abs=0.07)


def test_gardens_of_a_town_are_called_built(pool: FieldPool) -> None:
    canvas = _canvas(pool, 4)
    town(canvas, None, 0.6)
    place = canvas.place("town")
    assert ((place.label == Cover.BUILT)[place.regions]).all()
    assert 0.1 < _share(place, Cover.TREES, Cover.GRASS) < 0.6


def test_lakes_cover_their_share_and_lie_level_at_the_bottom(pool: FieldPool) -> None:
    canvas = _canvas(pool, 5)
    lake(canvas, 0.3)
    place = canvas.place("lake")
    water = place.is_cover(Cover.WATER)
    assert water.mean() == pytest.approx(0.3, abs=0.02)
    assert np.ptp(place.elevation_m[water]) == 0 and place.elevation_m[water].max() <= place.elevation_m.min()


@pytest.mark.parametrize("paint", [lake, coast])
def test_land_rises_from_the_shore(pool: FieldPool, paint: Callable[[Canvas, float], None]) -> None:
    canvas = _canvas(pool, 6)
    paint(canvas, 0.4)
    place = canvas.place("lake")
    water = place.is_cover(Cover.WATER)
    assert place.lowness[water].mean() < place.lowness[~water].mean()


def test_a_river_is_as_wide_as_asked_and_crosses_the_land(pool: FieldPool) -> None:
    narrow, wide = _canvas(pool, 8), _canvas(pool, 8)
    river(narrow, 5)
    river(wide, 15)
    shares = [_share(c.place("river"), Cover.WATER) for c in (narrow, wide)]
    assert 0 < shares[0] < shares[1] < 0.5


def test_names_and_band_tables_agree() -> None:
    assert len(LABELS) == len(set(LABELS)) == 12 and len(S1_BANDS) == 2
    assert LABELS[Cover.WATER] == "Water" and LABELS[Cover.SNOW] == "Snow and Ice"
    assert len(S2_BANDS) == len(S2_WAVELENGTHS_UM) == len(S2_GSD_M) == 13
    assert set(S2_GSD_M) == {10, 20, 60}
