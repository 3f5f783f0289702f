"""False alarms at equal recall, of the years of several seeds together."""

import numpy as np
import pytest

from benchmarks.appearance import Scored, Standing
from benchmarks.watched import RULES

APART = RULES.window_days + 1


def calm(*scores: float) -> tuple[np.ndarray, np.ndarray]:
    """One place, looks so far apart that each match is an alarm, the first after the first weeks."""
    return 100 + APART * np.arange(len(scores)), np.array(scores)


def test_the_highest_threshold_that_finds_enough_is_taken():
    one = Standing.of([Scored(np.array([0.9, 0.5, 0.7, 0.3]), [0, 1, 2, 3], [calm(0.8, 0.6, 0.4, 0.2)])])
    assert [one.false_alarms(share) for share in (0.25, 0.5, 0.51, 0.75, 1.0)] == [0, 1, 2, 2, 3]


def test_a_crisis_without_any_look_that_counts_is_never_found():
    one = Standing.of([Scored(np.array([0.9, -np.inf]), [0, 1], [calm(0.8)])])
    assert one.false_alarms(0.5) == 0
    assert one.false_alarms(0.6) is None


def test_one_threshold_holds_for_all_seeds():
    first = Scored(np.array([0.9, 0.8]), [0, 0], [calm(0.5, 0.5)])
    second = Scored(np.array([0.4, 0.3]), [0, 1], [calm(0.35), calm(0.1)])
    both = Standing.of([first, second])
    assert both.struck.tolist() == [0, 0, 1, 2]  # place 0 of each seed is another place
    assert [both.false_alarms(share) for share in (0.5, 0.75, 1.0)] == [0, 2, 3]


def test_matches_within_the_window_and_those_of_the_first_weeks_are_no_new_alarm():
    days = np.array([30.0, 70.0, 70 + APART, 70 + APART + 1])
    one = Standing.of([Scored(np.array([0.5]), [0], [(days[::-1], np.full(4, 0.6))])])
    assert one.false_alarms(1.0) == 1  # that of day 30 goes on on day 70


def test_draws_of_places_scatter_round_the_count():
    rng = np.random.default_rng(1)
    places = [calm(*rng.uniform(size=6)) for _ in range(40)]
    one = Standing.of([Scored(rng.uniform(0.3, 1, 50), list(range(50)), places)])
    drawn = [one.drawn(0.8, rng) for _ in range(200)]
    assert np.mean(drawn) == pytest.approx(one.false_alarms(0.8), rel=0.1)
    assert np.std(drawn) > 3
