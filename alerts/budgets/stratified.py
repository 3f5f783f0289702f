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
from numpy.typing import NDArray

from alerts.budgets.background import History
from alerts.budgets.clusters import LONGEST_WALK, Doubles, walk
from alerts.budgets.strata import NOWHERE, strata_of
from alerts.budgets.thresholds import (
    Exposure,
    Floats,
    ReleaseBackground,
    Threshold,
    dot,
    mode_scores,
    needed_scores,
    threshold,
)
from alerts.settings import MatcherSettings
from schemas.messages import Sensor, StandingQuery

LEAST_ALARMS = 3
"""A stratum stands alone where the budget allows so many alarms in its own history: with fewer, what its threshold
gains by knowing the season it loses by not knowing the tail."""


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

    A stratum stands alone only where it has as many scores of its own as the whole threshold is asked for, and
    `LEAST_ALARMS` allowed alarms among them, and where there are others: a history of one summer says nothing else
    than the whole does.

    Args: as `thresholds.threshold`.
    """
    exposure = Exposure.of(here)
    of = partial(threshold, query, sensor, vector, release=release, settings=settings, plausible=plausible)
    whole = of(here=here, everywhere=everywhere)
    found = {NOWHERE: whole}
    points = mode_scores(query, vector, here)[1]
    alone = max(
        needed_scores(release, settings),
        settings.large_background,
        LEAST_ALARMS * exposure.scores_per_alarm(query.budget, len(query.sensors)),
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
    return _opened_once(query, vector, here, names, found, settings) if len(found) > 1 else found


def _opened_once(
    query: StandingQuery,
    vector: Floats,
    here: History,
    names: NDArray[np.str_],
    found: dict[str, Threshold],
    settings: MatcherSettings,
) -> dict[str, Threshold]:
    """The same thresholds, promising no alarm twice.

    Each stratum has counted its own incidents; one that lasts from spring into summer is one alarm. How many there
    are of all together is counted in the whole history, each point against the threshold of its stratum.
    """
    scores, points = mode_scores(query, vector, here)
    there = np.where(np.isin(names[points], list(found)), names[points], NOWHERE)
    margin = scores - _each(there, {name: one.score for name, one in found.items()}, np.inf)
    presence = dot(here.vectors[points], vector)
    passed = np.flatnonzero(
        (margin >= 0) & (presence >= _each(there, {n: f.presence for n, f in found.items()}, -np.inf))
    )
    if not 0 < len(passed) <= LONGEST_WALK:
        return found
    apart = sum(_incidents(margin, here, points, passed[there[passed] == name], settings) for name in found)
    once = (_incidents(margin, here, points, passed, settings) + 0.5) / (apart + 0.5)
    return {name: one if name == NOWHERE else _scaled(one, min(once, 1.0)) for name, one in found.items()}


def _each(names: NDArray[np.str_], values: dict[str, float | None], nothing: float) -> Doubles:
    """float64 (n,), the value of each point's stratum."""
    out = np.full(len(names), nothing)
    for name, value in values.items():
        if value is not None:
            out[names == name] = value
    return out


def _incidents(
    margin: Doubles, here: History, points: NDArray[np.intp], some: NDArray[np.intp], settings: MatcherSettings
) -> int:
    """How many incidents some of the points make."""
    return int(walk(margin[some], here, points[some], settings).standing[-1]) if len(some) else 0


def _scaled(one: Threshold, share: float) -> Threshold:
    """A threshold that promises only a share of its alarms."""
    if one.expected_per_week is None or one.tail is None:
        return one
    match one.tail:
        case {"expected_between": [float() | int() as low, float() | int() as high]}:
            tail = one.tail | {"expected_between": [low * share, high * share]}
            return replace(one, expected_per_week=one.expected_per_week * share, tail=tail)
    return one
