"""How far below what it had to pass a cell that has matched must fall to be clear again.

Flows in: a query's vectors, and the background that its threshold was computed from. Flows out: the cosine below which
it is clear, kept with the threshold. Stops before looks (`incidents.looks`), which are judged by it.

Cosines differ in scale by sentence, sensor and release, so a fixed margin is hysteresis for one query and none for the
next. What flickers is one cell between two passes, so its measure is the robust standard deviation of changes in the
background, not of places: ordinary ground differs far more than a cell does from itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alerts.budgets.background import History
from alerts.budgets.thresholds import (
    Floats,
    ReleaseBackground,
    Threshold,
    centre_and_sigma,
    dot,
    needed_scores,
)
from alerts.settings import MatcherSettings
from schemas.messages import Mode


@dataclass(frozen=True, slots=True)
class Noise:
    """A query's presence scores where nothing happens.

    Attributes:
        median: Of ordinary places.
        sigma: Robust standard deviation of the changes of one place.
    """

    median: float
    sigma: float


def noise(
    vector: Floats, *, here: History, everywhere: History, release: ReleaseBackground | None, settings: MatcherSettings
) -> Noise | None:
    """The noise of the first background that has enough changes; none where none has.

    Args:
        vector: float32 (384,) or (k, 384), the query.
        here: The archive under the query's area.
        everywhere: The archive.
        release: The release's own background, or none.
        settings: Least number of scores.
    """
    for history in (here, everywhere):
        if len(history.changed) >= needed_scores(release, settings):
            return _noise(vector, history.vectors, history.changes)
    if release is not None and len(release.changes) >= settings.least_background:
        return _noise(vector, release.vectors, release.changes)
    return None


def clear_below(found: Threshold, mode: Mode, around: Noise | None, settings: MatcherSettings) -> float | None:
    """The presence score below which a cell is clear; none where no presence score has to be passed.

    Never more than half the way down to ordinary ground: what looks more like it than like a match is clear, however
    much ground trembles.

    Args:
        found: The threshold.
        mode: On which score it is.
        around: The noise; none: not known.
        settings: The margin, in standard deviations or cosines.
    """
    passed = found.score if mode is Mode.PRESENCE else found.presence
    if passed is None:
        return None
    if around is None:
        return passed - settings.exit_margin
    margin = settings.exit_sigmas * around.sigma
    return passed - (min(margin, (passed - around.median) / 2) if passed > around.median else margin)


def _noise(vector: Floats, vectors: Floats, changes: Floats) -> Noise:
    return Noise(float(np.median(dot(vectors, vector))), centre_and_sigma(dot(changes, vector))[1])
