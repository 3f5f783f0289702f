"""In: how many chips, a sensor. Out: simulated chips that no model was trained on, as examples, and vectors of them.

Stops at examples: figures are in `retrieval`. Every seed of the evaluation is written here and nowhere else.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoders.interface import DIMENSION, Encoder, Vectors
from simulation.biomes import BIOMES, HELD_OUT_BIOMES
from simulation.chips import Chips, Sensor, make_chips
from simulation.labels import (
    BURNED,
    BURNED_FRACTION,
    DAMAGED,
    DAMAGED_FRACTION,
    FLOODED,
    FLOODED_FRACTION,
    LABEL_FRACTION,
)
from simulation.labels import LABELS as SIMULATED_LABELS
from training.phrases import LABELS
from training.scored import Example, grade

SEED_OF_SETS: Final = {"training biomes": 550_000, "held-out biomes": 650_000}
"""First seed of each set; later chunks count on. Training draws its chunks from `seed * 100_000 + number` with numbers
far below 50 000 (`training.pool`), so that neither a set nor a test below is ever drawn for training."""

SEED_OF_PAIRS: Final = 750_000
"""Seed of the places before and after; also of the events that look-alikes are ranked against."""

SEED_OF_LOOKALIKES: Final = 850_000
"""Seed of the look-alikes."""

SEED_OF_SERIES: Final = 950_000
"""Seed of the series."""

CHUNK: Final = 200
"""Chips simulated at a time: 150 MB of optical pixels."""

ABSENT: Final = 0.02
"""A label that covers no more than this of a chip is surely absent; between this and its threshold nobody should
quarrel, so that rule `clear` leaves the chip out of that label's list and rule `strict` takes it for absent."""


def thresholds() -> NDArray[np.float32]:
    """float32, (12,), order `training.phrases.LABELS`: the share from which a label is present, as `chips.judge`."""
    needed = np.full(len(SIMULATED_LABELS), LABEL_FRACTION, np.float32)
    needed[[FLOODED, DAMAGED, BURNED]] = (FLOODED_FRACTION, DAMAGED_FRACTION, BURNED_FRACTION)
    return needed[_order()]


def biomes_of(name: str) -> tuple[str, ...]:
    """The biomes of a set of `SEED_OF_SETS`."""
    return HELD_OUT_BIOMES if name == "held-out biomes" else tuple(biome.name for biome in BIOMES)


def held_out(name: str, sensor: Sensor, count: int) -> Iterator[Example]:
    """Chips of one set, each a place of its own, known by rule `clear`.

    Args:
        name: of the set, of `SEED_OF_SETS`.
        sensor: ``"s2"`` or ``"s1"``.
        count: how many.
    """
    for number, start in enumerate(range(0, count, CHUNK)):
        size = min(CHUNK, count - start)
        chips = make_chips(size, seed=SEED_OF_SETS[name] + number, sensor=sensor, biomes=biomes_of(name))
        for row in range(size):
            yield example_of(chips, row, f"{name} {sensor} {start + row}")


def example_of(chips: Chips, row: int, name: str) -> Example:
    """A simulated chip with what is known of it by rule `clear`."""
    fractions, needed = chips.fractions[row][_order()], thresholds()
    there = fractions >= needed
    unsure = np.array([label in chips.ambiguous[row] for label in LABELS], np.bool_)
    return Example(
        name=f"{name} ({chips.attributes[row].get('biome', '')}, {chips.attributes[row].get('scene', '')})",
        place=name,
        sensor=chips.sensor,
        pixels=chips.pixels[row],
        present=chips.bands,
        gains=np.where(there, grade(fractions), 0).astype(np.float32),
        known=(there | (fractions <= ABSENT)) & ~unsure,
        graded=np.ones(len(LABELS), np.bool_),
    )


def vectors_of(encoder: Encoder, chips: Chips) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors of a batch, zeros where a chip has no valid pixel, and bool, (n,): which have one."""
    valid: NDArray[np.bool_] = np.asarray(np.isfinite(chips.pixels).any(axis=(1, 2, 3)))
    vectors = np.zeros((len(chips), DIMENSION), np.float32)
    vectors[valid] = encoder.images(chips.pixels[valid], chips.sensor)
    return vectors, valid


def _order() -> list[int]:
    return [SIMULATED_LABELS.index(label) for label in LABELS]
