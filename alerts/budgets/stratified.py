"""Thresholds of their own for the regions and seasons that have enough history.

Flows in: a query's vectors and the archive's past. Flows out: one threshold per stratum, and the one that holds
wherever no other does. Stops before storing them (`calibrate`).

The budget is shared by area: each cell and pass may alarm with the same probability, whatever its stratum. So a region
gets the part of the budget that its cells are of all cells, and a season gets the budget for as long as it lasts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from alerts.budgets.background import History
from alerts.budgets.strata import NOWHERE, strata_of
from alerts.budgets.thresholds import Exposure, Floats, ReleaseBackground, Threshold, needed_scores, threshold
from alerts.settings import MatcherSettings
from schemas.messages import Mode, Sensor, StandingQuery


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
) -> dict[str, Threshold]:
    """The thresholds of one query for one sensor by stratum; `NOWHERE` is always among them.

    A stratum stands alone only where it has as many scores of its own as the whole threshold is asked for, and where
    there are others: a history of one summer says nothing else than the whole does.

    Args: as `thresholds.threshold`.
    """
    both = {"release": release, "settings": settings, "plausible": plausible}
    whole = threshold(query, sensor, vector, here=here, everywhere=everywhere, **both)  # type: ignore[arg-type]
    found = {NOWHERE: whole}
    points = np.arange(len(here.vectors)) if query.mode is Mode.PRESENCE else here.changed
    alone = max(needed_scores(release, settings), settings.large_background)
    if whole.basis != "archive" or len(points) < 2 * alone:
        return found
    names = strata_of(here.cells, here.days)
    exposure = Exposure.of(here)
    for name, count in zip(*np.unique(names[points], return_counts=True), strict=True):
        if count < alone or count == len(points):
            continue
        region = np.char.startswith(here.cells, str(name)[:3])
        share = len(np.unique(here.cells[region])) / len(np.unique(here.cells))
        own = threshold(
            query,
            sensor,
            vector,
            here=here.only(np.asarray(names == name)),
            everywhere=here,
            exposure=replace(exposure, share=share),
            **both,  # type: ignore[arg-type]
        )
        if own.basis == "archive" and own.needed is not None and own.needed <= own.background:
            found[str(name)] = own
    return found
