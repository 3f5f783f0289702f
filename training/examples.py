"""In: chips of the feed or of CrisisLandMark. Out: examples, each with its place and with what is known of it.

Stops at examples: the simulated ones are made in `holdout`.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from schemas.errors import NotFound
from training.acceptance import LAND_COVER, is_known
from training.crisislandmark import Corpus, Sample, open_corpus
from training.feed import FIRES, FLOODS, LabelledChip
from training.phrases import LABELS
from training.scored import Example, grade

PLACE_DEGREES: Final = 0.05
"""Edge of the squares that make chips of a corpus one place: 5.6 km of latitude, several chips of 1.2 km side by side.

Two chips across a square's edge are two places: intervals are a little too narrow for it, not by much."""

TESTED: Final = "test"
"""The only split that is looked at."""


def items_of(chips: Iterable[LabelledChip]) -> Iterator[Example]:
    """Whole items of the feed."""
    return (_of_chip(chip, chip.item) for chip in chips if chip.level == "item")


def windows_of(chips: Iterable[LabelledChip]) -> Iterator[Example]:
    """Windows inside and outside the feed's fires and floods, and whole items of everywhere else.

    Only crises are known of them; windows that are partly burnt or flooded are left out.
    """
    for chip in chips:
        if chip.level == "window" and chip.state != "ambiguous":
            example = _of_chip(chip, f"{chip.item} {chip.offset[0]},{chip.offset[1]}")
        elif chip.level == "item" and chip.source not in (FIRES, FLOODS):
            example = _of_chip(chip, chip.item)
        else:
            continue
        yield replace(example, known=example.known & ~np.isin(LABELS, sorted(LAND_COVER)))


def _of_chip(chip: LabelledChip, name: str) -> Example:
    there = np.array([label in chip.labels for label in LABELS], np.bool_)
    graded = np.array([label in chip.fractions for label in LABELS], np.bool_)
    fractions = np.array([chip.fractions.get(label, 0.0) for label in LABELS], np.float32)
    return Example(
        name=name,
        place=chip.place or chip.item,
        sensor=chip.sensor,
        pixels=chip.pixels,
        present=chip.present,
        gains=np.where(there, np.where(graded, grade(fractions), 1), 0).astype(np.float32),
        known=np.array([is_known(chip, label) for label in LABELS], np.bool_),
        graded=graded,
    )


def open_tested(folder: Path) -> Corpus:
    """A corpus with at least one row of the tested split.

    Raises:
        NotFound: no corpus there, or no row of the split; errors of `open_corpus` besides.
    """
    corpus = open_corpus(folder)
    if not any(entry.split == TESTED for entry in corpus.entries.values()):
        splits = ", ".join(sorted({entry.split for entry in corpus.entries.values()})) or "none"
        raise NotFound(f"{folder}: no chip of split {TESTED!r} (splits there: {splits}): there is nothing to evaluate")
    return corpus


def samples_of(corpus: Corpus) -> Iterator[Example]:
    """Chips of the tested split, as they are: never flipped, cut or chosen by."""
    return (_of_sample(sample) for sample in corpus.chips(split=TESTED))


def _of_sample(sample: Sample) -> Example:
    return Example(
        name=sample.key,
        place=place_at(sample.lon_lat) or sample.key,
        sensor=sample.sensor,
        pixels=sample.pixels,
        present=sample.present,
        gains=np.array([label in sample.labels for label in LABELS], np.float32),
        known=np.ones(len(LABELS), np.bool_),
        graded=np.zeros(len(LABELS), np.bool_),
    )


def place_at(lon_lat: tuple[float, float] | None) -> str:
    """The square of `PLACE_DEGREES` that a point is in; empty where nobody knows the point."""
    if lon_lat is None:
        return ""
    lon, lat = (math.floor(degrees / PLACE_DEGREES) for degrees in lon_lat)
    return f"{lat} {lon}"
