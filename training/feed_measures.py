"""In: an encoder and labelled chips of real acquisitions. Out: the figures that the project is accepted by.

Stops at figures: nothing here is ever trained on or tuned to. The general measures are in `retrieval`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from encoders.interface import DIMENSION, Encoder, Vectors
from schemas.errors import Rejected
from training.feed import LabelledChip
from training.indices import INDICES, Plane
from training.judged import LAND_COVER, Judged, graded, has_value
from training.metrics import area_under_curve, average_precision, interval_over_places, ndcg
from training.phrases import LABELS
from training.retrieval import BURN_WORDS, FLOOD_WORDS, LEAST_POSITIVES, largest_loss
from training.tables import Figures

FIVE_BANDS = ("B02", "B03", "B04", "B08", "B12")
"""Bands of the fire composites: every optical item is reduced to them, so that missing bands give nothing away."""

FIRES = "runan_california_wildfires_s2"
FLOODS = "sen1floods11_sample"


@dataclass(frozen=True, slots=True)
class Scored:
    """Chips with their vectors, in the same order."""

    chips: list[LabelledChip]
    vectors: Vectors


def embedded(encoder: Encoder, chips: Iterable[LabelledChip], bands: tuple[str, ...] | None = None) -> Scored:
    """Embed chips one by one, since they have many shapes; those without a valid pixel are left out.

    Args:
        encoder: under test.
        chips: to embed.
        bands: reduce each to these; `None` takes what each has.

    Raises:
        Rejected: the encoder does not take one of them; the message says which.
    """
    kept, vectors = [], []
    for chip in chips:
        present = tuple(name for name in chip.present if bands is None or name in bands)
        if not has_value(chip.pixels, chip.sensor, present):
            continue
        kept.append(replace(chip, present=present))
        try:
            vectors.append(encoder.images(chip.pixels[None], chip.sensor, present)[0])
        except Rejected as error:
            raise Rejected(f"{chip.item}, {chip.level} at {chip.offset}: {error}") from error
    return Scored(kept, np.array(vectors, np.float32).reshape(len(kept), DIMENSION))


def _precision(scores: NDArray[np.float32], positive: NDArray[np.bool_], places: list[str], name: str) -> Figures:
    low, high = interval_over_places(scores, positive, places)
    return {name: average_precision(scores, positive), f"{name} low": low, f"{name} high": high}


def _against(
    scored: Scored,
    label: str,
    encoder: Encoder,
    words: tuple[str, ...],
    indices: Mapping[str, Callable[[Plane], float]],
) -> Figures:
    """Average precision of words and of indices, positives against the rest."""
    positive = np.array([c.state == "positive" and label in c.labels for c in scored.chips], np.bool_)
    if not positive.any():
        return {}
    places = [place_of(c) for c in scored.chips]
    figures: Figures = {"positives": int(positive.sum()), "negatives": int((~positive).sum())}
    for word, query in zip(words, encoder.texts(list(words)), strict=True):
        figures |= _precision(scored.vectors @ query, positive, places, word)
    for name, index in indices.items():
        values = np.nan_to_num(np.array([index(c.pixels) for c in scored.chips], np.float32), nan=-9.0)
        figures |= _precision(values, positive, places, name)
    return figures | {"largest loss": largest_loss([figures[word] for word in words])}


def place_of(chip: LabelledChip) -> str:
    """Chips of one place: the fire for fires, else the box of the map; the item where that is unknown."""
    return chip.item.split("_20")[0] if chip.source == FIRES else chip.place or chip.item


def burns(encoder: Encoder, chips: list[LabelledChip], bands: tuple[str, ...] | None) -> Figures:
    """Burnt windows against unburnt windows of the same images and all other land-cover items."""

    def counts(chip: LabelledChip) -> bool:
        if chip.sensor != "s2" or chip.state == "ambiguous":
            return False
        return chip.level == "window" if chip.source == FIRES else chip.level == "item" and chip.source != FLOODS

    indices = INDICES["Burned Area", "s2"]
    return _against(embedded(encoder, filter(counts, chips), bands), "Burned Area", encoder, BURN_WORDS, indices)


def pairs(encoder: Encoder, chips: list[LabelledChip]) -> Figures:
    """How many burnt windows score higher than the same window before the fire, and the area under the curve."""
    windows = [c for c in chips if c.source == FIRES and c.level == "window"]
    before = {(place_of(c), c.offset): c for c in windows if "_PRE_" in c.item}
    after = [c for c in windows if c.state == "positive" and (place_of(c), c.offset) in before]
    if not after:
        return {}
    figures: Figures = {"pairs": len(after)}
    scored = embedded(encoder, [*after, *(before[place_of(c), c.offset] for c in after)])
    for word, query in zip(BURN_WORDS, encoder.texts(list(BURN_WORDS)), strict=True):
        scores = scored.vectors @ query
        figures[word] = int((scores[: len(after)] > scores[len(after) :]).sum())
        figures[f"{word}, AUC"] = area_under_curve(scores, np.arange(len(scores)) < len(after))
    return figures


def floods(encoder: Encoder, chips: list[LabelledChip], sensor: str) -> Figures:
    """Flooded windows against every item of the sensor without water."""

    def counts(chip: LabelledChip) -> bool:
        if chip.sensor != sensor or chip.state == "ambiguous":
            return False
        if chip.source == FLOODS:
            return chip.level == "window"
        return chip.level == "item" and "Water" not in chip.labels

    indices = INDICES["Flooded Area", sensor]
    return _against(embedded(encoder, filter(counts, chips)), "Flooded Area", encoder, FLOOD_WORDS, indices)


def is_known(chip: LabelledChip, name: str) -> bool:
    """Whether a label is known to be there or not: named either way, or settled by a land-cover map."""
    mapped = name in LAND_COVER and bool(LAND_COVER & chip.labels) and chip.source not in (FIRES, FLOODS)
    return name in chip.labels | chip.absent or mapped


def labels(encoder: Encoder, chips: list[LabelledChip], sensor: str, unknown_is_negative: bool) -> Figures:
    """nDCG@10 of each label's own name over items, and their mean."""
    scored = embedded(encoder, [c for c in chips if c.sensor == sensor and c.level == "item"])
    queries = encoder.texts([name.lower() for name in LABELS])
    figures: Figures = {}
    for name, query in zip(LABELS, queries, strict=True):
        rows = [i for i, chip in enumerate(scored.chips) if unknown_is_negative or is_known(chip, name)]
        gains = np.array([name in scored.chips[i].labels for i in rows], np.float32)
        if gains.sum() >= LEAST_POSITIVES:
            figures[name] = ndcg(scored.vectors[rows] @ query, gains, 10)
    return figures | {"mean": float(np.mean(list(figures.values())))} if figures else figures


