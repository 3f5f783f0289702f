"""How rare a score is: peaks over a threshold, exactly where there is data, by a generalised Pareto law beyond.

Flows in: how many incidents a history makes at each score, and how long it watched. Flows out: the rate of incidents
above any score, the score that a rate asks for, and how far both may be wrong. Stops before budgets (`thresholds`).

Peaks of incidents above a high score u come as a Poisson process, and their excesses y = score - u follow
P(Y > y) = (1 + shape * y / scale)^(-1/shape), whatever law the scores have (Pickands 1975, Annals of Statistics 3,
119; Balkema & de Haan 1974). u is the score that the square root of the number of scores exceeds (`peaks_for`): far
enough out for the law, near enough for its two numbers to be known (Ferreira, de Haan & Peng 2003, Statistics 37, 401;
compared with other rules by Scarrott & MacDonald 2012, REVSTAT 10, 33). They are fitted by maximum likelihood, which
needs one dimension only (Grimshaw 1993, Technometrics 35, 185). Intervals are of the profile likelihood of rate, scale
and shape together (Coles 2001, An Introduction to Statistical Modeling of Extreme Values, sections 2.6.6 and 4.3.3): a
threshold's interval is not symmetric, and its profile isn't either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.clusters import Walk
from alerts.budgets.counts import mean_interval

Doubles = NDArray[np.float64]

VERSION = 1
"""Of the JSON form."""
LEAST_PEAKS, MOST_PEAKS = 10, 150
"""Peaks that a fit needs, and at most takes: beyond, it describes the bulk. Ten leave a shape that is known to 0.5."""
LEAST_SHAPE, MOST_SHAPE = -0.5, 0.5
"""Where the likelihood is regular, and the mean excess and its variance exist (Smith 1985, Biometrika 72, 67). Cosines
are bounded: a heavier tail than 0.5 is a few events among the noise, not a law."""
NORMAL_95 = 1.6449
"""95 % point of the normal distribution: an interval of 90 % leaves out 5 % on each side."""
KNOTS = 24
"""Scores of the data that the JSON form keeps with their rates."""
FARTHEST = 10.0
"""A score is never called rarer than once in so many times the history's length: nobody has watched for longer."""
_SHAPES, _SCALES, _RATES = 41, 41, 15


@dataclass(frozen=True)
class Pareto:
    """The law of the peaks above a score.

    Attributes:
        above: u, cosine.
        scale: Of the excess, cosine, more than 0.
        shape: Negative: there is a highest score.
        peaks: float64 (m,), what it was fitted to.
    """

    above: float
    scale: float
    shape: float
    peaks: Doubles

    def survival(self, score: float) -> float:
        """Share of the peaks that exceed a score, 1 at `above`."""
        return float(_survival(np.array(score - self.above), np.array(self.scale), np.array(self.shape)))

    def score(self, survival: float) -> float:
        """The score that such a share of the peaks exceeds, 0 < survival <= 1."""
        return float(self.above + _excess(np.array(survival), np.array(self.scale), np.array(self.shape)))

    @cached_property
    def plausible(self) -> tuple[Doubles, Doubles, Doubles]:
        """Rates (as multiples of the peaks' number), scales and shapes that the peaks don't rule out at 90 %.

        One such set for each quantity at a time: the extremes of a quantity over it are its profile interval.
        """
        excess, count = self.peaks - self.above, len(self.peaks)
        error = 1 / math.sqrt(count)
        shapes = np.linspace(LEAST_SHAPE, MOST_SHAPE, _SHAPES)
        scales = self.scale * np.exp(np.linspace(-4.5, 4.5, _SCALES) * error)
        rates = np.exp(np.linspace(-2.2, 1.8, _RATES) * error)
        fit = _log_likelihood(excess, scales[:, None], shapes[None, :])
        best = float(_log_likelihood(excess, np.array(self.scale), np.array(self.shape)))
        often = count * (np.log(rates) - rates + 1)
        loss = -2 * (fit[None] - max(best, float(fit.max())) + often[:, None, None])
        kept = np.nonzero(loss <= _student_95(count - 2) ** 2)
        one = np.array([1.0]), np.array([self.scale]), np.array([self.shape])
        return (
            np.concatenate([one[0], rates[kept[0]]]),
            np.concatenate([one[1], scales[kept[1]]]),
            np.concatenate([one[2], shapes[kept[2]]]),
        )


