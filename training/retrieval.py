"""In: galleries of chips. Out: how well each label's own words find them, beside plain indices.

Stops at tables: intervals are over places, and every figure is explained in docs/evaluation.md.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Encoder, Vectors
from training.calibration import Curve, reliability
from training.indices import INDICES
from training.judged import NEEDED, Gallery
from training.metrics import (
    MEASURES,
    Draws,
    Gains,
    Scores,
    average_precision,
    draw_places,
    in_order,
    quantiles,
    redrawn,
)
from training.phrases import LABELS
from training.tables import Figures, Table

LEAST_POSITIVES = 4
"""Labels with fewer positive items say nothing."""

CLEARLY_ABSENT = 0.02
"""Share of a simulated chip up to which a label counts as absent; up to what it needs it is neither."""

COMBINED: tuple[tuple[str, str], ...] = (
    ("Water", "Trees"),
    ("Water", "Built"),
    ("Crops", "Trees"),
    ("Crops", "Flooded Area"),
    ("Trees", "Burned Area"),
    ("Trees", "Snow and Ice"),
)
"""Queries for two things at once: their gain is the sum of both."""

BURN_WORDS = ("burned area", "wildfire burn scar", "charred forest")
"""The label's own words, the product's example, and words kept out of training."""

FLOOD_WORDS = ("flooded area", "flood water over fields", "inundated fields")
"""Likewise for floods."""

PHRASINGS: Mapping[str, tuple[str, ...]] = {"Burned Area": BURN_WORDS, "Flooded Area": FLOOD_WORDS}
"""Words for a label, its own first."""


def words_of(labels: Sequence[str]) -> str:
    """The query for labels: their own names in lower case, joined by "and"."""
    return " and ".join(name.lower() for name in labels)


def retrieval(encoder: Encoder, gallery: Gallery, *, unknown_is_negative: bool) -> list[Table]:
    """Search with every label's name, with pairs of names, and with other words for crises.

    Args:
        encoder: under test.
        gallery: to search.
        unknown_is_negative: count chips of which the label is unknown as wrong; else they are left out.

    Returns:
        Tables "retrieval" and "two labels at once" (rows: queries and, beside them, indices) and "other words".
    """
    draws = draw_places(gallery.places)
    protocol = "unknown as negative" if unknown_is_negative else "known"
    single = _searches(encoder, gallery, draws, [(name,) for name in LABELS], unknown_is_negative)
    double = _searches(encoder, gallery, draws, list(COMBINED), unknown_is_negative)
    title = f"retrieval, {gallery.name}, {gallery.sensor.upper()}, {protocol}"
    note = "Gains 0 to 3 by share of the chip where it is known, else 0 or 1; intervals are 90 % over places."
    tables = [
        Table(title, note, single),
        Table(title.replace("retrieval", "two labels at once", 1), "Gains add up; right is what has both.", double),
        _other_words(encoder, gallery, title.replace("retrieval", "other words", 1), unknown_is_negative),
    ]
    return [table for table in tables if table.rows]


def _searches(
    encoder: Encoder, gallery: Gallery, draws: Draws, wanted: Sequence[tuple[str, ...]], unknown_is_negative: bool
) -> dict[str, Figures]:
    rows: dict[str, Figures] = {}
    again = []
    for labels, query in zip(wanted, encoder.texts([words_of(labels) for labels in wanted]), strict=True):
        chosen, gains = _relevance(gallery, labels, unknown_is_negative)
        positives = int((gains > 0).sum())
        if positives < LEAST_POSITIVES or positives == len(gains):
            continue
        scores = gallery.vectors[chosen] @ query
        figures, redraws = _figures(scores, gains, draws.of(chosen))
        rows[words_of(labels)] = figures
        again.append(redraws)
        for name in INDICES.get((labels[0], gallery.sensor), {}) if len(labels) == 1 else ():
            rows[f"{words_of(labels)}: {name}"] = _figures(gallery.indices[name][chosen], gains, draws.of(chosen))[0]
    if again:
        rows["mean"] = _mean([rows[words_of(labels)] for labels in wanted if words_of(labels) in rows], again)
    return rows


def _relevance(gallery: Gallery, labels: tuple[str, ...], unknown_is_negative: bool) -> tuple[NDArray[np.intp], Gains]:
    """Rows that count and their gains: the sum over the labels, nothing where one of them is absent from a pair."""
    columns = [LABELS.index(name) for name in labels]
    chosen = np.flatnonzero(gallery.known[:, columns].all(axis=1) | unknown_is_negative)
    gains = gallery.gains[chosen][:, columns]
    return chosen, np.where((gains > 0).all(axis=1), gains.sum(axis=1), 0).astype(np.float32)


def _figures(scores: Scores, gains: Gains, draws: Draws) -> tuple[Figures, NDArray[np.float64]]:
    ranked = gains[in_order(scores)]
    redraws = redrawn(scores, gains, draws, list(MEASURES.values()))
    figures: Figures = {"chips": len(gains), "right": int((gains > 0).sum())}
    for column, (name, measure) in enumerate(MEASURES.items()):
        low, high = quantiles(redraws[:, column])
        figures |= {name: measure(ranked), f"{name} low": low, f"{name} high": high}
    return figures, redraws


def _mean(rows: list[Figures], again: list[NDArray[np.float64]]) -> Figures:
    """Means over queries: the same places were drawn for all of them, so means of draws are draws of the mean."""
    stacked = np.stack(again)
    finite = np.isfinite(stacked)
    means = np.where(finite, stacked, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
    means[~finite.any(axis=0)] = np.nan
    figures: Figures = {"queries": len(rows)}
    for column, name in enumerate(MEASURES):
        low, high = quantiles(means[:, column])
        figures |= {name: float(np.mean([row[name] for row in rows])), f"{name} low": low, f"{name} high": high}
    return figures


def _other_words(encoder: Encoder, gallery: Gallery, title: str, unknown_is_negative: bool) -> Table:
    rows: dict[str, Figures] = {}
    for label, phrasings in PHRASINGS.items():
        chosen, gains = _relevance(gallery, (label,), unknown_is_negative)
        if not LEAST_POSITIVES <= (gains > 0).sum() < len(gains):
            continue
        queries = encoder.texts(list(phrasings))
        values = [average_precision(gallery.vectors[chosen] @ query, gains > 0) for query in queries]
        rows[label] = dict(zip(phrasings, values, strict=True)) | {"largest loss": largest_loss(values)}
    return Table(title, "Average precision; the loss is against the label's own words.", rows)


def largest_loss(values: Sequence[float]) -> float:
    """How much worse the worst of the other phrasings is than the first; 0 if none is."""
    return max([0.0, *(values[0] - value for value in values[1:])])


def hold_out(gallery: Gallery, queries: Vectors) -> Table:
    """Average precision on simulated chips, whose shares are known exactly.

    Args:
        gallery: with `fractions` and `ambiguous`.
        queries: float32, (12, 384), of the labels' names.

    Returns:
        Rows: labels, below them plain indices, and the mean over labels; "AP": there against clearly absent,
        "AP strict": there against all else.
    """
    draws = draw_places(gallery.places)
    rows: dict[str, Figures] = {}
    for column, (name, query) in enumerate(zip(LABELS, queries, strict=True)):
        share = gallery.fractions[:, column]
        settled = ~gallery.ambiguous[:, column]
        there, gone = share >= NEEDED[column], share <= CLEARLY_ABSENT
        chosen = {"AP": np.flatnonzero(settled & (there | gone)), "AP strict": np.flatnonzero(settled)}
        scores = {name: gallery.vectors @ query}
        scores |= {f"{name}: {n}": gallery.indices[n] for n in INDICES.get((name, gallery.sensor), {})}
        found = {key: _held_out(values, there, chosen, draws) for key, values in scores.items()}
        rows |= {key: row for key, row in found.items() if row}
    if rows:
        means = {m: [rows[n][m] for n in LABELS if m in rows.get(n, {})] for m in ("AP", "AP strict")}
        rows["mean"] = {"labels": sum(name in rows for name in LABELS)} | {
            m: float(np.mean(v)) for m, v in means.items() if v
        }
    note = f"Positive from the label's share of the chip on; negative up to {CLEARLY_ABSENT} (strict: below the share)."
    return Table(f"hold-out, {gallery.name}, {gallery.sensor.upper()}", note, rows)


def _held_out(
    scores: Scores, there: NDArray[np.bool_], chosen: Mapping[str, NDArray[np.intp]], draws: Draws
) -> Figures:
    """Average precision over some of the chips, by the name of the choice."""
    row: Figures = {}
    for measure, rows in chosen.items():
        positive = there[rows]
        if not LEAST_POSITIVES <= positive.sum() < len(positive):
            continue
        again = redrawn(scores[rows], positive.astype(np.float32), draws.of(rows), [MEASURES["AP"]])
        low, high = quantiles(again[:, 0])
        row |= {measure: average_precision(scores[rows], positive), f"{measure} low": low, f"{measure} high": high}
        row |= {f"right ({measure})": int(positive.sum()), f"of ({measure})": len(positive)}
    return row


def calibrated(encoder: Encoder, gallery: Gallery) -> tuple[Table, dict[str, Curve]]:
    """Reliability of every label that has enough chips in both halves of the places.

    Args:
        encoder: under test.
        gallery: chips of which the label is unknown are left out.

    Returns:
        A row a label, and the curves by label.
    """
    rows: dict[str, Figures] = {}
    curves: dict[str, Curve] = {}
    for column, query in enumerate(encoder.texts([words_of([name]) for name in LABELS])):
        chosen, gains = _relevance(gallery, (LABELS[column],), False)
        found = reliability(gallery.vectors[chosen] @ query, gains > 0, [gallery.places[i] for i in chosen])
        if found is not None:
            rows[LABELS[column]] = found.figures
            curves[f"{LABELS[column]}, {gallery.name}, {gallery.sensor.upper()}"] = found.curve
    note = (
        "Fitted and thresholds chosen on one half of the places, measured on the other; intervals are 90 % over places."
    )
    return Table(f"calibration, {gallery.name}, {gallery.sensor.upper()}", note, rows), curves
