"""The same places over some acquisitions: a crisis before the last one, or something else that changes the picture.

In: how many places, a seed, a sensor and a kind. Out: time-ordered `chips.Chips`, one batch per look, row i one place.
Stops at chips: what changes on the ground without a crisis is in `simulation.distractors`.
"""

import zlib
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from schemas.errors import UsageError
from simulation.backscatter import Beam
from simulation.biomes import Biome
from simulation.chips import (
    Attributes,
    Chips,
    Sensor,
    ShotBatch,
    draw_somewhere,
    shoot,
)
from simulation.distractors import FITS, PAINTERS, Plan, Sketch
from simulation.disturbance import NOTHING, Disturbance
from simulation.fields import FieldPool, pool_for
from simulation.happenings import draw_event
from simulation.optics import Sky
from simulation.spectra import Conditions, conditions
from simulation.staging import choose_biomes
from simulation.weather import draw_beam, draw_sky, draw_weather

EVENTS: Final = ("burn", "flood", "quake")
"""Crises."""
DISTRACTORS: Final = (
    "none",
    "permanent water",
    "reservoir",
    "harvest",
    "ploughing",
    "clear-cut",
    "snow melt",
    "tide",
    "paddies",
    "cloud",
)
"""What else may have changed at the last look; `none` is weather and season alone."""
KINDS: Final = EVENTS + DISTRACTORS
"""Every kind of series."""

STREAM: Final = 0x20
"""Keeps the random numbers of series apart from those of chips and look-alikes with the same seed."""
REVISIT_DAYS: Final[dict[Sensor, tuple[float, ...]]] = {"s2": (5.0, 10.0, 15.0), "s1": (6.0, 12.0)}
"""Days between usable acquisitions. Source: Sentinel-2 User Handbook, section 1 (5 days with two satellites, of which
clouds leave some); Sentinel-1 SciHub (one orbit repeats after 6 days with two satellites, 12 with one)."""


def kinds_of(sensor: Sensor) -> tuple[str, ...]:
    """The kinds that a sensor can show: a radar sees through cloud."""
    return tuple(kind for kind in KINDS if sensor == "s2" or kind != "cloud")


def make_series(
    n: int,
    *,
    seed: int,
    sensor: Sensor,
    kind: str,
    looks: int = 6,
    biomes: tuple[str, ...] | None = None,
) -> list[Chips]:
    """Looks at the same places, in the order of time.

    Whatever happens, happens between the last look but one and the last. Each look has its own weather, sky, wind,
    phenology, noise and speckle; a series of Sentinel-1 keeps one orbit, a series of Sentinel-2 one processor.

    Place `i` depends only on the seed, `i`, the sensor, the kind, the looks and the biomes: a longer batch starts with
    the shorter.

    Args:
        n: How many places, at least 1.
        seed: The same arguments give the same series, others than `chips.make_pairs` draws from that seed.
        sensor: `s2` or `s1`.
        kind: One of `kinds_of(sensor)`.
        looks: Acquisitions of each place, at least 2.
        biomes: Names of the biomes to draw from, held-out ones too; None is every training biome that has the kind.

    Returns:
        `looks` batches of `n` chips. Attributes: `kind`, `look` (0 is the first), `days_before_last`, and of a
        distractor `distractor`; `event` is the crisis at the last look and `none` elsewhere.

    Raises:
        UsageError: `n` is below 1, `looks` below 2, the sensor or kind is unknown, or the biomes lack the kind.
    """
    if n < 1:
        raise UsageError(f"{n} places cannot be drawn: ask for one or more")
    if looks < 2:
        raise UsageError(f"{looks} looks are no series: ask for two or more")
    if sensor not in REVISIT_DAYS:
        raise UsageError(f"{sensor!r} is no sensor: choose s2 or s1")
    if kind not in kinds_of(sensor):
        raise UsageError(f"no series of {sensor} is called {kind!r}: choose from {', '.join(kinds_of(sensor))}")
    chosen = choose_biomes(biomes, FITS.get(kind, lambda _biome: True), kind)
    pool, stream = pool_for(seed), zlib.crc32(kind.encode())
    batches = [ShotBatch(sensor, n) for _ in range(looks)]
    for number in range(n):
        rng = np.random.default_rng([seed, number, STREAM + (sensor == "s1"), stream])
        biome = chosen[int(rng.integers(len(chosen)))]
        before = _calendar(sensor, looks, rng)
        plan = _event_plan(kind, biome, pool, rng) if kind in EVENTS else _other_plan(kind, biome, before, pool, rng)
        orbit = _Orbit(sensor, plan, before, draw_sky(biome, plan.day, rng), draw_beam(rng))
        for look, batch in enumerate(batches):
            event, words = _happening(kind, plan, orbit, look, pool, rng)
            sky, beam = orbit.sky(look, rng), orbit.beam(rng)
            now = orbit.weather(look, rng)
            ground = plan.ground(look, rng)
            batch.add(shoot(sensor, ground, now, event=event, words=words, pool=pool, rng=rng, sky=sky, beam=beam))
    return [batch.chips() for batch in batches]


