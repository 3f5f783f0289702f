"""In: how many chips. Out: a section on places that never were, of seeds and biomes that nothing was trained on.

Stops at the section: events and look-alikes are in `crises`.
"""

from collections.abc import Iterator

import numpy as np

from encoders.interface import Encoder
from schemas.errors import UsageError
from simulation.biomes import BIOMES, HELD_OUT_BIOMES
from simulation.chips import Chips, Sensor, make_chips
from training.contact_sheets import Sheets
from training.crises import Seen, appearance, lookalikes, pairs_in_order
from training.judged import Gallery, Judged, collect, graded
from training.phrases import LABELS
from training.retrieval import calibrated, hold_out, retrieval, words_of
from training.tables import Section, Table

SEED_CHIPS = 1_200_000_000
"""Of the first chunk. Training stays below 1,100,000,000: its seeds 1 to 10,000 are multiplied by 100,000 (`pool`)."""

SETS = ("training biomes", "held-out biomes")
"""Both of unseen seeds; the second also of unseen biomes."""

CHUNK = 200
"""Chips simulated at a time: 150 MB of optical pixels."""

CRISIS_SHARE = 10
"""One place a pair, look-alike and series of each kind, for so many chips of the hold-out, within `CRISIS_RANGE`."""

CRISIS_RANGE = (8, 100)
"""Fewest and most places of each kind."""


def simulated(encoder: Encoder, count: int) -> Section:
    """Measure on simulated chips.

    Args:
        encoder: under test.
        count: chips a sensor and set.

    Raises:
        UsageError: the count is not positive.
    """
    if count < 1:
        raise UsageError(f"--simulated {count}: say how many chips a sensor, for example 1000")
    section = Section("simulated", f"{count} simulated chips a sensor and set; no seed of them was trained on.")
    queries = encoder.texts([words_of([name]) for name in LABELS])
    for sensor in _sensors(encoder):
        galleries = []
        for name, biomes in zip(SETS, (tuple(b.name for b in BIOMES), HELD_OUT_BIOMES), strict=True):
            gallery, sheets = _gallery(encoder, sensor, name, biomes, count)
            galleries.append(gallery)
            section.left_out += gallery.left_out
            section.tables += [hold_out(gallery, queries), *retrieval(encoder, gallery, unknown_is_negative=False)]
            if name == SETS[1]:
                section.sheets += sheets.sheets()
                table, curves = calibrated(encoder, gallery)
                section.tables.append(table)
                section.curves |= curves
        section.tables += _crises(encoder, sensor, galleries, count, section.left_out)
        section.measures[f"simulated mAP {sensor.upper()}"] = _summary(section.tables, sensor)
    section.tables = [table for table in section.tables if table.rows]
    return section


def _sensors(encoder: Encoder) -> list[Sensor]:
    known: tuple[Sensor, ...] = ("s2", "s1")
    return [sensor for sensor in known if sensor in encoder.sensors]


def _summary(tables: list[Table], sensor: Sensor) -> dict[str, float]:
    """The means of the hold-outs of a sensor in one row, for the acceptance table."""
    rows = {t.title: t.rows for t in tables}
    figures: dict[str, float] = {}
    for name in SETS:
        mean = rows[f"hold-out, {name}, {sensor.upper()}"].get("mean", {})
        figures |= {f"{name}{strict}": mean[f"AP{strict}"] for strict in ("", " strict") if f"AP{strict}" in mean}
    return figures


def _gallery(
    encoder: Encoder, sensor: Sensor, name: str, biomes: tuple[str, ...], count: int
) -> tuple[Gallery, Sheets]:
    """Simulate and embed, chunk by chunk; each chip is a place."""
    sheets = Sheets(encoder, f"simulated, {name}, {sensor.upper()}")
    fractions: dict[str, np.ndarray[tuple[int], np.dtype[np.float32]]] = {}
    unsure: dict[str, list[bool]] = {}

    def chips() -> Iterator[Judged]:
        for number in range(-(-count // CHUNK)):
            seed = SEED_CHIPS + 1_000_000 * SETS.index(name) + number
            chunk = make_chips(min(CHUNK, count - number * CHUNK), seed=seed, sensor=sensor, biomes=biomes)
            for chip, row in zip(_judged(chunk, number), range(len(chunk)), strict=True):
                fractions[chip.place] = chunk.fractions[row]
                unsure[chip.place] = [label in chunk.ambiguous[row] for label in LABELS]
                yield chip

    gallery = collect(encoder, name, sensor, chips(), sheets.see)
    gallery.fractions = np.array([fractions[place] for place in gallery.places], np.float32).reshape(-1, len(LABELS))
    gallery.ambiguous = np.array([unsure[place] for place in gallery.places], np.bool_).reshape(-1, len(LABELS))
    return gallery, sheets


def _judged(chunk: Chips, number: int) -> Iterator[Judged]:
    grades = graded(chunk.fractions)
    for row in range(len(chunk)):
        known = np.array([label not in chunk.ambiguous[row] for label in LABELS], np.bool_)
        words = chunk.attributes[row]
        name = f"{words.get('biome')} {words.get('scene')} {number}/{row}"
        place = f"{number}/{row}"
        yield Judged(name, chunk.sensor, chunk.pixels[row], chunk.bands, grades[row], known, place)


def _crises(encoder: Encoder, sensor: Sensor, galleries: list[Gallery], count: int, left_out: list[str]) -> list[Table]:
    places = min(max(count // CRISIS_SHARE, CRISIS_RANGE[0]), CRISIS_RANGE[1])

    def events_of(label: str) -> Seen:
        column = LABELS.index(label)
        vectors = np.concatenate([g.vectors for g in galleries])
        there = np.flatnonzero(np.concatenate([g.gains[:, column] > 0 for g in galleries]))
        mixed = np.random.default_rng(0).permutation(there)  # so that the first few are of both sets
        names = galleries[0].indices
        return Seen(vectors[mixed], {n: np.concatenate([g.indices[n] for g in galleries])[mixed] for n in names})

    alike, missing = lookalikes(encoder, sensor, places, events_of)
    left_out += missing
    return [pairs_in_order(encoder, sensor, places), alike, appearance(encoder, sensor, places)]
