"""In: an encoder and a labelled feed. Out: the measures that a release of Tocsin-nano is accepted by.

Stops at the figures: nothing here is ever trained on or tuned to. Names and rules of these measures do not change, so
that releases can be compared over the years; the fuller protocol is in `retrieval` and `crises`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS
from encoders.interface import DIMENSION, Encoder, Vectors
from training.feed import FIRES, FLOODS, LabelledChip, read_feed
from training.indices import UNKNOWN, Index, minus_nbr, minus_nbr_on_land, minus_vh, ndwi
from training.metrics import average_precision, interval_over_places, ndcg
from training.phrases import LABELS

FIVE_BANDS = ("B02", "B03", "B04", "B08", "B12")
"""Bands of the fire composites: every optical item is reduced to them, so that missing bands give nothing away."""

BURN_WORDS = ("burned area", "wildfire burn scar", "charred forest")
"""The label's own words, the product's example, and words kept out of training."""

FLOOD_WORDS = ("flooded area", "flood water over fields", "inundated fields")
"""Likewise for floods."""

LEAST_POSITIVES = 4
"""Labels with fewer positive items say nothing in nDCG."""

LAND_COVER = frozenset(LABELS[:9])
"""Labels that a land-cover map of an item settles, present or not; maps say nothing of crises."""

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Chips with their vectors, in the same order."""

    chips: list[LabelledChip]
    vectors: Vectors


def embedded(encoder: Encoder, chips: Iterable[LabelledChip], bands: tuple[str, ...] | None = None) -> Embedded:
    """Embed chips one by one, since they have many shapes; those without a valid pixel are left out.

    Args:
        encoder: under test.
        chips: to embed.
        bands: reduce each to these; `None` takes what each has.
    """
    kept, vectors = [], []
    for chip in chips:
        present = tuple(name for name in chip.present if bands is None or name in bands)
        rows = [BANDS[chip.sensor].index(name) for name in present]
        if not np.isfinite(chip.pixels[rows]).any():
            continue
        kept.append(replace(chip, present=present))
        vectors.append(encoder.images(chip.pixels[None], chip.sensor, present)[0])
    return Embedded(kept, np.array(vectors, np.float32).reshape(len(kept), DIMENSION))


def fire_of(chip: LabelledChip) -> str:
    """Images of one fire: the item's id without its date and side of the event."""
    return chip.item.split("_20")[0] if chip.source == FIRES else chip.item


def same_windows(chips: Iterable[LabelledChip]) -> list[tuple[LabelledChip, LabelledChip]]:
    """Burnt windows, each behind the same window before the fire."""
    windows = [c for c in chips if c.source == FIRES and c.level == "window"]
    before = {(fire_of(c), c.offset): c for c in windows if "_PRE_" in c.item}
    burnt = [c for c in windows if c.state == "positive"]
    return [(before[fire_of(c), c.offset], c) for c in burnt if (fire_of(c), c.offset) in before]


def _precision(scores: NDArray[np.float32], positive: NDArray[np.bool_], places: list[str], name: str) -> Figures:
    low, high = interval_over_places(scores, positive, places)
    return {name: average_precision(scores, positive), f"{name} low": low, f"{name} high": high}


def _against(
    scored: Embedded, label: str, encoder: Encoder, words: tuple[str, ...], indices: dict[str, Index]
) -> Figures:
    """Average precision of words and of indices, positives against the rest."""
    positive = np.array([c.state == "positive" and label in c.labels for c in scored.chips], np.bool_)
    places = [c.place or fire_of(c) for c in scored.chips]
    figures: Figures = {"positives": int(positive.sum()), "negatives": int((~positive).sum())}
    for word, query in zip(words, encoder.texts(list(words)), strict=True):
        figures |= _precision(scored.vectors @ query, positive, places, word)
    for name, index in indices.items():
        values = np.array([index(c.pixels) for c in scored.chips], np.float32)
        figures |= _precision(np.nan_to_num(values, nan=UNKNOWN), positive, places, name)
    return figures


