"""Scores of the past as incidents: what somebody would have been told, at every threshold at once.

Flows in: scores with their places and times. Flows out: how many incidents stand at each score, and their peaks. Stops
before budgets and models (`thresholds`, `tails`).

Points are walked from the highest score down. Each joins the incidents within reach in space and time, or makes one;
where it joins several they become one, which keeps the highest peak. So a fire of 200 cells counts as one alarm, as it
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


@dataclass(frozen=True, slots=True)
class Walk:
    """The highest scores of a history, from the highest down.

    Attributes:
        scores: float64 (k,), descending.
        standing: int (k,), incidents that the first i + 1 points make.
        absorbed: int (k,), which point absorbed the incident that point i began; k: none did. 0: it began none.
    """

    scores: Doubles
    standing: Indexes
    absorbed: Indexes

    def level(self, allowed: float) -> float:
        """The lowest score at which there are no more than `allowed` incidents, at least 1.

        It is never a score that another point has too which would make one incident more.
        """
        over = np.flatnonzero(self.standing > max(allowed, 1))
        if not len(over):
            return float(self.scores[-1])
        first = int(over[0])
        last, next_ = float(self.scores[first - 1]), float(self.scores[first])
        return last if last > next_ else float(np.nextafter(next_, np.inf))

    def incidents(self, level: float) -> int:
        """Incidents at a threshold; of one below what was walked, those that were found until there."""
        passed = int(np.searchsorted(-self.scores, -level, side="right"))
        return int(self.standing[passed - 1]) if passed else 0

    def peaks(self, most: int) -> tuple[float, Doubles]:
        """A score that about `most` incidents exceed, and their peaks.

        Where places and times are so few that incidents run together before there are as many, as many as there are.

        Returns:
            The score u, and float64 (m,), descending, m <= most, all above u.
        """
        over = np.flatnonzero(self.standing > most)
        first = int(over[0]) if len(over) else int(np.argmax(self.standing))
        born = np.flatnonzero(self.absorbed[:first] >= first)
        found = self.scores[born]
        return float(self.scores[first]), found[found > self.scores[first]]


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
    count = len(order)
    root = np.arange(count)
    standing, absorbed = np.zeros(count, dtype=np.intp), np.zeros(count, dtype=np.intp)
    now = 0
    for i in range(count):
        joined = np.unique(root[np.flatnonzero(close[i, :i])])
        now += 1 - len(joined)
        standing[i] = now
        if not len(joined):
            absorbed[i] = count
            if now > enough:
                count = i + 1
                break
            continue
        root[i] = joined[0]
        if len(joined) > 1:
            absorbed[joined[1:]] = i
            root[:i][np.isin(root[:i], joined[1:])] = joined[0]
    absorbed[absorbed == len(order)] = count
    return Walk(scores[order[:count]], standing[:count], absorbed[:count])


def _close(history: History, points: Indexes, rules: MatcherSettings) -> NDArray[np.bool_]:
    """bool (k, k), which points belong to one incident if both match."""
    where = positions(np.column_stack([history.lon[points], history.lat[points]]))
    squares = (where**2).sum(axis=1)
    apart = squares[:, None] + squares[None, :] - 2 * (where @ where.T)
    days = history.days[points]
    within = np.abs(days[:, None] - days[None, :]) <= rules.window_days
    return np.asarray((apart <= reach_km(rules.gap_cells) ** 2) & within)
