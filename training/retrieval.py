"""In: vectors of chips and what is known of them. Out: how well each label's words rank them, beside plain indices.

Stops at figures of ranking: how far a score can be trusted as a probability is in `calibration`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Encoder
from training.acceptance import BURN_WORDS, FLOOD_WORDS, LEAST_POSITIVES
from training.figures import Figure
from training.indices import BESIDE
from training.metrics import (
    Measured,
    draws_of_places,
    interval,
    ranked_ndcg,
    ranked_precision,
    ranked_recall,
)
from training.phrases import LABELS
from training.scored import Scored

DEPTHS: Final = (10, 100, 1000)
"""How far down a list is looked."""

PHRASES: Final[Mapping[str, tuple[str, ...]]] = {"Burned Area": BURN_WORDS, "Flooded Area": FLOOD_WORDS}
"""A label's own words, then other phrasings of it; the last of each was kept out of training."""

MEASURES: Final = ("AP", *(f"nDCG@{k}" for k in DEPTHS), *(f"recall@{k}" for k in DEPTHS))
"""What is measured of each list, in the order of `_measures`."""


@dataclass(frozen=True, slots=True)
class _List:
    """Rows of one label's list, best first, with the gain of each."""

    rows: NDArray[np.intp]
    gains: NDArray[np.float32]


def retrieval(scored: Scored, rule: str) -> list[Figure]:
    """Figures of every label with enough positives, of the indices beside them, and their means.

    Args:
        scored: chips of one sensor; what is not known of a chip leaves it out of that label's list.
        rule: its name.
    """
    found: list[Figure] = []
    lists: dict[str, _List] = {}
    for number, label in enumerate(LABELS):
        each = _list(scored, number, scored.vectors @ scored.queries[number])
        positives = int((each.gains > 0).sum())
        found.append(Figure("retrieval", rule, scored.sensor, label, "positives", Measured(positives)))
        found.append(Figure("retrieval", rule, scored.sensor, label, "items", Measured(len(each.rows))))
        if positives >= LEAST_POSITIVES:
            lists[label] = each
            for name in BESIDE.get(scored.sensor, {}).get(label, ()):
                lists[f"{label} by {name}"] = _list(scored, number, scored.indices[name])
    return found + _measured(scored, lists, rule)


def paraphrases(scored: Scored, encoder: Encoder, rule: str) -> list[Figure]:
    """Average precision of other phrasings of the crises, and the most that one loses against the label's own words.

    Args:
        scored: chips of one sensor.
        encoder: that embedded them.
        rule: its name.
    """
    found: list[Figure] = []
    losses: list[float] = []
    for label, phrases in PHRASES.items():
        number = LABELS.index(label)
        if (scored.gains[scored.known[:, number], number] > 0).sum() < LEAST_POSITIVES:
            continue
        queries = encoder.texts(list(phrases))
        values = [ranked_precision(_list(scored, number, scored.vectors @ query).gains > 0) for query in queries]
        losses += [values[0] - value for value in values[1:]]
        for phrase, value in zip(phrases, values, strict=True):
            found.append(Figure("paraphrases", rule, scored.sensor, f"{label}: {phrase}", "AP", Measured(value)))
    if losses:
        found.append(Figure("paraphrases", rule, scored.sensor, "all", "largest loss", Measured(max(losses))))
    return found


def _list(scored: Scored, number: int, scores: NDArray[np.float32]) -> _List:
    """A label's list by some scores; gains are graded only where the fraction of every positive is known."""
    rows = np.flatnonzero(scored.known[:, number])
    gains = scored.gains[rows, number]
    there = gains > 0
    if not scored.graded[rows, number][there].all():
        gains = there.astype(np.float32)
    order = np.argsort(-scores[rows], kind="stable")
    return _List(rows[order], gains[order])


def _measures(gains: NDArray[np.float32]) -> list[float]:
    hits = gains > 0
    return [
        ranked_precision(hits),
        *(ranked_ndcg(gains, depth) for depth in DEPTHS),
        *(ranked_recall(hits, depth) for depth in DEPTHS),
    ]


def _measured(scored: Scored, lists: Mapping[str, _List], rule: str) -> list[Figure]:
    """Values and intervals of lists, and means over those that are not an index's."""
    if not lists:
        return []
    values = np.array([_measures(each.gains) for each in lists.values()])
    draws = np.array(
        [
            [_measures(np.repeat(each.gains, times[each.rows])) for each in lists.values()]
            for times in draws_of_places(scored.places)
        ]
    )
    found = []
    for row, subject in enumerate(lists):
        for column, measure in enumerate(MEASURES):
            value = Measured(float(values[row, column]), *interval(draws[:, row, column]))
            found.append(Figure("retrieval", rule, scored.sensor, subject, measure, value))
    ours = [row for row, subject in enumerate(lists) if subject in LABELS]
    for column, measure in enumerate(MEASURES):
        means = [_mean(draw[ours, column]) for draw in draws]
        value = Measured(_mean(values[ours, column]), *interval(means))
        name = "mAP" if measure == "AP" else measure
        found.append(Figure("retrieval", rule, scored.sensor, "mean", name, value))
    return found


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
