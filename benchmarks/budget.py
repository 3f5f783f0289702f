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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import DAY_S, History, read_history
from alerts.budgets.counts import count_interval, future_interval
from alerts.budgets.expectation import Expected, Stated, expected_alarms
from alerts.budgets.strata import NOWHERE, strata_of
from alerts.budgets.stratified import thresholds_by_stratum
from alerts.budgets.thresholds import ReleaseBackground, Threshold, threshold
from alerts.places import centres
from alerts.settings import MatcherSettings
from benchmarks.report import emit
from benchmarks.years import DAY0, SEED, Sensor, Years, moment, simulated_years
from encoders.nano import Nano
from schemas.messages import Budget, Embedding, Mode, StandingQuery, stable_id

PLACES, YEARS = 240, 4
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
SENSORS: tuple[Sensor, ...] = ("s1", "s2")
RULES = MatcherSettings()
WITHIN = 0.9
"""Share of the cases that must lie in the stated interval."""

Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class World:
    """The years as the matcher sees them.

    Attributes:
        years: What was simulated.
        encoder: The shipped one.
        seen: By sensor, all points.
        past: By sensor, the first half.
        split: Where the first half ends.
        end: Where the second does.
    """

    years: Years
    encoder: Nano
    seen: dict[Sensor, History]
    past: dict[Sensor, History]
    split: datetime
    end: datetime

    @classmethod
    def of(cls, years: Years) -> World:
        """Histories of all points."""
        split, end = moment(years.days / 2), moment(years.days)
        seen = {sensor: _history(years, sensor) for sensor in SENSORS}
        past = {sensor: history.only(history.days < split.timestamp() / DAY_S) for sensor, history in seen.items()}
        return cls(years, Nano(threads=1), seen, past, split, end)

    def floor(self, sensor: Sensor, vector: NDArray[np.float32]) -> float:
        """What an appearance query asks of the presence score, from all of the first half."""
        query = _query("any", Mode.APPEARANCE, BUDGETS["1/week"])
        past, background = self.past[sensor], self.encoder.background(sensor)
        found = threshold(
            query,
            sensor,
            vector,
            here=past,
            everywhere=past,
            release=None if background is None else ReleaseBackground(*background),
            settings=RULES,
            plausible=self.encoder.score_at(sensor, vector, RULES.plausible),
        )
        return -np.inf if found.presence is None else found.presence

    def calm(self, grounds: Sequence[str]) -> dict[Sensor, Bools]:
        """By sensor, bool (n,): points of some kinds of ground where no crisis ever came."""
        struck = {happening.place for happening in self.years.happenings}
        chosen = {
            self.years.cells[place]
            for place, ground in enumerate(self.years.grounds)
            if ground in grounds and place not in struck
        }
        return {sensor: np.isin(history.cells, list(chosen)) for sensor, history in self.seen.items()}

    @property
    def weeks(self) -> float:
        """Length of the half that is watched."""
        return (self.end - self.split).total_seconds() / (7 * DAY_S)


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
    stated: list[Stated] = []
    matched: dict[Sensor, Bools] = {}
    for sensor in SENSORS:
        background = world.encoder.background(sensor)
        read = _sample(world.past[sensor], zlib.crc32(f"{query.sentence} {sensor}".encode()))
        found = thresholds_by_stratum(
            query,
            sensor,
            vector,
            here=read,
            everywhere=read,
            release=None if background is None else ReleaseBackground(*background),
            settings=RULES,
            plausible=world.encoder.score_at(sensor, vector, RULES.plausible),
        )
        promises = [Stated.of(sensor, stratum, one) for stratum, one in found.items()]
        stated += [one for one in promises if one is not None]
        matched[sensor] = _matches(world.seen[sensor], query.mode, vector, found)
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


def scores_of(history: History, mode: Mode, vector: NDArray[np.float32]) -> Doubles:
    """float64 (n,), the mode's score; minus infinity where there is no past to compare with."""
    if mode is Mode.PRESENCE:
        return np.asarray(history.vectors @ vector, dtype=np.float64)
    scores = np.full(len(history.vectors), -np.inf)
    scores[history.changed] = history.changes @ vector
    return scores


