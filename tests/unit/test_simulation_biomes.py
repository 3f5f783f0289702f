"""Landscapes: training never sees the ones held out, and each lies somewhere on Earth."""

import numpy as np
import pytest

from simulation.biomes import ALL_BIOMES, BIOMES, HELD_OUT_BIOMES, Biome, draw_lon_lat
from simulation.chips import make_chips
from simulation.scenes import SCENES


def test_held_out_biomes_are_never_drawn_for_training() -> None:
    seen = {str(facts["biome"]) for facts in make_chips(60, seed=3, sensor="s2").attributes}
    assert len(BIOMES) == 8 and len(HELD_OUT_BIOMES) == 4
    assert seen <= {biome.name for biome in BIOMES} and not seen & set(HELD_OUT_BIOMES)


@pytest.mark.parametrize("sensor", ["s2", "s1"])
def test_held_out_biomes_can_be_drawn_by_name(sensor) -> None:
    chips = make_chips(24, seed=3, sensor=sensor, biomes=HELD_OUT_BIOMES)
    assert {str(facts["biome"]) for facts in chips.attributes} == set(HELD_OUT_BIOMES)
    assert {str(facts["scene"]) for facts in chips.attributes} <= set(SCENES)
    assert np.nanmin(chips.pixels) > 0 and any(chips.labels)


@pytest.mark.parametrize("biome", ALL_BIOMES, ids=lambda biome: biome.name)
def test_a_biome_has_ground_plants_and_a_home(biome: Biome) -> None:
    for odds in (biome.trees, biome.soils, biome.shrubs):
        assert odds and all(share > 0 for _, share in odds)
    assert sum(share for _, share in biome.waters) <= 1
    assert 0 <= biome.summer_green <= 1 and 0 <= biome.winter_green <= 1
    rng = np.random.default_rng(0)
    for longitude, latitude in (draw_lon_lat(biome, rng) for _ in range(50)):
        assert any(
            west <= longitude <= east and south <= latitude <= north for west, south, east, north in biome.regions
        )


def test_boxes_are_drawn_by_area() -> None:
    two = Biome("two", BIOMES[0].trees, BIOMES[0].soils, 1, 1, 0, 1, 1, regions=((0, 0, 3, 1), (50, 60, 53, 61)))
    rng = np.random.default_rng(0)
    south = np.mean([draw_lon_lat(two, rng)[1] < 30 for _ in range(2000)])
    assert 0.62 < south < 0.71  # cos 60.5 degrees is 0.49: two thirds lie on the equator
