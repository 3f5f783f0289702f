"""In: scores and relevance. Out: the figures of merit of retrieval, and their intervals over places.

Stops at numbers: what is scored against what is in `retrieval`, `crises` and `feed_measures`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""float32, (n,): higher means more likely."""

Gains = NDArray[np.float32]
"""float32, (n,): how relevant each is; above zero is right."""

Positive = NDArray[np.bool_]
"""bool, (n,): what is right."""

Measure = Callable[[Gains], float]
"""A figure of merit of gains that are already in the order of their scores, best first."""

ROUNDS = 300
"""Draws of a bootstrap: the 5 % and 95 % quantiles then rest on 15 draws each."""

DEPTHS = (10, 100, 1000)
"""Where rankings are cut."""


def in_order(scores: Scores) -> NDArray[np.intp]:
    """Rows, best score first; ties stay in the order of the rows."""
    return np.argsort(-scores, kind="stable")


def ranked_precision(gains: Gains) -> float:
    """Average precision of gains in order: mean precision at each positive; NaN without a positive."""
    hits = gains > 0
    if not hits.any():
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def ranked_ndcg(gains: Gains, depth: int) -> float:
    """nDCG of gains in order; NaN if nothing is to be gained.

    Source: Järvelin and Kekäläinen 2002, ACM TOIS 20, 422: gains are taken as they are, discounts log2(rank + 1).
    """
    discounts = 1 / np.log2(np.arange(2, min(depth, len(gains)) + 2))
    best = np.sort(gains)[::-1][: len(discounts)]
    if best.sum() == 0:
        return float("nan")
    return float((gains[: len(discounts)] * discounts).sum() / (best * discounts).sum())


def ranked_recall(gains: Gains, depth: int) -> float:
    """Share of the positives among the first `depth` of gains in order; NaN without a positive."""
    hits = gains > 0
    return float(hits[:depth].sum() / hits.sum()) if hits.any() else float("nan")


MEASURES: Mapping[str, Measure] = {
    "AP": ranked_precision,
    **{f"nDCG@{depth}": partial(ranked_ndcg, depth=depth) for depth in DEPTHS},
    **{f"recall@{depth}": partial(ranked_recall, depth=depth) for depth in DEPTHS},
}
"""The figures of a text-to-image query."""


def average_precision(scores: Scores, positive: Positive) -> float:
    """Mean precision at each positive, best score first; NaN without a positive."""
    return ranked_precision(positive[in_order(scores)].astype(np.float32))


def ndcg(scores: Scores, gains: Gains, depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`; NaN if nothing is to be gained."""
    return ranked_ndcg(gains[in_order(scores)], depth)


def recall_at(scores: Scores, positive: Positive, depth: int) -> float:
    """Share of the positives among the first `depth`; NaN without a positive."""
    return ranked_recall(positive[in_order(scores)].astype(np.float32), depth)


def area_under_curve(scores: Scores, positive: Positive) -> float:
    """Chance that a positive scores higher than a negative, ties count half; NaN without either.

    Source: Hanley and McNeil 1982, Radiology 143, 29: the area under the ROC curve is the Mann-Whitney statistic.
    """
    yes, no = scores[positive], np.sort(scores[~positive])
    if not len(yes) or not len(no):
        return float("nan")
    below, up_to = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    return float((below + up_to).mean() / 2 / len(no))


@dataclass(frozen=True, slots=True)
class Draws:
    """Places drawn with replacement, so that chips of one place come and go together.

    Attributes:
        place: intp, (n,): number of each chip's place.
        counts: uint16, (rounds, places): how often each place was drawn.
    """

    place: NDArray[np.intp]
    counts: NDArray[np.uint16]

    def times(self, number: int) -> NDArray[np.uint16]:
        """How often each chip comes in one draw, (n,)."""
        times: NDArray[np.uint16] = self.counts[number, self.place]
        return times

    def of(self, rows: NDArray[np.intp]) -> "Draws":
        """The same draws, for some of the chips."""
        return Draws(self.place[rows], self.counts)


def draw_places(places: Sequence[str], seed: int = 0, rounds: int = ROUNDS) -> Draws:
    """A bootstrap over places.

    Args:
        places: of the chips.
        seed: of the draws.
        rounds: how many draws.

    Source: cluster bootstrap, Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8.
    """
    names, place = np.unique(np.array(places, dtype=np.str_), return_inverse=True)
    random = np.random.default_rng(seed)
    counts = np.zeros((rounds, len(names)), np.uint16)
    for number in range(rounds if len(names) else 0):
        counts[number] = np.bincount(random.integers(0, len(names), len(names)), minlength=len(names))
    return Draws(place.astype(np.intp), counts)


def redrawn(scores: Scores, gains: Gains, draws: Draws, measures: Sequence[Measure]) -> NDArray[np.float64]:
    """Each measure of each draw, float64, (rounds, measures); NaN where a draw has no positive."""
    order = in_order(scores)
    sorted_gains = gains[order]
    out = np.full((len(draws.counts), len(measures)), np.nan)
    for number in range(len(draws.counts)):
        again = np.repeat(sorted_gains, draws.times(number)[order])
        out[number] = [measure(again) for measure in measures]
    return out


def quantiles(values: NDArray[np.float64]) -> tuple[float, float]:
    """5 % and 95 % quantile of the finite ones; NaN if there is none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [0.05, 0.95])
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
    draws = draw_places(places, seed, rounds)
    return quantiles(redrawn(scores, positive.astype(np.float32), draws, [ranked_precision])[:, 0])
