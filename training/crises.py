"""In: an encoder and simulated events. Out: whether it tells them from what was there before, and from look-alikes.

Stops at single images: series are in `appearance`, real pairs in `feed_measures`. No place of these seeds is ever
trained on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.interface import DIMENSION, Encoder, Vectors
from simulation.chips import Chips, Sensor, make_pairs
from simulation.lookalikes import kinds_for, make_lookalikes
from training.indices import INDICES, index_names, indices_of
from training.metrics import Scores, area_under_curve, average_precision, draw_places, quantiles, redrawn
from training.metrics import ranked_precision as of_ranked
from training.retrieval import words_of
from training.tables import Figures, Table

EVENTS = {"burn": "Burned Area", "flood": "Flooded Area", "quake": "Earthquake Damage"}
"""The simulator's events and the labels they leave behind."""

SEED_PAIRS, SEED_LOOKALIKES = 1_300_000_000, 1_400_000_000
"""Seeds of each kind of simulated evaluation; training stays below 1,100,000,000 (`pool` multiplies by 100,000)."""

CHUNK = 50
"""Places simulated at a time."""


def chunks(count: int) -> list[tuple[int, int]]:
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
        "rises" against pairs on which nothing happened: the area under the curve of the difference. Each pair is a
        place of its own in the intervals.
    """
    calm = _differences(encoder, sensor, "none", count)[0]
    rows: dict[str, Figures] = {}
    for event, label in EVENTS.items():
        query = encoder.texts([words_of([label])])[0]
        _, before, after = _differences(encoder, sensor, event, count)
        earlier, later = before @ query, after @ query
        if not len(later):
            continue
        rise = np.concatenate([calm @ query, later - earlier])
        rows[label] = told_apart(earlier, later, [str(row) for row in range(len(later))]) | {
            "AUC of the rise": area_under_curve(rise, np.arange(len(rise)) >= len(calm)),
        }
    note = "Simulated places before and after; the rise is set against places on which only time passed."
    return Table(f"pairs, simulated, {sensor.upper()}", note, rows)


def told_apart(before: Scores, after: Scores, places: Sequence[str]) -> Figures:
    """Pairs in the right order, and the area under the curve of all after against all before, with intervals.

    Args:
        before: float32, (n,).
        after: float32, (n,), of the same places.
        places: of the pairs; both images of a place are drawn together.
    """
    later = np.arange(2 * len(after)) >= len(before)
    scores = np.concatenate([before, after])
    draws = draw_places(places)
    again = np.full((len(draws.counts), 2), np.nan)
    for number in range(len(again) if len(after) else 0):
        rows = np.repeat(np.arange(len(after)), draws.times(number))
        both = np.concatenate([rows, rows + len(before)])
        again[number] = (after[rows] > before[rows]).mean(), area_under_curve(scores[both], later[both])
    figures: Figures = {"pairs": len(after)}
    values = ((after > before).mean() if len(after) else np.nan, area_under_curve(scores, later))
    for column, (name, value) in enumerate(zip(("right order", "AUC after/before"), values, strict=True)):
        low, high = quantiles(again[:, column])
        figures |= {name: float(value), f"{name} low": low, f"{name} high": high}
    return figures


def _differences(encoder: Encoder, sensor: Sensor, event: str, count: int) -> tuple[Vectors, Vectors, Vectors]:
    """Later less earlier, earlier, later: of the places on which the event shows."""
    earlier, later = [], []
    for number, size in chunks(count):
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
    rows: dict[str, Figures] = {}
    left_out: list[str] = []
    title = f"look-alikes, simulated, {sensor.upper()}"
    kept: dict[str, Seen] = {}
    for label in EVENTS.values():
        query, events = encoder.texts([words_of([label])])[0], events_of(label)
        for kind in kinds_for(label, sensor):
            if kind not in kept:
                kept[kind] = _of_kind(encoder, sensor, kind, count, left_out)
            others = kept[kind]
            if not len(events.vectors) or not len(others.vectors):
                continue
            rows[f"{label} / {kind}"] = against(events.vectors[:count] @ query, others.vectors @ query)
            for name in INDICES.get((label, sensor), {}):
                rows[f"{label} / {kind}: {name}"] = against(events.indices[name][:count], others.indices[name])
    note = f"{count} look-alikes of each kind; the rank is that of one event put among them."
    return Table(title, note, rows), left_out


def _of_kind(encoder: Encoder, sensor: Sensor, kind: str, count: int, left_out: list[str]) -> Seen:
    found, values = [], []
    for number, size in chunks(count):
        chips = make_lookalikes(size, seed=SEED_LOOKALIKES + number, sensor=sensor, kind=kind)
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