def opened(world: World, matched: dict[Sensor, Bools], start: datetime, end: datetime) -> Iterator[bool]:
    """For every match in a time, whether it opens an incident: both sensors together, each place on its own."""
    seen = world.seen.items()
    cells = np.concatenate([history.cells[matched[sensor]] for sensor, history in seen])
    days = np.concatenate([history.days[matched[sensor]] for sensor, history in seen])
    order = np.lexsort((days, cells))
    since, until = start.timestamp() / DAY_S, end.timestamp() / DAY_S
    last, cell = -np.inf, ""
    for i in order:
        fresh = cells[i] != cell or days[i] - last > RULES.window_days
        last, cell = days[i], cells[i]
        if since <= days[i] < until:
            yield fresh


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


@dataclass(frozen=True, slots=True)
class Found:
    """Crises of the watched half that a query is about.

    Attributes:
        crises: That a sensor showed.
        delays_days: From the crisis to the first match of those that were found, days.
        looks: The same from the first look that shows it, in looks that could have found it: 0 is at once.
    """

    crises: int
    delays_days: list[float]
    looks: list[int]


def recall(world: World, kind: str, matched: dict[Sensor, Bools], since_day: float) -> Found:
    """What a query found of the crises it is about; those that no look shows cannot be found and don't count.

    Args:
        world: The years.
        kind: Of the crises.
        matched: By sensor, the points that match.
        since_day: Crises before it don't count.
    """
    label = {"burn": 0, "flood": 1, "quake": 2}[kind]
    crises, delays, looks = 0, [], []
    for happening in world.years.happenings:
        if happening.kind != kind or happening.day < since_day:
            continue
        days, shows, hits = [], [], []
        for sensor in SENSORS:
            seen = world.years.looks[sensor]
            during = (seen.place == happening.place) & (seen.day >= happening.day) & (seen.day <= happening.until)
            days.append(seen.day[during])
            shows.append(seen.shows[during, label])
            hits.append(matched[sensor][during])
        day, show, hit = np.concatenate(days), np.concatenate(shows), np.concatenate(hits)
        if not show.any():
            continue
        crises += 1
        first = float(day[show].min())
        if hit.any():
            when = float(day[hit].min())
            delays.append(when - happening.day)
            looks.append(int(((day >= first) & (day < when)).sum()))
    return Found(crises, delays, looks)


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
    world = World.of(simulated_years(arguments.places, arguments.years, arguments.cache, seed=arguments.seed))
    vectors = world.encoder.texts(list(SENTENCES))
    cases = [
        watched(world, _query(sentence, mode, budget), vector)
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


def _query(sentence: str, mode: Mode, budget: Budget) -> StandingQuery:
    return StandingQuery(
        query_id=stable_id("benchmark", sentence),
        version=1,
        sentence=sentence,
        mode=mode,
        budget=budget,
        created_at=DAY0,
    )


def _history(years: Years, sensor: Sensor) -> History:
    """All points of a sensor, in the order of the looks."""
    looks, lon_lat = years.looks[sensor], centres(years.cells)
    embeddings = [
        Embedding(
            point_id=stable_id(sensor, place, day),
            cell=years.cells[place],
            sensor=sensor,
            sensing_at=moment(day),
            physical_key=f"{place} {day}",
            acquisition_id=stable_id(sensor, day),
            processed_at=moment(day),
            source="simulated",
            collection=sensor,
            item_id=f"{place} {day}",
            release=years.release,
            lon=lon_lat[place, 0],
            lat=lon_lat[place, 1],
            valid_fraction=1,
            cloud_fraction=0,
        )
        for place, day in zip(looks.place.tolist(), looks.day.tolist(), strict=True)
    ]
    return read_history(embeddings, looks.vectors, min_baseline=RULES.min_baseline)


def _sample(past: History, seed: int) -> History:
    """As many whole series of random cells as a calibration reads of the archive."""
    cells, counts = np.unique(past.cells, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(cells))
    chosen = order[np.cumsum(counts[order]) <= RULES.history_points]
    part = past.only(np.isin(past.cells, cells[chosen]))
    return replace(part, share=len(part.cells) / len(past.cells))


if __name__ == "__main__":
    main()
