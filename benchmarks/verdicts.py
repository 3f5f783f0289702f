"""In: simulated places, the shipped encoder. Out: what a handful of verdicts is worth to a standing query.

Stops at ranking: places where the crisis happened against places where something like it did, none of which the
verdicts were about. One cause of false alarms at a time, as over one area; the false verdicts are the worst of one half
of those places, because it is the highest scores that become alarms, and the other half is measured. The head is set
against the bare sentence, and against the mean of the examples without the sentence.

`--choose` prints the same for a grid of the two constants of `alerts.learning.fit`, on places of another seed than
those that the figures are made on.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.learning import fit
from alerts.learning.fit import Examples, head
from benchmarks.report import emit
from encoders import load
from encoders.interface import Encoder
from schemas.logs import configure
from simulation.chips import Sensor
from simulation.series import make_series

Floats = NDArray[np.float32]

QUERIES = (
    ("flooded fields", "flood", ("paddies", "reservoir", "permanent water", "tide")),
    ("wildfire burn scar", "burn", ("harvest", "ploughing", "clear-cut", "snow melt")),
    ("inundation", "flood", ("paddies", "reservoir", "permanent water", "tide")),
    ("scorched forest", "burn", ("harvest", "ploughing", "clear-cut", "snow melt")),
)
"""Sentence, the event that it means, and what is taken for it."""
ANSWERS = (2, 4, 8, 16)
"""Verdicts given, half of them true."""
PLACES = 60
"""Simulated places of each kind."""
RECALL = 0.9
"""Share of what is meant that must be found where false alarms are counted."""
DRAWS = 10
"""Different handfuls of verdicts for each figure."""
SEED_TO_CHOOSE, SEED_TO_MEASURE = 7001, 7002


@dataclass(frozen=True)
class Ground:
    """Chips as one sensor saw them.

    Attributes:
        by_kind: Kind to float32 (n, 384), the last look at each place.
        ordinary: float32 (m, 384), looks at places where nothing happened.
    """

    by_kind: dict[str, Floats]
    ordinary: Floats


@dataclass(frozen=True)
class Handful:
    """Examples that people have judged, and chips that they have not.

    Attributes:
        examples: The judged ones.
        meant: float32 (n, 384), others that show what is asked for.
        unmeant: float32 (m, 384), others that don't.
    """

    examples: Examples
    meant: Floats
    unmeant: Floats


def grounds(encoder: Encoder, sensor: Sensor, seed: int, cache: Path | None) -> Ground:
    """Simulated and encoded, or read from an earlier run with the same release."""
    kinds = sorted({kind for _, event, others in QUERIES for kind in (event, *others)})
    file = None if cache is None else cache / f"verdicts-{encoder.release}-{sensor}-{seed}-{PLACES}.npz"
    if file is not None and file.is_file():
        with np.load(file) as stored:
            return Ground({kind: stored[kind] for kind in kinds}, stored["none"])
    by_kind = {}
    for kind in (*kinds, "none"):
        last = make_series(PLACES, seed=seed, sensor=sensor, kind=kind, looks=2)[-1]
        by_kind[kind] = encoder.images(last.pixels, sensor)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **by_kind)  # type: ignore[arg-type]
    return Ground({kind: by_kind[kind] for kind in kinds}, by_kind["none"])


def average_precision(shown: Floats, others: Floats) -> float:
    """Of the scores of what is meant among those of what is not, ties counted against us."""
    scores = np.concatenate([others, shown])
    order = np.argsort(-scores, kind="stable")
    hits = order >= len(others)
    ranks = np.flatnonzero(hits)
    return float(np.mean((np.arange(len(ranks)) + 1) / (ranks + 1)))


def false_at_recall(shown: Floats, others: Floats) -> float:
    """Share of what is not meant that scores higher than all but a tenth of what is."""
    return float(np.mean(others >= np.quantile(shown, 1 - RECALL)))


def handfuls(ground: Ground, event: str, other: str, vector: Floats, answers: int) -> Iterator[Handful]:
    """Some judged places, and others: what is meant, what is not."""
    meant, unmeant = ground.by_kind[event], ground.by_kind[other]
    half = answers // 2
    for draw in range(DRAWS):
        rng = np.random.default_rng([draw, answers])
        yes, no = rng.permutation(len(meant)), rng.permutation(len(unmeant))
        alarming, measured = np.split(no, 2)
        worst = alarming[np.argsort(-(unmeant[alarming] @ vector))][:half]
        vectors = np.concatenate([meant[yes[:half]], unmeant[worst]])
        examples = Examples(vectors, np.arange(answers) < half, np.arange(answers))
        yield Handful(examples, meant[yes[half:]], unmeant[measured])


def mean_of_examples(examples: Examples) -> Floats:
    """The peer: towards what was judged true, away from what was judged false, without the sentence (Rocchio)."""
    moved = examples.vectors[examples.shown].mean(axis=0) - examples.vectors[~examples.shown].mean(axis=0)
    return np.asarray(moved / np.linalg.norm(moved), dtype=np.float32)


def measured(encoder: Encoder, found: dict[Sensor, Ground], answers: int) -> NDArray[np.float64]:
    """Mean over sentences, sensors, causes and draws: float64 (3, 2), rows sentence, head and mean of the examples,
    columns average precision and false alarms at recall."""
    rows = []
    for sentence, event, others in QUERIES:
        vector = encoder.texts([sentence])[0]
        for ground, other in product(found.values(), others):
            for handful in handfuls(ground, event, other, vector, answers):
                learnt = head(vector, handful.examples, ground.ordinary)
                scores = [
                    (handful.meant @ each, handful.unmeant @ each)
                    for each in (vector, learnt, mean_of_examples(handful.examples))
                ]
                rows.append([(average_precision(*each), false_at_recall(*each)) for each in scores])
    return np.asarray(np.mean(rows, axis=0), dtype=np.float64)


def choose(encoder: Encoder, cache: Path | None) -> None:
    """Print a grid of the two constants."""
    found = {sensor: grounds(encoder, sensor, SEED_TO_CHOOSE, cache) for sensor in SENSORS}
    for stiffness, cosine in product((0.03, 0.1, 0.3, 1.0), (0.95, 0.9, 0.8, 0.5)):
        fit.STIFFNESS, fit.LEAST_COSINE = stiffness, cosine
        for answers in ANSWERS:
            precision, false = measured(encoder, found, answers)[1]
            emit(f"stiffness_{stiffness:g}_cosine_{cosine:g}_ap_{answers}", precision, "1")
            emit(f"stiffness_{stiffness:g}_cosine_{cosine:g}_false_{answers}", false, "1")


SENSORS: tuple[Sensor, ...] = ("s2", "s1")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--choose", action="store_true", help="print a grid of constants instead")
    parser.add_argument("--cache", type=Path, help="keep simulated vectors in this folder")
    arguments = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    encoder = load("nano")
    if arguments.choose:
        choose(encoder, arguments.cache)
        return
    found = {sensor: grounds(encoder, sensor, SEED_TO_MEASURE, arguments.cache) for sensor in SENSORS}
    for answers in ANSWERS:
        bare, learnt, rocchio = measured(encoder, found, answers)
        emit(f"verdicts_{answers}_ap", learnt[0], "1", peer="bare sentence", ratio=learnt[0] / bare[0])
        emit(f"verdicts_{answers}_ap_sentence", bare[0], "1")
        emit(f"verdicts_{answers}_ap_mean_of_examples", rocchio[0], "1")
        emit(f"verdicts_{answers}_false_at_recall_90", learnt[1], "1", peer="bare sentence", ratio=learnt[1] / bare[1])
        emit(f"verdicts_{answers}_false_at_recall_90_sentence", bare[1], "1")
        emit(f"verdicts_{answers}_false_at_recall_90_mean_of_examples", rocchio[1], "1")


if __name__ == "__main__":
    main()
