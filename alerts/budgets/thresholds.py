"""A threshold from the archive's own scores, per standing query, sensor and release.

Flows in: a query's vectors and budget, and the scores of what the archive holds. Flows out: the score that a match
must pass, how far it may be wrong, how many alarms to expect, and on what basis; or none with the reason. Stops before
storing it (`calibrate`).

In words (docs/thresholds.md has the formulas): the archive's past is replayed through the incident rule, and the
threshold is the lowest score at which it would have raised no more incidents than the budget allows for as many
passes, read off the data or, for seldom alarms, off a law fitted to their tail (`tails`). It is never lower than what
stands out from the noise. Both scores count: of an appearance query's changes only those are replayed that also look
like the sentence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import History
from alerts.budgets.clusters import walk
from alerts.budgets.counts import likely_count, mean_interval
from alerts.budgets.tails import MOST_PEAKS, fit_tail, to_json
from alerts.settings import MatcherSettings
from schemas.messages import Budget, Mode, Sensor, StandingQuery

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Basis = Literal["archive", "manual", "release", "none"]

LEAST_SIGMA = 0.005
"""Cosines closer than this are the same to every encoder here: a background without spread is too small, not calm."""
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""
FARTHEST_BEYOND = 4.0
"""A law is trusted down to one alarm in so many times the history's length; beyond, "not enough history" is said. Ours:
at four times, the interval of the threshold is about as wide as the excess itself."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a match must pass.

    Attributes:
        score: On the mode's score; none: nothing fires.
        presence: On the presence score as well, in appearance mode; none: anything goes.
        basis: Whence: the archive, a person, the release's own background, or nothing.
        background: How many archive scores there are.
        low: Least score of its 90 % interval; none where nothing is known of it.
        high: Greatest.
        needed: How many archive scores the budget asks for; more than `background`: not enough history for it.
        expected_per_week: Alarms to expect under the area at this threshold; none where that is not known.
        tail: The model of the scores above, `tails.Kept` in JSON.
        clear: Presence score below which a cell that has matched is clear again (`exits`).
    """

    score: float | None
    presence: float | None
    basis: Basis
    background: int
    low: float | None = None
    high: float | None = None
    needed: int | None = None
    expected_per_week: float | None = None
    tail: dict[str, object] | None = None
    clear: float | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much is watched.

    Attributes:
        per_day: Scores to come in a day under the whole area, of one sensor.
        sharers: Sensors that share the budget, as if each saw other incidents than the rest: fewer than there are where
            some are the same (`together`).
        share: Part of the scores that the threshold at hand decides on: a stratum's region has less than all cells.
    """

    per_day: float
    sharers: float
    share: float = 1.0

    @classmethod
    def of(cls, history: History, sharers: float) -> Self:
        """That of a history's cells and cadence."""
        return cls(history.cell_count * history.passes_per_day(), sharers)

    def scores_per_alarm(self, budget: Budget) -> float:
        """How many scores the budget allows one incident of this sensor; the sensors share it evenly."""
        return self.per_day * budget.per_days * self.sharers / budget.alarms


@dataclass(frozen=True, slots=True)
class ReleaseBackground:
    """What an encoder's release says of ordinary places, for archives that are still empty.

    Attributes:
        vectors: float32 (n, 384), unit rows of ordinary chips.
        changes: float32 (m, 384), differences between two looks at the same ordinary place.
    """

    vectors: Floats
    changes: Floats


@runtime_checkable
class WithBackground(Protocol):
    """An encoder that brings background vectors along; not every release does."""

    def background(self, sensor: str) -> tuple[Floats, Floats] | None:
        """`ReleaseBackground`'s two arrays for a sensor, or none."""


@runtime_checkable
class WithCalibration(Protocol):
    """An encoder that can say what its cosines mean; not every release can."""

    def score_at(self, sensor: str, vector: Floats, chance: float) -> float | None:
        """The cosine from which a chip shows what the sentence asks for with this probability, or none."""


