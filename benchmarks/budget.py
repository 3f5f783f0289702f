"""In: simulated years. Out: whether standing queries raise as many alarms as their budgets promise, and what they miss.

Stops at counting incidents: joining them, telling people and the database are not in it.

Twenty sentences, two modes and four budgets are calibrated on the first half of the years exactly as the matcher does
it (the same functions, the same number of points read of the archive, the shipped encoder), and watch the second half.
An alarm is an incident that opens there. Beside it, in the same years, one change of cosine for all sentences and
sensors, chosen so that on the first half it raises as many alarms in all as the appearance queries do.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import History
from alerts.budgets.counts import count_interval, future_interval
from alerts.budgets.expectation import Expected, Stated, expected_alarms
from alerts.budgets.strata import NOWHERE, strata_of
from alerts.budgets.thresholds import ReleaseBackground, Threshold
from alerts.budgets.together import Background, thresholds_together
from benchmarks.report import emit
from benchmarks.watched import PLACES, RULES, SENSORS, YEARS, Bools, World, opened, query_of, recall, scores_of
from benchmarks.years import SEED, Sensor, moment, simulated_years
from schemas.logs import configure
from schemas.messages import Budget, Mode, StandingQuery

SENTENCES = {
    "wildfire burn scar": "burn",
    "forest that has burnt": "burn",
    "flooded area": "flood",
    "flooded fields along a river": "flood",
    "houses destroyed by an earthquake": "quake",
    "open water": None,
    "a reservoir that has filled": None,
    "bare soil": None,
    "ploughed fields": None,
    "clear-cut forest": None,
    "snow and ice": None,
    "dense conifer forest": None,
    "green crops": None,
    "a town": None,
    "desert": None,
    "rice paddies": None,
    "shrubland": None,
    "dry grass": None,
    "smoke and ash": None,
    "landslide": None,
}
"""Sentences, and the crisis that they are about: `benchmarks.years.Happening.kind`."""
BUDGETS = {
    "1/month": Budget(alarms=1, per_days=30),
    "2/month": Budget(alarms=2, per_days=30),
    "1/week": Budget(alarms=1, per_days=7),
    "2/week": Budget(alarms=2, per_days=7),
}
WITHIN = 0.9
"""Share of the cases that must lie in the stated interval."""


@dataclass(frozen=True, slots=True)
class Case:
    """One query with its budget and what became of it.

    Attributes:
        query: The query.
        expected: What its thresholds stated for the second half.
        observed: Alarms in it.
        matched: By sensor, bool (n,), which points of all years match.
    """

    query: StandingQuery
    expected: Expected
    observed: int
    matched: dict[Sensor, Bools]


def watched(world: World, query: StandingQuery, vector: NDArray[np.float32]) -> Case:
    """Calibrate a query on the first half and let it watch the second.

    Each sentence reads cells of its own, so that no choice of cells is lucky for all.
    """
    backgrounds = {
        sensor: Background(
            vector,
            read,
            read,
            _release_background(world, sensor),
            world.encoder.score_at(sensor, vector, RULES.plausible),
        )
        for sensor, read in _sample(world.past, zlib.crc32(query.sentence.encode())).items()
    }
    found = thresholds_together(query, backgrounds, RULES)
    promises = [Stated.of(sensor, stratum, one) for sensor in found for stratum, one in found[sensor].items()]
    stated = [one for one in promises if one is not None]
    matched = {sensor: _matches(world.seen[sensor], query.mode, vector, found[sensor]) for sensor in SENSORS}
    expected = expected_alarms(stated, world.split, world.end)
    return Case(query, expected, sum(opened(world, matched, world.split, world.end)), matched)


def _matches(history: History, mode: Mode, vector: NDArray[np.float32], found: dict[str, Threshold]) -> Bools:
    """Which points match, each by the threshold of its stratum."""
    names = strata_of(history.cells, history.days)
    names = np.where(np.isin(names, list(found)), names, NOWHERE)
    score, presence = np.empty(len(names)), np.empty(len(names))
    for name, one in found.items():
        here = names == name
        score[here] = np.inf if one.score is None else one.score
        presence[here] = -np.inf if one.presence is None else one.presence
    present = history.vectors @ vector
    return np.asarray((scores_of(history, mode, vector) >= score) & (present >= presence))


def fixed_cosine(world: World, vectors: NDArray[np.float32], allowed: float) -> float:
    """One change of cosine for all sentences and sensors that raises no more alarms in the first half than allowed."""
    low, high = 0.0, 1.0
    start = moment(0)
    for _ in range(12):
        level = (low + high) / 2
        alarms = 0
        for vector in vectors:
            matched = {sensor: scores_of(world.seen[sensor], Mode.APPEARANCE, vector) >= level for sensor in SENSORS}
            alarms += sum(opened(world, matched, start, world.split))
        low, high = (level, high) if alarms > allowed else (low, level)
    return high


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated years (default: none is kept)")
    parser.add_argument("--places", type=int, default=PLACES, help="cells that are watched")
    parser.add_argument("--years", type=int, default=YEARS, help="years, half of them to calibrate on")
    parser.add_argument("--cases", action="store_true", help="print every query as well")
    parser.add_argument("--seed", type=int, default=SEED, help="other seeds, other places, weather and crises")
    arguments = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    world = World.of(simulated_years(arguments.places, arguments.years, arguments.cache, seed=arguments.seed))
    vectors = world.encoder.texts(list(SENTENCES))
    cases = [
        watched(world, query_of(sentence, mode, budget), vector)
        for mode in (Mode.APPEARANCE, Mode.PRESENCE)
        for sentence, vector in zip(SENTENCES, vectors, strict=True)
        for budget in BUDGETS.values()
    ]
    if arguments.cases:
        for case in cases:
            print(_line(world, case))
    emit("budget_places", arguments.places, "cells")
    emit("budget_looks", sum(len(looks.day) for looks in world.years.looks.values()), "chips")
    emit("budget_cases", len(cases), "queries")
    _report_budgets(world, cases)
    _report_fixed(world, cases, vectors)


def _report_budgets(world: World, cases: Sequence[Case]) -> None:
    inside = [_inside(world, case) for case in cases]
    emit("within_interval_share", float(np.mean(inside)), "1", floor=WITHIN)
    for mode in Mode:
        chosen = [one for one, case in zip(inside, cases, strict=True) if case.query.mode is mode]
        emit(f"within_interval_share_{mode.value}", float(np.mean(chosen)), "1")
    for name, budget in BUDGETS.items():
        chosen = [one for one, case in zip(inside, cases, strict=True) if case.query.budget == budget]
        emit(f"within_interval_share_{name.replace('/', '_a_')}", float(np.mean(chosen)), "1")
    emit("budget_kept_share", float(np.mean([case.observed <= _most(world, case) for case in cases])), "1")
    ratios = [case.observed / case.expected.alarms for case in cases if case.expected.alarms >= 1]
    emit("observed_over_expected_median", median(ratios), "1")
    _report_recall("", world, [case for case in cases if case.query.mode is Mode.APPEARANCE])


def _report_fixed(world: World, cases: Sequence[Case], vectors: NDArray[np.float32]) -> None:
    """As many alarms of all appearance queries together, by one cosine."""
    within, kept, found = [], [], []
    for budget in BUDGETS.values():
        allowed = world.weeks * 7 * budget.alarms / budget.per_days
        ours = [case for case in cases if case.query.budget == budget and case.query.mode is Mode.APPEARANCE]
        level = fixed_cosine(
            world, vectors, sum(sum(opened(world, case.matched, moment(0), world.split)) for case in ours)
        )
        for sentence, vector in zip(SENTENCES, vectors, strict=True):
            matched = {sensor: scores_of(world.seen[sensor], Mode.APPEARANCE, vector) >= level for sensor in SENSORS}
            observed = sum(opened(world, matched, world.split, world.end))
            low, high = count_interval(allowed)
            within.append(low <= observed <= high)
            kept.append(observed <= high)
            query = next(case.query for case in cases if case.query.sentence == sentence)
            found.append(Case(query, Expected(allowed, allowed, allowed), observed, matched))
    emit("fixed_cosine_within_interval_share", float(np.mean(within)), "1", peer="one cosine for all")
    emit("fixed_cosine_budget_kept_share", float(np.mean(kept)), "1", peer="one cosine for all")
    _report_recall("fixed_cosine_", world, found)


def _report_recall(name: str, world: World, cases: Sequence[Case]) -> None:
    """Over all queries about a crisis; every crisis counts once for each query that is about it."""
    for kind in ("burn", "flood", "quake"):
        found = [
            recall(world, kind, case.matched, world.years.days / 2)
            for case in cases
            if SENTENCES[case.query.sentence] == kind
        ]
        crises = sum(one.crises for one in found)
        if not crises:
            continue
        delays = [delay for one in found for delay in one.delays_days]
        looks = [number for one in found for number in one.looks]
        emit(f"{name}{kind}_recall", len(delays) / crises, "1")
        if delays:
            emit(f"{name}{kind}_delay_median", median(delays), "days")
            emit(f"{name}{kind}_found_at_first_look_share", sum(number == 0 for number in looks) / len(looks), "1")


def _inside(world: World, case: Case) -> bool:
    low, high = future_interval(case.expected.alarms, case.expected.low, case.expected.high)
    return low <= case.observed <= high


def _most(world: World, case: Case) -> int:
    """The most alarms that keep a budget: as many as it allows in that time, and their chance."""
    return count_interval(world.weeks * 7 * case.query.budget.alarms / case.query.budget.per_days)[1]


def _line(world: World, case: Case) -> str:
    low, high = future_interval(case.expected.alarms, case.expected.low, case.expected.high)
    return (
        f"{case.query.sentence:<36}{case.query.mode.value:<11} budget {_most(world, case):4d} "
        f"expected {case.expected.alarms:7.1f} [{case.expected.low:6.1f}, {case.expected.high:6.1f}] "
        f"counts {low}-{high} observed {case.observed} {'' if low <= case.observed <= high else 'OUTSIDE'}"
    )


def _sample(past: dict[Sensor, History], seed: int) -> dict[Sensor, History]:
    """As many whole series of random cells as a calibration reads of the archive, each sensor's of the same cells."""
    order = np.random.default_rng(seed).permutation(np.unique(np.concatenate([one.cells for one in past.values()])))
    return {sensor: _read(one, order) for sensor, one in past.items()}


def _read(past: History, order: NDArray[np.str_]) -> History:
    names, counts = np.unique(past.cells, return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    chosen = order[np.cumsum([sizes.get(name, 0) for name in order.tolist()]) <= RULES.history_points]
    part = past.only(np.isin(past.cells, chosen))
    return replace(part, share=len(part.cells) / len(past.cells))


def _release_background(world: World, sensor: Sensor) -> ReleaseBackground | None:
    found = world.encoder.background(sensor)
    return None if found is None else ReleaseBackground(*found)


if __name__ == "__main__":
    main()
