"""Fronts run with the wind and uphill, and stop where nothing burns."""

import numpy as np
import pytest

from simulation.fields import FieldPool
from simulation.fire import FAR, Wind, arrival, run


@pytest.fixture(scope="module")
def pool() -> FieldPool:
    return FieldPool(3)


def _even(value: float = 1.0) -> np.ndarray:
    return np.full((31, 31), value, np.float32)


def test_a_calm_fire_on_level_ground_is_a_circle() -> None:
    times = arrival(_even(), _even(0), Wind(0, 1.0), (15, 15))
    rows, columns = np.indices(times.shape)
    distance = np.hypot(rows - 15, columns - 15)
    near = (distance > 5) & (distance < 14)
    assert np.abs(times[near] / distance[near] - 1).max() < 0.06


def test_wind_draws_an_ellipse_with_its_length_to_breadth() -> None:
    times = arrival(_even(), _even(0), Wind(90, 3.0), (15, 8))
    inside = np.argwhere(times < 16)
    length = np.ptp(inside[:, 1]) + 1
    breadth = np.ptp(inside[:, 0]) + 1
    assert 2.0 < length / breadth < 4.5  # discretised: 3 cells of breadth are 2 to 4
    assert inside[:, 1].max() - 8 > 2 * (8 - inside[:, 1].min())  # it ran east, where the wind blows to
    assert times[15, 12] < times[15, 4]


def test_uphill_is_faster_than_downhill() -> None:
    slope = np.repeat(np.arange(31, dtype=np.float32)[None] * 16, 31, axis=0)  # 40 %, rising to the east
    times = arrival(_even(), slope, Wind(0, 1.0), (15, 15))
    assert times[15, 25] < 0.8 * times[15, 5]


def test_a_river_holds_the_front() -> None:
    fuel = _even()
    fuel[:, 18:21] = 0
    times = arrival(fuel, _even(0), Wind(90, 2.0), (15, 8))
    assert times[:, :18].max() < 200
    assert times[:, 21:].min() > 1000


def test_the_same_seed_gives_the_same_fire(pool: FieldPool) -> None:
    fuel, hills = np.full((120, 120), 0.9, np.float32), pool.draw(np.random.default_rng(1), 3, (120, 120)) * 20
    one, two = (run(fuel, hills, Wind(45, 2.0), pool, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one.arrival, two.arrival)
    assert one.arrival.shape == (120, 120) and (one.arrival < FAR).all()
    assert 0.8 < one.intensity.mean() < 1.2


def test_a_place_without_fuel_burns_nowhere_but_does_not_fail(pool: FieldPool) -> None:
    ran = run(
        np.zeros((120, 120), np.float32), np.zeros((120, 120), np.float32), Wind(0, 2.0), pool, np.random.default_rng(2)
    )
    assert np.isfinite(ran.arrival).all()
