"""In: an encoder and a folder of labelled chips. Out: how well sentences find them, beside plain indices.

Stops at the figures: nothing here is ever trained on or tuned to.

    python -m training.evaluate --feed DIR --json
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from encoders import load
from encoders.bands import BANDS, BANDS_S2
from encoders.interface import DIMENSION, Encoder, Vectors
from training.feed import LabelledChip, read_feed
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

FIRES = "runan_california_wildfires_s2"
FLOODS = "sen1floods11_sample"

Figures = dict[str, float]


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
    """
    kept, vectors = [], []
    for chip in chips:
        present = tuple(name for name in chip.present if bands is None or name in bands)
        rows = [BANDS[chip.sensor].index(name) for name in present]
        if not np.isfinite(chip.pixels[rows]).any():
            continue
        kept.append(replace(chip, present=present))
        vectors.append(encoder.images(chip.pixels[None], chip.sensor, present)[0])
    return Scored(kept, np.array(vectors, np.float32).reshape(len(kept), DIMENSION))


def minus_nbr(chip: LabelledChip) -> float:
    """Mean of (B12 - B08) / (B12 + B08): the classic burn index."""
    near, short = (chip.pixels[BANDS_S2.index(name)] for name in ("B08", "B12"))
    return float(np.nanmean((short - near) / np.maximum(short + near, 1e-4)))


def minus_nbr_on_land(chip: LabelledChip) -> float:
    """The same with water masked (NDWI > 0) and extremes cut: the fairer index."""
    green, near, short = (chip.pixels[BANDS_S2.index(name)] for name in ("B03", "B08", "B12"))
    land = (green - near) / np.maximum(green + near, 1e-4) <= 0
    index = np.clip((short - near) / np.maximum(short + near, 1e-4), -1, 1)
    return float(np.nanmean(np.where(land, index, np.nan))) if land.any() else -1.0


def ndwi(chip: LabelledChip) -> float:
    """Mean of (B03 - B08) / (B03 + B08)."""
    green, near = (chip.pixels[BANDS_S2.index(name)] for name in ("B03", "B08"))
    return float(np.nanmean((green - near) / np.maximum(green + near, 1e-4)))


def minus_vh(chip: LabelledChip) -> float:
    """Mean of -VH in decibel."""
    return float(-np.nanmean(10 * np.log10(np.maximum(chip.pixels[1], 1e-6))))


def _precision(scores: NDArray[np.float32], positive: NDArray[np.bool_], places: list[str], name: str) -> Figures:
    low, high = interval_over_places(scores, positive, places)
    return {name: average_precision(scores, positive), f"{name} low": low, f"{name} high": high}


def _against(
    scored: Scored, label: str, encoder: Encoder, words: tuple[str, ...], indices: dict[str, Callable[..., float]]
) -> Figures:
    """Average precision of words and of indices, positives against the rest."""
    positive = np.array([c.state == "positive" and label in c.labels for c in scored.chips])
    places = [place_of(c) for c in scored.chips]
    figures: Figures = {"positives": int(positive.sum()), "negatives": int((~positive).sum())}
    for word, query in zip(words, encoder.texts(list(words)), strict=True):
        figures |= _precision(scored.vectors @ query, positive, places, word)
    for name, index in indices.items():
        values = np.nan_to_num(np.array([index(c) for c in scored.chips], np.float32), nan=-9.0)
        figures |= _precision(values, positive, places, name)
    return figures


def place_of(chip: LabelledChip) -> str:
    """Chips of one place: the item's id without its date and side of the event."""
    return chip.item.split("_20")[0] if chip.source == FIRES else chip.item


def burns(encoder: Encoder, chips: list[LabelledChip], bands: tuple[str, ...] | None) -> Figures:
    """Burnt windows against unburnt windows of the same images and all other land-cover items."""

    def counts(chip: LabelledChip) -> bool:
        if chip.sensor != "s2" or chip.state == "ambiguous":
            return False
        return chip.level == "window" if chip.source == FIRES else chip.level == "item" and chip.source != FLOODS

    indices = {"-NBR": minus_nbr, "-NBR on land": minus_nbr_on_land}
    return _against(embedded(encoder, filter(counts, chips), bands), "Burned Area", encoder, BURN_WORDS, indices)


