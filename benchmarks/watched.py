"""In: simulated years. Out: the histories that a matcher would have of them, alarms by the incident rule, crises found.

Stops before thresholds: which ones hold is `benchmarks.budget`'s and `benchmarks.appearance`'s matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.background import DAY_S, History, read_history
from alerts.budgets.thresholds import ReleaseBackground, threshold
from alerts.places import centres
from alerts.settings import MatcherSettings
from benchmarks.years import DAY0, Sensor, Years, moment
from encoders.nano import Nano
from schemas.messages import Budget, Embedding, Mode, StandingQuery, stable_id

PLACES, YEARS = 240, 4

SENSORS: tuple[Sensor, ...] = ("s1", "s2")
RULES = MatcherSettings()

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
        query = query_of("any", Mode.APPEARANCE, Budget(alarms=1, per_days=7))
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

    def calm(self, grounds: Sequence[str]) -> list[str]:
        """Cells of some kinds of ground where no crisis ever came."""
        struck = {happening.place for happening in self.years.happenings}
        return [
            self.years.cells[place]
            for place, ground in enumerate(self.years.grounds)
            if ground in grounds and place not in struck
        ]

    @property
    def weeks(self) -> float:
        """Length of the half that is watched."""
        return (self.end - self.split).total_seconds() / (7 * DAY_S)


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


@dataclass(frozen=True, slots=True)
class Crisis:
    """Something that happened and that a look shows.

    Attributes:
        place: Where.
        day: When it began.
        looks: By sensor, int (k,), rows of the looks while it could be seen.
        shown: The day of the first look that shows it.
    """

    place: int
    day: float
    looks: dict[Sensor, NDArray[np.intp]]
    shown: float


def crises(world: World, kind: str, since_day: float) -> list[Crisis]:
    """Crises of a kind from a day on; those that no look shows cannot be found and don't count."""
    label, found = {"burn": 0, "flood": 1, "quake": 2}[kind], []
    for happening in world.years.happenings:
        if happening.kind != kind or happening.day < since_day:
            continue
        looks, shown = {}, np.inf
        for sensor in SENSORS:
            seen = world.years.looks[sensor]
            during = (seen.place == happening.place) & (seen.day >= happening.day) & (seen.day <= happening.until)
            looks[sensor] = np.flatnonzero(during)
            shown = min(shown, float(seen.day[during & seen.shows[:, label]].min(initial=np.inf)))
        if np.isfinite(shown):
            found.append(Crisis(happening.place, happening.day, looks, shown))
    return found


def recall(world: World, kind: str, matched: dict[Sensor, Bools], since_day: float) -> Found:
    """What a query found of the crises it is about.

    Args:
        world: The years.
        kind: Of the crises.
        matched: By sensor, the points that match.
        since_day: Crises before it don't count.
    """
    happened, delays, looks = crises(world, kind, since_day), [], []
    for one in happened:
        day = np.concatenate([world.years.looks[sensor].day[rows] for sensor, rows in one.looks.items()])
        hit = np.concatenate([matched[sensor][rows] for sensor, rows in one.looks.items()])
        if hit.any():
            when = float(day[hit].min())
            delays.append(when - one.day)
            looks.append(int(((day >= one.shown) & (day < when)).sum()))
    return Found(len(happened), delays, looks)


def query_of(sentence: str, mode: Mode, budget: Budget) -> StandingQuery:
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
