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

from alerts.budgets.clusters import SAME, Walk
from alerts.budgets.counts import count_interval, mean_interval

Doubles = NDArray[np.float64]

VERSION = 1
"""Of the JSON form."""
LEAST_PEAKS, MOST_PEAKS = 10, 50
"""Peaks that a fit needs, and at most takes: beyond, it describes the bulk. Ten leave a shape that is known to 0.5."""
INSIDE = 3
"""Incidents from which on the data are read themselves; for fewer the law is asked. However scores are distributed, a
history's k-th highest is exceeded k times in the next as long, on average (Wilks 1941, Annals of Mathematical
Statistics 12, 91), which a law can only get wrong. From three on the data hold the upper end of the threshold's
interval as well: the highest of them lies above the score of three alarms with 95 % (1 - exp(-3))."""
LEAST_SHAPE, MOST_SHAPE = -0.8, 0.5
"""Cosines are bounded: a heavier tail than 0.5 is a few events among the noise, not a law. Below -1 there is no
greatest likelihood, and below -0.5 its interval is only roughly what it says (Smith 1985, Biometrika 72, 67)."""
NORMAL_975 = 1.9600
"""97.5 % point of the normal distribution. An interval of 90 % leaves out 5 % on each side; the likelihood of so few
peaks is too sure of itself, and only what should be 95 % is 90 (simulated; tests/unit/test_alerts_tails.py)."""
KNOTS = 24
"""Scores of the data that the JSON form keeps with their rates."""
FARTHEST = 10.0
"""A score is never called rarer than once in so many times the history's length: nobody has watched for longer."""
_SHAPES, _SCALES, _RATES = 53, 41, 15
_HALVINGS = 30
_NEGLIGIBLE = 14.0
"""Twice the loss of log-likelihood from which on a law weighs less than a thousandth of the best."""


@dataclass(frozen=True)
class Pareto:
    """The law of the peaks above a score.

    What it says of alarms to come is not what the likeliest scale and shape say, but the mean over all that the peaks
    leave possible, each weighed by its likelihood: far beyond the data the likeliest law alone promises too few alarms
    (Coles 2001, section 9.1.2, predictive distribution; flat in the shape and in the logarithm of the scale).

    Attributes:
        above: u, cosine.
        scale: Of the excess, cosine, more than 0; the likeliest.
        shape: Negative: there is a highest score; the likeliest.
        peaks: float64 (m,), what it was fitted to.
    """

    above: float
    scale: float
    shape: float
    peaks: Doubles

    def expected(self, score: float) -> float:
        """Peaks that exceed a score, in as long a time as the law was fitted to."""
        weights, scales, shapes = self._possible
        return len(self.peaks) * float(weights @ _survival(np.array(score - self.above), scales, shapes))

    def expected_between(self, score: float) -> tuple[float, float]:
        """Their 90 % interval."""
        rates, scales, shapes = self._plausible
        expected = len(self.peaks) * rates * _survival(np.array(score - self.above), scales, shapes)
        return float(expected.min()), float(expected.max())

    def score(self, expected: float) -> float:
        """The score that so many peaks exceed, more than 0 and at most all of them."""
        _, scales, shapes = self._possible
        share = min(expected / len(self.peaks), 1.0)
        low, high = self.above, self.above + float(_excess(np.array(share), scales, shapes).max())
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.expected(middle) > expected else (low, middle)
        return high

    def score_between(self, expected: float) -> tuple[float, float]:
        """Its 90 % interval."""
        rates, scales, shapes = self._plausible
        share = np.minimum(expected / len(self.peaks) / rates, 1.0)
        scores = self.above + _excess(share, scales, shapes)
        return float(scores.min()), float(scores.max())

    @cached_property
    def _grid(self) -> tuple[Doubles, Doubles, Doubles]:
        """Scales (a, 1), shapes (1, b) and twice their loss of log-likelihood (a, b)."""
        excess, error = self.peaks - self.above, 1 / math.sqrt(len(self.peaks))
        shapes = np.linspace(LEAST_SHAPE, MOST_SHAPE, _SHAPES)[None, :]
        scales = self.scale * np.exp(np.linspace(-5, 5, _SCALES) * error)[:, None]
        fit = _log_likelihood(excess, scales, shapes)
        best = float(_log_likelihood(excess, np.array(self.scale), np.array(self.shape)))
        return scales, shapes, 2 * (max(best, float(fit.max())) - fit)

    @cached_property
    def _possible(self) -> tuple[Doubles, Doubles, Doubles]:
        """Weights, scales and shapes, float64 (k,), of all laws that matter; the weights' sum is 1."""
        scales, shapes, loss = (grid[::2, ::2] for grid in np.broadcast_arrays(*self._grid))
        chosen = loss < _NEGLIGIBLE
        weights = np.exp(-loss[chosen] / 2)
        return weights / weights.sum(), scales[chosen], shapes[chosen]

    @cached_property
    def _plausible(self) -> tuple[Doubles, Doubles, Doubles]:
        """Rates (multiples of the peaks' number), scales and shapes, float64 (k,), that the peaks don't rule out.

        The extremes of a quantity over them are its profile likelihood interval.
        """
        scales, shapes, loss = self._grid
        count = len(self.peaks)
        rates = np.exp(np.linspace(-2.6, 2.2, _RATES) / math.sqrt(count))
        often = 2 * count * (rates - 1 - np.log(rates))
        kept = np.nonzero(loss[None] + often[:, None, None] <= _student(count - 2) ** 2)
        return (
            np.append(rates[kept[0]], 1.0),
            np.append(scales[kept[1], 0], self.scale),
            np.append(shapes[0, kept[2]], self.shape),
        )


