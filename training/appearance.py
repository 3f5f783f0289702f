"""In: an encoder and simulated series of looks. Out: whether what appeared in the last look is told from what did not.

Stops at the table. One image cannot tell a flood from a lake: the looks before it can.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from encoders.interface import Encoder, Vectors
from simulation.chips import Sensor
from simulation.series import kinds_of, make_series
from training.crises import EVENTS, against, chunks, embed_valid
from training.retrieval import words_of
from training.tables import Figures, Table

SEED_SERIES = 1_500_000_000
"""Of the first chunk; as far from training's seeds as those of `crises`."""

LOOKS = 6
"""Images of a series: five before, one after."""


@dataclass(frozen=True, slots=True)
class Series:
    """What was seen of some places; row i of both is one place.

    Attributes:
        last: float32, (n, 384), the last look.
        rise: float32, (n, 384), the last look less the mean of the earlier ones.
    """

    last: Vectors
    rise: Vectors


def appearance(encoder: Encoder, sensor: Sensor, count: int) -> tuple[Table, list[str]]:
    """Series of looks at one place: what appeared with the last one.

    The score is q · (last − mean of the earlier ones): what was always there cancels, so that only this can tell a
    flood from a lake. "AP of presence" is what q · last alone, a single image, makes of the same series.

    Args:
        encoder: under test.
        sensor: ``"s2"`` or ``"s1"``.
        count: series of each kind.

    Returns:
        A row an event against all distractors together, then one against each; and what was left out.
    """
    rows: dict[str, Figures] = {}
    title = f"appearance, simulated, {sensor.upper()}"
    seen = {kind: _series(encoder, sensor, kind, count) for kind in kinds_of(sensor)}
    others = {kind: series for kind, series in seen.items() if kind not in EVENTS and len(series.last)}
    for event, label in EVENTS.items():
        if event not in seen or not len(seen[event].last) or not others:
            continue
        query = encoder.texts([words_of([label])])[0]
        rows[label] = _appeared(seen[event], list(others.values()), query)
        rows |= {f"{label} / {kind}": _appeared(seen[event], [other], query) for kind, other in others.items()}
    note = f"{LOOKS} looks at a place; the event happens before the last; {count} series of each kind."
    return Table(title, note, rows), []


def _appeared(event: Series, others: Sequence[Series], query: Vectors) -> Figures:
    """By appearance, and by presence the average precision alone."""
    figures = against(event.rise @ query, np.concatenate([other.rise for other in others]) @ query)
    alone = against(event.last @ query, np.concatenate([other.last for other in others]) @ query)
    return figures | {f"AP of presence{end}": alone[f"AP{end}"] for end in ("", " low", " high")}


def _series(encoder: Encoder, sensor: Sensor, kind: str, count: int) -> Series:
    """Looks without a valid value are not averaged; of an event, only the series on which it shows."""
    ends, rises = [], []
    for number, size in chunks(count):
        series = make_series(size, seed=SEED_SERIES + number, sensor=sensor, kind=kind, looks=LOOKS)
        embedded = [embed_valid(encoder, chips) for chips in series]
        earlier = np.stack([vectors for vectors, _ in embedded[:-1]])
        weights = np.stack([valid for _, valid in embedded[:-1]]).astype(np.float32)
        mean = (earlier * weights[..., None]).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)[:, None]
        last, valid = embedded[-1]
        shows = np.array([kind not in EVENTS or EVENTS[kind] in names for names in series[-1].labels], np.bool_)
        chosen = valid & (weights.sum(axis=0) > 0) & shows
        ends.append(last[chosen])
        rises.append((last - mean)[chosen])
    return Series(np.concatenate(ends), np.concatenate(rises))
