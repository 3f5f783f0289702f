"""In: a number of places and years. Out: what both satellites would have seen, as vectors, and what truly happened.

Stops at embeddings and truth: what alarms is `benchmarks.budget` and `benchmarks.appearance`.

Each place is one cell, further from the others than an incident reaches, so that an alarm is one place's alarm. It has
ground, crops, snow and weather of its own for all the years, and one of `GROUNDS`: half are whatever grows there, the
others are what alarms are mistaken for: lakes, reservoirs that are drawn down and fill, tides, felling, paddies,
ploughed fields, bare soil and conifers. Years differ in greenness for all places together. Fires, floods and
earthquakes come at random, few, in every year: they are in the history too, as in an archive. Burns fade for a year,
floods fall in weeks, damage stays.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from encoders.nano import Nano
from schemas.cells import cell_at
from simulation.backscatter import Beam
from simulation.biomes import Biome
from simulation.chips import Chips, ShotBatch, shoot
from simulation.distractors import FITS, PAINTERS, Plan, Sketch
from simulation.disturbance import NOTHING, Disturbance
from simulation.fields import FieldPool, pool_for
from simulation.happenings import draw_event
from simulation.layout import Place
from simulation.optics import Sky
from simulation.spectra import Conditions
from simulation.staging import choose_biomes
from simulation.weather import draw_beam, draw_sky, draw_weather

Sensor = Literal["s1", "s2"]

GROUNDS: Final = (
    *("none",) * 10,
    *("permanent water",) * 2,
    "reservoir",
    "tide",
    "clear-cut",
    "paddies",
    "ploughing",
    *("bare soil",) * 2,
    *("conifers",) * 2,
)
"""Kinds of ground, as often as they come; place i is of kind i modulo their number."""
STILL: Final = {"bare soil": ("barren", ("desert", "steppe", "mediterranean")), "conifers": ("forest", ("boreal",))}
"""Scene and biomes of the grounds that no painter of `simulation.distractors` has."""
PASSES_APART: Final[dict[Sensor, tuple[float, ...]]] = {"s2": (5.0, 10.0, 15.0), "s1": (12.0,)}
"""Days between looks, as `simulation.series` has them."""
EVENTS_A_YEAR: Final = 0.12
"""Fires, floods and earthquakes of one place."""
CLOUDED: Final = 0.4
"""Looks with more cloud are not embedded: `encoders.settings` has the same."""
DAY0: Final = datetime(2022, 1, 1, 10, tzinfo=UTC)
SEED: Final = 20261
"""Of the years that figures are made on. What there is to choose of budgets was chosen on those of 20260."""
LABELS: Final = ("Burned Area", "Flooded Area", "Earthquake Damage")
_PER_TASK = 6
_SPACING_DEG = 0.1
_COLUMNS = 20


@dataclass(frozen=True, slots=True)
class Happening:
    """A crisis at one place.

    Attributes:
        place: Its index.
        kind: `burn`, `flood` or `quake`.
        day: Since `DAY0`.
        until: The last day on which it can be seen.
    """

    place: int
    kind: str
    day: float
    until: float


@dataclass(frozen=True)
class Looks:
    """What one sensor saw in all the years, by place and time.

    Attributes:
        place: int (n,).
        day: float64 (n,), since `DAY0`.
        vectors: float32 (n, 384), unit rows.
        shows: bool (n, 3), whether each of `LABELS` is true of the chip.
    """

    place: NDArray[np.intp]
    day: NDArray[np.float64]
    vectors: NDArray[np.float32]
    shows: NDArray[np.bool_]


@dataclass(frozen=True)
class Years:
    """The simulated years.

    Attributes:
        release: Of the encoder.
        cells: Ids, one a place.
        grounds: Kind of each place.
        days: Length of all years.
        looks: By sensor.
        happenings: Every crisis.
    """

    release: str
    cells: tuple[str, ...]
    grounds: tuple[str, ...]
    days: float
    looks: dict[Sensor, Looks]
    happenings: tuple[Happening, ...]


def simulated_years(
    places: int, years: int, cache: Path | None = None, workers: int | None = None, seed: int = SEED
) -> Years:
    """Simulate, or read what was simulated before with the same release, places and years.

    Args:
        places: Cells.
        years: Of 365 days.
        cache: Folder for the result, or none.
        workers: Processes; none: as many as there are cores.
        seed: Other seeds give other places, weather and crises.
    """
    release = Nano(threads=1).release
    source = zlib.crc32(Path(__file__).read_bytes())
    file = (
        cache / f"years-{places}-{years}-{zlib.crc32(f'{release} {source} {seed}'.encode()):08x}.npz" if cache else None
    )
    if file is not None and file.exists():
        with np.load(file) as stored:
            return _assembled(release, places, years, dict(stored))
    tasks = [range(start, min(start + _PER_TASK, places)) for start in range(0, places, _PER_TASK)]
    with ProcessPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        parts = list(pool.map(_simulate, tasks, [years] * len(tasks), [seed] * len(tasks)))
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".part.npz")
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(file)
    return _assembled(release, places, years, arrays)


def moment(day: float) -> datetime:
    """A day of the simulation as a time."""
    return DAY0 + timedelta(days=float(day))


def _assembled(release: str, places: int, years: int, arrays: dict[str, NDArray[np.generic]]) -> Years:
    sensors: tuple[Sensor, ...] = ("s1", "s2")
    looks = {
        sensor: Looks(
            arrays[f"{sensor} place"].astype(np.intp),
            arrays[f"{sensor} day"].astype(np.float64),
            arrays[f"{sensor} vectors"].astype(np.float32),
            arrays[f"{sensor} shows"].astype(np.bool_),
        )
        for sensor in sensors
    }
    happenings = tuple(
        Happening(int(place), str(kind), float(day), float(until))
        for place, kind, day, until in zip(
            arrays["event place"], arrays["event kind"], arrays["event day"], arrays["event until"], strict=True
        )
    )
    cells = tuple(
        cell_at(13.0 + _SPACING_DEG * (i % _COLUMNS), 40.5 + _SPACING_DEG * (i // _COLUMNS)).id for i in range(places)
    )
    grounds = tuple(GROUNDS[i % len(GROUNDS)] for i in range(places))
    return Years(release, cells, grounds, 365.0 * years, looks, happenings)


def _simulate(places: range, years: int, seed: int) -> dict[str, NDArray[np.generic]]:
    """Both sensors' looks at some places, embedded; and the crises."""
    encoder, found = Nano(threads=1), [Ground.drawn(number, years, seed) for number in places]
    out: dict[str, list[NDArray[np.generic]]] = {}
    for ground in found:
        for sensor, chips, days in ground.looks(years):
            clear = [i for i, words in enumerate(chips.attributes) if float(words.get("cloud", 0.0)) <= CLOUDED]
            clear = [i for i in clear if np.isfinite(chips.pixels[i]).any()]
            vectors = encoder.images(chips.pixels[clear], sensor)
            shows = np.array([[label in chips.labels[i] for label in LABELS] for i in clear], dtype=np.bool_)
            row = {"place": np.full(len(clear), ground.number), "day": days[clear], "vectors": vectors, "shows": shows}
            for name, values in row.items():
                out.setdefault(f"{sensor} {name}", []).append(values)
    events = [happening for ground in found for happening, _ in ground.events]
    arrays = {name: np.concatenate(values) for name, values in out.items()}
    arrays |= {
        "event place": np.array([event.place for event in events], dtype=np.int64),
        "event kind": np.array([event.kind for event in events], dtype="U8"),
        "event day": np.array([event.day for event in events], dtype=np.float64),
        "event until": np.array([event.until for event in events], dtype=np.float64),
    }
    return arrays


