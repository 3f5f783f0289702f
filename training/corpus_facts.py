"""What the numbers and names of CrisisLandMark's sources mean, and of the corpora that we write.

In: a chip as stored, the source it comes from. Out: reflectance 0-1 or linear power in our band order; label names.
Stops at one chip: files and tables are `crisislandmark`'s.

Source of order and scale: the authors' loader (github.com/DarthReca/closp, `dataset/crisis_land_mark.py`). It turns
the planes of `benv2s1` and `sen1flood` round, drops the first two planes of `quakeset`, inserts a zero B10 into 12
planes, and divides nothing; the division of Sentinel-2 by 10000 is in its model code. Units of Sentinel-1 are written
nowhere: BigEarthNet-S1 is in decibels by its own paper (Sumbul et al. 2021); for the others the chip decides, since
power is never negative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS, BANDS_S1, BANDS_S2
from encoders.offsets import DN_SCALE
from schemas.errors import UnreadableAsset
from training.phrases import LABELS

L2A: Final = tuple(band for band in BANDS_S2 if band != "B10")
"""The 12 bands of Level-2A in product order; the cirrus band is not among them."""
SPLITS: Final[Mapping[str, str]] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "corpus": "test",
}
"""Spellings of splits, lower case. `training` and `corpus` are the loader's; its validation set is part of `corpus`."""
BRIGHTEST: Final = 3.0
"""No reflectance is above this: numbers that are all below it are reflectance already, not counts of 1/10000."""


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What is known of one source.

    Attributes:
        name: Prefix of its keys.
        sensor: Its sensor.
        planes: Bands as stored, in order; an empty name is a plane that is not used.
        unit: `count` (1/10000 of reflectance), `decibel`, or `unknown` (power or decibels: the chip decides).
        basis: Where this is known from.
    """

    name: str
    sensor: Literal["s2", "s1"]
    planes: tuple[str, ...]
    unit: Literal["count", "decibel", "unknown"]
    basis: str


SOURCES: Final[tuple[SourceFacts, ...]] = (
    SourceFacts("benv2s2", "s2", L2A, "count", "loader; BigEarthNet v2 paper"),
    SourceFacts("cabuar", "s2", L2A, "count", "loader; counts assumed"),
    SourceFacts("sen12flood", "s2", L2A, "count", "data card's name; counts assumed"),
    SourceFacts("sen2flood", "s2", L2A, "count", "the loader's name of sen12flood; counts assumed"),
    SourceFacts("benv2s1", "s1", ("VH", "VV"), "decibel", "loader turns it round; BigEarthNet-MM paper: dB"),
    SourceFacts("sen1flood", "s1", ("VH", "VV"), "unknown", "loader turns it round; also sen1floods, sen1floods11"),
    SourceFacts("mmflood", "s1", ("VV", "VH"), "unknown", "loader leaves it; unit not documented"),
    SourceFacts("quakeset", "s1", ("", "", "VV", "VH"), "unknown", "loader drops the first two planes"),
    SourceFacts("tocsins2", "s2", L2A, "count", "written by `tocsin corpus build`"),
    SourceFacts("tocsins1", "s1", ("VV", "VH"), "decibel", "written by `tocsin corpus build`"),
)
"""Every source that is understood. Sentinel-2 counts are taken to be free of the +1000 of baselines from 04.00: all
published sources are of 2021 and before, and ours are corrected when they are written."""

CORINE_LABELS: Final[Mapping[str, str]] = {
    "Continuous urban fabric": "Built",
    "Discontinuous urban fabric": "Built",
    "Industrial or commercial units": "Built",
    "Road and rail networks and associated land": "Built",
    "Port areas": "Built",
    "Airports": "Built",
    "Mineral extraction sites": "Bare",
    "Dump sites": "Bare",
    "Construction sites": "Bare",
    "Green urban areas": "Grass",
    "Sport and leisure facilities": "Grass",
    "Non-irrigated arable land": "Crops",
    "Permanently irrigated land": "Crops",
    "Rice fields": "Flooded Vegetation",
    "Vineyards": "Crops",
    "Fruit trees and berry plantations": "Crops",
    "Olive groves": "Crops",
    "Pastures": "Grass",
    "Annual crops associated with permanent crops": "Crops",
    "Complex cultivation patterns": "Crops",
    "Land principally occupied by agriculture, with significant areas of natural vegetation": "Crops",
    "Agro-forestry areas": "Trees",
    "Broad-leaved forest": "Trees",
    "Coniferous forest": "Trees",
    "Mixed forest": "Trees",
    "Natural grassland": "Grass",
    "Moors and heathland": "Shrub and Scrub",
    "Sclerophyllous vegetation": "Shrub and Scrub",
    "Transitional woodland/shrub": "Shrub and Scrub",
    "Beaches, dunes, sands": "Bare",
    "Bare rock": "Bare",
    "Sparsely vegetated areas": "Bare",
    "Burnt areas": "Burned Area",
    "Glaciers and perpetual snow": "Snow and Ice",
    "Inland marshes": "Flooded Vegetation",
    "Peatbogs": "Flooded Vegetation",
    "Salt marshes": "Flooded Vegetation",
    "Salines": "Bare",
    "Intertidal flats": "Bare",
    "Water courses": "Water",
    "Water bodies": "Water",
    "Coastal lagoons": "Water",
    "Estuaries": "Water",
    "Sea and ocean": "Water",
}
"""The 44 CORINE classes (level 3) onto the labels. Source: the authors' mapping of BigEarthNet's labels
(github.com/DarthReca/closp, `dataset/mapping.py`). Published labels are mapped already; a table with CORINE names is
understood all the same. Airports, salines and rice fields are where it may be argued with."""

_NAMED: Final = {label.lower(): label for label in LABELS} | {
    name.lower(): label for name, label in CORINE_LABELS.items()
}


def facts_of(key: str, file: str) -> SourceFacts | None:
    """The source of a chip: by the start of its key, else by a name within the key, else by that of its file."""
    key, file = key.lower(), file.lower()
    for found in (
        [facts for facts in SOURCES if key.startswith(facts.name)],
        [facts for facts in SOURCES if facts.name in key],
        [facts for facts in SOURCES if facts.name in file],
    ):
        if found:
            return max(found, key=lambda facts: len(facts.name))
    return None


def label_named(text: str) -> str | None:
    """The label of a name in any case, of our twelve or of CORINE; none where nobody uses it."""
    return _NAMED.get(text.strip().lower())


def physical(
    image: NDArray[Any], facts: SourceFacts, attributes: Mapping[str, object], least_px: int
) -> NDArray[np.float32]:
    """A chip in physical units.

    Planes that are NaN or zero throughout are absent: both stand for a band that was not there.

    Args:
        image: As stored, (planes, h, w), any number type.
        facts: Of its source.
        attributes: Of its group: `units` (`DN`, `reflectance`, `dB` or `linear`) is believed where it is given.
        least_px: Shortest edge of a chip.

    Returns:
        float32, (bands, h, w), order `BANDS[facts.sensor]`, NaN for no data.

    Raises:
        UnreadableAsset: wrong shape or number of planes, or nothing but zeros and NaN.
    """
    if image.ndim != 3 or min(image.shape[1:]) < least_px or image.dtype.kind not in "iuf":
        raise UnreadableAsset(f"image of shape {image.shape} and type {image.dtype}: expected (bands, height, width)")
    planes = facts.planes
    if facts.sensor == "s2" and len(image) == len(BANDS_S2):
        planes = BANDS_S2
    elif facts.name == "quakeset" and len(image) == 2:
        planes = BANDS_S1
    if len(image) != len(planes):
        raise UnreadableAsset(f"{len(image)} bands, {facts.name} has {len(planes)}")
    values = image.astype(np.float32)
    values[~np.isfinite(values)] = np.nan
    values[:, (values == 0).all(axis=0)] = np.nan  # no data: zero in every band is no ground
    for plane in values:
        if not plane[~np.isnan(plane)].any():
            plane[:] = np.nan
    used = [index for index, band in enumerate(planes) if band]
    if np.isnan(values[used]).all():
        raise UnreadableAsset("nothing in it but zeros and NaN")
    scaled = _reflectance(values, attributes) if facts.sensor == "s2" else _power(values[used], facts, attributes)
    names = BANDS[facts.sensor]
    out = np.full((len(names), *image.shape[1:]), np.nan, np.float32)
    for row, index in enumerate(used):
        out[names.index(planes[index])] = scaled[row]
    return out


def _reflectance(values: NDArray[np.float32], attributes: Mapping[str, object]) -> NDArray[np.float32]:
    units = attributes.get("units")
    counts = units == "DN" if units in ("DN", "reflectance") else float(np.nanmax(values)) > BRIGHTEST
    return np.maximum(values * np.float32(DN_SCALE), 0) if counts else np.maximum(values, 0)


def _power(values: NDArray[np.float32], facts: SourceFacts, attributes: Mapping[str, object]) -> NDArray[np.float32]:
    units = attributes.get("units")
    unsaid = facts.unit == "decibel" or float(np.nanmedian(values)) < 0
    decibel = units == "dB" if units in ("dB", "linear") else unsaid
    power = np.power(np.float32(10), values / np.float32(10)) if decibel else values
    return np.where(power > 0, power, np.nan).astype(np.float32)
