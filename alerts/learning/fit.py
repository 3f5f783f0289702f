"""A linear head on frozen embeddings, held near the sentence.

In: a sentence's vector, a handful of chips that are and are not what it asks for, ordinary ground. Out: another unit
vector. Stops before where the chips come from (`examples`) and whether it is any better (`judge`).

The head is the maximum a posteriori estimate of a logistic regression whose prior is the sentence itself: a Gaussian
round the sentence's vector instead of round zero, so that without examples the sentence remains, and each example moves
it by what the sentence got wrong. Ordinary ground stands among the negatives, with the weight of one example in all, so
that a head cannot buy the few examples by rising everywhere. However many answers there are, the head never leaves the
sentence by more than a fixed angle: people's answers sharpen a query, they don't turn it into another.

Source: Chelba and Acero 2006, Adaptation of maximum entropy capitalizer: little data can help a lot
(a Gaussian prior at the earlier model);
Evgeniou and Pontil 2004, Regularized multi-task learning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

STIFFNESS = 0.3
"""Weight of the prior, for features of mean square length 1. Chosen on simulated places, others than those that figures
are made on, by `python -m benchmarks.verdicts --choose`."""
LEAST_COSINE = 0.8
"""Cosine with the sentence that a head keeps: 37 degrees. Chosen likewise; further off nothing is gained."""
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""
LEAST_SIGMA = 0.005
"""Cosines closer than this are the same to every encoder here (`alerts.budgets.thresholds`)."""
_STEPS = 30
_ENOUGH = 1e-9


@dataclass(frozen=True, slots=True)
class Examples:
    """Chips of one sensor and release that people have judged.

    Attributes:
        vectors: float32 (n, 384), unit rows.
        shown: bool (n,), whether the chip shows what the query asks for.
        groups: int (n,), which answer each belongs to: the chips of one answer count as one example together.
    """

    vectors: Floats
    shown: NDArray[np.bool_]
    groups: NDArray[np.intp]

    @property
    def weights(self) -> Doubles:
        """float64 (n,), summing to 1 over each group."""
        _, inverse, counts = np.unique(self.groups, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / counts[inverse], dtype=np.float64)

    def but(self, group: int) -> Examples:
        """Without one group."""
        kept = self.groups != group
        return Examples(self.vectors[kept], self.shown[kept], self.groups[kept])


def head(sentence: Floats, examples: Examples, ordinary: Floats) -> Floats:
    """The vector that a query should use in place of its sentence's.

    Args:
        sentence: float32 (384,), unit.
        examples: What people have judged; none: the sentence comes back.
        ordinary: float32 (m, 384), unit rows of ordinary ground of the same sensor and release; empty: the mean and
            spread of the examples must do.

    Returns:
        float32 (384,), unit, with at least `LEAST_COSINE` to the sentence.
    """
    if not len(examples.vectors):
        return sentence
    start = sentence.astype(np.float64)
    ground = ordinary if len(ordinary) else examples.vectors
    centre = ground.mean(axis=0, dtype=np.float64)
    sigma = _sigma(ground.astype(np.float64) @ start)
    left = np.concatenate([examples.vectors, ordinary]).astype(np.float64)
    features = (left - centre) / sigma
    shown = np.concatenate([examples.shown, np.zeros(len(ordinary), bool)])
    weights = np.concatenate([examples.weights, np.full(len(ordinary), 1.0 / max(len(ordinary), 1))])
    return _within(start, _fitted(start, features, shown, weights))


def _fitted(start: Doubles, features: Doubles, shown: NDArray[np.bool_], weights: Doubles) -> Doubles:
    """Newton's method on the penalised likelihood; the offset is free. The function is convex: it has one end.

    The sentence is moved within the span of the features alone, because nothing else of it touches them: a few
    directions instead of 384.
    """
    _, sizes, directions = np.linalg.svd(features, full_matrices=False)
    span = directions[sizes > sizes[0] * 1e-9].T
    design = np.column_stack([features @ span, np.ones(len(features))])
    fixed = features @ start
    signs = np.where(shown, 1.0, -1.0)
    penalty = np.append(np.full(span.shape[1], STIFFNESS * _scale(features)), _ENOUGH)
    now = np.append(np.zeros(span.shape[1]), -float(np.average(fixed, weights=weights)))

    def objective(at: Doubles) -> float:
        likelihood = weights @ np.logaddexp(0.0, -signs * (fixed + design @ at))
        return float(likelihood + 0.5 * (penalty @ (at * at)))

    for _ in range(_STEPS):
        doubt = 1.0 / (1.0 + np.exp(np.clip(signs * (fixed + design @ now), -500, 500)))
        slope = penalty * now - design.T @ (weights * signs * doubt)
        bend = (design.T * (weights * doubt * (1 - doubt))) @ design + np.diag(penalty)
        step = np.linalg.solve(bend, slope)
        here, reach = objective(now), 1.0
        while reach > _ENOUGH and objective(now - reach * step) > here:
            reach /= 2  # a full step overshoots where the likelihood is flat
        now = now - reach * step
        if float(np.abs(reach * step).max()) < _ENOUGH:
            break
    return np.asarray(start + span @ now[:-1])


def _scale(features: Doubles) -> float:
    """Mean square length of the features: makes the prior's weight mean the same for every encoder."""
    return float((features * features).sum(axis=1).mean())


def _within(start: Doubles, moved: Doubles) -> Floats:
    """The unit vector of `moved`, brought back to the allowed angle from `start` where it went further."""
    unit = moved / np.linalg.norm(moved)
    cosine = float(unit @ start)
    if cosine < LEAST_COSINE:
        across = unit - cosine * start
        across /= np.linalg.norm(across)
        unit = LEAST_COSINE * start + np.sqrt(1 - LEAST_COSINE**2) * across
    return np.asarray(unit / np.linalg.norm(unit), dtype=np.float32)


def _sigma(scores: Doubles) -> float:
    return max(MAD_TO_SIGMA * float(np.median(np.abs(scores - np.median(scores)))), LEAST_SIGMA)