def threshold(
    query: StandingQuery,
    sensor: Sensor,
    vector: Floats,
    *,
    here: History,
    everywhere: History,
    release: ReleaseBackground | None,
    settings: MatcherSettings,
    plausible: float | None = None,
    exposure: Exposure | None = None,
) -> Threshold:
    """The threshold of one query for one sensor; pure arithmetic, no store is asked.

    Args:
        query: Mode, budget, number of sensors, and a person's own threshold if there is one.
        sensor: Whose scores these are.
        vector: float32 (384,) or (k, 384), the sentence in one wording or several; the highest product counts.
        here: The archive under the query's area, of this sensor and release.
        everywhere: The archive, for areas that hold too little.
        release: The release's own background, or none.
        settings: Least number of scores, deviations, the incident rule.
        plausible: Presence score below which the sentence is unlikely to be true, by the release's own calibration.
        exposure: How much is watched; none: what the cells of `here` (if there are none, `everywhere`) say, and the
            budget is shared by all sensors of the query.
    """
    watched = exposure or Exposure.of(here if len(here.vectors) else everywhere, len(query.sensors))
    case = _Case(query, vector, release, settings, plausible, watched)
    return _presence(case, here, everywhere) if query.mode is Mode.PRESENCE else _appearance(case, here, everywhere)


def mode_scores(query: StandingQuery, vector: Floats, history: History) -> tuple[Doubles, NDArray[np.intp]]:
    """The scores of a query's mode, float64 (n,), and which points of the history they belong to, int (n,)."""
    if query.mode is Mode.PRESENCE:
        return dot(history.vectors, vector), np.arange(len(history.vectors))
    return dot(history.changes, vector), history.changed


def needed_scores(release: ReleaseBackground | None, settings: MatcherSettings) -> int:
    """Scores that an archive must hold to speak for itself; more where a release can speak for it meanwhile."""
    brought = release is not None and len(release.vectors) >= settings.least_background
    return max(settings.least_background, settings.large_background) if brought else settings.least_background


def centre_and_sigma(scores: Doubles) -> tuple[float, float]:
    """Median, and the standard deviation that its absolute deviations stand for: outliers count for nothing."""
    median = float(np.median(scores))
    return median, max(MAD_TO_SIGMA * float(np.median(np.abs(scores - median))), LEAST_SIGMA)


@dataclass(frozen=True, slots=True)
class _Case:
    """What all steps of one threshold need to know."""

    query: StandingQuery
    vector: Floats
    release: ReleaseBackground | None
    settings: MatcherSettings
    plausible: float | None
    exposure: Exposure

    @property
    def needed(self) -> int:
        return needed_scores(self.release, self.settings)

    @property
    def scores_per_alarm(self) -> float:
        return self.exposure.scores_per_alarm(self.query.budget)

    def at_least(self, found: float) -> float:
        """A score, but never below what is plausible: rare, and yet unlikely to be meant, is no match."""
        return found if self.plausible is None else max(found, self.plausible)

    def without_history(self, score: float | None, floor: float | None, basis: Basis, scores: int) -> Threshold:
        """A threshold that no budget is behind."""
        needed = max(self.needed, math.ceil(self.scores_per_alarm / FARTHEST_BEYOND))
        if self.query.threshold is not None:
            return Threshold(self.query.threshold, floor, "manual", scores, needed=needed)
        return Threshold(score, floor, basis, scores, needed=needed)


def _presence(case: _Case, here: History, everywhere: History) -> Threshold:
    settings, release = case.settings, case.release
    for history in (here, everywhere):
        if len(history.vectors) >= case.needed:
            scores, points = mode_scores(case.query, case.vector, history)
            floor = case.at_least(_unusual(scores, settings))
            return _from_past(case, scores, history, points, floor, None)
    if release is not None and len(release.vectors) >= settings.least_background:
        median, sigma = centre_and_sigma(dot(release.vectors, case.vector))
        score = case.at_least(median + settings.noise_sigmas * sigma)
        return case.without_history(score, None, "release", len(here.vectors))
    return case.without_history(None, None, "none", len(here.vectors))


