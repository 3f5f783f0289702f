"""Past alarms counted once: of several thresholds that see the same, how many are left when all hold at the same time.

Flows in: the points of a past that pass the thresholds in force. Flows out: the share of their incidents that are
alarms of their own. Stops before deciding what that means for a budget (`stratified`, `together`).

Each threshold has counted its own incidents. One that lasts from spring into summer, or that both sensors see, is one
alarm all the same. How many there are of all together is counted by the incident rule, each point against the threshold
that it has to pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import History, joined
from alerts.budgets.clusters import LONGEST_WALK, Doubles, walk
from alerts.budgets.strata import NOWHERE, strata_of
from alerts.budgets.thresholds import Floats, Threshold, dot, mode_scores
from alerts.settings import MatcherSettings
from schemas.messages import StandingQuery


@dataclass(frozen=True)
class Passing:
    """The points of a past that would have matched.

    Attributes:
        points: Where and when.
        margins: float64 (n,), by how much each exceeds the threshold that it has to pass.
        strata: str (n,), whose threshold that is.
    """

    points: History
    margins: Doubles
    strata: NDArray[np.str_]

    @classmethod
    def of(cls, query: StandingQuery, vector: Floats, here: History, found: Mapping[str, Threshold]) -> Passing:
        """Those that pass both scores of the threshold of their stratum.

        Args:
            query: Whose mode's score counts.
            vector: float32 (384,) or (k, 384).
            here: The past.
            found: Thresholds by stratum.
        """
        scores, rows = mode_scores(query, vector, here)
        names = strata_of(here.cells[rows], here.days[rows])
        names = np.where(np.isin(names, list(found)), names, NOWHERE)
        margins = scores - _each(names, {name: one.score for name, one in found.items()}, np.inf)
        floors = _each(names, {name: one.presence for name, one in found.items()}, -np.inf)
        passed = (margins >= 0) & (dot(here.vectors[rows], vector) >= floors)
        return cls(here.at(rows[passed]), margins[passed], names[passed])

    def only(self, some: NDArray[np.bool_]) -> Passing:
        """Some of them, bool (n,)."""
        return Passing(self.points.at(np.flatnonzero(some)), self.margins[some], self.strata[some])


def counted_once(parts: Sequence[Passing], rules: MatcherSettings) -> float:
    """Incidents of all parts together for each that the parts make one by one; at most 1.

    Half an incident is added to both numbers, so that a few say little.
    """
    if not 0 < sum(len(part.margins) for part in parts) <= LONGEST_WALK:
        return 1.0
    apart = sum(_incidents([part], rules) for part in parts)
    return min((_incidents(parts, rules) + 0.5) / (apart + 0.5), 1.0)


def scaled(one: Threshold, share: float) -> Threshold:
    """A threshold that promises only a share of its alarms."""
    if one.expected_per_week is None or one.tail is None:
        return one
    match one.tail:
        case {"expected_between": [float() | int() as low, float() | int() as high]}:
            tail = one.tail | {"expected_between": [low * share, high * share]}
            return replace(one, expected_per_week=one.expected_per_week * share, tail=tail)
    return one


def _incidents(parts: Sequence[Passing], rules: MatcherSettings) -> int:
    """How many incidents the points make."""
    margins = np.concatenate([part.margins for part in parts])
    if not len(margins):
        return 0
    return int(walk(margins, joined([part.points for part in parts]), np.arange(len(margins)), rules).standing[-1])


def _each(names: NDArray[np.str_], values: Mapping[str, float | None], nothing: float) -> Doubles:
    """float64 (n,), the value of each point's stratum."""
    out = np.full(len(names), nothing)
    for name, value in values.items():
        if value is not None:
            out[names == name] = value
    return out
