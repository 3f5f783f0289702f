"""Worlds: truth per cell agrees with the pixels, distractors are not events, arrays are what products hold."""

from datetime import timedelta

import numpy as np
import pytest

from schemas.cells import cell_of
from simulation.backscatter import Beam
from simulation.fields import pool_for
from simulation.landscape import make_landscape
from simulation.optics import Sky
from simulation.scenario import FLOOD_DAYS, SEASON, Scenario, demo_scenario
from simulation.world import harvested, permanent_water


@pytest.fixture(scope="module")
def small() -> Scenario:
    return demo_scenario(seed=5, size_km=4)


def _nbr(scenario: Scenario, days: float) -> np.ndarray:
    bands = scenario.world.acquire_s2(SEASON - timedelta(days=days), Sky()).bands
    nir = bands["B08"].astype(np.float32) - 1000
    swir2 = np.kron(bands["B12"], np.ones((2, 2))) - 1000
    return (nir - swir2) / (nir + swir2)


def test_the_grid_is_that_of_the_cells(small: Scenario) -> None:
    cells = small.world.cells()
    assert len(cells) == 16
    west, south, east, north = small.world.bounds
    for name, (rows, columns) in cells.items():
        cell = cell_of(name)
        assert cell.epsg == small.world.site.epsg
        assert cell.bounds[0] == west + columns.start * 10 and cell.bounds[3] == north - rows.start * 10
        inside = cell.window
        assert west <= inside[0] and south <= inside[1] and inside[2] <= east and inside[3] <= north


def test_truth_names_both_events(small: Scenario) -> None:
    fire, flood = small.world.truth()
    assert (fire.kind, flood.kind) == ("burn", "flood")
    assert fire.started < flood.started
    for told in (fire, flood):
        assert told.cells and told.cells <= set(told.shares)
    assert not fire.cells & flood.cells


def test_burnt_cells_are_those_whose_nbr_fell(small: Scenario) -> None:
    fall = _nbr(small, 12) - _nbr(small, 8)
    fall[small.world.landscape.late_fields] = 0  # cut on the very day of the fire
    fire = small.world.truth()[0]
    for name, window in small.world.cells().items():
        changed = float((fall[window] > 0.2).mean())
        if name in fire.cells:
            assert changed > 0.3, name
        elif name not in fire.shares:
            assert changed < 0.3, name


def test_flooded_cells_are_those_that_went_dark(small: Scenario) -> None:
    flood = small.world.truth()[1]
    before, after = (
        10 * np.log10(small.world.acquire_s1(SEASON - timedelta(days=d), Beam(wind=0.2)).bands["VH"])
        for d in (FLOOD_DAYS + 3, FLOOD_DAYS - 3)
    )
    for name, window in small.world.cells().items():
        drop = float(np.median(before[window]) - np.median(after[window]))
        if flood.shares.get(name, 0) > 0.6:
            assert drop > 3, name
        elif name not in flood.shares:
            assert drop < 2.5, name


def test_nothing_has_happened_before_the_events(small: Scenario) -> None:
    event = small.world.disturbance(SEASON - timedelta(days=20))
    assert event.severity is None and event.water is None


def test_the_water_stands_and_then_goes_down(small: Scenario) -> None:
    flood = small.world.floods[0]
    areas = [
        0.0 if (water := flood.water(flood.started + timedelta(days=d))) is None else float((water > 0.3).mean())
        for d in (-1, 0, 7, 20, 200)
    ]
    assert areas[0] == 0 < areas[3] < areas[1] == areas[2] and areas[4] == 0


def test_distractors_are_no_events() -> None:
    world = demo_scenario(size_km=10).world
    hit = {name for told in world.truth() for name in told.cells}
    lake, fields = permanent_water(world), harvested(world)
    assert len(lake) >= 3 and len(fields) >= 4
    assert not hit & lake and not hit & fields
    assert [len(told.cells) >= 8 for told in world.truth()] == [True, True]


def test_harvest_falls_between_the_history_and_the_demo(small: Scenario) -> None:
    late = small.world.landscape.late_fields & small.world.landscape.place.is_cover(4)
    before, after = _nbr(small, 16), _nbr(small, 1)
    assert float(np.median((before - after)[late])) > 0.15


def test_s2_numbers_carry_the_offset_at_native_resolution(small: Scenario) -> None:
    taken = small.world.acquire_s2(SEASON - timedelta(days=20), Sky(cloud_share=0.3))
    side = small.world.landscape.place.shape[0]
    sides = {name: plane.shape[0] for name, plane in taken.bands.items()}
    assert "B10" not in sides and len(sides) == 12
    assert (sides["B02"], sides["B11"], sides["B01"]) == (side, side // 2, side // 6)
    assert all(plane.dtype == np.uint16 and plane.min() > 1000 for plane in taken.bands.values())
    assert taken.scl is not None and taken.scl.shape == (side // 2, side // 2)
    assert {4, 5, 6, 9} <= set(np.unique(taken.scl).tolist())
    assert 12 < taken.cloud_percent < 32


def test_the_same_pass_twice_is_the_same_picture(small: Scenario) -> None:
    planned = small.passes[0]
    one, again = (small.acquire(planned).bands["VV"] for _ in range(2))
    other = small.world.acquire_s1(planned.when + timedelta(days=6), planned.beam).bands["VV"]
    assert np.array_equal(one, again) and not np.allclose(one, other)


def test_the_plan_has_a_history_and_a_cloudy_pass(small: Scenario) -> None:
    plan = small.passes
    assert [p.when for p in plan] == sorted(p.when for p in plan)
    for sensor in ("s1", "s2"):
        past = [p for p in plan if p.sensor == sensor and p.backfill]
        fresh = [p for p in plan if p.sensor == sensor and not p.backfill]
        assert len(past) >= 5 and len(fresh) >= 2
    assert max(p.sky.cloud_share for p in plan if not p.backfill) > 0.7


def test_a_landscape_needs_room() -> None:
    with pytest.raises(ValueError, match="2 km or more"):
        make_landscape(1, 1, pool_for(0))
