"""In: an encoder; places before and after, and things that look like an event. Out: whether the event stands out.

Stops at single images: what changes within a series is in `appearance`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Encoder, Vectors
from simulation.chips import Chips, Sensor, make_pairs
from training.acceptance import embedded, fire_of, same_windows
from training.feed import LabelledChip
from training.figures import Figure
from training.holdout import SEED_OF_LOOKALIKES, SEED_OF_PAIRS, vectors_of
from training.metrics import Measured, auc, average_precision, bootstrapped

EVENTS: Final[Mapping[str, str]] = {
    "burn": "Burned Area",
    "flood": "Flooded Area",
    "quake": "Earthquake Damage",
}
"""Events of the simulator and the labels that they leave."""


class KindsFor(Protocol):
    """`simulation.lookalikes.kinds_for`."""

    def __call__(self, label: str, sensor: Sensor) -> tuple[str, ...]: ...


class MakeLookalikes(Protocol):
    """`simulation.lookalikes.make_lookalikes`."""

    def __call__(
        self, n: int, *, seed: int, sensor: Sensor, kind: str, biomes: tuple[str, ...] | None = None
    ) -> Chips: ...


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scores of the same places before and after an event; row i of all is one pair.

    Attributes:
        before: float32, (n,), cosine with the label's own words.
        after: float32, (n,).
        places: of the pairs.
    """

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    places: tuple[str, ...]


def figures_of(pairs: Pairs, rule: str, sensor: str, label: str) -> list[Figure]:
    """How well two images of one place are told apart: within each pair, and over all of them."""

    def in_order(rows: NDArray[np.int64]) -> float:
        return float((pairs.after[rows] > pairs.before[rows]).mean()) if len(rows) else float("nan")

    def over_all(rows: NDArray[np.int64]) -> float:
        scores = np.concatenate([pairs.after[rows], pairs.before[rows]])
        return auc(scores, np.arange(len(scores)) < len(rows))

    values = {
        "pairs": Measured(len(pairs.places)),
        "share in order": bootstrapped(in_order, pairs.places),
        "AUC": bootstrapped(over_all, pairs.places),
    }
    return [Figure("pairs", rule, sensor, label, name, value) for name, value in values.items()]


def pairs_of_feed(encoder: Encoder, chips: list[LabelledChip]) -> list[Figure]:
    """Burnt windows of the feed against the same windows before the fire."""
    found = same_windows(chips)
    query = encoder.texts(["burned area"])[0]
    before, after = (embedded(encoder, [pair[side] for pair in found]).vectors @ query for side in (0, 1))
    places = tuple(chip.place or fire_of(chip) for _, chip in found)
    return figures_of(Pairs(before, after, places), "real fires", "s2", "Burned Area") if found else []


def simulated_pairs(encoder: Encoder, count: int, sensor: Sensor) -> tuple[list[Figure], dict[str, Vectors]]:
    """Simulated places before and after each event, those on which the event left its label.

    Args:
        encoder: under test.
        count: places for each event; fewer remain.
        sensor: ``"s2"`` or ``"s1"``.

    Returns:
        Figures, and the vectors of the images after, by label: the events that look-alikes are ranked against.
    """
    figures: list[Figure] = []
    events: dict[str, Vectors] = {}
    for event, label in EVENTS.items():
        before, after = make_pairs(count, seed=SEED_OF_PAIRS, sensor=sensor, event=event)
        (first, seen), (second, seen_after) = vectors_of(encoder, before), vectors_of(encoder, after)
        there = np.array([label in names for names in after.labels], np.bool_) & seen & seen_after
        events[label] = second[there]
        query = encoder.texts([label.lower()])[0]
        places = tuple(f"{event} {row}" for row in np.flatnonzero(there))
        if places:
            pairs = Pairs(first[there] @ query, second[there] @ query, places)
            figures += figures_of(pairs, "simulated", sensor, label)
    return figures, events


def lookalike_ranks(
    encoder: Encoder,
    events: Mapping[str, Vectors],
    count: int,
    sensor: Sensor,
    kinds_for: KindsFor,
    make_lookalikes: MakeLookalikes,
) -> list[Figure]:
    """Where true events come among things that only look like them.

    The rank of an event is one more than the look-alikes that score at least as high: 1 is best, and its median over
    the events of `count` look-alikes is given beside average precision.

    Args:
        encoder: under test.
        events: float32, (n, 384), by label.
        count: look-alikes of each kind.
        sensor: ``"s2"`` or ``"s1"``.
        kinds_for: names of the kinds that are hard for a label.
        make_lookalikes: chips of one kind, none of which has the event.
    """
    figures: list[Figure] = []
    for label, vectors in events.items():
        query = encoder.texts([label.lower()])[0]
        for kind in kinds_for(label, sensor) if len(vectors) else ():
            chips = make_lookalikes(count, seed=SEED_OF_LOOKALIKES, sensor=sensor, kind=kind)
            others, seen = vectors_of(encoder, chips)
            values = _ranks(vectors @ query, others[seen] @ query)
            figures += [Figure("look-alikes", label, sensor, kind, name, value) for name, value in values.items()]
    return figures


def _ranks(events: NDArray[np.float32], others: NDArray[np.float32]) -> dict[str, Measured]:
    scores = np.concatenate([others, events])  # ties count against the event: sorting is stable
    event = np.arange(len(scores)) >= len(others)
    ranks = 1 + len(others) - np.searchsorted(np.sort(others), events, "left")
    return {
        "events": Measured(len(events)),
        "look-alikes": Measured(len(others)),
        "AP": _over_chips(lambda rows: average_precision(scores[rows], event[rows]), len(scores)),
        "median rank": _over_chips(lambda rows: float(np.median(ranks[rows])), len(ranks)),
    }


def _over_chips(statistic: Callable[[NDArray[np.int64]], float], count: int) -> Measured:
    """Each simulated chip is a place of its own."""
    places: Sequence[str] = [str(row) for row in range(count)]
    return bootstrapped(statistic, places)
