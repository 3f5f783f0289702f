"""In: pixels of one chip. Out: the plain indices that people use instead of a model, one number per chip.

Stops at the number: which index stands beside which label is listed here, how well it ranks is measured in `retrieval`.
They stay beside the model in every report: a model that doesn't beat them is not worth its weights.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS_S2

Pixels = NDArray[np.float32]
"""float32, (bands, h, w), order `encoders.bands.BANDS`, reflectance or linear power; NaN is no data."""

UNKNOWN = -9.0
"""Value where an index cannot be computed, since a band is missing or no pixel is valid: below every real one."""

LEAST_SUM = 1e-4
"""Floor of an index's denominator, reflectance."""


def _ratio(pixels: Pixels, first: str, second: str) -> Pixels:
    """(first - second) / (first + second)."""
    a, b = pixels[BANDS_S2.index(first)], pixels[BANDS_S2.index(second)]
    ratio: Pixels = (a - b) / np.maximum(a + b, LEAST_SUM)
    return ratio


def _mean(values: Pixels) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else UNKNOWN


def minus_nbr(pixels: Pixels) -> float:
    """Mean of (B12 - B08) / (B12 + B08). Source: normalised burn ratio, López García and Caselles 1991."""
    return _mean(_ratio(pixels, "B12", "B08"))


def minus_nbr_on_land(pixels: Pixels) -> float:
    """The same with water masked (NDWI > 0) and extremes cut: the fairer index. -1 where all is water."""
    land = _ratio(pixels, "B03", "B08") <= 0
    if not land.any():
        return -1.0 if np.isfinite(_ratio(pixels, "B03", "B08")).any() else UNKNOWN
    return _mean(np.where(land, np.clip(_ratio(pixels, "B12", "B08"), -1, 1), np.float32(np.nan)))


def ndwi(pixels: Pixels) -> float:
    """Mean of (B03 - B08) / (B03 + B08). Source: McFeeters 1996, Int. J. Remote Sensing 17, 1425."""
    return _mean(_ratio(pixels, "B03", "B08"))


def ndvi(pixels: Pixels) -> float:
    """Mean of (B08 - B04) / (B08 + B04). Source: Rouse et al. 1974."""
    return _mean(_ratio(pixels, "B08", "B04"))


def ndsi(pixels: Pixels) -> float:
    """Mean of (B03 - B11) / (B03 + B11). Source: Hall et al. 1995, Remote Sensing of Environment 54, 127."""
    return _mean(_ratio(pixels, "B03", "B11"))


def minus_vh(pixels: Pixels) -> float:
    """Mean of -VH in decibel: smooth water is dark."""
    return _mean(-10 * np.log10(np.maximum(pixels[1], 1e-6)))


Index = Callable[[Pixels], float]

INDICES: Final[Mapping[str, Mapping[str, Index]]] = {
    "s2": {"-NBR": minus_nbr, "-NBR on land": minus_nbr_on_land, "NDWI": ndwi, "NDVI": ndvi, "NDSI": ndsi},
    "s1": {"-VH": minus_vh},
}
"""Indices of each sensor, by name."""

BESIDE: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "s2": {
        "Burned Area": ("-NBR", "-NBR on land"),
        "Flooded Area": ("NDWI",),
        "Water": ("NDWI",),
        "Trees": ("NDVI",),
        "Snow and Ice": ("NDSI",),
    },
    "s1": {"Flooded Area": ("-VH",), "Water": ("-VH",)},
}
"""Which indices a person would use for a label."""


def indices_of(pixels: Pixels, sensor: str) -> dict[str, float]:
    """Every index of a chip, by name."""
    return {name: index(pixels) for name, index in INDICES[sensor].items()}
