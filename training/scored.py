"""In: labelled chips from any source, one after another, and an encoder. Out: their vectors beside what is known.

Stops at vectors: figures are in `retrieval` and `calibration`. Pixels are dropped as soon as they are embedded, all
but those of the few chips that a contact sheet will show.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS
from encoders.checks import SMALLEST_PX
from encoders.interface import DIMENSION, Encoder, Vectors
from training.contact_sheets import BestPictures
from training.indices import INDICES, indices_of
from training.phrases import LABELS

BATCH = 64
"""Chips that are embedded at once: 48 MB of optical pixels."""


BOTH = "s1+s2"
"""Key of a collection that holds chips of both sensors."""


@dataclass(frozen=True, slots=True)
class Example:
    """One chip with what is known of it.

    Attributes:
        name: how its source calls it.
        place: chips of one place are drawn together.
        sensor: ``"s2"`` or ``"s1"``.
        pixels: float32, (bands, h, w), order `encoders.bands.BANDS`, reflectance or linear power; NaN is no data.
        present: names of the bands it has.
        gains: float32, (12,), order `training.phrases.LABELS`, 0-3: 0 is absent.
        known: bool, (12,): whether the source says if the label is there.
        graded: bool, (12,): whether the gain comes from a fraction.
    """

    name: str
    place: str
    sensor: str
    pixels: NDArray[np.float32]
    present: tuple[str, ...]
    gains: NDArray[np.float32]
    known: NDArray[np.bool_]
    graded: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scored:
    """Chips of one sensor as vectors; row i of all arrays is one chip.

    Attributes:
        sensor: ``"s2"``, ``"s1"`` or `BOTH`.
        names: of the chips.
        places: of the chips.
        vectors: float32, (n, 384).
        queries: float32, (12, 384), the labels' own names.
        gains: float32, (n, 12).
        known: bool, (n, 12).
        graded: bool, (n, 12).
        indices: float32, (n,), by name.
        pictures: the chips that each label's query ranks first.
    """

    sensor: str
    names: list[str]
    places: list[str]
    vectors: Vectors
    queries: Vectors
    gains: NDArray[np.float32]
    known: NDArray[np.bool_]
    graded: NDArray[np.bool_]
    indices: dict[str, NDArray[np.float32]]
    pictures: BestPictures

    def __len__(self) -> int:
        return len(self.names)

    def all_known(self) -> "Scored":
        """The same with unknown labels taken to be absent."""
        return replace(self, known=np.ones_like(self.known))


def together(sensors: Sequence[Scored]) -> Scored:
    """Chips of several sensors as one collection: one query has to rank them all, as in CLOSP's own tables.

    Indices are left behind: those of two sensors cannot be compared.
    """
    return replace(
        sensors[0],
        sensor=BOTH,
        names=[name for each in sensors for name in each.names],
        places=[place for each in sensors for place in each.places],
        vectors=np.concatenate([each.vectors for each in sensors]),
        gains=np.concatenate([each.gains for each in sensors]),
        known=np.concatenate([each.known for each in sensors]),
        graded=np.concatenate([each.graded for each in sensors]),
        indices={},
    )


def grade(fraction: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gain of a chip by the share that its label covers: 1 below a quarter, 2 below a half, 3 from there.

    Args:
        fraction: 0-1, of chips on which the label is present.
    """
    return (1 + (fraction >= 0.25) + (fraction >= 0.5)).astype(np.float32)


@dataclass
class _Rows:
    examples: list[Example] = field(default_factory=list)
    vectors: list[Vectors] = field(default_factory=list)
    indices: list[dict[str, float]] = field(default_factory=list)


def score(encoder: Encoder, examples: Iterable[Example], left_out: list[str]) -> dict[str, Scored]:
    """Embed chips as they come.

    Args:
        encoder: under test; chips of sensors that it does not know are left out.
        examples: of any sensors and shapes; neighbours of one shape are embedded together.
        left_out: chips that cannot be embedded are named here, with the reason.

    Returns:
        By sensor; only sensors with a chip.
    """
    queries = encoder.texts([name.lower() for name in LABELS])
    rows = {sensor: _Rows() for sensor in BANDS}
    pictures = {sensor: BestPictures(sensor, len(LABELS)) for sensor in BANDS}
    for batch in _batches(_usable(encoder, examples, left_out)):
        sensor = batch[0].sensor
        vectors = encoder.images(np.stack([e.pixels for e in batch]), sensor, batch[0].present)
        rows[sensor].vectors.append(vectors)
        for example, scores in zip(batch, vectors @ queries.T, strict=True):
            pictures[sensor].offer(example.name, example.pixels, scores, example.gains, example.known)
            rows[sensor].indices.append(indices_of(example.pixels, sensor))
            rows[sensor].examples.append(replace(example, pixels=np.zeros((0, 0, 0), np.float32)))
    return {s: _joined(s, each, queries, pictures[s]) for s, each in rows.items() if each.examples}


def _joined(sensor: str, rows: _Rows, queries: Vectors, pictures: BestPictures) -> Scored:
    return Scored(
        sensor=sensor,
        names=[e.name for e in rows.examples],
        places=[e.place for e in rows.examples],
        vectors=np.concatenate(rows.vectors).astype(np.float32).reshape(-1, DIMENSION),
        queries=queries,
        gains=np.stack([e.gains for e in rows.examples]),
        known=np.stack([e.known for e in rows.examples]),
        graded=np.stack([e.graded for e in rows.examples]),
        indices={name: np.array([r[name] for r in rows.indices], np.float32) for name in INDICES[sensor]},
        pictures=pictures,
    )


def _usable(encoder: Encoder, examples: Iterable[Example], left_out: list[str]) -> Iterator[Example]:
    for example in examples:
        rows = [BANDS[example.sensor].index(name) for name in example.present]
        if example.sensor not in encoder.sensors:
            left_out.append(f"{example.name}: {encoder.release} has no {example.sensor}")
        elif min(example.pixels.shape[1:]) < SMALLEST_PX:
            height, width = example.pixels.shape[1:]
            left_out.append(f"{example.name}: {height} x {width} px, encoders need {SMALLEST_PX}")
        elif not rows or not np.isfinite(example.pixels[rows]).any():
            left_out.append(f"{example.name}: not one valid pixel")
        else:
            yield example


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    """Neighbours of one sensor, shape and set of bands."""
    batch: list[Example] = []
    for example in examples:
        if batch and (len(batch) == BATCH or _kind(example) != _kind(batch[0])):
            yield batch
            batch = []
        batch.append(example)
    if batch:
        yield batch


def _kind(example: Example) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
    return example.sensor, example.pixels.shape, example.present
