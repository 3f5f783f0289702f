"""Figures of merit, against values worked out by hand."""

import math

import numpy as np
import pytest

from training.metrics import average_precision, interval_over_places, ndcg, recall_at

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
