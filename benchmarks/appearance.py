"""In: simulated years. Out: false alarms of looking for what is there, and of looking for what is new, at equal recall.

Stops at counting incidents, like `benchmarks.budget`, whose years and rules these are.

A score finds more of the crises the lower its threshold. For each crisis and mode the threshold is lowered until the
asked share of them is found, in all the years but the first weeks; then the alarms are counted that this threshold
raises on ground where nothing happened: permanent water for floods, bare soil and conifers for fires. Both modes see
the same looks of both sensors; in appearance mode the presence floor holds as well, as it does live.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.thresholds import dot
from benchmarks.report import emit
from benchmarks.watched import PLACES, SENSORS, YEARS, World, opened, recall, scores_of
from benchmarks.years import SEED, Sensor, moment, simulated_years
from schemas.logs import configure
from schemas.messages import Mode

Bools = NDArray[np.bool_]

ASKED = {"flood": ("flooded area", ("permanent water",)), "burn": ("wildfire burn scar", ("bare soil", "conifers"))}
"""Sentence of each crisis, and the ground that is mistaken for it."""
RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the crises that are to be found. Where a mode does not find so many of a kind at any threshold, as
appearance does not find what does not pass the presence floor, that is printed instead of a factor."""
SINCE_DAY = 60.0
"""Days until every place has been seen a few times: before, nothing can have appeared."""
FLOOR = 10.0
"""Times fewer false alarms that appearance must raise."""


@dataclass(frozen=True, slots=True)
class Raised:
    """What one mode does at the asked recall.

    Attributes:
        recall: What it finds, 0-1.
        false_alarms: Incidents on calm ground that is mistaken for the crisis.
    """

    recall: float
    false_alarms: int


def at_recall(world: World, kind: str, mode: Mode, asked: float) -> Raised | None:
    """Alarms of one mode on calm ground when it finds the asked share of crises; none: it cannot find so many."""
    sentence, grounds = ASKED[kind]
    vector = world.encoder.texts([sentence])[0]
    scores = {sensor: scores_of(world.seen[sensor], mode, vector) for sensor in SENSORS}
    if mode is Mode.APPEARANCE:
        for sensor, found in scores.items():
            floor = world.floor(sensor, vector)
            found[dot(world.seen[sensor].vectors, vector) < floor] = -np.inf
    steps = np.unique(np.concatenate([found[np.isfinite(found)] for found in scores.values()]))[::-1]
    low, high = 0, len(steps) - 1
    if _recall(world, kind, scores, float(steps[-1])) < asked:
        return None
    while low < high:  # the highest score that finds enough
        middle = (low + high) // 2
        if _recall(world, kind, scores, float(steps[middle])) >= asked:
            high = middle
        else:
            low = middle + 1
    level = float(steps[low])
    calm = world.calm(grounds)
    matched = {sensor: (found >= level) & calm[sensor] for sensor, found in scores.items()}
    return Raised(_recall(world, kind, scores, level), int(sum(opened(world, matched, moment(SINCE_DAY), world.end))))


def _recall(world: World, kind: str, scores: dict[Sensor, NDArray[np.float64]], level: float) -> float:
    found = recall(world, kind, {sensor: one >= level for sensor, one in scores.items()}, SINCE_DAY)
    return len(found.delays_days) / found.crises if found.crises else 0.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--cache", type=Path, help="folder that keeps the simulated years (default: none is kept)")
    parser.add_argument("--places", type=int, default=PLACES, help="cells that are watched")
    parser.add_argument("--years", type=int, default=YEARS, help="years that are watched")
    parser.add_argument("--seed", type=int, default=SEED, help="other seeds, other places, weather and crises")
    arguments = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    world = World.of(simulated_years(arguments.places, arguments.years, arguments.cache, seed=arguments.seed))
    for kind in ASKED:
        nothing = {sensor: np.zeros(len(history.cells), np.bool_) for sensor, history in world.seen.items()}
        emit(f"{kind}_crises", recall(world, kind, nothing, SINCE_DAY).crises, "crises")
    for asked in RECALLS:
        _compare(world, asked)


def _compare(world: World, asked: float) -> None:
    """Print both modes at one share, and the factor between them."""
    totals, name = {Mode.PRESENCE: 0, Mode.APPEARANCE: 0}, f"at_recall_{round(100 * asked)}"
    reached = True
    for kind in ASKED:
        for mode in totals:
            raised = at_recall(world, kind, mode, asked)
            if raised is None:
                emit(f"{kind}_{mode.value}_never_reaches_recall_{round(100 * asked)}", 1, "1")
                reached = False
                continue
            totals[mode] += raised.false_alarms
            emit(f"{kind}_{mode.value}_false_alarms_{name}", raised.false_alarms, "alarms")
    if reached:
        factor = totals[Mode.PRESENCE] / max(totals[Mode.APPEARANCE], 1)
        emit(f"appearance_fewer_false_alarms_{name}", factor, "1", peer="presence", ratio=factor, floor=FLOOR)


if __name__ == "__main__":
    main()
