"""In: real chips and simulated chips. Out: how far apart their pixels' distributions lie, worst first.

Stops at distances: nothing is tuned here. Only `EVERYTHING` uses no label; distances by class are for explaining.

    python -m training.distributions --feed DIR [--chips 600] [--seed 90210] [--json]
"""

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet
from rich.console import Console
from rich.table import Table

from schemas.errors import UsageError
from simulation.chips import Sensor, make_chips
from simulation.labels import LABELS, Cover
from training.feed import LabelledChip, read_feed
from training.measurands import measurands

EVERYTHING: Final = "everything"
"""Every pixel of a sensor, whatever it shows: the one comparison that needs no label."""
DOMINANT: Final = 0.5
"""A chip stands for a land cover from this share of its area, so that its pixels mostly are that cover."""
LEVELS: Final = 257
"""Quantiles by which a distribution is held."""
PIXELS: Final = 400
"""Pixels drawn from each chip: chips of all sizes count alike, and neighbours repeat each other anyway."""
LEAST_CHIPS: Final = 3
"""Classes with fewer real chips are left out."""
HALVES: Final = 20
"""Random halvings of the real places behind `Distance.ordinary`."""

Sample = NDArray[np.float32]
"""float32, (k,): finite values of one measurand of one chip."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Pixels of one chip.

    Attributes:
        place: Chips of one place are not independent of each other.
        classes: What the chip stands for, `EVERYTHING` included.
        values: Sampled pixels by measurand, see `training.measurands`.
    """

    place: str
    classes: frozenset[str]
    values: Mapping[str, Sample]


@dataclass(frozen=True, slots=True)
class Distance:
    """How one measurand of one class differs between simulation and reality.

    Attributes:
        sensor: `s2` or `s1`.
        shows: A label, or `EVERYTHING`.
        measurand: Band or index.
        wasserstein: Wasserstein-1 distance in units of the real standard deviation.
        ordinary: The same between random halves of the real places; below it a distance says nothing. NaN with fewer
            than two places.
        ks: Kolmogorov-Smirnov distance 0-1.
        real: Real quantiles 5 %, 50 %, 95 %.
        simulated: Simulated quantiles 5 %, 50 %, 95 %.
        places: Real places behind it.
    """

    sensor: Sensor
    shows: str
    measurand: str
    wasserstein: float
    ordinary: float
    ks: float
    real: tuple[float, float, float]
    simulated: tuple[float, float, float]
    places: int


def wasserstein(one: Sample, other: Sample) -> float:
    """Area between two quantile functions, in the samples' unit.

    Source: Vallender 1974, Theory of Probability and its Applications 18, 784: in one dimension it is W1.
    """
    levels = (np.arange(LEVELS) + 0.5) / LEVELS
    return float(np.abs(np.quantile(one, levels) - np.quantile(other, levels)).mean())


