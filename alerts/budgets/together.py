"""All sensors of a query under one budget: what several of them see is one alarm, promised and paid for once.

Flows in: a query and, by sensor, its vectors and the archive's past. Flows out: thresholds by sensor and stratum. Stops
before storing them (`calibrate`).

First the sensors share the budget evenly, as if each saw other incidents than the rest. Then the past is counted with
the thresholds of all at once (`once`). Where sensors or seasons share incidents the budget is not used up: it is
divided anew, among as few sensors as would see so many different ones. What the thresholds then promise is scaled by
what a second count leaves of their sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from alerts.budgets.background import History
from alerts.budgets.once import Passing, counted_once, scaled
from alerts.budgets.stratified import thresholds_by_stratum
from alerts.budgets.thresholds import Floats, ReleaseBackground, Threshold, needed_scores
from alerts.settings import MatcherSettings
from schemas.messages import Sensor, StandingQuery

Found = dict[Sensor, dict[str, Threshold]]


@dataclass(frozen=True, slots=True)
class Background:
    """What the thresholds of one sensor come from.

    Attributes:
        vector, here, everywhere, release, plausible: As `thresholds.threshold` takes them.
    """

    vector: Floats
    here: History
    everywhere: History
    release: ReleaseBackground | None
    plausible: float | None = None

    def settled(self, settings: MatcherSettings) -> Background:
        """Without the changes against young baselines, where enough are left."""
        least = max(needed_scores(self.release, settings), settings.large_background)
        return replace(self, here=self.here.settled(least), everywhere=self.everywhere.settled(least))


def thresholds_together(
    query: StandingQuery, backgrounds: Mapping[Sensor, Background], settings: MatcherSettings
) -> Found:
    """The thresholds of all sensors of a query.

    Args:
        query: Mode and budget.
        backgrounds: Of each of its sensors.
        settings: Least number of scores, deviations, the incident rule.
    """
    backgrounds = {sensor: each.settled(settings) for sensor, each in backgrounds.items()}
    found = _shared(query, backgrounds, settings, 1.0)
    once = counted_once(_by_stratum(_passing(query, backgrounds, found)), settings)
    if once < 1 and query.threshold is None:
        found = _shared(query, backgrounds, settings, once)
    once = counted_once(_passing(query, backgrounds, found), settings)
    return {sensor: {name: scaled(one, once) for name, one in each.items()} for sensor, each in found.items()}


def _shared(
    query: StandingQuery, backgrounds: Mapping[Sensor, Background], settings: MatcherSettings, once: float
) -> Found:
    """Thresholds of each sensor, where only a share of what they see is an alarm of its own."""
    return {
        sensor: thresholds_by_stratum(
            query,
            sensor,
            each.vector,
            here=each.here,
            everywhere=each.everywhere,
            release=each.release,
            settings=settings,
            plausible=each.plausible,
            sharers=len(backgrounds) * once,
        )
        for sensor, each in backgrounds.items()
    }


def _passing(query: StandingQuery, backgrounds: Mapping[Sensor, Background], found: Found) -> list[Passing]:
    """Of each sensor what passes, in the cells that all of them have read."""
    common = set.intersection(*(set(each.here.cells.tolist()) for each in backgrounds.values()))
    parts = [Passing.of(query, each.vector, each.here, found[sensor]) for sensor, each in backgrounds.items()]
    return [part.only(np.isin(part.points.cells, list(common))) for part in parts]


def _by_stratum(parts: Sequence[Passing]) -> list[Passing]:
    return [part.only(part.strata == name) for part in parts for name in np.unique(part.strata)]
