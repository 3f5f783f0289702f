"""Hard negatives: chips that resemble a crisis and surely lack it.

In: how many, a seed, a sensor and a kind. Out: `chips.Chips` whose `lookalike` attribute names the kind.
Stops at single looks: how each kind is made is in `simulation.guises`, the same over time in `simulation.series`.
"""

import zlib
from typing import Final

import numpy as np

from schemas.errors import UsageError
from simulation.chips import Chips, Sensor, ShotBatch, shoot
from simulation.disturbance import NOTHING
from simulation.drawing import Draw
from simulation.fields import pool_for
from simulation.guises import FITS, PAINTERS
from simulation.staging import choose_biomes

KINDS: Final[dict[str, dict[Sensor, tuple[str, ...]]]] = {
    "Burned Area": {
        "s2": (
            "ploughed",
            "bare soil",
            "dark conifer",
            "terrain shadow",
            "cloud shadow",
            "dark rock",
            "dry hills",
            "harvest",
            "clear-cut",
        ),
        "s1": ("ploughed", "bare soil", "radar shadow", "dark rock", "dry hills", "harvest", "clear-cut"),
    },
    "Flooded Area": {
        "s2": ("permanent water", "cloud shadow", "terrain shadow", "paddies", "tide", "dark roofs", "wet soil"),
        "s1": ("permanent water", "calm lake", "wet snow", "smooth soil", "radar shadow", "paddies", "asphalt"),
    },
    "Earthquake Damage": {"s2": ("intact town", "quarry", "rock"), "s1": ("intact town", "quarry", "rock")},
}
"""Look-alikes by event label and sensor."""

STREAM: Final = 0x10
"""Keeps the random numbers of look-alikes apart from those of `chips.make_chips` with the same seed."""


def kinds_for(label: str, sensor: Sensor) -> tuple[str, ...]:
    """Names of what resembles an event to a sensor.

    Args:
        label: `Burned Area`, `Flooded Area` or `Earthquake Damage`.
        sensor: `s2` or `s1`.

    Returns:
        Kinds that `make_lookalikes` takes.

    Raises:
        UsageError: The label is no event, or there is no such sensor.
    """
    if label not in KINDS:
        raise UsageError(f"{label!r} has no look-alikes: choose from {', '.join(KINDS)}")
    if sensor not in KINDS[label]:
        raise UsageError(f"{sensor!r} is no sensor: choose s2 or s1")
    return KINDS[label][sensor]


def kinds_of_sensor(sensor: Sensor) -> tuple[str, ...]:
    """Every kind that `make_lookalikes` knows for a sensor, of any label."""
    return tuple(dict.fromkeys(kind for label in KINDS for kind in kinds_for(label, sensor)))


def make_lookalikes(n: int, *, seed: int, sensor: Sensor, kind: str, biomes: tuple[str, ...] | None = None) -> Chips:
    """Chips of one kind of look-alike.

    Chip `i` depends only on the seed, `i`, the sensor, the kind and the biomes: a longer batch starts with the shorter.

    Args:
        n: How many, at least 1.
        seed: The same arguments give the same chips, others than `chips.make_chips` draws from that seed.
        sensor: `s2` or `s1`.
        kind: One of `kinds_for` of any label with this sensor.
        biomes: Names of the biomes to draw from, held-out ones too; None is every training biome that has the kind.

    Returns:
        The batch; no chip has an event, present or ambiguous.

    Raises:
        UsageError: `n` is below 1, the sensor or kind is unknown, or the kind does not occur in the named biomes.
    """
    if n < 1:
        raise UsageError(f"{n} look-alikes cannot be drawn: ask for one or more")
    known = kinds_of_sensor(sensor)
    if kind not in known:
        raise UsageError(f"no look-alike of {sensor} is called {kind!r}: choose from {', '.join(known)}")
    chosen = choose_biomes(biomes, FITS.get(kind, lambda _biome: True), kind)
    pool, batch, stream = pool_for(seed), ShotBatch(sensor, n), zlib.crc32(kind.encode())
    for number in range(n):
        rng = np.random.default_rng([seed, number, STREAM + (sensor == "s1"), stream])
        biome = chosen[int(rng.integers(len(chosen)))]
        stage = PAINTERS[kind](Draw(rng, pool, biome))
        words = {"event": "none", "lookalike": kind}
        batch.add(
            shoot(
                sensor,
                stage.place,
                stage.now,
                event=NOTHING,
                words=words,
                pool=pool,
                rng=rng,
                sky=stage.sky,
                beam=stage.beam,
            )
        )
    return batch.chips()
