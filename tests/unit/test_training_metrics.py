"""Figures of merit, against values worked out by hand."""

import math

import numpy as np
import pytest

from training.metrics import (
    auc,
    average_precision,
    bootstrapped,
    draws_of_places,
    interval,
    interval_over_places,
    ndcg,
    ranked_ndcg,
    ranked_precision,
    ranked_recall,
    recall_at,
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


def test_auc_by_hand_counts_ties_half() -> None:
    scores = np.array([0.9, 0.5, 0.5, 0.1], np.float32)
    assert auc(scores, np.array([True, True, False, False])) == pytest.approx((2 + 1.5) / 4)
    assert math.isnan(auc(scores, np.ones(4, np.bool_)))


def test_lists_that_are_in_order_need_no_scores() -> None:
    hits = np.array([True, False, True, False])
    assert ranked_precision(hits) == pytest.approx((1 + 2 / 3) / 2)
    assert ranked_recall(hits, 2) == 0.5
    assert ranked_ndcg(np.array([1, 0, 3], np.float32), 2) == pytest.approx(1 / (3 + 1 / math.log2(3)))


def test_an_interval_is_wider_over_places_when_chips_of_a_place_agree() -> None:
    random = np.random.default_rng(3)
    good = np.repeat(random.random(12) < 0.7, 20)  # a place is found or missed as a whole
    positive = np.tile([True, False], 120)
    scores = (np.where(good == positive, 1.0, 0.0) + random.normal(0, 0.01, 240)).astype(np.float32)
    over_places = interval_over_places(scores, positive, [str(i // 20) for i in range(240)])
    over_chips = interval_over_places(scores, positive, [str(i) for i in range(240)])
    assert over_places[1] - over_places[0] > 2 * (over_chips[1] - over_chips[0])


def test_a_place_is_drawn_as_a_whole_and_always_the_same() -> None:
    places = ["a", "a", "b", "c"]
    first, second = list(draws_of_places(places, rounds=5)), list(draws_of_places(places, rounds=5))
    assert all(times[0] == times[1] for times in first)
    np.testing.assert_array_equal(first, second)


def test_a_bootstrapped_figure_is_that_of_all_rows() -> None:
    values = np.array([1.0, 2.0, 6.0])
    found = bootstrapped(lambda rows: float(values[rows].mean()), ["a", "b", "c"])
    assert found.value == pytest.approx(3)
    assert 1 <= found.low < 3 < found.high <= 6


def test_draws_without_a_value_do_not_count() -> None:
    assert interval([math.nan, 1.0, 1.0]) == (1.0, 1.0)
    assert all(map(math.isnan, interval([])))
