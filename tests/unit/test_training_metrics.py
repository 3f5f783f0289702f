"""Figures of merit, against values worked out by hand."""

import math

import numpy as np
import pytest

from training.metrics import (
    area_under_curve,
    average_precision,
    draw_places,
    interval_over_places,
    ndcg,
    quantiles,
    ranked_precision,
    recall_at,
    redrawn,
)

SCORES = np.array([0.9, 0.8, 0.7, 0.6], np.float32)


def test_average_precision_by_hand() -> None:
    assert average_precision(SCORES, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)


def test_nothing_to_find_is_not_a_number() -> None:
    assert math.isnan(average_precision(SCORES, np.zeros(4, np.bool_)))
    assert math.isnan(ndcg(SCORES, np.zeros(4, np.float32), 10))


def test_ndcg_by_hand() -> None:
    wanted = (1 / math.log2(3)) / 1
    assert ndcg(SCORES, np.array([0, 1, 0, 0], np.float32), 10) == pytest.approx(wanted)
    assert ndcg(SCORES, np.array([2, 1, 0, 0], np.float32), 10) == pytest.approx(1)


def test_recall_counts_the_first_few() -> None:
    assert recall_at(SCORES, np.array([True, False, False, True]), 2) == 0.5


def test_interval_holds_the_value_and_one_place_has_no_width() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=60).astype(np.float32)
    positive = scores + random.normal(size=60) > 0.5
    low, high = interval_over_places(scores, positive, [str(i % 12) for i in range(60)])
    assert low < average_precision(scores, positive) < high
    one = interval_over_places(scores, positive, ["here"] * 60)
    assert one[0] == one[1]


def test_graded_gains_by_hand() -> None:
    found = 1 + 3 / math.log2(3) + 2 / math.log2(5)
    best = 3 + 2 / math.log2(3) + 1 / 2
    assert ndcg(SCORES, np.array([1, 3, 0, 2], np.float32), 10) == pytest.approx(found / best)
    assert ndcg(SCORES, np.array([1, 3, 0, 2], np.float32), 1) == pytest.approx(1 / 3)


def test_area_under_curve_by_hand() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1], np.float32)
    assert area_under_curve(scores, np.array([True, False, True, False])) == pytest.approx((2 + 1.5) / 4)
    assert math.isnan(area_under_curve(scores, np.ones(4, np.bool_)))


def test_chips_of_a_place_count_together() -> None:
    """Five chips of each place say hardly more than one: by chips the interval would look far too narrow."""
    random = np.random.default_rng(1)
    place = np.repeat(np.arange(20), 5)
    positive = (np.arange(20) % 2 == 0)[place]
    scores = (positive * 0.8 + random.normal(size=20)[place] + random.normal(scale=0.05, size=100)).astype(np.float32)
    low, high = interval_over_places(scores, positive, [str(p) for p in place])
    lowest, highest = interval_over_places(scores, positive, [str(i) for i in range(100)])
    assert high - low > 1.3 * (highest - lowest)


def test_drawing_a_place_twice_is_having_its_chips_twice() -> None:
    draws = draw_places(["a", "a", "b"], seed=3, rounds=50)
    scores, gains = np.array([0.9, 0.1, 0.5], np.float32), np.array([1, 0, 0], np.float32)
    values = redrawn(scores, gains, draws, [ranked_precision])[:, 0]
    assert set(draws.counts.sum(axis=1)) == {2}
    assert {tuple(c) for c in draws.counts.tolist()} == {(2, 0), (1, 1), (0, 2)}
    np.testing.assert_array_equal(np.isnan(values), draws.counts[:, 0] == 0)
    assert quantiles(values) == (1, 1)
