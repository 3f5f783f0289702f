"""In: cosines, what was right, and places. Out: how far a probability can be believed, and false alarms at a recall.

Stops at figures: constants are fitted on one half of the places and measured on the other, and stored nowhere.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.metrics import Positive, Scores, draw_places, quantiles

BINS = 10
"""Equal steps of probability in a reliability curve."""

RECALLS = (0.9, 0.5)
"""At which false alarms are counted."""

LEAST = 4
"""Positives and negatives that either half must have: fewer fit nothing."""

RIDGE = 1e-3
"""Weight of slope squared in the fit, per chip: keeps it finite where the classes do not overlap."""

Curve = list[tuple[float, float, int]]
"""Mean probability, share that was right, and number of chips, per bin that has any."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Calibration of one label for one sensor, measured on places that the fit did not see.

    Attributes:
        figures: by name; see docs/evaluation.md.
        curve: points of the reliability curve.
    """

    figures: dict[str, float]
    curve: Curve


def halves(places: Sequence[str]) -> NDArray[np.bool_]:
    """bool, (n,): whether a chip's place is of the half that is fitted on, by a hash of the place's name alone."""
    side = {place: hashlib.sha256(place.encode()).digest()[0] % 2 == 0 for place in set(places)}
    return np.array([side[place] for place in places], np.bool_)


def fit_platt(scores: Scores, positive: Positive, rounds: int = 60) -> tuple[float, float]:
    """Scale and bias of p = sigmoid(scale * cosine + bias), by Newton's method on the smoothed likelihood.

    Source: Platt 1999, Advances in Large Margin Classifiers, 61; targets (n+ + 1)/(n+ + 2) and 1/(n- + 2).

    Args:
        scores: cosines.
        positive: what was right.
        rounds: at most so many steps.

    Returns:
        Scale and bias for the cosines as they are.
    """
    yes, no = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (yes + 1) / (yes + 2), 1 / (no + 2))
    middle, width = float(scores.mean()), float(scores.std()) or 1.0
    inputs = np.stack([(scores.astype(np.float64) - middle) / width, np.ones(len(scores))], axis=1)
    penalty = np.diag([RIDGE * len(scores), 0.0])
    weights = np.array([0.0, np.log((yes + 1) / (no + 1))])
    for _ in range(rounds):
        chance = _sigmoid(inputs @ weights)
        slope = inputs.T @ (chance - target) + penalty @ weights
        bend = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + penalty + 1e-9 * np.eye(2)
        step = np.linalg.solve(bend, slope)
        weights = weights - step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    return float(weights[0] / width), float(weights[1] - weights[0] * middle / width)


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(values, -50, 50)))
    return chance


def reliability_curve(chance: NDArray[np.float64], positive: Positive) -> Curve:
    """Points of the curve, by equal steps of probability."""
    which = np.minimum((chance * BINS).astype(int), BINS - 1)
    return [
        (float(chance[which == b].mean()), float(positive[which == b].mean()), int((which == b).sum()))
        for b in range(BINS)
        if (which == b).any()
    ]


def expected_error(curve: Curve) -> float:
    """Expected calibration error. Source: Naeini et al. 2015, AAAI, 2901."""
    return sum(abs(said - was) * count for said, was, count in curve) / sum(count for *_, count in curve)


def brier(chance: NDArray[np.float64], positive: Positive) -> float:
    """Mean squared error of the probabilities. Source: Brier 1950, Monthly Weather Review 78, 1."""
    return float(((chance - positive) ** 2).mean())


def threshold_for(scores: Scores, positive: Positive, recall: float) -> float:
    """The highest score at which at least that share of the positives is at or above it."""
    right = np.sort(scores[positive])[::-1]
    return float(right[max(int(np.ceil(recall * len(right) - 1e-9)), 1) - 1])


def _alarms(
    name: str, scores: Scores, positive: Positive, threshold: float, places: Sequence[str] | None
) -> dict[str, float]:
    raised = scores >= threshold
    figures = {
        f"recall {name}": float(raised[positive].mean()),
        f"false alarms {name}": float(raised[~positive].mean()),
    }
    if places is None:
        return figures
    draws = draw_places(places)
    rates = np.full(len(draws.counts), np.nan)
    for number in range(len(rates)):
        times = draws.times(number)
        negatives = times[~positive].sum()
        rates[number] = (times * raised)[~positive].sum() / negatives if negatives else np.nan
    low, high = quantiles(rates)
    return figures | {f"false alarms {name} low": low, f"false alarms {name} high": high}


def reliability(scores: Scores, positive: Positive, places: Sequence[str]) -> Reliability | None:
    """Calibration and false alarms; none where either half of the places has too few chips of either kind.

    Args:
        scores: cosines of the chips.
        positive: of the chips.
        places: of the chips; a place is wholly in one half.
    """
    fit = halves(places)
    counts = [int((half & kind).sum()) for half in (fit, ~fit) for kind in (positive, ~positive)]
    if not len(scores) or min(counts) < LEAST:
        return None
    scale, bias = fit_platt(scores[fit], positive[fit])
    chance = _sigmoid(scale * scores[~fit].astype(np.float64) + bias)
    curve = reliability_curve(chance, positive[~fit])
    figures: dict[str, float] = {
        "scale": scale,
        "bias": bias,
        "calibration error": expected_error(curve),
        "Brier": brier(chance, positive[~fit]),
        "Brier of the base rate": brier(np.full(len(chance), positive[fit].mean()), positive[~fit]),
    }
    rest = [place for place, mine in zip(places, fit, strict=True) if not mine]
    for recall in RECALLS:
        threshold = threshold_for(scores[fit], positive[fit], recall)
        figures[f"threshold @{recall}"] = threshold
        figures |= _alarms(f"@{recall} chosen on", scores[fit], positive[fit], threshold, None)
        figures |= _alarms(f"@{recall}", scores[~fit], positive[~fit], threshold, rest)
    return Reliability(figures, curve)
