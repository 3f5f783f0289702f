"""Fires that spread and floods that rise and fall: wind, slope, breaks, and what the clock does to both."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from simulation.events import RECESSION_DAYS, Fire, Flood, travel_time

CALM = (0.0, 0.0)
EAST = (0.0, 1.0)
CENTRE = (15, 15)
STARTED = datetime(2025, 8, 1, 12, tzinfo=UTC)


def _arrival(
    *, wind: tuple[float, float] = CALM, load: np.ndarray | None = None, terrain: np.ndarray | None = None
) -> np.ndarray:
    flat = np.zeros((31, 31), np.float32)
    fuel = np.ones((31, 31), np.float32) if load is None else load
    return travel_time(fuel, flat if terrain is None else terrain, wind_toward=wind, start=CENTRE, share=1.0)


def test_a_fire_without_wind_or_slope_spreads_alike_in_all_directions() -> None:
    arrival = _arrival()
    assert arrival[CENTRE] == 0
    assert [arrival[15, 5], arrival[25, 15], arrival[5, 15]] == pytest.approx([arrival[15, 25]] * 3)
    assert arrival[15, 25] > arrival[15, 20] > arrival[15, 16]


def test_a_fire_runs_with_the_wind_and_backs_against_it() -> None:
    arrival = _arrival(wind=EAST)
    head, flank, back = arrival[15, 25], arrival[25, 15], arrival[15, 5]
    assert head < flank < back


def test_a_fire_runs_uphill() -> None:
    rising_to_the_south = np.repeat(np.arange(31, dtype=np.float32)[:, None] * 8, 31, axis=1)
    arrival = _arrival(terrain=rising_to_the_south)
    assert arrival[25, 15] < 0.7 * arrival[5, 15]


def test_a_break_without_fuel_delays_what_lies_behind_it() -> None:
    load = np.ones((31, 31), np.float32)
    load[:, 20:22] = 0.02
    broken, open_land = _arrival(load=load), _arrival()
    assert broken[15, 25] > 5 * open_land[15, 25]
    assert broken[15, 5] == open_land[15, 5]


def test_ground_that_the_front_is_not_followed_to_burns_last() -> None:
    load, terrain = np.ones((31, 31), np.float32), np.zeros((31, 31), np.float32)
    arrival = travel_time(load, terrain, wind_toward=CALM, start=CENTRE, share=0.25)
    reached = arrival < arrival.max()
    assert 0.2 < reached.mean() < 0.3
    assert arrival.max() == pytest.approx(1.5 * arrival[reached].max())


def test_a_scar_has_no_age_before_the_fire() -> None:
    fire = Fire(STARTED, np.ones((2, 2), np.float32))
    assert fire.age_days(STARTED - timedelta(days=2)) == -2
    assert fire.age_days(STARTED + timedelta(hours=12)) == 0.5


@pytest.fixture
def flood() -> Flood:
    height = np.linspace(0, 4, 100, dtype=np.float32).reshape(10, 10)
    return Flood(STARTED, height, level=1.0, share=np.ones((10, 10), np.float32), turbidity=0.9)


def test_no_water_stands_before_the_flood_or_long_after_it(flood: Flood) -> None:
    assert flood.water(STARTED - timedelta(minutes=1)) is None
    assert flood.water(STARTED + timedelta(days=8 + 1.1 * RECESSION_DAYS)) is None


def test_water_lies_below_its_level_and_goes_down_after_eight_days(flood: Flood) -> None:
    peak, standing, falling = (flood.water(STARTED + timedelta(days=days)) for days in (0, 8, 20))
    assert peak is not None and standing is not None and falling is not None
    assert np.array_equal(peak, standing)
    assert peak.dtype == np.float32 and peak.min() == 0 and peak.max() == 1
    assert flood.height[peak > 0].max() < 1.0
    assert 0 < (falling > 0).sum() < (peak > 0).sum()
    assert not (falling > peak).any()


def test_ground_that_cannot_become_open_water_stays_dry() -> None:
    share = np.array([[1.0, 0.0]], np.float32)
    water = Flood(STARTED, np.zeros((1, 2), np.float32), 1.0, share, 0.5).water(STARTED)
    assert water is not None and water.tolist() == [[1.0, 0.0]]


def test_half_the_load_settles_in_five_days(flood: Flood) -> None:
    assert flood.turbidity_at(STARTED) == pytest.approx(0.9)
    assert flood.turbidity_at(STARTED + timedelta(days=5)) == pytest.approx(0.2 + 0.35)
    assert flood.turbidity_at(STARTED + timedelta(days=100)) == pytest.approx(0.2, abs=1e-3)
