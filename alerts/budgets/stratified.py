"""Thresholds of their own for the regions and seasons that have enough history.

Flows in: a query's vectors and the archive's past. Flows out: one threshold per stratum, and the one that holds
wherever no other does. Stops before storing them (`calibrate`).

The budget is shared by area: each cell and pass may alarm with the same probability, whatever its stratum. So a region
gets the part of the budget that its cells are of all cells, and a season gets the budget for as long as it lasts.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from alerts.budgets.background import History
from alerts.budgets.once import Passing, counted_once, scaled
from alerts.budgets.strata import NOWHERE, strata_of
from alerts.budgets.thresholds import (
    Exposure,
    Floats,
    ReleaseBackground,
    Threshold,
    mode_scores,
    needed_scores,
    threshold,
)
from alerts.settings import MatcherSettings
from schemas.messages import Sensor, StandingQuery

LEAST_ALARMS = 4
"""A stratum stands alone where the budget allows so many alarms in its own history that the data decide
(`tails.INSIDE`): with fewer, what its threshold gains by knowing the season it loses by not knowing the tail."""


def thresholds_by_stratum(
    query: StandingQuery,
    sensor: Sensor,
    vector: Floats,
    *,
    here: History,
    everywhere: History,
    release: ReleaseBackground | None,
    settings: MatcherSettings,
    plausible: float | None = None,
    sharers: float | None = None,
) -> dict[str, Threshold]:
    """The thresholds of one query for one sensor by stratum; `NOWHERE` is always among them.

    A stratum stands alone only where it has as many scores of its own as the whole threshold is asked for, and
    `LEAST_ALARMS` allowed alarms among them, and where there are others: a history of one summer says nothing else
    than the whole does.

    Args: as `thresholds.threshold`, and
        sharers: Sensors that share the budget (`thresholds.Exposure`); none: those of the query.
    """
    exposure = Exposure.of(here if len(here.vectors) else everywhere, sharers or len(query.sensors))
    of = partial(threshold, query, sensor, vector, release=release, settings=settings, plausible=plausible)
    whole = of(here=here, everywhere=everywhere, exposure=exposure)
    found = {NOWHERE: whole}
    points = mode_scores(query, vector, here)[1]
    alone = max(
        needed_scores(release, settings),
        settings.large_background,
        LEAST_ALARMS * exposure.scores_per_alarm(query.budget),
    )
    if whole.basis != "archive" or len(points) < 2 * alone:
        return found
    names = strata_of(here.cells, here.days)
    for name, count in zip(*np.unique(names[points], return_counts=True), strict=True):
        if count < alone or count == len(points):
            continue
        region = np.char.startswith(here.cells, str(name)[:3])
        share = len(np.unique(here.cells[region])) / len(np.unique(here.cells))
        part = here.only(np.asarray(names == name))
        own = of(here=part, everywhere=here, exposure=replace(exposure, share=share))
        if own.basis == "archive":
            found[str(name)] = own
    if len(found) == 1:
        return found
    past = Passing.of(query, vector, here, found)
    once = counted_once([past.only(past.strata == name) for name in found], settings)
    return {name: one if name == NOWHERE else scaled(one, once) for name, one in found.items()}