def _appearance(case: _Case, here: History, everywhere: History) -> Threshold:
    settings, release = case.settings, case.release
    floor = _presence_floor(case, here, everywhere)
    for history in (here, everywhere):
        if len(history.changed) >= case.needed:
            scores, points = mode_scores(case.query, case.vector, history)
            median, sigma = centre_and_sigma(scores)
            noise = median + settings.noise_sigmas * sigma
            return _from_past(case, scores, history, points, noise, floor)
    if release is not None and len(release.changes) >= settings.least_background:
        median, sigma = centre_and_sigma(dot(release.changes, case.vector))
        score = median + settings.noise_sigmas * sigma
        # both scores from one background: an archive too young to say what changes may hold little else than events
        brought = case.at_least(_unusual(dot(release.vectors, case.vector), settings))
        return case.without_history(score, brought, "release", len(here.changed))
    for history in (here, everywhere):
        if len(history.vectors) >= settings.least_background:
            _, sigma = centre_and_sigma(dot(history.vectors, case.vector))
            score = settings.stranger_sigmas * math.sqrt(2) * sigma
            return case.without_history(score, floor, "archive", len(history.changed))
    return case.without_history(None, floor, "none", len(here.changed))


def _from_past(
    case: _Case, scores: Doubles, history: History, points: NDArray[np.intp], least: float, floor: float | None
) -> Threshold:
    """What the budget allows, but at least what stands out.

    Args:
        case: Budget, exposure, rules.
        scores: float64 (n,), the mode's scores of the whole background.
        history: Where they come from.
        points: int (n,), which of its points they belong to.
        least: The threshold is never lower than this.
        floor: Presence that the points must reach as well, or none: one law for both scores, of those that do.
    """
    count, per_alarm = len(scores), case.scores_per_alarm
    if floor is not None:
        alike = dot(history.vectors[points], case.vector) >= floor
        scores, points = scores[alike], points[alike]
    allowed = count / per_alarm if per_alarm > 0 else 1.0
    enough = 2 * MOST_PEAKS + 3 * allowed if case.query.threshold is None else math.inf
    walked = walk(scores, history, points, case.settings, enough=enough) if len(scores) else None
    tail = None if walked is None else fit_tail(walked, count, history.share)
    reach = 1 / FARTHEST_BEYOND if tail is not None and tail.pareto is not None else 1.0
    needed = max(case.needed, math.ceil(per_alarm * reach))
    score, low, high = least, least, least
    if tail is not None:
        prudent = max(likely_count(allowed), min(allowed, 1.0), reach)
        score = max(tail.score(prudent), least)
        low, high = (max(bound, least) for bound in tail.score_between(prudent))
    if case.query.threshold is not None:
        score = low = high = case.query.threshold
    weekly = 7 * case.exposure.per_day * case.exposure.share
    expected = (tail.expected(score) if tail is not None else 0.0) * weekly / count
    low_count, high_count = tail.expected_between(score) if tail is not None else mean_interval(0)
    return Threshold(
        score,
        floor,
        "archive" if case.query.threshold is None else "manual",
        count,
        low=min(low, score),
        high=max(high, score),
        needed=needed,
        expected_per_week=expected,
        tail=to_json(tail, weekly, count)
        | {
            "share": case.exposure.share,
            "expected_between": [low_count * weekly / count, high_count * weekly / count],
        },
    )


def _presence_floor(case: _Case, here: History, everywhere: History) -> float | None:
    """What ordinary places do not reach, from the first background that is large enough; never implausible."""
    release, settings = case.release, case.settings
    for history in (here, everywhere):
        if len(history.vectors) >= case.needed:
            return case.at_least(_unusual(dot(history.vectors, case.vector), settings))
    if release is not None and len(release.vectors) >= settings.least_background:
        return case.at_least(_unusual(dot(release.vectors, case.vector), settings))
    return case.plausible


def _unusual(presence: Doubles, settings: MatcherSettings) -> float:
    """The score that the given share of ordinary places does not reach.

    The share is taken of the bulk: with lakes over a tenth of an area a high percentile is a lake's own score,
    which no flooded street would reach, so the smaller of the percentile and the bulk's own is taken.
    """
    median, sigma = centre_and_sigma(presence)
    quantile = float(np.quantile(presence, settings.presence_quantile))
    return min(quantile, median + NormalDist().inv_cdf(settings.presence_quantile) * sigma)


def dot(vectors: Floats, vector: Floats) -> Doubles:
    """float64 (n,), products with a query's vector, or the highest with its vectors."""
    return np.asarray((vectors @ np.atleast_2d(vector).T).max(axis=1), dtype=np.float64)
