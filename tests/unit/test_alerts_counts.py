"""Exact Poisson arithmetic: sums to one, known values, intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alerts.budgets.counts import (
    count_interval,
    future_interval,
    likely_count,
    mean_interval,
    poisson_at_least,
    poisson_at_most,
    two_sided,
)


@pytest.mark.parametrize("mean", [0.01, 0.7, 3.0, 40.0, 400.0])
@pytest.mark.parametrize("count", [0, 1, 5, 40, 440])
def test_the_two_tails_make_one(mean: float, count: int):
    assert poisson_at_most(count - 1, mean) + poisson_at_least(count, mean) == pytest.approx(1, abs=1e-9)


def test_a_small_upper_tail_is_not_rounding():
    assert poisson_at_least(30, 1.0) == pytest.approx(
        math.exp(-1) / math.factorial(30) * (1 + 1 / 31 + 1 / 31 / 32), rel=1e-4
    )


def test_nothing_expected_and_nothing_seen_is_no_surprise():
    assert two_sided(0, 0.0) == 1.0
    assert poisson_at_least(1, 0.0) == 0.0
    assert poisson_at_most(-1, 2.0) == 0.0


@pytest.mark.parametrize(("count", "low", "high"), [(0, 0.0, 2.9957), (1, 0.0513, 4.7439), (10, 5.4254, 16.9622)])
def test_garwoods_interval_is_the_one_in_the_tables(count: int, low: float, high: float):
    """Values: chi-square quantiles / 2 at 5 % and 95 %."""
    assert mean_interval(count) == pytest.approx((low, high), abs=1e-3)


def test_the_mean_behind_a_count_is_as_likely_less_as_more():
    """Medians of gamma distributions; those of means in between are rounded to them."""
    assert [likely_count(median) for median in (0.0, 0.6931, 1.678, 2.674, 3.672, 10.668)] == [0, 0, 1, 2, 3, 10]
    assert [likely_count(mean) for mean in (1.1, 1.2, 4.1, 4.2)] == [0, 1, 3, 4]
    for mean in (2.674, 10.668):
        assert poisson_at_most(likely_count(mean), mean) == pytest.approx(0.5, abs=0.001)


def test_a_count_interval_leaves_out_at_most_five_percent_on_each_side():
    for mean in (0.1, 1.0, 7.3, 120.0):
        low, high = count_interval(mean)
        assert poisson_at_most(low - 1, mean) <= 0.05
        assert poisson_at_least(high + 1, mean) <= 0.05
        assert poisson_at_most(low, mean) > 0.05 or low == 0


def test_counts_to_come_lie_in_their_interval_nine_times_of_ten():
    """The mean known from a count of 8 only, as a calibration knows it."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        past = int(rng.poisson(8))
        low, high = future_interval(float(past), *mean_interval(past))
        inside += low <= rng.poisson(8) <= high
    assert 0.86 <= inside / 300 <= 0.99


def test_nothing_seen_yet_may_still_come():
    low, high = future_interval(0.0, *mean_interval(0))
    assert low == 0
    assert 2 <= high <= 6
