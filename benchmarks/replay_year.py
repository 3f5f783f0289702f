"""In: a size, a time and a seed. Out: embedding batches of a made-up region, as both sensors would have sensed it.

Stops at vectors: no pixels, no encoder. Season, weather, events that come, grow, flicker and go, and scenes that are
processed again: all of it follows from the seed, and any batch can be made by itself.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from archive.interface import DIMENSION
from schemas.cells import cell_at, cell_of
from schemas.messages import MAX_CELLS_PER_BATCH, Acquisition, EmbeddingBatch, Sensor, stable_id

Doubles = NDArray[np.float64]

RELEASE = "made-up-1"
DAY0 = datetime(2025, 1, 1, 10, tzinfo=UTC)
LANDS = 6
"""Kinds of ground, one direction each; then season, fire and water."""
SEASON, FIRE, WATER = LANDS, LANDS + 1, LANDS + 2
NOISE = 0.25
"""Length of what is different in every picture."""
ORBITS: tuple[tuple[Sensor, int, float, float], ...] = (("s2", 22, 5, 0.4), ("s2", 122, 5, 2.6), ("s1", 44, 6, 1.2))
"""Sensor, relative orbit, days between its passes, day of the first."""


@dataclass(frozen=True, slots=True)
class Planned:
    """One batch that will be sensed.

    Attributes:
        scene: Number of the pass.
        version: Processing version, from 1.
        number, of: Which batch of how many.
        cells: Numbers of its cells.
    """

    scene: int
    version: int
    number: int
    of: int
    cells: tuple[int, ...]


@dataclass
class Year:
    """A region and all that is sensed of it.

    Attributes:
        size_km: Edge of the square region, cells.
        days: How long.
        seed: Of everything.
    """

    size_km: int = 48
    days: float = 365
    seed: int = 0
    cells: list[str] = field(init=False)
    basis: Doubles = field(init=False)
    passes: list[tuple[Sensor, int, float]] = field(init=False)
    planned: list[Planned] = field(init=False)

    def __post_init__(self) -> None:
        """Plan everything; vectors are made when they are asked for."""
        chance = random.Random(self.seed)
        rng = np.random.default_rng(self.seed)
        square = cell_at(14.5, 41.2).square
        size = range(self.size_km)
        self.cells = [cell_of(f"{square}{10 + x:02d}{10 + y:02d}").id for y in size for x in size]
        self.basis = np.linalg.qr(rng.standard_normal((DIMENSION, LANDS + 3)))[0].T
        self.passes = sorted(
            ((sensor, orbit, first + n * every) for sensor, orbit, every, first in ORBITS for n in range(400)),
            key=lambda each: each[2],
        )
        self.passes = [each for each in self.passes if each[2] < self.days]
        self._lands = rng.integers(LANDS, size=len(self.cells))
        self._events = self._happenings(chance)
        self._past = self._means()
        self.planned = [one for scene in range(len(self.passes)) for one in self._plan(scene, chance)]

    def _happenings(self, chance: random.Random) -> list[tuple[int, float, float, float, float, float]]:
        """Events: direction, east, north, radius in cells, first and last day; one for each ten days."""
        found = []
        for _ in range(max(3, int(self.days / 10))):
            start = chance.uniform(10, self.days)
            place = chance.uniform(0, self.size_km), chance.uniform(0, self.size_km)
            length = chance.uniform(8, 60)
            found.append((chance.choice((FIRE, WATER)), *place, chance.uniform(1, 4), start, start + length))
        return found

    def _signal(self, scene: int) -> Doubles:
        """What each cell shows of every direction, float64 (cells, directions), before noise."""
        _, _, day = self.passes[scene]
        signal = np.zeros((len(self.cells), LANDS + 3))
        signal[np.arange(len(self.cells)), self._lands] = 1
        signal[:, SEASON] = 0.4 * np.sin(2 * np.pi * day / 365)
        east, north = np.arange(len(self.cells)) % self.size_km, np.arange(len(self.cells)) // self.size_km
        for direction, x, y, radius, start, end in self._events:
            if start <= day <= end:
                grown = radius * min(1.0, 0.4 + (day - start) / 10)
                signal[np.hypot(east - x, north - y) <= grown, direction] = 0.9
        return signal

    def _means(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """For each pass the mean signal of the earlier ones of its series, float32, and how many there are."""
        means = np.zeros((len(self.passes), len(self.cells), LANDS + 3), np.float32)
        counts = np.zeros(len(self.passes), np.int64)
        sums: dict[tuple[Sensor, int | None], tuple[Doubles, int]] = {}
        for scene, (sensor, orbit, _) in enumerate(self.passes):
            series = (sensor, orbit if sensor == "s1" else None)
            total, n = sums.get(series, (np.zeros(means.shape[1:]), 0))
            counts[scene], means[scene] = n, total / max(n, 1)
            sums[series] = (total + self._signal(scene), n + 1)
        return means, counts

    def _plan(self, scene: int, chance: random.Random) -> list[Planned]:
        """Batches of all versions of a scene: one in six is processed again, with other clouds."""
        found = []
        for version in range(1, 3 if chance.random() < 1 / 6 else 2):
            cloudy = 0.3 if self.passes[scene][0] == "s2" else 0.0
            seen = [i for i in range(len(self.cells)) if chance.random() >= cloudy]
            parts = [tuple(seen[i : i + MAX_CELLS_PER_BATCH]) for i in range(0, len(seen), MAX_CELLS_PER_BATCH)]
            found += [Planned(scene, version, n, len(parts), part) for n, part in enumerate(parts)]
        return found

    def sensed_at(self, one: Planned) -> datetime:
        """Sensing time."""
        return DAY0 + timedelta(days=self.passes[one.scene][2])

    def name(self, one: Planned) -> tuple[UUID, int]:
        """Id of its acquisition, and its number."""
        return stable_id("made-up acquisition", self.seed, one.scene, one.version), one.number

    def batch(self, one: Planned) -> EmbeddingBatch:
        """A planned batch with its vectors; the same at every call."""
        rng = np.random.default_rng((self.seed, one.scene, one.version, one.number))
        rows = np.array(one.cells)
        means, counts = self._past
        noise = rng.standard_normal((len(rows), DIMENSION)) * (NOISE / np.sqrt(DIMENSION))
        vectors = self._signal(one.scene)[rows] @ self.basis + noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        past = means[one.scene][rows] @ self.basis
        past /= np.maximum(np.linalg.norm(past, axis=1, keepdims=True), 1)
        return EmbeddingBatch(
            acquisition=self._acquisition(one),
            release=RELEASE,
            batch=one.number,
            batches=one.of,
            cells=tuple(self.cells[i] for i in one.cells),
            vectors=vectors.astype(np.float32),
            baselines=past.astype(np.float32),
            baseline_counts=(int(counts[one.scene]),) * len(rows),
        )

    def _acquisition(self, one: Planned) -> Acquisition:
        sensor, orbit, _ = self.passes[one.scene]
        when = self.sensed_at(one)
        return Acquisition(
            acquisition_id=self.name(one)[0],
            physical_key=f"made-up {one.scene}",
            processed_at=when + timedelta(hours=one.version),
            source="made-up",
            collection="made-up",
            item_id=f"made-up-{one.scene}-{one.version}",
            sensor=sensor,
            sensing_at=when,
            published_at=when,
            seen_at=when,
            footprint={},
            relative_orbit=orbit,
            assets={},
            allowed_hosts=(),
            simulated=True,
        )

    def arrivals(self, order: int, late_days: float) -> list[Planned]:
        """All batches in an order in which none comes later than allowed; one in twenty comes twice."""
        chance = random.Random((self.seed + 1) * 1000 + order)
        longest_s = late_days * 86_400 * 0.999
        again = chance.sample(self.planned, len(self.planned) // 20)
        timed = [
            (self.sensed_at(one) + timedelta(seconds=chance.uniform(0, longest_s)), n, one)
            for n, one in enumerate((*self.planned, *again))
        ]
        return [one for _, _, one in sorted(timed, key=lambda each: each[:2])]
