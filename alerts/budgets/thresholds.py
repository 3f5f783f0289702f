"""A first threshold from the archive's own scores, per standing query, sensor and release.

Flows in: a query's vector and budget, and the scores of what the archive holds. Flows out: the score that a match
must pass, on what basis, or none with the reason. Stops before storing it (`calibrate`).

In words (docs/thresholds.md has the formulas): the archive's past is replayed through the incident rule, and the
threshold is the lowest score at which it would have raised no more incidents than the budget allows for as many
passes. It is never lower than what stands out from the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import History
from alerts.places import near, positions, reach_km
from alerts.settings import MatcherSettings
from schemas.messages import Budget, Mode, Sensor, StandingQuery

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Basis = Literal["archive", "manual", "release", "none"]

LEAST_SIGMA = 0.005
"""Cosines closer than this are the same to every encoder here: a background without spread is too small, not calm."""
MAD_TO_SIGMA = 1.4826
"""Median absolute deviation to standard deviation of a normal distribution."""
LONGEST_WALK = 1000
"""Points of the tail that are replayed at most."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a match must pass.

    Attributes:
        score: On the mode's score; none: nothing fires.
        presence: On the presence score as well, in appearance mode; none: anything goes.
        basis: Whence: the archive, a person, the release's own background, or nothing.
        background: How many scores it was computed from.
    """

    score: float | None
    presence: float | None
    basis: Basis
    background: int


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
) -> Threshold:
    """The threshold of one query for one sensor.

    Args:
        query: Sentence, mode, budget, and a person's own threshold if there is one.
        sensor: Whose scores these are.
        vector: float32 (384,), the sentence.
        here: The archive under the query's area.
        everywhere: The archive, for areas that hold too little.
        release: The release's own background, or none.
        settings: Least number of scores, deviations, the incident rule.
        plausible: Presence score below which the sentence is unlikely to be true, by the release's own calibration.
    """
    if query.mode is Mode.PRESENCE:
        found = _presence(query, vector, here, everywhere, release, settings)
    else:
        found = _appearance(query, vector, here, everywhere, release, settings)
    found = _plausibly(found, query.mode, plausible)
    if query.threshold is None:
        return found
    return Threshold(query.threshold, found.presence, "manual", found.background)


def _plausibly(found: Threshold, mode: Mode, plausible: float | None) -> Threshold:
    """The threshold, but never for what is rare and yet unlikely to be what the sentence asks for."""
    if plausible is None:
        return found
    if mode is Mode.PRESENCE:
        return found if found.score is None else replace(found, score=max(found.score, plausible))
    floor = plausible if found.presence is None else max(found.presence, plausible)
    return replace(found, presence=floor)


def centre_and_sigma(scores: Doubles) -> tuple[float, float]:
    """Median, and the standard deviation that its absolute deviations stand for: outliers count for nothing."""
    median = float(np.median(scores))
    return median, max(MAD_TO_SIGMA * float(np.median(np.abs(scores - median))), LEAST_SIGMA)


def allowed_incidents(budget: Budget, sensors: int, history: History, passes: int) -> float:
    """How many incidents the budget allows for as many passes of a cell as a history holds.

    Args:
        budget: Alarms and days, of all sensors together.
        sensors: Sensors that share it.
        history: Whence the cells and their cadence are known.
        passes: Passes of a cell in the history.
    """
    per_period = history.cell_count * history.passes_per_day() * budget.per_days
    return budget.alarms / sensors * passes / per_period if per_period > 0 else 0.0


def replay(scores: Doubles, history: History, points: NDArray[np.intp], allowed: int, rules: MatcherSettings) -> float:
    """The lowest score at which a history makes no more than `allowed` incidents, at least 1.

    Scores are walked from the highest down. Each joins the incidents within reach in space and time, or makes one.

    Args:
        scores: float64 (k,), of the points to walk, not empty.
        history: Where and when.
        points: int (k,), which points of the history the scores belong to.
        allowed: Incidents.
        rules: Reach and window of an incident.
    """
    order = np.argsort(-scores, kind="stable")[:LONGEST_WALK]
    where = positions(np.column_stack([history.lon[points[order]], history.lat[points[order]]]))
    days = history.days[points[order]]
    incident = np.empty(len(order), dtype=np.intp)
    standing = 0
    for i in range(len(order)):
        close = near(where[i : i + 1], where[:i], reach_km(rules.gap_cells))[0]
        close &= np.abs(days[:i] - days[i]) <= rules.window_days
        joined = np.unique(incident[:i][close])
        standing += 1 - len(joined)
        if standing > allowed:
            return float(scores[order[i - 1]])
        incident[i] = joined[0] if len(joined) else i
        incident[:i][np.isin(incident[:i], joined)] = incident[i]
    return float(scores[order[-1]])


def _presence(
    query: StandingQuery,
    vector: Floats,
    here: History,
    everywhere: History,
    release: ReleaseBackground | None,
    settings: MatcherSettings,
) -> Threshold:
    for history in (here, everywhere):
        if len(history.vectors) >= _needed(release, settings):
            scores = _dot(history.vectors, vector)
            exposed = here if len(here.vectors) else everywhere
            allowed = int(allowed_incidents(query.budget, len(query.sensors), exposed, len(scores)))
            score = replay(scores, history, np.arange(len(scores)), max(allowed, 1), settings)
            return Threshold(max(score, _unusual(scores, settings)), None, "archive", len(scores))
    if release is not None and len(release.vectors) >= settings.least_background:
        median, sigma = centre_and_sigma(_dot(release.vectors, vector))
        return Threshold(median + settings.noise_sigmas * sigma, None, "release", len(release.vectors))
    return Threshold(None, None, "none", len(here.vectors))


def _appearance(
    query: StandingQuery,
    vector: Floats,
    here: History,
    everywhere: History,
    release: ReleaseBackground | None,
    settings: MatcherSettings,
) -> Threshold:
    floor = _presence_floor(vector, here, everywhere, release, settings)
    for history in (here, everywhere):
        if len(history.changed) >= _needed(release, settings):
            exposed = here if len(here.vectors) else everywhere
            score = _change_score(query, _dot(history.changes, vector), history, exposed, settings)
            return Threshold(score, floor, "archive", len(history.changed))
    if release is not None and len(release.changes) >= settings.least_background:
        median, sigma = centre_and_sigma(_dot(release.changes, vector))
        return Threshold(median + settings.noise_sigmas * sigma, floor, "release", len(release.changes))
    for history in (here, everywhere):
        if len(history.vectors) >= settings.least_background:
            _, sigma = centre_and_sigma(_dot(history.vectors, vector))
            return Threshold(settings.stranger_sigmas * math.sqrt(2) * sigma, floor, "archive", len(history.vectors))
    return Threshold(None, floor, "none", len(here.vectors))


def _change_score(
    query: StandingQuery, scores: Doubles, history: History, exposed: History, settings: MatcherSettings
) -> float:
    """What the budget allows, but at least what stands out from the noise; a short history is allowed one incident."""
    median, sigma = centre_and_sigma(scores)
    noise = median + settings.noise_sigmas * sigma
    allowed = int(allowed_incidents(query.budget, len(query.sensors), exposed, len(scores)))
    loud = np.flatnonzero(scores >= noise)
    if not len(loud):
        return noise
    return replay(scores[loud], history, history.changed[loud], max(allowed, 1), settings)


def _presence_floor(
    vector: Floats,
    here: History,
    everywhere: History,
    release: ReleaseBackground | None,
    settings: MatcherSettings,
) -> float | None:
    """What ordinary places do not reach, from the first background that is large enough."""
    for history in (here, everywhere):
        if len(history.vectors) >= _needed(release, settings):
            return _unusual(_dot(history.vectors, vector), settings)
    if release is not None and len(release.vectors) >= settings.least_background:
        return _unusual(_dot(release.vectors, vector), settings)
    return None


def _needed(release: ReleaseBackground | None, settings: MatcherSettings) -> int:
    """Scores that an archive must hold to speak for itself; more where a release can speak for it meanwhile."""
    brought = release is not None and len(release.vectors) >= settings.least_background
    return max(settings.least_background, settings.large_background) if brought else settings.least_background


def _unusual(presence: Doubles, settings: MatcherSettings) -> float:
    """The score that the given share of ordinary places does not reach.

    The share is taken of the bulk: with lakes over a tenth of an area a high percentile is a lake's own score,
    which no flooded street would reach, so the smaller of the percentile and the bulk's own is taken.
    """
    median, sigma = centre_and_sigma(presence)
    quantile = float(np.quantile(presence, settings.presence_quantile))
    return min(quantile, median + NormalDist().inv_cdf(settings.presence_quantile) * sigma)


def _dot(vectors: Floats, vector: Floats) -> Doubles:
    return np.asarray(vectors @ vector, dtype=np.float64)