def _calendar(sensor: Sensor, looks: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Days from each look to the last one; the last is 0."""
    if sensor == "s1":
        gaps = np.full(looks - 1, float(rng.choice(REVISIT_DAYS["s1"])))
    else:
        gaps = rng.choice(REVISIT_DAYS["s2"], looks - 1)
    return tuple(float(days) for days in np.concatenate([np.cumsum(gaps[::-1])[::-1], [0.0]]))


def _event_plan(kind: str, biome: Biome, pool: FieldPool, rng: np.random.Generator) -> Plan:
    place, now = draw_somewhere(rng, pool, biome, kind)
    snow = now.snow if kind == "quake" else 0.0
    rained = (0.5, 1.0) if kind == "flood" else None  # what floods the plain has also wetted the land around it
    return Plan(place, now.day, snow=snow, wetness_at_last=rained)


def _other_plan(kind: str, biome: Biome, before: tuple[float, ...], pool: FieldPool, rng: np.random.Generator) -> Plan:
    return PAINTERS[kind](Sketch(rng, pool, biome, before))


def _happening(
    kind: str, plan: Plan, orbit: "_Orbit", look: int, pool: FieldPool, rng: np.random.Generator
) -> tuple[Disturbance, Attributes]:
    words: dict[str, str | float] = {"kind": kind, "look": look, "days_before_last": orbit.before[look]}
    if kind not in EVENTS:
        return NOTHING, {"event": "none", "distractor": kind} | words
    if look < len(orbit.before) - 1:
        return NOTHING, {"event": "none"} | words
    quiet = conditions(plan.place.biome, plan.day, wetness=0.4, snow=0.0, green_shift=0.0)
    event, more = draw_event(kind, plan.place, quiet, pool, rng)
    if event.severity is not None:  # it broke out since the look before
        age = float(rng.uniform(0, orbit.before[-2]))
        event, more = replace(event, burn_age_days=age), more | {"age_days": round(age)}
    return event, more | words


@dataclass(frozen=True)
class _Orbit:
    """What the looks of one series have in common, and how they differ.

    Attributes:
        sensor: `s2` or `s1`.
        plan: The ground and the season.
        before: Days from each look to the last.
        base_sky: Processor, and side from which the sun shines.
        base_beam: Geometry and processor of the radar.
    """

    sensor: Sensor
    plan: Plan
    before: tuple[float, ...]
    base_sky: Sky
    base_beam: Beam

    def _day(self, look: int) -> float:
        return (self.plan.day - self.before[look]) % 365

    def sky(self, look: int, rng: np.random.Generator) -> Sky:
        """The atmosphere of one look; the last has the plan's clouds if it has any."""
        base = self.base_sky
        sky = replace(
            draw_sky(self.plan.place.biome, self._day(look), rng),
            sun_azimuth_deg=base.sun_azimuth_deg + float(rng.normal(0, 2)),
            rayleigh=base.rayleigh + float(rng.normal(0, 0.02)),
            blur=base.blur,
            smooth=base.smooth,
            coarse=base.coarse,
        )
        if self.plan.cloud_share is not None and look == len(self.before) - 1:
            sky = replace(sky, cloud_share=self.plan.cloud_share)
        return sky

    def beam(self, rng: np.random.Generator) -> Beam:
        """The radar of one look: same orbit and beam, other wind; noise and calibration as stable as the mission's.

        Source: Sentinel-1 radiometric stability, 0.1-0.3 dB (Schmidt et al. 2018, ISPRS Journal 136, 95).
        """
        wind = float(rng.beta(1.2, 2.5)) if self.plan.wind is None else float(rng.uniform(*self.plan.wind))
        return replace(
            self.base_beam,
            wind=wind,
            gain_db=self.base_beam.gain_db + float(rng.normal(0, 0.2)),
            noise_db=self.base_beam.noise_db + float(rng.normal(0, 0.3)),
            stripes=float(rng.uniform(1, 4)) if rng.random() < 0.02 else 0.0,
        )

    def weather(self, look: int, rng: np.random.Generator) -> Conditions:
        """Rain and growth of one look; snow lies as the plan says, more or less."""
        drawn = draw_weather(self.plan.place.biome, self._day(look), rng)
        last = look == len(self.before) - 1
        snow = self.plan.snow_at_last if last else self.plan.snow
        lying = float(np.clip(snow * rng.uniform(0.85, 1.1), 0, 1))
        span = (self.plan.wetness_at_last if last else None) or self.plan.wetness
        wetness = drawn.wetness if span is None else float(rng.uniform(*span))
        shift = self.plan.green_shift + float(rng.normal(0, 0.03))
        return replace(drawn, snow=lying, wetness=wetness, green_shift=shift)