def kolmogorov(one: Sample, other: Sample) -> float:
    """Largest difference between two empirical distribution functions, 0-1."""
    both = np.sort(np.concatenate([one, other]))
    below = [np.searchsorted(np.sort(sample), both, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


def sampled(
    pixels: NDArray[np.float32], sensor: str, present: Iterable[str], rng: np.random.Generator
) -> dict[str, Sample]:
    """At most `PIXELS` finite values of each measurand that the bands allow.

    Args:
        pixels: float32, (bands, rows, columns), reflectance or linear power, NaN is no data.
        sensor: `s2` or `s1`.
        present: Names of the bands that the product has.
        rng: Which pixels.
    """
    values = {}
    for name, plane in measurands(pixels, sensor, present).items():
        finite = plane[np.isfinite(plane)]
        if finite.size:
            values[name] = rng.choice(finite, PIXELS, replace=finite.size < PIXELS).astype(np.float32)
    return values


def real_chips(folder: Path, sensor: Sensor) -> list[Shown]:
    """The feed's chips: items once for everything and their dominant cover, windows for what they show of a crisis.

    Args:
        folder: as `training.feed.read_feed` takes it.
        sensor: whose items to read.
    """
    known = _known(folder)
    rng = np.random.default_rng(0)
    shown = []
    for chip in read_feed(folder):
        place, covers = known[chip.item]
        classes = _classes(chip, covers)
        if chip.sensor == sensor and classes:
            shown.append(Shown(place, classes, sampled(chip.pixels, sensor, chip.present, rng)))
    return shown


def _known(folder: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Of each item: its place, to about a kilometre, and the cover that dominates it, where somebody is sure of one."""
    columns = ["item_id", "level", "bbox_lon_lat", "fractions", "confidence"]
    known = {}
    for row in parquet.read_table(folder / "labels.parquet", columns=columns).to_pylist():
        if row["level"] == "item":
            west, south, east, north = row["bbox_lon_lat"]
            fractions: dict[str, float] = json.loads(row["fractions"] or "{}") if row["confidence"] != "low" else {}
            covers = frozenset(name for name in LABELS[: len(Cover)] if fractions.get(name, 0) >= DOMINANT)
            known[row["item_id"]] = (f"{(west + east) / 2:.2f} {(south + north) / 2:.2f}", covers)
    return known


def _classes(chip: LabelledChip, covers: frozenset[str]) -> frozenset[str]:
    if chip.level == "item":
        return frozenset({EVERYTHING}) | covers
    return chip.labels - set(LABELS[: len(Cover)]) if chip.state == "positive" else frozenset()


def simulated_chips(n: int, *, seed: int, sensor: Sensor) -> list[Shown]:
    """Simulated chips, as `real_chips` gives real ones.

    Args:
        n: How many.
        seed: Of the chips.
        sensor: `s2` or `s1`.
    """
    rng = np.random.default_rng(seed)
    shown: list[Shown] = []
    for start in range(0, n, 200):  # 13 bands of 200 chips are 150 MB
        batch = make_chips(min(200, n - start), seed=seed + start, sensor=sensor)
        for pixels, fractions, labels in zip(batch.pixels, batch.fractions, batch.labels, strict=True):
            covers = {LABELS[i] for i in range(len(Cover)) if fractions[i] >= DOMINANT}
            classes = {EVERYTHING} | covers | (set(labels) - set(LABELS[: len(Cover)]))
            values = sampled(pixels, sensor, batch.bands, rng)
            shown.append(Shown(f"{seed + start}-{len(shown)}", frozenset(classes), values))
    return shown


def distances(real: list[Shown], simulated: list[Shown], sensor: Sensor) -> list[Distance]:
    """Distances of every class and measurand that both sides have, worst first.

    Args:
        real: Real chips.
        simulated: Simulated chips.
        sensor: Of both.
    """
    found = []
    theirs = _pooled(simulated)
    for (shows, measurand), by_place in _pooled(real).items():
        chips = sum(len(samples) for samples in by_place.values())
        other = theirs.get((shows, measurand))
        if other is None or chips < LEAST_CHIPS:
            continue
        one, two = _flat(by_place), _flat(other)
        spread = max(float(one.std()), 1e-6)
        found.append(
            Distance(
                sensor=sensor,
                shows=shows,
                measurand=measurand,
                wasserstein=wasserstein(one, two) / spread,
                ordinary=_ordinary(by_place) / spread,
                ks=kolmogorov(one, two),
                real=_marks(one),
                simulated=_marks(two),
                places=len(by_place),
            )
        )
    return sorted(found, key=lambda d: -d.wasserstein)


ByPlace = dict[str, list[Sample]]


def _pooled(chips: list[Shown]) -> dict[tuple[str, str], ByPlace]:
    pooled: dict[tuple[str, str], ByPlace] = defaultdict(lambda: defaultdict(list))
    for chip in chips:
        for shows in chip.classes:
            for measurand, sample in chip.values.items():
                pooled[shows, measurand][chip.place].append(sample)
    return pooled


def _flat(by_place: ByPlace) -> Sample:
    return np.concatenate([sample for samples in by_place.values() for sample in samples])


def _ordinary(by_place: ByPlace) -> float:
    """Median W1 between random halves of the places: what so few places cannot tell apart."""
    names = sorted(by_place)
    if len(names) < 2:
        return float("nan")
    rng = np.random.default_rng(0)
    apart = []
    for _ in range(HALVES):
        order = [names[i] for i in rng.permutation(len(names))]
        halves = (order[: len(order) // 2], order[len(order) // 2 :])
        one, two = (_flat({name: by_place[name] for name in half}) for half in halves)
        apart.append(wasserstein(one, two))
    return float(np.median(apart))


def _marks(sample: Sample) -> tuple[float, float, float]:
    low, middle, high = (round(float(q), 4) for q in np.quantile(sample, (0.05, 0.5, 0.95)))
    return low, middle, high


def compare(folder: Path, *, chips: int = 600, seed: int = 90_210) -> list[Distance]:
    """Distances between a feed and the simulation, both sensors, worst first.

    Args:
        folder: The feed.
        chips: Simulated chips per sensor.
        seed: Of the simulated chips.

    Raises:
        UsageError: If the folder holds no `labels.parquet`, or fewer than one chip is asked for.
    """
    if not (folder / "labels.parquet").is_file():
        raise UsageError(f"{folder} holds no labels.parquet: name a folder as `training.feed.read_feed` takes it")
    if chips < 1:
        raise UsageError(f"{chips} simulated chips cannot be compared: ask for at least one")
    sensors: tuple[Sensor, ...] = ("s2", "s1")
    found = [
        distance
        for sensor in sensors
        for distance in distances(real_chips(folder, sensor), simulated_chips(chips, seed=seed, sensor=sensor), sensor)
    ]
    return sorted(found, key=lambda d: -d.wasserstein)


def _table(found: list[Distance], rows: int) -> Table:
    table = Table(
        "sensor", "shows", "measurand", "W1 / spread", "ordinary", "KS", "real 5/50/95", "simulated", "places"
    )
    for d in found[:rows]:
        marks = (" ".join(f"{value:.3f}" for value in side) for side in (d.real, d.simulated))
        table.add_row(
            *(d.sensor, d.shows, d.measurand, f"{d.wasserstein:.2f}", f"{d.ordinary:.2f}", f"{d.ks:.2f}"),
            *marks,
            str(d.places),
        )
    return table


def main() -> None:
    """Compare the simulation with a feed."""
    parser = argparse.ArgumentParser(prog="python -m training.distributions", description=__doc__.splitlines()[0])
    parser.add_argument("--feed", type=Path, required=True, help="folder with labels.parquet, items and COGs")
    parser.add_argument("--chips", type=int, default=600, help="simulated chips per sensor")
    parser.add_argument("--seed", type=int, default=90_210, help="of the simulated chips")
    parser.add_argument("--rows", type=int, default=40, help="rows of the table")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args()
    try:
        found = compare(options.feed, chips=options.chips, seed=options.seed)
    except UsageError as problem:
        parser.error(str(problem))
    if options.json:
        sys.stdout.write(json.dumps([asdict(d) for d in found]) + "\n")
    else:
        Console(width=170).print(_table(found, options.rows))


if __name__ == "__main__":
    main()