@dataclass(frozen=True)
class Ground:
    """One place through all the years.

    Attributes:
        number: Its index.
        kind: One of `GROUNDS`.
        plan: What `simulation.distractors` drew.
        felled: Day from which a clear-cut is one.
        snowy: Of each winter, how much of it has snow: the snow lies while the odds of the day exceed it.
        events: Crises and their layers.
        rng: Randomness of its looks.
        pool: Noise fields.
        seed: Of the years, which are the same for all places.
    """

    number: int
    kind: str
    plan: Plan
    felled: float
    snowy: NDArray[np.float64]
    events: tuple[tuple[Happening, Disturbance], ...]
    rng: np.random.Generator
    pool: FieldPool
    seed: int

    @classmethod
    def drawn(cls, number: int, years: int, seed: int) -> Ground:
        """Draw a place, its kind of ground and its crises."""
        rng, pool = np.random.default_rng([seed, number]), pool_for(seed)
        kind = GROUNDS[number % len(GROUNDS)]
        plan = _plan(kind, rng, pool)
        days = 365.0 * years
        events = tuple(_events(number, plan, days, pool, rng))
        return cls(number, kind, plan, float(rng.uniform(0, days)), rng.random(years + 1), events, rng, pool, seed)

    def looks(self, years: int) -> Iterator[tuple[Sensor, Chips, NDArray[np.float64]]]:
        """All looks of each sensor, with their days."""
        biome = self.plan.place.biome
        sky, beam = draw_sky(biome, 200.0, self.rng), draw_beam(self.rng)
        sensors: tuple[Sensor, ...] = ("s2", "s1")
        for sensor in sensors:
            days = _calendar(sensor, 365.0 * years, self.rng)
            batch = ShotBatch(sensor, len(days))
            for day in days:
                now = self._weather(float(day))
                event = self._event(float(day))
                shot = shoot(
                    sensor,
                    self._place(float(day)),
                    now,
                    event=event,
                    words={},
                    pool=self.pool,
                    rng=self.rng,
                    sky=self._sky(sky, biome, float(day)),
                    beam=self._beam(beam),
                )
                batch.add(shot)
            yield sensor, batch.chips(), days

    def _place(self, day: float) -> Place:
        """The ground of a day."""
        earlier, of_year = self.plan.earlier, day % 365
        if not earlier:
            return self.plan.ground(0, self.rng)
        look = len(earlier)
        if self.kind == "reservoir":  # drawn down through the year, full for its last weeks
            look = int(of_year / 340 * len(earlier))
        elif self.kind == "tide":
            look = int(self.rng.integers(len(earlier) + 1))
        elif self.kind == "clear-cut":
            look = 0 if day < self.felled else len(earlier)
        elif self.kind == "paddies":
            look = len(earlier) if 110 <= of_year < 200 else 0
        elif self.kind == "ploughing":
            look = len(earlier) if of_year >= self.plan.day else 0
        return self.plan.ground(min(look, len(earlier)), self.rng)

    def _weather(self, day: float) -> Conditions:
        """Weather of a day: the year's greenness is that of all places, snow lies through a spell of the winter."""
        year, of_year = int(day // 365), day % 365
        biome = self.plan.place.biome
        winter = 1 - np.sin(np.pi * of_year / 365.0)
        lies = self.snowy[year + (of_year > 182)] < biome.snow * min(1.3 * float(winter), 1.0)
        drawn = draw_weather(biome, of_year, self.rng)
        shift = float(np.random.default_rng([self.seed, 7, year]).normal(0, 0.1) + self.rng.normal(0, 0.04))
        return replace(drawn, snow=float(self.rng.uniform(0.5, 1.0)) if lies else 0.0, green_shift=shift)

    def _event(self, day: float) -> Disturbance:
        for happening, layers in self.events:
            if happening.day <= day <= happening.until:
                return replace(layers, burn_age_days=day - happening.day)
        return NOTHING

    def _sky(self, base: Sky, biome: Biome, day: float) -> Sky:
        """The air of a day; processor and orbit are the place's own."""
        return replace(
            draw_sky(biome, day % 365, self.rng),
            sun_azimuth_deg=base.sun_azimuth_deg + float(self.rng.normal(0, 2)),
            rayleigh=base.rayleigh + float(self.rng.normal(0, 0.02)),
            blur=base.blur,
            smooth=base.smooth,
            coarse=base.coarse,
        )

    def _beam(self, base: Beam) -> Beam:
        return replace(
            base,
            wind=float(self.rng.beta(1.2, 2.5)),
            gain_db=base.gain_db + float(self.rng.normal(0, 0.2)),
            noise_db=base.noise_db + float(self.rng.normal(0, 0.3)),
        )


def _plan(kind: str, rng: np.random.Generator, pool: FieldPool) -> Plan:
    before = tuple(float(10 * i) for i in range(36, -1, -1))
    if kind in STILL:
        scene, names = STILL[kind]
        chosen = choose_biomes(names, lambda _biome: True, kind)
        sketch = Sketch(rng, pool, chosen[int(rng.integers(len(chosen)))], before)
        return Plan(sketch.place(scene), float(rng.uniform(0, 365)))
    chosen = choose_biomes(None, FITS.get(kind, lambda _biome: True), kind)
    return PAINTERS[kind](Sketch(rng, pool, chosen[int(rng.integers(len(chosen)))], before))


def _calendar(sensor: Sensor, days: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Days of the looks, ascending."""
    steps = rng.choice(PASSES_APART[sensor], int(days / min(PASSES_APART[sensor])) + 1)
    found = rng.uniform(0, 10) + np.concatenate([[0.0], np.cumsum(steps)])
    return np.asarray(found[found < days], dtype=np.float64)


def _events(
    number: int, plan: Plan, days: float, pool: FieldPool, rng: np.random.Generator
) -> Iterator[tuple[Happening, Disturbance]]:
    """Crises one after the other: a town floods or shakes, other land burns in its dry half or floods."""
    kinds: Sequence[str] = ("flood", "quake") if plan.place.scene == "town" else ("burn", "flood")
    day = 0.0
    while True:
        day += float(rng.exponential(365 / EVENTS_A_YEAR))
        if day >= days:
            return
        kind = str(rng.choice(kinds))
        if kind == "burn":
            day = 365 * (day // 365) + float(rng.uniform(180, 290))
        dry = replace(draw_weather(plan.place.biome, day % 365, rng), snow=0.0)
        layers, _ = draw_event(kind, plan.place, dry, pool, rng)
        last = {"burn": 365.0, "flood": float(rng.uniform(12, 40)), "quake": days}[kind]
        yield Happening(number, kind, day, day + last), layers
        day += last
