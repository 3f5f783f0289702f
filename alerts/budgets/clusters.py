"""Scores of the past as incidents: what somebody would have been told, at every threshold at once.

Flows in: scores with their places and times. Flows out: how many incidents stand at each score, and their peaks. Stops
before budgets and models (`thresholds`, `tails`).

Points are walked from the highest score down. Each joins the incidents within reach in space and time, or makes one;
where it joins several they become one. So a fire of 200 cells counts as one alarm, as it
did for whoever was told of it. This is declustering by runs, in space and time.

Source: Davison & Smith 1990, J. R. Stat. Soc. B 52, 393 (clusters of exceedances); Ferro & Segers 2003, J. R. Stat.
Soc. B 65, 545 (declustering by runs).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import History
from alerts.places import positions, reach_km
from alerts.settings import MatcherSettings

Doubles = NDArray[np.float64]
Indexes = NDArray[np.intp]

LONGEST_WALK = 1000
"""Points of the tail that are walked at most."""

SAME = 1e-6
"""Scores nearer than this are the same: what a float32 product of two unit vectors is exact to."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The highest scores of a history, from the highest down.

    Attributes:
        scores: float64 (k,), descending.
        standing: int (k,), incidents that the first i + 1 points make.
        cells: str (k,), where each point is.
    """

    scores: Doubles
    standing: Indexes
    cells: NDArray[np.str_]

    def level(self, allowed: float) -> float:
        """The lowest score at which there are no more than `allowed` incidents, at least 1.

        It is never a score that is the same as that of a point which would make one incident more.
        """
        over = np.flatnonzero(self.standing > max(allowed, 1))
        if not len(over):
            return float(self.scores[-1])
        first = int(over[0])
        last, next_ = float(self.scores[first - 1]), float(self.scores[first])
        return max(last, next_ + SAME)

    def incidents(self, level: float) -> int:
        """The most incidents at any threshold down to this one; below what was walked, those that were found there.

        Incidents that have grown into one at this level were several at a higher one: whoever lowers a threshold
        does not take back an alarm.
        """
        passed = int(np.searchsorted(-self.scores, -level, side="right"))
        return int(self.standing[:passed].max()) if passed else 0

    def clumping(self, level: float) -> float:
        """How many incidents come from one cell, 1 or more: the mean over incidents of the number from its cell.

        By so much is the variance of a count greater than Poisson's when cells are drawn: some places alarm again and
        again, and a sample has them or has them not.

        Source: Kish 1965, Survey Sampling, section 5.4 (design effect of clusters).
        """
        begun = (np.diff(self.standing, prepend=0) > 0) & (self.scores >= level)
        counts = np.unique(self.cells[begun], return_counts=True)[1]
        return float((counts**2).sum() / counts.sum()) if len(counts) else 1.0

    def peaks(self, most: int) -> tuple[float, Doubles]:
        """The order statistics of incidents: the j-th is the score from which down there have been j at once.

        A peak is counted where it stands alone at its own level: what joins a fire above it is that fire, and a lake
        that passes on two days half a year apart is two, though all of its year passes at a lower level.

        Returns:
            A score u that at most `most` of them exceed, and those, float64 (m,), descending.
        """
        highest = np.maximum.accumulate(self.standing)
        found = self.scores[np.flatnonzero(np.diff(highest, prepend=0) > 0)]
        above = float(found[min(most, len(found) - 1)])
        return above, found[found > above]


def walk(
    scores: Doubles, history: History, points: Indexes, rules: MatcherSettings, *, enough: float = math.inf
) -> Walk:
    """Walk the highest scores of a history.

    Args:
        scores: float64 (k,), of the points to walk, not empty.
        history: Where and when.
        points: int (k,), which points of the history the scores belong to.
        rules: Reach and window of an incident.
        enough: No further once more incidents stand than this.
    """
    order = np.argsort(-scores, kind="stable")[:LONGEST_WALK]
    close = _close(history, points[order], rules)
    incident = np.arange(len(order))
    standing = np.zeros(len(order), dtype=np.intp)
    now = 0
    for i in range(len(order)):
        joined = sorted(set(incident[:i][close[i, :i]].tolist()))
        now += 1 - len(joined)
        standing[i] = now
        if now > enough:
            order, standing = order[: i + 1], standing[: i + 1]
            break
        if joined:
            incident[i] = joined[0]
        for other in joined[1:]:
            incident[:i][incident[:i] == other] = joined[0]
    return Walk(scores[order], standing, history.cells[points[order]])


def _close(history: History, points: Indexes, rules: MatcherSettings) -> NDArray[np.bool_]:
    """bool (k, k), which points belong to one incident if both match."""
    where = positions(np.column_stack([history.lon[points], history.lat[points]]))
    squares = (where**2).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2 * (where @ where.T)
    days = history.days[points]
    within = np.abs(days[:, None] - days[None, :]) <= rules.window_days
    return np.asarray((apart <= reach_km(rules.gap_cells) ** 2) & within)
