"""In: scores and relevance. Out: the figures of merit of retrieval, with intervals over places.

Stops at numbers: what is scored against what is in `retrieval` and `crises`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""float32, (n,): higher means more likely."""

Positive = NDArray[np.bool_]
"""bool, (n,): what is right."""

Gains = NDArray[np.float32]
"""float32, (n,), 0 or more: what finding an item is worth."""

ROUNDS = 300
"""Draws of a bootstrap: the ends of a 90 % interval move by about a tenth of its width from seed to seed."""

QUANTILES = (0.05, 0.95)
"""Ends of every interval: it holds 90 %."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A figure and its 90 % interval over places.

    Attributes:
        value: the figure; NaN where there is nothing to measure.
        low: 5 % quantile; NaN where no interval was made.
        high: 95 % quantile.
    """

    value: float
    low: float = float("nan")
    high: float = float("nan")


def average_precision(scores: Scores, positive: Positive) -> float:
    """Mean precision at each positive, best score first; NaN without a positive."""
    return ranked_precision(positive[_best_first(scores)])


def ndcg(scores: Scores, gains: Gains, depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`; NaN if nothing is to be gained.

    Source: Järvelin and Kekäläinen 2002, ACM TOIS 20, 422.
    """
    return ranked_ndcg(gains[_best_first(scores)], depth)


def recall_at(scores: Scores, positive: Positive, depth: int) -> float:
    """Share of the positives among the first `depth`; NaN without a positive."""
    return ranked_recall(positive[_best_first(scores)], depth)


def ranked_precision(hits: Positive) -> float:
    """Average precision of a list that is in order already: bool, (n,)."""
    found = np.flatnonzero(hits)
    if not len(found):
        return float("nan")
    return float((np.arange(1, len(found) + 1) / (found + 1)).mean())


def ranked_ndcg(gains: Gains, depth: int) -> float:
    """nDCG of a list that is in order already: float32, (n,)."""
    discounts = 1 / np.log2(np.arange(2, min(depth, len(gains)) + 2))
    rest = len(gains) - len(discounts)
    best = np.sort(np.partition(gains, rest)[rest:] if rest else gains)[::-1]
    if best.sum() == 0:
        return float("nan")
    return float((gains[: len(discounts)] * discounts).sum() / (best * discounts).sum())


def ranked_recall(hits: Positive, depth: int) -> float:
    """Recall of the first `depth` of a list that is in order already: bool, (n,)."""
    return float(hits[:depth].sum() / hits.sum()) if hits.any() else float("nan")


def auc(scores: Scores, positive: Positive) -> float:
    """Chance that a positive scores higher than a negative, ties counting half; NaN without one of either.

    Source: Mann and Whitney 1947; Hanley and McNeil 1982, Radiology 143, 29.
    """
    there, rest = scores[positive], np.sort(scores[~positive])
    if not len(there) or not len(rest):
        return float("nan")
    below, up_to = np.searchsorted(rest, there, "left"), np.searchsorted(rest, there, "right")
    return float((below + up_to).mean() / 2 / len(rest))


def draws_of_places(places: Sequence[str], seed: int = 0, rounds: int = ROUNDS) -> Iterator[NDArray[np.int64]]:
    """How often each chip is in each draw, when whole places are drawn with replacement.

    The same places and seed give the same draws, whatever is measured on them: so figures may be averaged per draw.

    Args:
        places: of the chips; chips of one place are drawn together.
        seed: of the draws.
        rounds: how many.

    Yields:
        int64, (n,), 0 or more.
    """
    random = np.random.default_rng(seed)
    names, of_chip = np.unique(np.array(places), return_inverse=True)
    for _ in range(rounds if len(names) else 0):
        drawn = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
        yield drawn[of_chip]


def bootstrapped(
    statistic: Callable[[NDArray[np.int64]], float], places: Sequence[str], seed: int = 0, rounds: int = ROUNDS
) -> Measured:
    """A figure with its interval over places.

    Args:
        statistic: of rows (int64, (m,), repeated as often as they were drawn, in ascending order).
        places: of the rows.
        seed: of the draws.
        rounds: how many draws.
    """
    rows = np.arange(len(places))
    values = [statistic(np.repeat(rows, times)) for times in draws_of_places(places, seed, rounds)]
    return Measured(statistic(rows), *interval(values))


def interval(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float]:
    """5 % and 95 % quantile of the draws that have a value; NaN where none has."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, QUANTILES)
    return float(low), float(high)


def interval_over_places(
    scores: Scores, positive: Positive, places: Sequence[str], seed: int = 0, rounds: int = ROUNDS
) -> tuple[float, float]:
    """5 % and 95 % quantile of average precision when whole places are drawn with replacement.

    Args:
        scores: of the chips.
        positive: of the chips.
        places: of the chips: chips of one place are drawn together.
        seed: of the draws.
        rounds: how many draws.
    """
    order = _best_first(scores)
    hits = positive[order]
    return interval(
        [ranked_precision(np.repeat(hits, times[order])) for times in draws_of_places(places, seed, rounds)]
    )


def _best_first(scores: Scores) -> NDArray[np.intp]:
    return np.argsort(-scores, kind="stable")
