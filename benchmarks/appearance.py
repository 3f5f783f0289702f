"""In: simulated years. Out: false alarms of looking for what is there, and of looking for what is new, at equal recall.

Stops at counting incidents, like `benchmarks.budget`, whose years and rules these are.

A score finds more of the crises the lower its threshold. For each crisis and mode the threshold is lowered until the
asked share of them is found, in all the years but the first weeks; then the alarms are counted that this threshold
raises on ground where nothing happened: permanent water for floods, bare soil and conifers for fires. Both modes see
the same looks of both sensors; in appearance mode the presence floor holds as well, as it does live. Years of several
seeds are taken together: one threshold for all of them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.thresholds import dot
from benchmarks.report import emit
from benchmarks.watched import PLACES, RULES, SENSORS, YEARS, World, crises, scores_of
from benchmarks.years import SEED, simulated_years
from schemas.logs import configure
from schemas.messages import Mode

Doubles = NDArray[np.float64]
Indexes = NDArray[np.intp]

ASKED = {"flood": ("flooded area", ("permanent water",)), "burn": ("wildfire burn scar", ("bare soil", "conifers"))}
"""Sentence of each crisis, and the ground that is mistaken for it."""
MODES = (Mode.PRESENCE, Mode.APPEARANCE)
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the crises that are to be found. Where a mode does not find so many of a kind at any threshold, as
appearance does not find what does not pass the presence floor, that is printed instead of a factor."""
SINCE_DAY = 60.0
"""Days until every place has been seen a few times: before, nothing can have appeared."""
FLOOR = 10.0
"""Times fewer false alarms that appearance must raise."""
SEEDS = (SEED, SEED + 1, SEED + 2)
"""More than a hundred crises."""
DRAWS = 2000
"""Of places, for the interval of the factor."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one mode scores of one kind of crisis, in the years of one seed.

    Attributes:
        peaks: float64 (n,), the highest score of each crisis: thresholds up to that find it. Minus infinity where none
            of its looks counts.
        struck: Place of each crisis.
        calm: Of each place that is mistaken for it and where nothing happened, days and scores, float64 (k,).
    """

    peaks: Doubles
    struck: list[int]
    calm: list[tuple[Doubles, Doubles]]


@dataclass(frozen=True, slots=True)
class Standing:
    """All seeds together, at every threshold that finds one crisis more.

    Attributes:
        peaks: float64 (n,), as `Scored` has them.
        struck: int (n,), place of each crisis, other numbers in each seed.
        alarms: int (m, n), incidents of each calm place at the thresholds `peaks`.
    """

    peaks: Doubles
    struck: Indexes
    alarms: Indexes

    @classmethod
    def of(cls, parts: Sequence[Scored]) -> Standing:
        """Count at the peaks of all."""
        peaks = np.concatenate([part.peaks for part in parts])
        places = [(seed, place) for seed, part in enumerate(parts) for place in part.struck]
        numbers = {place: number for number, place in enumerate(dict.fromkeys(places))}
        calm = [one for part in parts for one in part.calm]
        alarms = [[_incidents(days[scores >= peak]) for peak in peaks] for days, scores in calm]
        return cls(peaks, np.array([numbers[place] for place in places]), np.array(alarms))

    def false_alarms(self, asked: float) -> int | None:
        """Incidents on calm ground when the asked share of crises is found; none: it cannot find so many."""
        return self._alarms(asked, np.arange(len(self.peaks)), np.arange(len(self.alarms)))

    def drawn(self, asked: float, rng: np.random.Generator) -> int | None:
        """The same with other places like these: as many of them, each drawn as often as chance has it."""
        places = rng.integers(self.struck.max() + 1, size=self.struck.max() + 1)
        struck = np.concatenate([np.flatnonzero(self.struck == place) for place in places])
        return self._alarms(asked, struck, rng.integers(len(self.alarms), size=len(self.alarms)))

    def _alarms(self, asked: float, crises: Indexes, calm: Indexes) -> int | None:
        order = crises[np.argsort(-self.peaks[crises], kind="stable")]
        weakest = order[math.ceil(round(asked * len(order), 9)) - 1]
        return int(self.alarms[calm, weakest].sum()) if np.isfinite(self.peaks[weakest]) else None


