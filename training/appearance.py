"""In: an encoder and simulated series of looks. Out: whether what appeared in the last look is told from what did not.

Stops at figures. One image cannot tell a flood from a lake: the looks before can.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Encoder, Vectors
from simulation.chips import Chips, Sensor
from training.crises import EVENTS
from training.figures import Figure
from training.holdout import SEED_OF_SERIES, vectors_of
from training.metrics import Measured, average_precision, bootstrapped


class MakeSeries(Protocol):
    """`simulation.series.make_series`."""

    def __call__(
        self,
        n: int,
        *,
        seed: int,
        sensor: Sensor,
        kind: str,
        looks: int = 6,
        biomes: tuple[str, ...] | None = None,
    ) -> list[Chips]: ...


@dataclass(frozen=True, slots=True)
class Series:
    """Vectors of the last look of each series, and how it differs from those before.

    Attributes:
        last: float32, (n, 384).
        change: float32, (n, 384): last minus the mean of the earlier looks.
        labels: of the last look.
    """

    last: Vectors
    change: NDArray[np.float32]
    labels: tuple[frozenset[str], ...]


def read_series(encoder: Encoder, looks: Sequence[Chips]) -> Series:
    """Vectors of series; those whose last look, or all whose earlier looks, have no valid pixel are left out.

    Args:
        encoder: under test.
        looks: in the order of time, at least two; row i of all is one place.
    """
    *earlier, (last, seen) = [vectors_of(encoder, chips) for chips in looks]
    counts = np.sum([valid for _, valid in earlier], axis=0)
    mean = np.sum([vectors for vectors, _ in earlier], axis=0) / np.maximum(counts, 1)[:, None]
    rows = np.flatnonzero(seen & (counts > 0))
    change = (last - mean).astype(np.float32)
    return Series(last[rows], change[rows], tuple(looks[-1].labels[row] for row in rows))


def appearance(
    encoder: Encoder, count: int, sensor: Sensor, distractors: Sequence[str], make_series: MakeSeries
) -> list[Figure]:
    """Average precision of each event's series against all distractors' series.

    An event's series counts if its last look carries the label; the score is q . (E_last - mean E_earlier). Presence,
    q . E_last, stands beside it: what one image alone can do.

    Args:
        encoder: under test.
        count: series of each kind.
        sensor: ``"s2"`` or ``"s1"``.
        distractors: kinds of series in which no event happens.
        make_series: of `simulation.series`.
    """
    others = {
        kind: read_series(encoder, make_series(count, seed=SEED_OF_SERIES, sensor=sensor, kind=kind))
        for kind in distractors
    }
    figures: list[Figure] = []
    for event, label in EVENTS.items():
        series = read_series(encoder, make_series(count, seed=SEED_OF_SERIES, sensor=sensor, kind=event))
        there = np.array([label in names for names in series.labels], np.bool_)
        if there.any():
            query = encoder.texts([label.lower()])[0]
            figures += _against(label, series, there, others, query, sensor)
    return figures


def _against(
    label: str,
    series: Series,
    there: NDArray[np.bool_],
    others: Mapping[str, Series],
    query: NDArray[np.float32],
    sensor: str,
) -> list[Figure]:
    """One event against all distractors together, then against each."""
    events = {"appearance": series.change[there] @ query, "presence": series.last[there] @ query}
    figures = [Figure("appearance", label, sensor, "all distractors", "events", Measured(int(there.sum())))]
    for score, found in events.items():
        of_kind = {k: (s.change if score == "appearance" else s.last) @ query for k, s in others.items()}
        lists = {"all distractors": np.concatenate(list(of_kind.values())), **of_kind}
        for kind, values in lists.items():
            figures.append(Figure("appearance", label, sensor, kind, f"AP by {score}", _precision(found, values)))
    return figures


def _precision(events: NDArray[np.float32], others: NDArray[np.float32]) -> Measured:
    scores = np.concatenate([others, events])  # ties count against the event: sorting is stable
    event = np.arange(len(scores)) >= len(others)
    places = [str(row) for row in range(len(scores))]  # each simulated series is a place of its own
    return bootstrapped(lambda rows: average_precision(scores[rows], event[rows]), places)