def burns(encoder: Encoder, chips: list[LabelledChip], bands: tuple[str, ...] | None) -> Figures:
    """Burnt windows against unburnt windows of the same images and all other land-cover items."""

    def counts(chip: LabelledChip) -> bool:
        if chip.sensor != "s2" or chip.state == "ambiguous":
            return False
        return chip.level == "window" if chip.source == FIRES else chip.level == "item" and chip.source != FLOODS

    indices: dict[str, Index] = {"-NBR": minus_nbr, "-NBR on land": minus_nbr_on_land}
    return _against(embedded(encoder, filter(counts, chips), bands), "Burned Area", encoder, BURN_WORDS, indices)


def pairs(encoder: Encoder, chips: list[LabelledChip]) -> Figures:
    """How many burnt windows score higher than the same window before the fire."""
    found = same_windows(chips)
    figures: Figures = {"pairs": len(found)}
    before = embedded(encoder, [first for first, _ in found]).vectors
    after = embedded(encoder, [second for _, second in found]).vectors
    for word, query in zip(BURN_WORDS, encoder.texts(list(BURN_WORDS)), strict=True):
        figures[word] = int((after @ query > before @ query).sum())
    return figures


def floods(encoder: Encoder, chips: list[LabelledChip], sensor: str) -> Figures:
    """Flooded windows against every item of the sensor without water."""

    def counts(chip: LabelledChip) -> bool:
        if chip.sensor != sensor or chip.state == "ambiguous":
            return False
        if chip.source == FLOODS:
            return chip.level == "window"
        return chip.level == "item" and "Water" not in chip.labels

    indices: dict[str, Callable[[NDArray[np.float32]], float]] = {"-VH": minus_vh} if sensor == "s1" else {"NDWI": ndwi}
    return _against(embedded(encoder, filter(counts, chips)), "Flooded Area", encoder, FLOOD_WORDS, indices)


def is_known(chip: LabelledChip, name: str) -> bool:
    """Whether the feed says if a label is there: it is listed, listed as absent, or a map covers its kind."""
    mapped = name in LAND_COVER and bool(LAND_COVER & chip.labels) and chip.source not in (FIRES, FLOODS)
    return name in chip.labels | chip.absent or mapped


def labels(encoder: Encoder, chips: list[LabelledChip], sensor: str, unknown_is_negative: bool) -> Figures:
    """nDCG@10 of each label's own name over items, and their mean; binary gains."""
    scored = embedded(encoder, [c for c in chips if c.sensor == sensor and c.level == "item"])
    queries = encoder.texts([name.lower() for name in LABELS])
    figures: Figures = {}
    for name, query in zip(LABELS, queries, strict=True):
        rows = [i for i, chip in enumerate(scored.chips) if unknown_is_negative or is_known(chip, name)]
        gains = np.array([name in scored.chips[i].labels for i in rows], np.float32)
        if gains.sum() >= LEAST_POSITIVES:
            figures[name] = ndcg(scored.vectors[rows] @ query, gains, 10)
    return figures | {"mean": float(np.mean(list(figures.values())))} if figures else figures


def measures_of(encoder: Encoder, chips: list[LabelledChip]) -> dict[str, Figures]:
    """All measures of one encoder on the chips of one feed."""
    return {
        "burn S2, five bands": burns(encoder, chips, FIVE_BANDS),
        "burn S2, all bands": burns(encoder, chips, None),
        "burn pairs in order": pairs(encoder, chips),
        "flood S1": floods(encoder, chips, "s1"),
        "flood S2": floods(encoder, chips, "s2"),
        "nDCG@10 S2, known": labels(encoder, chips, "s2", False),
        "nDCG@10 S2, unknown as negative": labels(encoder, chips, "s2", True),
        "nDCG@10 S1, unknown as negative": labels(encoder, chips, "s1", True),
    }


def evaluate_feed(encoder: Encoder, folder: Path) -> dict[str, Figures]:
    """All measures of one encoder on one folder; errors as `training.feed.read_feed`."""
    return measures_of(encoder, list(read_feed(folder)))