def scored(world: World, kind: str, mode: Mode) -> Scored:
    """Score the years of one seed."""
    sentence, grounds = ASKED[kind]
    vector = world.encoder.texts([sentence])[0]
    scores = {sensor: scores_of(world.seen[sensor], mode, vector) for sensor in SENSORS}
    if mode is Mode.APPEARANCE:
        for sensor, found in scores.items():
            found[dot(world.seen[sensor].vectors, vector) < world.floor(sensor, vector)] = -np.inf
    shown = crises(world, kind, SINCE_DAY)
    peaks = [max(scores[sensor][rows].max(initial=-np.inf) for sensor, rows in one.looks.items()) for one in shown]
    calm = []
    for cell in world.calm(grounds):
        there = {sensor: world.seen[sensor].cells == cell for sensor in SENSORS}
        days = [world.years.looks[sensor].day[rows] for sensor, rows in there.items()]
        calm.append((np.concatenate(days), np.concatenate([scores[sensor][rows] for sensor, rows in there.items()])))
    return Scored(np.array(peaks), [one.place for one in shown], calm)


def _incidents(days: Doubles) -> int:
    """Incidents of one place that open after the first weeks."""
    ordered = np.sort(days)
    fresh = np.diff(ordered, prepend=-np.inf) > RULES.window_days
    return int((fresh & (ordered >= SINCE_DAY)).sum())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated years (default: none is kept)")
    parser.add_argument("--places", type=int, default=PLACES, help="cells that are watched, of each seed")
    parser.add_argument("--years", type=int, default=YEARS, help="years that are watched")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="other seeds: places, weather and crises")
    arguments = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    parts: dict[tuple[str, Mode], list[Scored]] = {(kind, mode): [] for kind in ASKED for mode in MODES}
    for seed in arguments.seeds:
        world = World.of(simulated_years(arguments.places, arguments.years, arguments.cache, seed=seed))
        for (kind, mode), some in parts.items():
            some.append(scored(world, kind, mode))
    found = {name: Standing.of(some) for name, some in parts.items()}
    for kind in ASKED:
        emit(f"{kind}_crises", len(found[kind, Mode.PRESENCE].peaks), "crises")
    for asked in RECALLS:
        _compare(found, asked)


def _compare(found: Mapping[tuple[str, Mode], Standing], asked: float) -> None:
    """Print both modes at one share, and the factor between them."""
    name, alarms = f"at_recall_{round(100 * asked)}", {}
    for (kind, mode), one in found.items():
        number = alarms[kind, mode] = one.false_alarms(asked)
        if number is None:
            emit(f"{kind}_{mode.value}_never_reaches_recall_{round(100 * asked)}", 1, "1")
        else:
            emit(f"{kind}_{mode.value}_false_alarms_{name}", number, "alarms")
    factor = _factor(alarms)
    if factor is None:
        return
    emit(f"appearance_fewer_false_alarms_{name}", factor, "1", peer="presence", ratio=factor, floor=FLOOR)
    rng = np.random.default_rng(0)
    draws = [_factor({each: one.drawn(asked, rng) for each, one in found.items()}) for _ in range(DRAWS)]
    low, high = np.quantile([draw for draw in draws if draw is not None], [0.05, 0.95])
    emit(f"appearance_fewer_false_alarms_{name}_low", float(low), "1")
    emit(f"appearance_fewer_false_alarms_{name}_high", float(high), "1")


def _factor(alarms: Mapping[tuple[str, Mode], int | None]) -> float | None:
    """How many times fewer false alarms of all kinds together; of no alarm as of one."""
    totals = dict.fromkeys(MODES, 0)
    for (_, mode), number in alarms.items():
        if number is None:
            return None
        totals[mode] += number
    return totals[Mode.PRESENCE] / max(totals[Mode.APPEARANCE], 1)


if __name__ == "__main__":
    main()