@dataclass(frozen=True)
class Tail:
    """How many incidents a history makes above any score.

    Attributes:
        walk: Its highest scores.
        pareto: The law beyond, or none: too few incidents to fit one.
        share: Part of the cells that was read, 0-1; what the others do is less certain.
    """

    walk: Walk
    pareto: Pareto | None
    share: float = 1.0

    def expected(self, score: float) -> float:
        """Incidents above a score, in as many scores as the history has."""
        if self.pareto is None or score <= self.beyond:
            return float(self.walk.incidents(score))
        return self._of_the_law * self.pareto.expected(score)

    def expected_between(self, score: float) -> tuple[float, float]:
        """Their 90 % interval: exact for a Poisson count inside the data, of the profile likelihood beyond."""
        expected = self.expected(score)
        if self.pareto is None or score <= self.beyond:
            low, high = mean_interval(self.walk.incidents(score))
        else:
            low, high = (self._of_the_law * bound for bound in self.pareto.expected_between(score))
            low, high = min(low, expected), max(high, expected)
        if expected <= 0:
            return low, high
        spread = self._spread(score)
        return expected * (low / expected) ** spread, expected * (high / expected) ** spread

    def score(self, allowed: float) -> float:
        """The lowest score above which there are no more than `allowed` incidents."""
        if self.pareto is None or allowed >= INSIDE:
            return self.walk.level(math.floor(allowed))
        return max(self.pareto.score(allowed / self._of_the_law), self.beyond)

    def score_between(self, allowed: float) -> tuple[float, float]:
        """Its 90 % interval: which scores may truly have as many incidents above them.

        Inside the data those of the counts that a Poisson process of such a mean has: exact for order statistics.
        """
        score = self.score(allowed)
        spread = self._spread(score)
        if self.pareto is not None and allowed < INSIDE:
            low, high = self.pareto.score_between(allowed / self._of_the_law)
            return score - spread * max(score - low, 0.0), score + spread * max(high - score, 0.0)
        fewest, most = count_interval(max(allowed, 1.0))
        low = self.walk.level(math.ceil(allowed + spread * (most + 1 - allowed)))
        high = self.walk.level(math.floor(allowed - spread * (allowed - fewest)))
        return min(low, score), max(high, score)

    def _spread(self, score: float) -> float:
        """By how much an interval is wider because only a sample of the cells was read, and places differ."""
        level = min(score, self.walk.level(INSIDE))
        return math.sqrt(1 + (1 - self.share) * (self.walk.clumping(level) - 1))

    @cached_property
    def beyond(self) -> float:
        """Above this score the law is asked, down from it the data are."""
        return self.walk.level(INSIDE)

    @cached_property
    def _of_the_law(self) -> float:
        """Incidents of the data for each of the law's, where one takes over from the other: 1, but for chance."""
        return 1.0 if self.pareto is None else INSIDE / self.pareto.expected(self.beyond)


