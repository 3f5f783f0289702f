"""In: an encoder and what to measure it on. Out: a section for each source: table of contents of the evaluation.

Stops at sections: `report` draws them, `commands.evaluate` prints them, docs/evaluation.md explains them.
Nothing here is ever trained on or tuned to.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from encoders.interface import Encoder
from schemas.errors import UsageError
from training.contact_sheets import Sheets
from training.crisislandmark import Corpus, Sample, open_corpus
from training.feed import place_at, read_feed
from training.feed_measures import judged, measures
from training.judged import Gallery, Judged, collect, has_value
from training.phrases import LABELS
from training.retrieval import calibrated, retrieval
from training.simulated import simulated
from training.tables import Section

SENSORS = ("s2", "s1")
"""In the order of tables."""

TEST = "test"
"""The only split of a corpus that is measured."""


def evaluate(
    encoder: Encoder, *, feed: Path | None = None, corpus: Path | None = None, chips: int | None = None
) -> list[Section]:
    """Measure an encoder.

    Args:
        encoder: under test.
        feed: folder of STAC items, COGs and labels.parquet.
        corpus: folder of CrisisLandMark's layout; its test split is measured.
        chips: how many to simulate a sensor and set.

    Returns:
        A section a source, in the order of the arguments.

    Raises:
        UsageError: nothing to measure on, or no chips.
        NotFound: a folder or a file that it needs is missing.
        UnreadableAsset: a file is damaged.
        SettingsError: an optional package is not installed.
    """
    if feed is None and corpus is None and chips is None:
        raise UsageError("nothing to measure on: give --feed DIR, --corpus DIR or --simulated N")
    if chips is not None and chips < 1:
        raise UsageError(f"--simulated {chips}: say how many chips a sensor, for example 1000")
    opened = None if corpus is None else open_corpus(corpus)
    sections = []
    if feed is not None:
        sections.append(on_feed(encoder, feed))
    if opened is not None:
        sections.append(on_corpus(encoder, opened))
    if chips is not None:
        sections.append(simulated(encoder, chips))
    return sections


def on_feed(encoder: Encoder, folder: Path) -> Section:
    """Measure on real acquisitions with labels; see `training.feed` for the layout."""
    chips = list(read_feed(folder))
    section = Section("feed", "Real acquisitions: items by their labels, windows by masks of fires and of a flood.")
    section.measures = measures(encoder, chips)
    section.left_out = [
        f"{chip.item}, window at {chip.offset}: not one valid value"
        for chip in chips
        if chip.level == "window" and not has_value(chip.pixels, chip.sensor, chip.present)
    ]
    for sensor in _sensors(encoder):
        gallery = _measured(encoder, section, "items", sensor, judged(chips, sensor))
        if len(gallery):
            section.tables += retrieval(encoder, gallery, unknown_is_negative=True)
    return _finished(section, "the feed has no chip that this encoder can read")


def on_corpus(encoder: Encoder, corpus: Corpus) -> Section:
    """Measure on the test split of a corpus; chips within 0.05° of each other are one place."""
    section = Section("corpus", "The test split of a corpus in CrisisLandMark's layout; each chip as it is, no flips.")
    for sensor in _sensors(encoder):
        _measured(encoder, section, "test split", sensor, _samples(corpus.chips(TEST, sensor)))
    section.left_out += corpus.problems
    return _finished(section, f"{corpus.folder}: not one usable chip of the test split")


def _sensors(encoder: Encoder) -> list[str]:
    return [sensor for sensor in SENSORS if sensor in encoder.sensors]


def _measured(encoder: Encoder, section: Section, name: str, sensor: str, chips: Iterable[Judged]) -> Gallery:
    """Embed, and add retrieval, calibration and contact sheets of one sensor to a section."""
    sheets = Sheets(encoder, f"{section.name}, {sensor.upper()}")
    gallery = collect(encoder, name, sensor, chips, sheets.see)
    section.left_out += gallery.left_out
    section.sheets += sheets.sheets()
    if len(gallery):
        table, curves = calibrated(encoder, gallery)
        section.tables += [*retrieval(encoder, gallery, unknown_is_negative=False), table]
        section.curves |= curves
    return gallery


def _samples(samples: Iterable[Sample]) -> Iterator[Judged]:
    for sample in samples:
        gains = np.array([name in sample.labels for name in LABELS], np.float32)
        place = sample.key if sample.lon_lat is None else place_at(*sample.lon_lat)
        known = np.ones(len(LABELS), np.bool_)
        yield Judged(sample.key, sample.sensor, sample.pixels, sample.present, gains, known, place)


def _finished(section: Section, complaint: str) -> Section:
    section.tables = [table for table in section.tables if table.rows]
    if not section.sheets:
        first = f" ({section.left_out[0]})" if section.left_out else ""
        raise UsageError(f"{complaint}{first}")
    return section
