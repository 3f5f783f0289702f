"""Radar effects one by one: snow, fire, floods, marshes, relief, noise, and what the labels may ask of them."""

import numpy as np
import pytest

from simulation.backscatter import Beam, RadarView, illuminate, stands_db
from simulation.biomes import BIOMES, Biome
from simulation.chips import make_chips
from simulation.disturbance import NOTHING, Disturbance, floodable
from simulation.fields import pool_for
from simulation.labels import BURNED, FLOODED, Cover
from simulation.layout import Place
from simulation.radar_noise import BORDER_POWER
from simulation.radar_scatterers import hedges
from simulation.radar_terrain import shadow, terrain_db
from simulation.spectra import TRAITS, Conditions, conditions

SHAPE = (120, 120)
POOL = pool_for(0)


def _biome(name: str) -> Biome:
    return next(b for b in BIOMES if b.name == name)


def _day(biome: str, day: float, wetness: float = 0.4, snow: float = 0.0) -> Conditions:
    return conditions(_biome(biome), day, wetness=wetness, snow=snow, green_shift=0.0)


def _place(cover: Cover, biome: str = "temperate", elevation: np.ndarray | None = None, **traits: float) -> Place:
    rng = np.random.default_rng(1)
    grain, patches = (POOL.draw(rng, kind, SHAPE) for kind in (0, 1))
    table = np.full((16, TRAITS), 0.5, np.float32)
    for column, value in traits.items():
        table[:, int(column.removeprefix("t"))] = value
    regions = (np.indices(SHAPE).sum(axis=0) // 15 % 16).astype(np.int32)
    flat = np.zeros(SHAPE, np.float32)
    ground = flat if elevation is None else elevation.astype(np.float32)
    covers = np.full(16, cover, np.uint8)
    return Place(_biome(biome), "test", regions, covers, covers, table, ground, flat, grain, patches)


def _look(place: Place, now: Conditions, event: Disturbance = NOTHING, beam: Beam | None = None) -> RadarView:
    return illuminate(place, now, event, beam or Beam(), pool=POOL, rng=np.random.default_rng(2))


def _decibel(view: RadarView) -> np.ndarray:
    mean: np.ndarray = 10 * np.log10(view.pixels.mean(axis=(1, 2)))
    return mean


def test_dry_snow_is_transparent_and_hidden() -> None:
    place = _place(Cover.GRASS, "boreal", t9=0.9)
    dry, without = (_look(place, _day("boreal", 2, wetness=0.3, snow=s)) for s in (1.0, 0.0))
    assert np.abs(_decibel(dry) - _decibel(without)).max() < 0.5
    assert dry.snow_hidden.mean() > 0.95 and without.snow_hidden.max() == 0


@pytest.mark.parametrize("cover", [Cover.GRASS, Cover.CROPS, Cover.BARE])
def test_wet_snow_is_darker_and_seen(cover: Cover) -> None:
    place = _place(cover, t9=0.9)
    wet, without = (_look(place, _day("temperate", 80, wetness=0.7, snow=s)) for s in (1.0, 0.0))
    assert (_decibel(wet) - _decibel(without)).mean() < -2.5
    assert wet.snow_hidden.mean() < 0.1


def test_wet_snow_makes_open_covers_alike() -> None:
    covers = (Cover.GRASS, Cover.CROPS, Cover.BARE)
    bare, snowy = (
        np.array([_decibel(_look(_place(c, t9=0.9), _day("temperate", 80, wetness=0.7, snow=s))) for c in covers])
        for s in (0.0, 1.0)
    )
    assert np.ptp(snowy, axis=0).max() < 0.6 * np.ptp(bare, axis=0).max()


def test_low_ground_melts_first() -> None:
    slope = np.linspace(0, 900, 120)[:, None].repeat(120, axis=1)
    view = _look(_place(Cover.GRASS, "boreal", slope, t9=0.9), _day("boreal", 30, wetness=0.5, snow=1.0))
    assert view.snow_hidden[80:].mean() > view.snow_hidden[:40].mean() + 0.3


def test_cold_firn_is_bright_and_wet_firn_dark_and_both_are_seen() -> None:
    place = _place(Cover.SNOW, "alpine")
    cold, wet = (_look(place, _day("alpine", day)) for day in (5, 180))
    assert _decibel(cold)[0] > -8 and _decibel(wet)[0] < -14
    assert cold.snow_hidden.mean() < 0.1 and wet.snow_hidden.mean() < 0.2


def test_bare_ice_may_be_mistaken_for_ground_and_is_not_demanded() -> None:
    assert _look(_place(Cover.SNOW, "alpine", t1=0.9), _day("alpine", 5)).snow_hidden.mean() > 0.8


def test_a_burn_widens_the_gap_between_vv_and_vh() -> None:
    place, now = _place(Cover.TREES), _day("temperate", 190)
    burnt, intact = (
        _decibel(_look(place, now, e)) for e in (Disturbance(severity=np.ones(SHAPE, np.float32)), NOTHING)
    )
    assert (burnt[0] - burnt[1]) - (intact[0] - intact[1]) > 1.5


def test_steep_beams_and_closed_scrub_show_a_burn_better() -> None:
    event, now = Disturbance(severity=np.full(SHAPE, 0.8, np.float32)), _day("mediterranean", 210, wetness=0.3)
    closed, now_arid = _place(Cover.SHRUB, "mediterranean", t1=0.9), _day("desert", 210, wetness=0.3)
    assert _look(closed, now, event).burn_visible.mean() > 0.9
    assert _look(_place(Cover.SHRUB, "desert", t1=0.2), now_arid, event).burn_visible.mean() == 0
    steep, shallow = (
        _decibel(_look(closed, now, event, Beam(incidence_deg=i)))[1]
        - _decibel(_look(closed, now, beam=Beam(incidence_deg=i)))[1]
        for i in (30, 45)
    )
    assert steep < shallow - 0.3


def test_burnt_grass_is_never_demanded() -> None:
    event = Disturbance(severity=np.ones(SHAPE, np.float32))
    assert _look(_place(Cover.GRASS, "savanna"), _day("savanna", 60), event).burn_visible.max() == 0


def test_tall_crops_in_water_bounce_twice_instead_of_darkening() -> None:
    now = _day("temperate", 150)
    tall, open_field = (_place(Cover.CROPS, t2=0.2, t8=value) for value in (0.9, 0.5))
    change, seen = [], []
    for place in (tall, open_field):
        view = _look(place, now, Disturbance(water=floodable(place), wind=0.1))
        change.append(_decibel(view)[0] - _decibel(_look(place, now))[0])
        seen.append(float(view.flood_visible.mean()))
    assert change[0] > 1 and seen[0] < 0.1
    assert change[1] < -5 and seen[1] > 0.9


def test_flooded_land_keeps_hedges_that_a_lake_does_not_have() -> None:
    hedged, lake = _place(Cover.GRASS, t7=0.9), _place(Cover.WATER, t7=0.9)
    assert 0.01 < hedges(hedged).mean() < 0.15
    assert hedges(lake).sum() == 0 and hedges(_place(Cover.GRASS, t7=0.3)).sum() == 0
    now, smooth = _day("temperate", 190), Beam(looks=40.0)
    flood = _look(hedged, now, Disturbance(water=floodable(hedged), wind=0.1), smooth).pixels[0]
    calm = _look(lake, now, beam=Beam(looks=40.0, wind=0.1)).pixels[0]
    assert flood.std() / flood.mean() > 2 * calm.std() / calm.mean()


def test_a_marsh_is_a_mosaic_with_a_wide_gap_between_vv_and_vh() -> None:
    now, beam = _day("temperate", 190), Beam(looks=40.0)
    marsh, grass = (_look(_place(c), now, beam=beam).pixels for c in (Cover.FLOODED_VEGETATION, Cover.GRASS))
    gap = [10 * np.log10(np.median(p[0]) / np.median(p[1])) for p in (marsh, grass)]
    assert gap[0] > gap[1] + 1
    assert marsh[0].std() / marsh[0].mean() > 1.5 * grass[0].std() / grass[0].mean()


def test_rows_square_to_the_beam_are_brighter_in_vv() -> None:
    now = _day("temperate", 20)
    square, along = (stands_db(_place(Cover.CROPS, t2=0.7, t9=t / 180), now, Beam()) for t in (80, 170))
    assert 2 < (square - along)[:, 0].mean() < 4 and (square - along)[:, 1].mean() < 2


def test_frozen_soil_is_darker() -> None:
    cold, mild = (stands_db(_place(Cover.BARE, "boreal"), _day("boreal", day), Beam()).mean() for day in (2, 120))
    assert 1 < mild - cold < 4


def _ridge(height_m: float) -> np.ndarray:
    across = np.abs(np.arange(120, dtype=np.float32) - 60)
    return np.clip(1 - across / 12, 0, None)[None, :].repeat(120, axis=0) * height_m


def test_shadow_falls_behind_a_ridge_and_not_before_it() -> None:
    place = _place(Cover.GRASS, elevation=_ridge(250))
    east, west = (shadow(place, Beam(incidence_deg=44, look_azimuth_deg=a)) for a in (90.0, 270.0))
    assert east is not None and west is not None
    assert east[:, 62:72].all() and not east[:, :60].any()
    assert west[:, 49:59].all() and not west[:, 61:].any()
    assert shadow(_place(Cover.GRASS, elevation=_ridge(40)), Beam()) is None


def test_shadow_shows_only_noise() -> None:
    place = _place(Cover.TREES, elevation=_ridge(250))
    beam = Beam(incidence_deg=44, look_azimuth_deg=90.0, noise_db=-26)
    pixels = _look(place, _day("temperate", 190), beam=beam).pixels
    assert abs(10 * np.log10(pixels[0, :, 64:70].mean()) + 26) < 2.5
    assert 10 * np.log10(pixels[0, :, :40].mean()) > -11


def test_layover_is_brightest_and_level_water_is_untouched() -> None:
    steep, gentle = (
        terrain_db(_place(Cover.GRASS, elevation=_ridge(h)), Beam(incidence_deg=31, look_azimuth_deg=90.0, terrain=1.0))
        for h in (160, 60)
    )
    assert steep[:, 50:58].mean() > gentle[:, 50:58].mean() + 1
    assert np.abs(terrain_db(_place(Cover.WATER), Beam(terrain=1.0))).max() < 1e-5


def test_border_noise_lies_at_the_near_edge() -> None:
    east, west = (
        _look(_place(Cover.GRASS), _day("temperate", 190), beam=Beam(border=0.1, look_azimuth_deg=a)).pixels
        for a in (80.0, 280.0)
    )
    for pixels, edge, rest in ((east, slice(0, 12), slice(12, None)), (west, slice(108, None), slice(0, 108))):
        assert pixels[:, :, edge].mean() == pytest.approx(float(BORDER_POWER), rel=0.01)
        assert pixels[0, :, rest].mean() > 0.02


def test_a_look_is_repeatable() -> None:
    place, now = _place(Cover.WATER), _day("temperate", 190)
    beam = Beam(stripes=3.0, wind=0.8)
    assert np.array_equal(_look(place, now, beam=beam).pixels, _look(place, now, beam=beam).pixels)


def test_labels_ask_only_for_what_shows() -> None:
    chips = make_chips(220, seed=8, sensor="s1")
    assert np.isfinite(chips.fractions).all() and chips.fractions.min() >= 0
    doubtful = chips.ambiguous
    assert any("Snow and Ice" in names for names in doubtful) and any("Bare" in names for names in doubtful)
    for present, unsure in zip(chips.labels, doubtful, strict=True):
        assert not present & unsure
    dry = [i for i, a in enumerate(chips.attributes) if a["snow"] == 0 and a["scene"] != "ice"]
    assert all("Snow and Ice" not in chips.ambiguous[i] for i in dry)
    for name, column in (("Burned Area", BURNED), ("Flooded Area", FLOODED)):
        happened = {"Burned Area": "burn", "Flooded Area": "flood"}[name]
        assert all(chips.attributes[i]["event"] == happened for i in np.flatnonzero(chips.fractions[:, column]))
