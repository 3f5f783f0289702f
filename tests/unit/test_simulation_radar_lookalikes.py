"""What tells floods from look-alikes in radar, and what no radar sees: snow, shadow, sand, calm lakes, borders."""

from dataclasses import replace

import numpy as np

from simulation.backscatter import RadarView, illuminate, speckle, terrain_db
from simulation.biomes import BIOMES
from simulation.disturbance import NOTHING, Disturbance, floodable
from simulation.fields import FloatArray, pool_for
from simulation.labels import Cover
from simulation.layout import Place
from simulation.radar_beam import Beam
from simulation.radar_noise import receive
from simulation.radar_stands import stands_db
from simulation.radar_terrain import shadow
from simulation.spectra import TRAITS, Conditions, conditions

SHAPE = (120, 120)
POOL = pool_for(0)
ALPINE = next(b for b in BIOMES if b.name == "alpine")
DESERT = next(b for b in BIOMES if b.name == "desert")
SUMMER = conditions(ALPINE, 190, wetness=0.4, snow=0.0, green_shift=0.0)
THAW = conditions(ALPINE, 100, wetness=0.5, snow=1.0, green_shift=0.0)
FROST = conditions(ALPINE, 5, wetness=0.3, snow=1.0, green_shift=0.0)


def _place(*covers: Cover, elevation: FloatArray | None = None, number: int = 16) -> Place:
    """Vertical stripes of regions, taking turns among the covers."""
    rng = np.random.default_rng(1)
    grain, patches = (POOL.draw(rng, kind, SHAPE) for kind in (0, 1))
    traits = rng.random((number, TRAITS)).astype(np.float32)
    regions = (np.indices(SHAPE)[1] * number // SHAPE[1]).astype(np.int32)
    kinds = np.array([covers[i % len(covers)] for i in range(number)], np.uint8)
    flat = np.zeros(SHAPE, np.float32)
    height = flat if elevation is None else elevation
    return Place(ALPINE, "test", regions, kinds, kinds, traits, height, flat, grain, patches)


def _ridge(slope: float) -> FloatArray:
    """A ridge from north to south with both sides of the slope, rise over run."""
    across = 60 - np.abs(np.arange(120, dtype=np.float32) - 60)
    return (across[None, :].repeat(120, axis=0) * np.float32(slope * 10)).astype(np.float32)


def _look(place: Place, now: Conditions, event: Disturbance = NOTHING, beam: Beam | None = None) -> RadarView:
    return illuminate(place, now, event, beam or Beam(), pool=POOL, rng=np.random.default_rng(2))


def _decibel(power: FloatArray) -> FloatArray:
    return np.asarray(10 * np.log10(power.mean(axis=(1, 2))), np.float32)


def _stripes_db(place: Place, now: Conditions, event: Disturbance = NOTHING) -> FloatArray:
    """Mean of each region in VV, decibel."""
    plane = _look(place, now, event, Beam(looks=40.0)).pixels[0]
    return np.asarray(
        10 * np.log10(np.bincount(place.regions.ravel(), weights=plane.ravel()) / np.bincount(place.regions.ravel())),
        np.float32,
    )


def test_thawing_snow_hides_the_parcels_and_dry_snow_does_not() -> None:
    place = _place(Cover.GRASS, Cover.CROPS, Cover.BARE)
    assert _stripes_db(place, THAW).std() < 0.6 * _stripes_db(place, FROST).std()
    assert _look(place, FROST).snow_hidden.mean() > 0.9
    assert _look(place, THAW).snow_hidden.mean() < 0.3


def test_dry_snow_changes_nothing_that_frost_does_not() -> None:
    place = _place(Cover.GRASS, Cover.CROPS)
    bare = _decibel(_look(place, replace(FROST, snow=0.0)).pixels)
    assert np.all(np.abs(_decibel(_look(place, FROST).pixels) - bare) < 0.5)


def test_thawing_snow_is_brighter_than_a_calm_flood_and_leaves_woods_alone() -> None:
    fields, woods = _place(Cover.GRASS), _place(Cover.TREES)
    snow = _decibel(_look(fields, THAW).pixels)
    water = _decibel(_look(fields, SUMMER, Disturbance(water=floodable(fields), wind=0.0)).pixels)
    assert snow[0] > water[0] + 1
    assert np.all(np.abs(_decibel(_look(woods, THAW).pixels) - _decibel(_look(woods, FROST).pixels)) < 3)


def test_lower_ground_thaws_first() -> None:
    height = np.linspace(0, 800, 120, dtype=np.float32)[:, None].repeat(120, axis=1)
    early = conditions(ALPINE, 50, wetness=0.4, snow=1.0, green_shift=0.0)
    plane = _look(_place(Cover.GRASS, elevation=height), early, beam=Beam(terrain=0.0)).pixels[0]
    assert 10 * np.log10(plane[-30:].mean() / plane[:30].mean()) > 1


def test_shadow_falls_to_the_noise_and_folded_slopes_are_brightest() -> None:
    place = _place(Cover.GRASS, elevation=_ridge(2.0))
    beam = Beam(look_azimuth_deg=90.0, terrain=1.0, noise_db=-25.0)
    dark = shadow(place, beam)
    assert dark is not None and dark[:, 70:110].all() and not dark[:, :55].any()
    power = _look(place, SUMMER, beam=beam).pixels
    assert abs(10 * np.log10(power[0, :, 75:105].mean()) + 25) < 2
    gentle = _look(_place(Cover.GRASS, elevation=_ridge(0.2)), SUMMER, beam=beam).pixels
    assert power[0, :, 20:50].mean() > 2 * gentle[0, :, 20:50].mean()
    assert shadow(_place(Cover.GRASS, elevation=_ridge(0.2)), beam) is None


def test_the_other_pass_throws_its_shadow_to_the_other_side() -> None:
    dark = shadow(_place(Cover.GRASS, elevation=_ridge(2.0)), Beam(look_azimuth_deg=270.0))
    assert dark is not None and dark[:, 15:50].all() and not dark[:, 65:].any()


def test_the_step_at_a_shore_is_no_cliff() -> None:
    height = np.full(SHAPE, 40, np.float32)
    height[:, :60] = 0
    beam = Beam(look_azimuth_deg=270.0, terrain=1.0)
    shore, cliff = (_place(cover, Cover.GRASS, elevation=height, number=2) for cover in (Cover.WATER, Cover.BARE))
    assert np.abs(terrain_db(cliff, beam)).max() > 6
    assert shadow(cliff, beam) is not None
    effect = terrain_db(shore, beam)
    assert np.abs(effect[:, :50]).max() < 0.5
    assert np.abs(effect).max() < 4
    assert shadow(shore, beam) is None


def test_a_full_correction_leaves_no_slope() -> None:
    effect = terrain_db(_place(Cover.GRASS, elevation=_ridge(0.3)), Beam(look_azimuth_deg=90.0, terrain=0.0))
    assert np.abs(effect).max() < 1e-4


def test_sand_is_as_dark_as_water_and_rock_is_bright() -> None:
    place = _place(Cover.BARE, number=400)
    now = conditions(DESERT, 190, wetness=0.1, snow=0.0, green_shift=0.0)
    levels = stands_db(replace(place, biome=DESERT), now, Beam())
    assert np.percentile(levels[:, 0], 5) < -17
    assert np.percentile(levels[:, 0], 95) > -11.5
    assert 7 < (levels[:, 0] - levels[:, 1]).mean() < 12


def test_towns_are_heavy_tailed_and_water_is_pure_speckle() -> None:
    variation = {}
    for cover in (Cover.WATER, Cover.TREES, Cover.BUILT):
        power = _look(_place(cover, number=1), SUMMER, beam=Beam(wind=0.0, noise_db=-40.0)).pixels[0]
        variation[cover] = float(power.std() / power.mean())
    assert 0.40 < variation[Cover.WATER] < 0.58
    assert variation[Cover.WATER] < variation[Cover.TREES] < variation[Cover.BUILT]


def test_flooded_land_keeps_its_pattern_and_a_lake_has_none() -> None:
    fields, lake = _place(Cover.GRASS), _place(Cover.WATER)
    event = Disturbance(water=floodable(fields), wind=0.0)
    beam = Beam(looks=40.0, wind=0.0, noise_db=-35.0)
    flood, calm = _look(fields, SUMMER, event, beam).pixels[0], _look(lake, SUMMER, beam=beam).pixels[0]
    assert flood.std() / flood.mean() > 2 * calm.std() / calm.mean()
    assert np.median(flood) < 2 * np.median(calm)


def test_wet_soil_hides_a_burn_in_vv() -> None:
    place, event = _place(Cover.TREES), Disturbance(severity=np.ones(SHAPE, np.float32))
    change = {}
    for wetness in (0.1, 0.9):
        now = replace(SUMMER, wetness=wetness)
        change[wetness] = _decibel(_look(place, now, event).pixels) - _decibel(_look(place, now).pixels)
    assert change[0.9][0] > change[0.1][0] + 0.8
    assert change[0.1][1] < -2


def test_interference_brightens_whole_lines_and_borders_are_darker_than_noise() -> None:
    signal = np.full((2, *SHAPE), 0.01, np.float32)
    plain, striped, edged = (
        receive(signal.copy(), beam, None, pool=POOL, rng=np.random.default_rng(4))
        for beam in (Beam(), Beam(stripes=6.0), Beam(border=0.25))
    )
    gain = 10 * np.log10(striped.mean(axis=2) / plain.mean(axis=2))
    assert 0.02 < (gain > 3).mean() < 0.35
    assert 10 * np.log10(edged[:, :, :30].mean()) < -32
    assert edged[:, :, 40:].mean() > 0.005


def test_noise_has_the_looks_of_the_product() -> None:
    for looks in (4.4, 12.0):
        plane = speckle(POOL, np.random.default_rng(7), SHAPE, looks)
        assert abs(plane.mean() ** 2 / plane.var() / looks - 1) < 0.25