@dataclass(frozen=True, slots=True)
class Kept:
    """The model of a tail as a row keeps it.

    Attributes:
        scores: How many it rests on.
        scores_per_week: Scores to come in a week.
        knots: Scores, descending, and incidents a week above each: of the data, and of the law beyond.
    """

    scores: int
    scores_per_week: float
    knots: tuple[tuple[float, float], ...]

    @classmethod
    def from_json(cls, stored: object) -> Self | None:
        """Read what `to_json` wrote; none for another version, and for what is no such thing."""
        match stored:
            case {
                "version": 1,
                "scores": int(scores),
                "scores_per_week": float() | int() as weekly,
                "knots": [*knots],
            } if scores > 0 and weekly > 0:
                return cls(scores, weekly, tuple((float(score), float(rate)) for score, rate in knots))
        return None

    @property
    def longest_days(self) -> float:
        """The rarest that anything is called, days."""
        return FARTHEST * 7 * self.scores / self.scores_per_week

    def per_week(self, score: float) -> float:
        """Incidents a week that are at least so strong; between two knots their logarithms are on a line."""
        if not self.knots or score > self.knots[0][0]:
            return 0.0
        scores, rates = np.array(self.knots).T
        return float(np.exp(np.interp(score, scores[::-1], np.log(rates[::-1]))))


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
        "knots": [] if tail is None else _knots(tail, scores_per_week / scores),
        "above": None if law is None else law.above,
        "scale": None if law is None else law.scale,
        "shape": None if law is None else law.shape,
        "peaks": 0 if law is None else len(law.peaks),
    }


def _knots(tail: Tail, per_week: float) -> list[list[float]]:
    """Scores from the highest down, ever further apart, and how many incidents a week exceed them.

    Beyond the data, those that are expected INSIDE times, half as often, and so on, for as far as anything is said.
    """
    seldom = INSIDE * 0.5 ** np.arange(math.ceil(math.log2(INSIDE * FARTHEST)) + 1)
    beyond = [] if tail.pareto is None else [(tail.score(count), count) for count in seldom[::-1].tolist()]
    steps = np.unique(np.geomspace(1, len(tail.walk.scores), KNOTS).astype(int)) - 1
    data = [(float(score), float(tail.walk.incidents(float(score)))) for score in tail.walk.scores[steps]]
    lowest = beyond[-1][0] if beyond else math.inf
    return [[score, count * per_week] for score, count in [*beyond, *(knot for knot in data if knot[0] < lowest)]]


def peaks_for(scores: int) -> int:
    """How many peaks a law is fitted to: the square root of the number of scores, within bounds."""
    return int(np.clip(math.isqrt(scores), 2 * LEAST_PEAKS, MOST_PEAKS))


def fit_tail(walked: Walk, scores: int, share: float = 1.0) -> Tail:
    """The tail of a history.

    Args:
        walked: Its highest scores.
        scores: How many it has in all.
        share: Part of the cells that was read, 0-1.
    """
    above, peaks = walked.peaks(peaks_for(scores))
    enough = len(peaks) >= LEAST_PEAKS and float(peaks.mean()) - above > 10 * SAME
    return Tail(walked, fit_pareto(above, peaks) if enough else None, share)


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


def _student(freedom: int) -> float:
    """97.5 % point of Student's t: few peaks lose more of their likelihood by chance than chi-square says.

    Source: first term of Fisher & Cornish 1960, Technometrics 2, 209.
    """
    return NORMAL_975 + (NORMAL_975**3 + NORMAL_975) / (4 * freedom)


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
