"""Radar: orders and levels that published gamma naught statistics show."""

import numpy as np

from simulation.backscatter import Beam, illuminate, speckle, terrain_db
from simulation.biomes import BIOMES
from simulation.disturbance import NOTHING, Disturbance, floodable
from simulation.fields import pool_for
from simulation.labels import Cover
from simulation.layout import Place
from simulation.spectra import TRAITS, conditions

SHAPE = (120, 120)
POOL = pool_for(0)
BIOME = next(b for b in BIOMES if b.name == "temperate")
NOW = conditions(BIOME, 190, wetness=0.4, snow=0.0, green_shift=0.0)


def _place(cover: Cover, elevation: np.ndarray | None = None) -> Place:
    rng = np.random.default_rng(1)
    grain, patches = (POOL.draw(rng, kind, SHAPE) for kind in (0, 1))
    traits = np.full((16, TRAITS), 0.5, np.float32) + np.linspace(-0.3, 0.3, 16, dtype=np.float32)[:, None]
    regions = (np.indices(SHAPE).sum(axis=0) // 15 % 16).astype(np.int32)
    flat = np.zeros(SHAPE, np.float32)
    covers = np.full(16, cover, np.uint8)
    return Place(
        BIOME, "test", regions, covers, covers, traits, flat if elevation is None else elevation, flat, grain, patches
    )


def _decibel(place: Place, event: Disturbance = NOTHING, beam: Beam | None = None) -> np.ndarray:
    power = illuminate(place, NOW, event, beam or Beam(), pool=POOL, rng=np.random.default_rng(2)).pixels
    assert power.dtype == np.float32 and power.shape == (2, *SHAPE) and power.min() > 0
    return 10 * np.log10(power.mean(axis=(1, 2)))


def test_water_is_dark_town_is_bright_and_forest_between() -> None:
    water, trees, town = (_decibel(_place(c)) for c in (Cover.WATER, Cover.TREES, Cover.BUILT))
    assert water[0] < -16 and water[1] < -24
    assert -10 < trees[0] < -6 and -16.5 < trees[1] < -11.5
    assert town[0] > trees[0] + 1


def test_cross_polarisation_is_below_copolarisation() -> None:
    for cover in Cover:
        vv, vh = _decibel(_place(cover))
        assert 2 < vv - vh < 13, cover


def test_a_flood_darkens_fields_and_brightens_forest() -> None:
    for cover, darker in ((Cover.CROPS, True), (Cover.GRASS, True), (Cover.TREES, False)):
        place = _place(cover)
        event = Disturbance(water=floodable(place), wind=0.1)
        change = _decibel(place, event) - _decibel(place)
        if darker:
            assert change[0] < -5 and change[1] < -4, cover
        else:
            assert 0.8 < change[0] < 4, cover


def test_wind_roughens_water_more_in_vv() -> None:
    calm, windy = (_decibel(_place(Cover.WATER), beam=Beam(wind=w)) for w in (0.0, 1.0))
    assert windy[0] - calm[0] > 4
    assert windy[0] - calm[0] > windy[1] - calm[1] + 2


def test_a_burn_lowers_vh_of_woods() -> None:
    place = _place(Cover.TREES)
    change = _decibel(place, Disturbance(severity=np.ones(SHAPE, np.float32))) - _decibel(place)
    assert -5 < change[1] < -2 and change[1] < change[0]


def test_noise_floor_hides_the_darkest_water() -> None:
    quiet, loud = (_decibel(_place(Cover.WATER), beam=Beam(wind=0, noise_db=n))[1] for n in (-40.0, -22.0))
    assert quiet < loud < -19


def test_slopes_that_face_the_radar_are_brighter() -> None:
    ridge = 200 - np.abs(np.arange(120, dtype=np.float32) - 60)[None, :].repeat(120, axis=0) * 3
    effect = terrain_db(_place(Cover.GRASS, ridge.astype(np.float32)), Beam(look_azimuth_deg=90.0, terrain=1.0))
    assert effect[:, 20:50].mean() > 1 > -1 > effect[:, 70:100].mean()


def test_more_looks_are_smoother() -> None:
    few, many = (speckle(POOL, np.random.default_rng(0), SHAPE, looks) for looks in (4.4, 30.0))
    assert few.var() > 4 * many.var()


def test_snow_that_thaws_is_darker_than_dry_snow() -> None:
    place = _place(Cover.SNOW)
    cold, warm = (
        illuminate(
            place,
            conditions(BIOME, day, wetness=0.4, snow=0.0, green_shift=0.0),
            NOTHING,
            Beam(),
            pool=POOL,
            rng=np.random.default_rng(2),
        ).pixels.mean()
        for day in (5, 120)
    )
    assert 10 * np.log10(cold / warm) > 3


def test_a_flood_under_trees_and_over_dark_ground_does_not_count_as_visible() -> None:
    flood = {c: Disturbance(water=floodable(_place(c)), wind=0.1) for c in (Cover.CROPS, Cover.TREES)}
    seen = {
        cover: illuminate(_place(cover), NOW, event, Beam(), pool=POOL, rng=np.random.default_rng(2)).flood_visible
        for cover, event in flood.items()
    }
    assert seen[Cover.CROPS].mean() > 0.9 and seen[Cover.TREES].mean() < 0.05
