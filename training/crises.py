"""In: an encoder and simulated events. Out: whether it tells them from what was there before, and from look-alikes.

Stops at tables. No place of these seeds is ever trained on; real pairs are measured in `feed_measures`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from encoders.interface import DIMENSION, Encoder, Vectors
from simulation.chips import Chips, Sensor, make_pairs
from training.indices import INDICES, index_names, indices_of
from training.metrics import Scores, area_under_curve, average_precision, draw_places, quantiles, redrawn
from training.metrics import ranked_precision as of_ranked
from training.retrieval import words_of
from training.tables import Figures, Table

EVENTS = {"burn": "Burned Area", "flood": "Flooded Area", "quake": "Earthquake Damage"}
"""The simulator's events and the labels they leave behind."""

SEED_PAIRS, SEED_LOOKALIKES, SEED_SERIES = 1_300_000_000, 1_400_000_000, 1_500_000_000
"""Seeds of each kind of simulated evaluation; training stays below 1,100,000,000 (`pool` multiplies by 100,000)."""

LOOKS = 6
"""Images of a series: five before, one after."""

CHUNK = 50
"""Places simulated at a time."""


class _MakeLookalikes(Protocol):
    def __call__(self, n: int, *, seed: int, sensor: Sensor, kind: str) -> Chips: ...


class _MakeSeries(Protocol):
    def __call__(self, n: int, *, seed: int, sensor: Sensor, kind: str, looks: int) -> list[Chips]: ...