@dataclass(frozen=True)
class Tail:
    """How many incidents a history makes above any score.

    Attributes:
        walk: Its highest scores.
        pareto: The law beyond, or none: too few incidents to fit one.
    """

    walk: Walk
    pareto: Pareto | None

    def expected(self, score: float) -> float:
        """Incidents above a score, in as many scores as the history has."""
        if self.pareto is not None and score > self.pareto.above:
            return len(self.pareto.peaks) * self.pareto.survival(score)
        return float(self.walk.incidents(score))

    def expected_between(self, score: float) -> tuple[float, float]:
        """Their 90 % interval: of the profile likelihood beyond u, exact for a Poisson count below."""
        if self.pareto is None or score <= self.pareto.above:
            return mean_interval(self.walk.incidents(score))
        rates, scales, shapes = self.pareto.plausible
        expected = len(self.pareto.peaks) * rates * _survival(np.array(score - self.pareto.above), scales, shapes)
        return float(expected.min()), float(expected.max())

    def score(self, allowed: float) -> float:
        """The lowest score above which there are no more than `allowed` incidents: an order statistic, or beyond u."""
        if self.pareto is not None and allowed < len(self.pareto.peaks):
            return self.pareto.score(allowed / len(self.pareto.peaks))
        return self.walk.level(math.floor(allowed))

    def score_between(self, allowed: float) -> tuple[float, float]:
        """Its 90 % interval: which scores may truly have as many incidents above them."""
        if self.pareto is not None and allowed < len(self.pareto.peaks):
            rates, scales, shapes = self.pareto.plausible
            share = np.minimum(allowed / len(self.pareto.peaks) / rates, 1.0)
            scores = self.pareto.above + _excess(share, scales, shapes)
            return float(scores.min()), float(scores.max())
        spread = NORMAL_95 * math.sqrt(max(allowed, 1.0))
        low, high = self.walk.level(math.ceil(allowed + spread)), self.walk.level(math.floor(allowed - spread))
        return low, max(high, low)


@dataclass(frozen=True, slots=True)
class Kept:
    """The model of a tail as a row keeps it.

    Attributes:
        scores: How many it rests on.
        scores_per_week: Scores to come in a week.
        knots: Scores of the data, descending, and incidents a week above each.
        law: The law beyond, its peaks forgotten; or none.
        peaks_per_week: Of the law's peaks.
    """

    scores: int
    scores_per_week: float
    knots: tuple[tuple[float, float], ...]
    law: Pareto | None
    peaks_per_week: float

    @classmethod
    def from_json(cls, stored: object) -> Self | None:
        """Read what `to_json` wrote; none for another version, and for what is no such thing."""
        match stored:
            case {
                "version": 1,
                "scores": int(scores),
                "scores_per_week": float(weekly) | int(weekly),
                "knots": [*knots],
                "above": above,
                "scale": scale,
                "shape": shape,
                "peaks": int(peaks),
            } if scores > 0 and weekly > 0:
                law = None
                if isinstance(above, float) and isinstance(scale, float) and isinstance(shape, float):
                    law = Pareto(above, scale, shape, np.empty(0))
                pairs = tuple((float(score), float(rate)) for score, rate in knots)
                return cls(scores, float(weekly), pairs, law, peaks * float(weekly) / scores)
        return None

    @property
    def longest_days(self) -> float:
        """The rarest that anything is called, days."""
        return FARTHEST * 7 * self.scores / self.scores_per_week

    def per_week(self, score: float) -> float:
        """Incidents a week that are at least so strong."""
        if self.law is not None and score > self.law.above:
            return self.peaks_per_week * self.law.survival(score)
        above = [rate for knot, rate in self.knots if knot >= score]
        below = [rate for knot, rate in self.knots if knot < score]
        if not above:
            return below[0] / 2 if below else 0.0
        return above[-1]


def to_json(tail: Tail | None, scores_per_week: float, scores: int) -> dict[str, object]:
    """What a row keeps of a tail; `Kept` reads it.

    Args:
        tail: Or none: nothing in the history came near.
        scores_per_week: Scores to come under the query's area in a week.
        scores: Scores in the history.
    """
    law = None if tail is None else tail.pareto
    return {
        "version": VERSION,
        "scores": scores,
        "scores_per_week": scores_per_week,
        "knots": [] if tail is None else _knots(tail.walk, scores_per_week / scores),
        "above": None if law is None else law.above,
        "scale": None if law is None else law.scale,
        "shape": None if law is None else law.shape,
        "peaks": 0 if law is None else len(law.peaks),
    }