def pairs(encoder: Encoder, chips: list[LabelledChip]) -> Figures:
    """How many burnt windows score higher than the same window before the fire."""
    windows = [c for c in chips if c.source == FIRES and c.level == "window"]
    before = {(place_of(c), c.offset): c for c in windows if "_PRE_" in c.item}
    after = [c for c in windows if c.state == "positive" and (place_of(c), c.offset) in before]
    figures: Figures = {"pairs": len(after)}
    scored = embedded(encoder, [*after, *(before[place_of(c), c.offset] for c in after)])
    for word, query in zip(BURN_WORDS, encoder.texts(list(BURN_WORDS)), strict=True):
        scores = scored.vectors @ query
        figures[word] = int((scores[: len(after)] > scores[len(after) :]).sum())
    return figures


def floods(encoder: Encoder, chips: list[LabelledChip], sensor: str) -> Figures:
    """Flooded windows against every item of the sensor without water."""

    def counts(chip: LabelledChip) -> bool:
        if chip.sensor != sensor or chip.state == "ambiguous":
            return False
        if chip.source == FLOODS:
            return chip.level == "window"
        return chip.level == "item" and "Water" not in chip.labels

    indices: dict[str, Callable[..., float]] = {"-VH": minus_vh} if sensor == "s1" else {"NDWI": ndwi}
    return _against(embedded(encoder, filter(counts, chips)), "Flooded Area", encoder, FLOOD_WORDS, indices)


def labels(encoder: Encoder, chips: list[LabelledChip], sensor: str, unknown_is_negative: bool) -> Figures:
    """nDCG@10 of each label's own name over items, and their mean."""
    scored = embedded(encoder, [c for c in chips if c.sensor == sensor and c.level == "item"])

    def known(chip: LabelledChip, name: str) -> bool:
        mapped = name in LAND_COVER and bool(LAND_COVER & chip.labels) and chip.source not in (FIRES, FLOODS)
        return unknown_is_negative or name in chip.labels | chip.absent or mapped

    queries = encoder.texts([name.lower() for name in LABELS])
    figures: Figures = {}
    for name, query in zip(LABELS, queries, strict=True):
        rows = [i for i, chip in enumerate(scored.chips) if known(chip, name)]
        gains = np.array([name in scored.chips[i].labels for i in rows], np.float32)
        if gains.sum() >= LEAST_POSITIVES:
            figures[name] = ndcg(scored.vectors[rows] @ query, gains, 10)
    return figures | {"mean": float(np.mean(list(figures.values())))} if figures else figures


def evaluate(encoder: Encoder, folder: Path) -> dict[str, Figures]:
    """All figures of one encoder on one folder."""
    chips = list(read_feed(folder))
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


def _table(release: str, results: dict[str, Figures]) -> Table:
    table = Table("measure", "of", "value", title=release)
    for measure, figures in results.items():
        for name, value in figures.items():
            table.add_row(measure, name, f"{value:.3f}" if isinstance(value, float) else str(value))
    return table


def main() -> None:
    """Evaluate one encoder."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.splitlines()[0])
    parser.add_argument("--feed", type=Path, required=True, help="folder with labels.parquet, items and COGs")
    parser.add_argument("--encoder", default="nano", help="name or path of a release")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    options = parser.parse_args()
    encoder = load(options.encoder)
    results = evaluate(encoder, options.feed)
    if options.json:
        rounded = {m: {k: round(v, 4) for k, v in figures.items()} for m, figures in results.items()}
        sys.stdout.write(json.dumps({"release": encoder.release, **rounded}) + "\n")
    else:
        Console().print(_table(encoder.release, results))


if __name__ == "__main__":
    main()
