"""In: chips of any source with what is known of them. Out: their vectors, relevance and places, side by side.

Stops at vectors: measures are in `retrieval`, `calibration` and `crises`; pictures of the best are kept on the way.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS
from encoders.interface import DIMENSION, Encoder, Vectors
from schemas.errors import Rejected
from simulation.labels import (
    BURNED,
    BURNED_FRACTION,
    DAMAGED,
    DAMAGED_FRACTION,
    FLOODED,
    FLOODED_FRACTION,
    LABEL_FRACTION,
)
from training.indices import index_names, indices_of
from training.phrases import LABELS

BATCH = 32
"""Chips of one shape that are embedded at once: 24 MB of optical pixels."""

NEEDED = np.full(len(LABELS), LABEL_FRACTION, np.float32)
"""float32, (12,): share of a chip from which a label counts as there, in the order of `LABELS`."""
NEEDED[[FLOODED, DAMAGED, BURNED]] = (FLOODED_FRACTION, DAMAGED_FRACTION, BURNED_FRACTION)

LAND_COVER = frozenset(LABELS[:9])
"""Labels that a land-cover map of an item settles, present or not; maps say nothing of crises."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A chip and what is right about it.

    Attributes:
        name: for people.
        sensor: ``"s2"`` or ``"s1"``.
        pixels: float32, (bands, h, w), reflectance or linear power, NaN is no data.
        present: names of its bands.
        gains: float32, (12,): relevance for each of `LABELS`, 0 to 3; see `graded`.
        known: bool, (12,): whether the label is known to be there or not.
        place: chips of one place share it.
    """

    name: str
    sensor: str
    pixels: NDArray[np.float32]
    present: tuple[str, ...]
    gains: NDArray[np.float32]
    known: NDArray[np.bool_]
    place: str


@dataclass(slots=True)
class Gallery:
    """Chips of one sensor that can be searched, in one order.

    Attributes:
        name: of the set.
        sensor: ``"s2"`` or ``"s1"``.
        vectors: float32, (n, 384).
        gains: float32, (n, 12).
        known: bool, (n, 12).
        places: of the chips.
        indices: name of an index to its value for each chip.
        left_out: what was not embedded, and why.
        fractions: float32, (n, 12), shares of the chip, where the source knows them; else empty.
        ambiguous: bool, (n, 12), labels that simulation leaves open; else empty.
    """

    name: str
    sensor: str
    vectors: Vectors
    gains: NDArray[np.float32]
    known: NDArray[np.bool_]
    places: list[str]
    indices: dict[str, NDArray[np.float32]]
    left_out: list[str] = field(default_factory=list)
    fractions: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, len(LABELS)), np.float32))
    ambiguous: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((0, len(LABELS)), np.bool_))

    def __len__(self) -> int:
        return len(self.places)


Watcher = Callable[[list[Judged], Vectors], None]
"""Told of every batch while its pixels are still there."""


def graded(fractions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Relevance from shares: 0 below what a label needs, then 1, 2, 3 by thirds of what is left up to the whole chip.

    Args:
        fractions: float32, (..., 12), share of the chip per label.

    Returns:
        float32, (..., 12), 0 to 3. For land cover (needed: 0.1) grade 2 begins at 0.4, grade 3 at 0.7.
    """
    above = (fractions - NEEDED) / (1 - NEEDED)
    grades = np.where(fractions >= NEEDED, 1 + np.floor(np.clip(above, 0, 0.999) * 3), 0)
    return grades.astype(np.float32)


def collect(encoder: Encoder, name: str, sensor: str, chips: Iterable[Judged], watch: Watcher | None = None) -> Gallery:
    """Embed the chips of one sensor as they come; those that cannot be embedded are left out and named.

    Args:
        encoder: under test.
        name: of the set.
        sensor: of all chips.
        chips: may be many: only a batch of pixels is held.
        watch: sees each batch with its vectors.
    """
    kept: list[tuple[NDArray[np.float32], NDArray[np.bool_], str]] = []
    vectors: list[Vectors] = []
    values: list[dict[str, float]] = []
    left_out: list[str] = []
    for batch in _batches(_valid(chips, left_out)):
        good, found = _embed(encoder, batch, left_out)
        if watch is not None and good:
            watch(good, found)
        vectors.append(found)
        kept += [(chip.gains, chip.known, chip.place) for chip in good]
        values += [indices_of(chip.pixels, sensor) for chip in good]
    return Gallery(
        name=name,
        sensor=sensor,
        vectors=np.concatenate([*vectors, np.zeros((0, DIMENSION), np.float32)]),
        gains=np.array([gains for gains, _, _ in kept], np.float32).reshape(-1, len(LABELS)),
        known=np.array([known for _, known, _ in kept], np.bool_).reshape(-1, len(LABELS)),
        places=[place for *_, place in kept],
        indices={key: np.array([v[key] for v in values], np.float32) for key in index_names(sensor)},
        left_out=left_out,
    )


def has_value(pixels: NDArray[np.float32], sensor: str, present: tuple[str, ...]) -> bool:
    """Whether one of the present bands has one finite value. Zeros are values: such a chip is black, not empty."""
    rows = [BANDS[sensor].index(name) for name in present]
    return bool(np.isfinite(pixels[rows]).any())


def _valid(chips: Iterable[Judged], left_out: list[str]) -> Iterator[Judged]:
    for chip in chips:
        if has_value(chip.pixels, chip.sensor, chip.present):
            yield chip
        else:
            left_out.append(f"{chip.name}: not one valid value")


def _batches(chips: Iterable[Judged]) -> Iterator[list[Judged]]:
    """Neighbours of one shape and one set of bands."""
    batch: list[Judged] = []
    for chip in chips:
        fits = not batch or (chip.pixels.shape, chip.present) == (batch[0].pixels.shape, batch[0].present)
        if not fits or len(batch) == BATCH:
            yield batch
            batch = []
        batch.append(chip)
    if batch:
        yield batch


def _embed(encoder: Encoder, batch: list[Judged], left_out: list[str]) -> tuple[list[Judged], Vectors]:
    sensor, present = batch[0].sensor, batch[0].present
    try:
        return batch, encoder.images(np.stack([chip.pixels for chip in batch]), sensor, present)
    except Rejected as error:
        if len(batch) == 1:
            left_out.append(f"{batch[0].name}: {error}")
            return [], np.zeros((0, DIMENSION), np.float32)
    parts = [_embed(encoder, [chip], left_out) for chip in batch]
    return [chip for good, _ in parts for chip in good], np.concatenate([found for _, found in parts])