def _chunks(count: int) -> list[tuple[int, int]]:
    """Number of each chunk and how many places it has."""
    return [(number, min(CHUNK, count - number * CHUNK)) for number in range(-(-count // CHUNK))]


def embed_valid(encoder: Encoder, chips: Chips) -> tuple[Vectors, NDArray[np.bool_]]:
    """Vectors of a batch, and which chips have a valid value; the vectors of the others are zero."""
    valid = np.array([np.isfinite(pixels).any() for pixels in chips.pixels], np.bool_)
    vectors = np.zeros((len(chips), DIMENSION), np.float32)
    if valid.any():
        vectors[valid] = encoder.images(chips.pixels[valid], chips.sensor)
    return vectors, valid


def pairs_in_order(encoder: Encoder, sensor: Sensor, count: int) -> Table:
    """Before and after an event at the same place, and before and after nothing.

    Args:
        encoder: under test.
        sensor: ``"s2"`` or ``"s1"``.
        count: places per event; only those on which the event's label is there count.

    Returns:
        A row an event: share of pairs in the right order, and area under the curve of after against before; and
        "rises" against pairs on which nothing happened: the area under the curve of the difference.
    """
    calm = _differences(encoder, sensor, "none", count)[0]
    rows: dict[str, Figures] = {}
    for event, label in EVENTS.items():
        query = encoder.texts([words_of([label])])[0]
        _, before, after = _differences(encoder, sensor, event, count)
        earlier, later = before @ query, after @ query
        if not len(later):
            continue
        scores = np.concatenate([earlier, later])
        happened = np.arange(len(scores)) >= len(earlier)
        rise = np.concatenate([calm @ query, later - earlier])
        rows[label] = {
            "pairs": len(later),
            "right order": float((later > earlier).mean()),
            "AUC after/before": area_under_curve(scores, happened),
            "AUC of the rise": area_under_curve(rise, np.arange(len(rise)) >= len(calm)),
        }
    note = "Simulated places before and after; the rise is set against places on which only time passed."
    return Table(f"pairs, simulated, {sensor.upper()}", note, rows)


def _differences(encoder: Encoder, sensor: Sensor, event: str, count: int) -> tuple[Vectors, Vectors, Vectors]:
    """Later less earlier, earlier, later: of the places on which the event shows."""
    earlier, later = [], []
    for number, size in _chunks(count):
        seed = SEED_PAIRS + 10_000 * sorted([*EVENTS, "none"]).index(event) + number
        first, second = make_pairs(size, seed=seed, sensor=sensor, event=event)
        (one, valid), (two, also) = embed_valid(encoder, first), embed_valid(encoder, second)
        shows = np.array([event == "none" or EVENTS[event] in names for names in second.labels], np.bool_)
        chosen = valid & also & shows
        earlier.append(one[chosen])
        later.append(two[chosen])
    before, after = np.concatenate(earlier), np.concatenate(later)
    return after - before, before, after


@dataclass(frozen=True, slots=True)
class Seen:
    """Chips as the model and as plain indices see them.

    Attributes:
        vectors: float32, (n, 384).
        indices: name of an index to float32, (n,).
    """

    vectors: Vectors
    indices: dict[str, Scores]


def lookalikes(
    encoder: Encoder, sensor: Sensor, count: int, events_of: Callable[[str], Seen]
) -> tuple[Table, list[str]]:
    """The true event against every kind of thing that looks like it.

    Args:
        encoder: under test.
        sensor: ``"s2"`` or ``"s1"``.
        count: look-alikes of each kind, and at most so many events.
        events_of: chips that show a label.

    Returns:
        A row for event and kind: "AP" with as many events as look-alikes where there are enough, and "median rank" of
        a single event put among the look-alikes (1 is best, `count` + 1 worst), with the plain indices below; and what
        was left out.
    """
    module = import_module("simulation.lookalikes")
    kinds_for: Callable[[str, Sensor], Sequence[str]] = module.kinds_for
    make: _MakeLookalikes = module.make_lookalikes
    rows: dict[str, Figures] = {}
    left_out: list[str] = []
    kept: dict[str, Seen] = {}
    for label in EVENTS.values():
        query, events = encoder.texts([words_of([label])])[0], events_of(label)
        for kind in kinds_for(label, sensor):
            if kind not in kept:
                kept[kind] = _of_kind(encoder, sensor, kind, count, make, left_out)
            others = kept[kind]
            if not len(events.vectors) or not len(others.vectors):
                continue
            rows[f"{label} / {kind}"] = against(events.vectors[:count] @ query, others.vectors @ query)
            for name in INDICES.get((label, sensor), {}):
                rows[f"{label} / {kind}: {name}"] = against(events.indices[name][:count], others.indices[name])
    note = f"{count} look-alikes of each kind; the rank is that of one event put among them."
    return Table(f"look-alikes, simulated, {sensor.upper()}", note, rows), left_out


def _of_kind(
    encoder: Encoder, sensor: Sensor, kind: str, count: int, make: _MakeLookalikes, left_out: list[str]
) -> Seen:
    found, values = [], []
    for number, size in _chunks(count):
        chips = make(size, seed=SEED_LOOKALIKES + number, sensor=sensor, kind=kind)
        vectors, valid = embed_valid(encoder, chips)
        left_out += [f"{kind} {number}/{i}: not one valid value" for i in np.flatnonzero(~valid)]
        found.append(vectors[valid])
        values += [indices_of(pixels, sensor) for pixels in chips.pixels[valid]]
    indices = {n: np.array([v[n] for v in values], np.float32) for n in index_names(sensor)}
    return Seen(np.concatenate(found), indices)


def against(events: Scores, others: Scores) -> Figures:
    """Average precision of events among others with its interval, and the median rank of one event among them."""
    scores = np.concatenate([events, others]).astype(np.float32)
    gains = (np.arange(len(scores)) < len(events)).astype(np.float32)
    # Others first: a tie is a look-alike that cannot be told from the event, and counts against it.
    order = np.concatenate([np.arange(len(events), len(scores)), np.arange(len(events))])
    scores, gains = scores[order], gains[order]
    low, high = quantiles(redrawn(scores, gains, draw_places([str(i) for i in order]), [of_ranked])[:, 0])
    ranks = 1 + (others[None, :] >= events[:, None]).sum(axis=1)
    return {
        "events": len(events),
        "others": len(others),
        "AP": average_precision(scores, gains > 0),
        "AP low": low,
        "AP high": high,
        "median rank": float(np.median(ranks)),
        "ranked first": float((ranks == 1).mean()),
    }


def appearance(encoder: Encoder, sensor: Sensor, count: int) -> Table:
    """Series of looks at one place: what appeared with the last one.

    The score is q · (last − mean of the earlier ones): what was always there cancels, so that only this can tell a
    flood from a lake.

    Args:
        encoder: under test.
        sensor: ``"s2"`` or ``"s1"``.
        count: series of each kind.

    Returns:
        A row an event against all distractors together, then one against each.
    """
    module = import_module("simulation.series")
    kinds: Sequence[str] = module.KINDS
    make: _MakeSeries = module.make_series
    rises = {kind: _rises(encoder, sensor, kind, count, make) for kind in kinds}
    distractors = [kind for kind in kinds if kind not in EVENTS and len(rises[kind])]
    rows: dict[str, Figures] = {}
    for event, label in EVENTS.items():
        if event not in rises or not len(rises[event]) or not distractors:
            continue
        query = encoder.texts([words_of([label])])[0]
        scores = rises[event] @ query
        rows[label] = against(scores, np.concatenate([rises[kind] for kind in distractors]) @ query)
        rows |= {f"{label} / {kind}": against(scores, rises[kind] @ query) for kind in distractors}
    note = f"{LOOKS} looks at a place; the event happens before the last; {count} series of each kind."
    return Table(f"appearance, simulated, {sensor.upper()}", note, rows)


def _rises(encoder: Encoder, sensor: Sensor, kind: str, count: int, make: _MakeSeries) -> Vectors:
    """Last look less the mean of the earlier valid ones, of the series where the event shows if it is one."""
    found = []
    for number, size in _chunks(count):
        series = make(size, seed=SEED_SERIES + number, sensor=sensor, kind=kind, looks=LOOKS)
        embedded = [embed_valid(encoder, chips) for chips in series]
        earlier = np.stack([vectors for vectors, _ in embedded[:-1]])
        weights = np.stack([valid for _, valid in embedded[:-1]]).astype(np.float32)
        mean = (earlier * weights[..., None]).sum(axis=0) / np.maximum(weights.sum(axis=0), 1)[:, None]
        last, valid = embedded[-1]
        shows = np.array([kind not in EVENTS or EVENTS[kind] in names for names in series[-1].labels], np.bool_)
        found.append((last - mean)[valid & (weights.sum(axis=0) > 0) & shows])
    return np.concatenate(found)
