"""In: scores and relevance. Out: the figures of merit of retrieval.

Stops at numbers: what is scored against what is in `evaluate`.
"""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""float32, (n,): higher means more likely."""

Positive = NDArray[np.bool_]
"""bool, (n,): what is right."""


def average_precision(scores: Scores, positive: Positive) -> float:
    """Mean precision at each positive, best score first; NaN without a positive."""
    hits = positive[np.argsort(-scores, kind="stable")]
    if not hits.any():
        return float("nan")
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return float(precision[hits].mean())


def ndcg(scores: Scores, gains: NDArray[np.float32], depth: int) -> float:
    """Normalised discounted cumulative gain of the first `depth`; NaN if nothing is to be gained.

    Source: Järvelin and Kekäläinen 2002, ACM TOIS 20, 422.
    """
    discounts = 1 / np.log2(np.arange(2, min(depth, len(scores)) + 2))
    found = gains[np.argsort(-scores, kind="stable")][: len(discounts)]
    best = np.sort(gains)[::-1][: len(discounts)]
    if best.sum() == 0:
        return float("nan")
    return float((found * discounts).sum() / (best * discounts).sum())


def recall_at(scores: Scores, positive: Positive, depth: int) -> float:
    """Share of the positives among the first `depth`; NaN without a positive."""
    if not positive.any():
        return float("nan")
    return float(positive[np.argsort(-scores, kind="stable")[:depth]].sum() / positive.sum())


def interval_over_places(
    scores: Scores, positive: Positive, places: list[str], seed: int = 0, rounds: int = 300
) -> tuple[float, float]:
    """5 % and 95 % quantile of average precision when whole places are drawn with replacement.

    Args:
        scores: of the chips.
        positive: of the chips.
        places: of the chips: chips of one place are drawn together.
        seed: of the draws.
        rounds: how many draws.
    """
    random = np.random.default_rng(seed)
    groups = [np.flatnonzero(np.array(places) == place) for place in sorted(set(places))]
    values = []
    for _ in range(rounds):
        rows = np.concatenate([groups[i] for i in random.integers(0, len(groups), len(groups))])
        values.append(average_precision(scores[rows], positive[rows]))
    low, high = np.nanquantile(values, [0.05, 0.95])
    return float(low), float(high)