def measures(encoder: Encoder, chips: list[LabelledChip]) -> dict[str, Figures]:
    """All of them; those of a sensor that the encoder lacks are left out."""
    results: dict[str, Figures] = {}
    if "s2" in encoder.sensors:
        results |= {
            "burn S2, five bands": burns(encoder, chips, FIVE_BANDS),
            "burn S2, all bands": burns(encoder, chips, None),
            "burn pairs in order": pairs(encoder, chips),
        }
    if "s1" in encoder.sensors:
        results["flood S1"] = floods(encoder, chips, "s1")
    if "s2" in encoder.sensors:
        results |= {
            "flood S2": floods(encoder, chips, "s2"),
            "nDCG@10 S2, known": labels(encoder, chips, "s2", False),
            "nDCG@10 S2, unknown as negative": labels(encoder, chips, "s2", True),
        }
    if "s1" in encoder.sensors:
        results["nDCG@10 S1, unknown as negative"] = labels(encoder, chips, "s1", True)
    return {name: figures for name, figures in results.items() if figures}


def judged(chips: Iterable[LabelledChip], sensor: str) -> list[Judged]:
    """The items of one sensor as `judged.collect` takes them; grades from shares where the table has them.

    The table's word counts: a label that it does not name gets no gain, and one that it names at least 1.
    """
    found = []
    for chip in chips:
        if chip.sensor != sensor or chip.level != "item":
            continue
        named = np.array([name in chip.labels for name in LABELS], np.float32)
        shares = np.array([(chip.fractions or {}).get(name, 0.0) for name in LABELS], np.float32)
        known = np.array([is_known(chip, name) for name in LABELS], np.bool_)
        gains = named * np.maximum(graded(shares), 1)
        found.append(Judged(chip.item, sensor, chip.pixels, chip.present, gains, known, place_of(chip)))
    return found