def _knots(walked: Walk, per_week: float) -> list[list[float]]:
    """Scores of the data, from the highest down, ever further apart, and how many incidents a week exceed them."""
    steps = np.unique(np.geomspace(1, len(walked.scores), KNOTS).astype(int)) - 1
    return [[float(walked.scores[i]), float(walked.standing[: i + 1].max()) * per_week] for i in steps]


def peaks_for(scores: int) -> int:
    """How many peaks a law is fitted to: the square root of the number of scores, within bounds."""
    return int(np.clip(math.isqrt(scores), 2 * LEAST_PEAKS, MOST_PEAKS))


def fit_tail(walked: Walk, scores: int) -> Tail:
    """The tail of a history.

    Args:
        walked: Its highest scores.
        scores: How many it has in all.
    """
    above, peaks = walked.peaks(peaks_for(scores))
    return Tail(walked, fit_pareto(above, peaks) if len(peaks) >= LEAST_PEAKS else None)


def fit_pareto(above: float, peaks: Doubles) -> Pareto:
    """Maximum likelihood of scale and shape, the shape within its bounds.

    Source: Grimshaw 1993: with t = shape / scale, the best shape is mean(log(1 + t y)), so one dimension is searched.

    Args:
        above: u.
        peaks: float64 (m,), all above u, m >= 2.
    """
    excess = peaks - above
    mean, largest = float(excess.mean()), float(excess.max())
    steps = np.geomspace(1e-4, 50, 200) / mean
    ratios = np.concatenate([-(1 - np.geomspace(1e-6, 1, 200)[:-1]) / largest, steps])
    ratios = ratios[np.abs(ratios) * mean > 1e-9]
    shapes = np.log1p(ratios[:, None] * excess).mean(axis=1)
    inside = (shapes >= LEAST_SHAPE) & (shapes <= MOST_SHAPE) & (shapes * ratios > 0)
    shapes, scales = shapes[inside], (shapes / np.where(ratios == 0, 1, ratios))[inside]
    edges = np.array([LEAST_SHAPE, 0.0, MOST_SHAPE])
    candidates = [(shapes, scales)]
    for edge in edges:  # at a bound the scale is searched alone
        tried = mean * np.geomspace(0.2, 5, 200)
        candidates.append((np.full(len(tried), edge), tried))
    shape, scale = np.concatenate([c[0] for c in candidates]), np.concatenate([c[1] for c in candidates])
    best = int(np.argmax(_log_likelihood(excess, scale, shape)))
    return Pareto(above, float(scale[best]), float(shape[best]), peaks)


def _student_95(freedom: int) -> float:
    """95 % point of Student's t: few peaks lose more of their likelihood by chance than chi-square says.

    Source: first term of Fisher & Cornish 1960, Technometrics 2, 209.
    """
    return NORMAL_95 + (NORMAL_95**3 + NORMAL_95) / (4 * freedom)


def _log_likelihood(excess: Doubles, scale: Doubles, shape: Doubles) -> Doubles:
    """Of excesses (m,) under each pair of scale and shape; minus infinity where one lies beyond the law's end."""
    scale, shape = np.broadcast_arrays(scale, shape)
    count = len(excess)
    flat = np.abs(shape) < 1e-6
    safe = np.where(flat, 1.0, shape)
    inner = 1 + (safe / scale)[..., None] * excess
    inside = np.all(inner > 0, axis=-1)
    logs = np.log(np.where(inner > 0, inner, 1.0)).sum(axis=-1)
    curved = -count * np.log(scale) - (1 + 1 / safe) * logs
    straight = -count * np.log(scale) - excess.sum() / scale
    return np.where(flat, straight, np.where(inside, curved, -np.inf))


def _survival(excess: Doubles, scale: Doubles, shape: Doubles) -> Doubles:
    excess, scale, shape = np.broadcast_arrays(np.maximum(excess, 0.0), scale, shape)
    flat = np.abs(shape) < 1e-6
    safe = np.where(flat, 1.0, shape)
    inner = np.maximum(1 + safe * excess / scale, 0.0)
    with np.errstate(divide="ignore"):
        curved = np.where(inner > 0, np.exp(-np.log(np.where(inner > 0, inner, 1.0)) / safe), 0.0)
    return np.asarray(np.where(flat, np.exp(-excess / scale), curved))


def _excess(survival: Doubles, scale: Doubles, shape: Doubles) -> Doubles:
    survival, scale, shape = np.broadcast_arrays(survival, scale, shape)
    flat = np.abs(shape) < 1e-6
    safe = np.where(flat, 1.0, shape)
    curved = scale / safe * (survival ** (-safe) - 1)
    return np.asarray(np.where(flat, -scale * np.log(survival), curved))
