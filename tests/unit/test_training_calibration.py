"""Probabilities from scores, against values worked out by hand and against a sigmoid that is known."""

import math

import numpy as np
import pytest

from training.calibration import (
    Sigmoid,
    brier,
    expected_error,
    fit_sigmoid,
    halves,
    reliability,
    threshold_at,
)


def test_a_known_sigmoid_is_found_again() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 0.3, 20_000).astype(np.float32)
    positive = random.random(20_000) < Sigmoid(8.0, -1.5)(scores)
    fitted = fit_sigmoid(scores, positive)
    assert fitted.slope == pytest.approx(8.0, rel=0.05)
    assert fitted.intercept == pytest.approx(-1.5, rel=0.05)


def test_scores_that_separate_perfectly_stay_finite() -> None:
    fitted = fit_sigmoid(np.array([0.1, 0.2, 0.8, 0.9], np.float32), np.array([False, False, True, True]))
    assert math.isfinite(fitted.slope)
    assert fitted.slope > 0
    assert fitted(np.array([0.9], np.float32))[0] > 0.5 > fitted(np.array([0.1], np.float32))[0]


def test_scores_that_are_all_the_same_give_the_share_of_positives() -> None:
    fitted = fit_sigmoid(np.full(100, 0.3, np.float32), np.arange(100) < 20)
    assert fitted(np.array([0.3], np.float32))[0] == pytest.approx(0.2, abs=0.02)


def test_errors_by_hand() -> None:
    chance, positive = np.array([0.05, 0.05, 0.95, 0.95]), np.array([False, True, True, True])
    assert brier(chance, positive) == pytest.approx((0.0025 + 0.9025 + 2 * 0.0025) / 4)
    predicted, observed, counts = reliability(chance, positive)
    assert (predicted, observed, counts) == (pytest.approx((0.05, 0.95)), (0.5, 1.0), (2, 2))
    assert expected_error(chance, positive) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)


def test_certainty_is_in_the_last_bin() -> None:
    assert reliability(np.array([1.0, 0.91]), np.array([True, True]))[2] == (2,)


def test_a_threshold_finds_at_least_the_share_asked_for() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32)
    positive = np.array([True, True, False, True, True])
    assert threshold_at(scores, positive, 0.5) == pytest.approx(0.8)
    assert threshold_at(scores, positive, 0.9) == pytest.approx(0.5)


def test_no_place_is_in_both_halves_and_both_have_events() -> None:
    places = [f"p{i // 3}" for i in range(60)]
    positive = np.arange(60) % 15 == 0
    fitted = halves(places, positive)
    sides = [{p for p, used in zip(places, fitted, strict=True) if used is np.bool_(side)} for side in (True, False)]
    assert not sides[0] & sides[1]
    assert len(sides[0]) == len(sides[1]) == 10
    assert positive[fitted].sum() == positive[~fitted].sum() == 2
