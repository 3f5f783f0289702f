"""In: scores of one label and what is true. Out: probabilities fitted on half of the places, judged on the other half.

Stops at figures and curve points: thresholds that a running product uses come from its own archive (`alerts`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.acceptance import LEAST_POSITIVES
from training.figures import Figure
from training.metrics import Measured, Positive, Scores, bootstrapped
from training.phrases import LABELS
from training.scored import Scored

BINS: Final = 10
"""Bins of equal width of a reliability curve. Source: Guo et al. 2017, arXiv 1706.04599."""

RECALLS: Final = (0.9, 0.5)
"""Shares of the events that a threshold must find: all but a few, and half."""

STEPS: Final = 100
"""Newton steps at most; ten are usual."""


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """p = 1 / (1 + exp(-(slope * score + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, scores: Scores) -> NDArray[np.float64]:
        """float64, (n,), 0-1."""
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-(self.slope * scores.astype(np.float64) + self.intercept))))


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of a reliability curve: bins with at least one chip.

    Attributes:
        rule: which chips count.
        sensor: ``"s2"`` or ``"s1"``.
        label: whose.
        predicted: mean probability of each bin.
        observed: share of positives of each bin.
        counts: chips of each bin.
        fit: the sigmoid that was judged.
    """

    rule: str
    sensor: str
    label: str
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    counts: tuple[int, ...]
    fit: Sigmoid


def fit_sigmoid(scores: Scores, positive: Positive) -> Sigmoid:
    """Platt scaling: the most likely sigmoid, with targets drawn in a little so that it stays finite.

    Args:
        scores: float32, (n,).
        positive: bool, (n,); at least one of either kind.

    Source: Platt 1999, Probabilistic outputs for support vector machines; Lin, Lin and Weng 2007 (Newton's method).
    """
    there = int(positive.sum())
    targets = np.where(positive, (there + 1) / (there + 2), 1 / (len(positive) - there + 2))
    centre, spread = float(scores.mean()), max(float(scores.std()), 1e-6)
    inputs = np.stack([(scores.astype(np.float64) - centre) / spread, np.ones(len(scores))])
    weights = np.array([0.0, np.log((there + 1) / (len(positive) - there + 1))])
    loss = _loss(weights, inputs, targets)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-np.clip(weights @ inputs, -500, 500)))
        slope = inputs @ (chance - targets)
        curvature = (inputs * (chance * (1 - chance))) @ inputs.T + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, slope)
        while _loss(weights - step, inputs, targets) > loss and np.abs(step).max() > 1e-9:
            step /= 2
        weights, before, loss = weights - step, loss, _loss(weights - step, inputs, targets)
        if before - loss < 1e-10:
            break
    return Sigmoid(float(weights[0] / spread), float(weights[1] - weights[0] * centre / spread))


def _loss(weights: NDArray[np.float64], inputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    logits = weights @ inputs
    return float((np.logaddexp(0, logits) - targets * logits).sum())


def brier(chance: NDArray[np.float64], positive: Positive) -> float:
    """Mean squared error of a probability. Source: Brier 1950, Monthly Weather Review 78, 1."""
    return float(((chance - positive) ** 2).mean())


def reliability(
    chance: NDArray[np.float64], positive: Positive
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[int, ...]]:
    """Mean probability, share of positives and count of each bin that is not empty."""
    bins = np.minimum((chance * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled = counts > 0
    predicted = np.bincount(bins, chance, BINS)[filled] / counts[filled]
    observed = np.bincount(bins, positive, BINS)[filled] / counts[filled]
    return tuple(predicted.tolist()), tuple(observed.tolist()), tuple(counts[filled].tolist())


def expected_error(chance: NDArray[np.float64], positive: Positive) -> float:
    """Expected calibration error: the bins' mean |predicted - observed|, weighted by their chips."""
    predicted, observed, counts = (np.array(each) for each in reliability(chance, positive))
    return float((np.abs(predicted - observed) * counts).sum() / counts.sum())


def threshold_at(scores: Scores, positive: Positive, recall: float) -> float:
    """The highest score at which at least this share of the positives is found."""
    best = np.sort(scores[positive])[::-1]
    return float(best[int(np.ceil(recall * len(best))) - 1])


def halves(places: Sequence[str], positive: Positive, seed: int = 0) -> NDArray[np.bool_]:
    """Which chips are for fitting: every other place of those with a positive, and of those without, in random order.

    Args:
        places: of the chips.
        positive: bool, (n,).
        seed: of the order.
    """
    random = np.random.default_rng(seed)
    names = np.array(places)
    with_events = set(names[positive].tolist())
    chosen: set[str] = set()
    for group in (sorted(with_events), sorted(set(places) - with_events)):
        order = random.permutation(len(group))
        chosen |= {group[i] for i in order[::2]}
    return np.isin(names, sorted(chosen))


def calibration(scored: Scored, rule: str) -> tuple[list[Figure], list[Curve]]:
    """Calibration and false alarms of every label that both halves of the places have.

    Args:
        scored: chips of one sensor.
        rule: which chips count, its name.
    """
    figures: list[Figure] = []
    curves: list[Curve] = []
    for number, label in enumerate(LABELS):
        rows = np.flatnonzero(scored.known[:, number])
        positive = scored.gains[rows, number] > 0
        places = [scored.places[i] for i in rows]
        if positive.sum() < LEAST_POSITIVES:
            continue
        fitted = halves(places, positive)
        if any(len(np.unique(positive[half])) < 2 for half in (fitted, ~fitted)):
            continue
        scores = scored.vectors[rows] @ scored.queries[number]
        sigmoid = fit_sigmoid(scores[fitted], positive[fitted])
        judged = [place for place, used in zip(places, fitted, strict=True) if not used]
        chance, true = sigmoid(scores[~fitted]), positive[~fitted]
        curves.append(Curve(rule, scored.sensor, label, *reliability(chance, true), sigmoid))
        values = _quality(chance, true, judged)
        values |= {"slope a": Measured(sigmoid.slope), "intercept b": Measured(sigmoid.intercept)}
        for recall in RECALLS:
            least = threshold_at(scores[fitted], positive[fitted], recall)
            values |= _alarms(scores[~fitted] >= least, true, judged, recall)
        figures += [Figure("calibration", rule, scored.sensor, label, name, value) for name, value in values.items()]
    return figures, curves


def _quality(chance: NDArray[np.float64], true: Positive, places: list[str]) -> dict[str, Measured]:
    return {
        "ECE": bootstrapped(lambda rows: expected_error(chance[rows], true[rows]), places),
        "Brier": bootstrapped(lambda rows: brier(chance[rows], true[rows]), places),
    }


def _alarms(raised: Positive, true: Positive, places: list[str], recall: float) -> dict[str, Measured]:
    """False-alarm rate and recall of a threshold that was chosen elsewhere."""

    def share(of: Positive) -> Measured:
        return bootstrapped(lambda rows: _share(raised[rows], of[rows]), places)

    return {f"false alarms at recall {recall}": share(~true), f"recall reached for {recall}": share(true)}


def _share(raised: Positive, among: Positive) -> float:
    return float(raised[among].mean()) if among.any() else float("nan")
