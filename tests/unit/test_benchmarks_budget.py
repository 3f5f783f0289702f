"""Simulated years and what is counted in them: a figure is only as good as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.budget import SENSORS, World, opened, recall
from benchmarks.years import GROUNDS, Happening, Looks, Years, moment, simulated_years
from schemas.cells import cell_of


def world(days: list[float], places: list[int], shows: list[bool], happenings: tuple[Happening, ...] = ()) -> World:
    """Two places; the optical sensor looks as said, the radar never."""
    cells = ("33TUE3085", "33TUE3984")
    order = np.lexsort((days, places))
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((len(days), 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    flood = np.zeros((len(days), 3), np.bool_)
    flood[:, 1] = shows
    s2 = Looks(np.array(places)[order], np.array(days, float)[order], vectors, flood[order])
    none = Looks(np.empty(0, np.intp), np.empty(0), np.empty((0, 384), np.float32), np.empty((0, 3), np.bool_))
    return World.of(Years("r", cells, ("none", "tide"), 730.0, {"s1": none, "s2": s2}, happenings))


def matching(seen: World, hits: list[int]) -> dict:
    matched = {sensor: np.zeros(len(seen.seen[sensor].cells), np.bool_) for sensor in SENSORS}
    matched["s2"][hits] = True
    return matched


def test_matches_of_one_place_within_the_window_are_one_alarm():
    seen = world([400, 440, 484, 530, 410], [0, 0, 0, 0, 1], [False] * 5)
    assert list(opened(seen, matching(seen, [0, 1, 2, 3, 4]), seen.split, seen.end)) == [True, False, False, True, True]
    assert sum(opened(seen, matching(seen, [0, 3]), seen.split, seen.end)) == 2


def test_an_alarm_of_the_first_half_that_goes_on_is_none_of_the_second():
    seen = world([350, 380, 500], [0, 0, 0], [False] * 3)
    assert list(opened(seen, matching(seen, [0, 1, 2]), seen.split, seen.end)) == [False, True]
    assert list(opened(seen, matching(seen, [0, 1, 2]), moment(0), seen.split)) == [True]


def test_a_crisis_is_found_by_a_match_while_it_lasts_and_one_that_nobody_saw_does_not_count():
    crises = (
        Happening(0, "flood", 400, 430),
        Happening(1, "flood", 400, 430),
        Happening(0, "flood", 600, 630),
        Happening(0, "flood", 100, 130),
        Happening(0, "burn", 600, 900),
    )
    days = [402, 410, 420, 460, 402, 610]
    seen = world(days, [0, 0, 0, 0, 1, 0], [True, True, False, True, False, True], crises)
    found = recall(seen, "flood", matching(seen, [1, 3]), 365)
    assert (found.crises, found.delays_days, found.looks) == (2, [10.0], [1])
    assert recall(seen, "flood", matching(seen, [1, 3]), 401).crises == 1


def test_calm_ground_is_where_nothing_ever_happened():
    seen = world([400, 401], [0, 1], [False, False], (Happening(1, "burn", 1, 2),))
    assert seen.calm(["tide"]) == []
    assert seen.calm(["none", "tide"]) == ["33TUE3085"]


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> tuple[Years, Path]:
    cache = tmp_path_factory.mktemp("years")
    return simulated_years(2, 1, cache, workers=1), cache


def test_years_are_looks_of_both_sensors_at_places_apart(years: tuple[Years, Path]):
    made, _ = years
    assert made.grounds == GROUNDS[:2]
    for sensor, apart in (("s1", 12), ("s2", 10)):
        looks = made.looks[sensor]
        assert len(looks.day) == pytest.approx(2 * 365 / apart, rel=0.25)
        assert (np.diff(looks.day[looks.place == 0]) > 0).all()
        np.testing.assert_allclose(np.linalg.norm(looks.vectors, axis=1), 1, atol=1e-5)
    one, other = (cell_of(cell).centre for cell in made.cells)
    assert abs(one[0] - other[0]) * 83 > 5  # kilometres: more than an incident reaches


def test_the_same_years_come_from_the_cache_and_from_anew(years: tuple[Years, Path]):
    made, cache = years
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    again, anew = simulated_years(2, 1, cache, workers=1), simulated_years(2, 1, None, workers=1)
    assert file.stat().st_mtime_ns == written
    for other in (again, anew):
        np.testing.assert_array_equal(other.looks["s2"].vectors, made.looks["s2"].vectors)
        assert other.happenings == made.happenings


def test_a_longer_split_watches_less():
    seen = world([400], [0], [False])
    assert replace(seen, split=moment(630)).weeks == pytest.approx(100 / 7)
