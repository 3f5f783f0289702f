"""Calibration and false alarms, against values worked out by hand and probabilities that are known."""

import numpy as np
import pytest

from training.calibration import (
    brier,
    expected_error,
    fit_platt,
    halves,
    reliability,
    reliability_curve,
    threshold_for,
)


def test_curve_error_and_brier_by_hand() -> None:
    chance = np.array([0.1, 0.2 - 0.01, 0.8, 0.85])
    positive = np.array([False, True, True, True])
    curve = reliability_curve(chance, positive)
    assert [count for *_, count in curve] == [2, 2]
    assert curve[0][:2] == pytest.approx((0.145, 0.5))
    assert expected_error(curve) == pytest.approx((abs(0.145 - 0.5) * 2 + abs(0.825 - 1) * 2) / 4)
    assert brier(np.array([0.5, 1.0]), np.array([True, False])) == pytest.approx((0.25 + 1) / 2)


def test_certainty_falls_into_the_last_bin() -> None:
    assert reliability_curve(np.array([1.0]), np.array([True])) == [(1.0, 1.0, 1)]


def test_platt_finds_the_scale_and_bias_that_made_the_labels() -> None:
    random = np.random.default_rng(0)
    scores = random.uniform(-0.5, 0.5, 20_000).astype(np.float32)
    positive = random.random(20_000) < 1 / (1 + np.exp(-(8 * scores - 1.5)))
    scale, bias = fit_platt(scores, positive)
    assert scale == pytest.approx(8, rel=0.06)
    assert bias == pytest.approx(-1.5, rel=0.06)


def test_platt_stays_finite_where_classes_do_not_overlap() -> None:
    scores = np.array([0.1, 0.2, 0.8, 0.9], np.float32)
    scale, bias = fit_platt(scores, scores > 0.5)
    assert 0 < scale < 1e3
    assert np.isfinite(bias)


def test_threshold_reaches_the_recall_and_no_more() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.95], np.float32)
    positive = np.array([True, True, True, True, True, False])
    assert threshold_for(scores, positive, 0.5) == pytest.approx(0.7)
    assert threshold_for(scores, positive, 0.9) == pytest.approx(0.5)
    assert threshold_for(scores, positive, 0.8) == pytest.approx(0.6)


def test_a_place_is_wholly_in_one_half() -> None:
    places = [f"p{i % 40}" for i in range(400)]
    fit = halves(places)
    assert all(len({bool(f) for f, q in zip(fit, places, strict=True) if q == p}) == 1 for p in places[:40])
    assert 0.2 < fit.mean() < 0.8


def test_what_is_chosen_on_one_half_is_measured_on_the_other() -> None:
    places = [f"p{i}" for i in range(200)]
    fit = halves(places)
    positive = np.arange(200) % 2 == 0
    scores = np.where(positive, 0.6, 0.2).astype(np.float32)
    scores[~fit & ~positive] = 0.9  # the other half would raise an alarm over every negative
    found = reliability(scores, positive, places)
    assert found is not None
    assert found.figures["false alarms @0.9 chosen on"] == 0
    assert found.figures["false alarms @0.9"] == found.figures["false alarms @0.9 low"] == 1
    assert found.figures["recall @0.9"] == 1
    assert found.figures["calibration error"] > 0.3


def test_too_few_chips_fit_nothing() -> None:
    assert reliability(np.zeros(10, np.float32), np.arange(10) == 0, [str(i) for i in range(10)]) is None
