"""In: the pixels of a chip. Out: one number per plain index: what a user would take instead of a model.

Stops at means over a chip; the indices stand beside the model in every table, for ever.
"""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS_S1, BANDS_S2

Plane = NDArray[np.float32]

NOTHING = -9.0
"""Index of a chip whose bands for it are absent or have no value: it ranks last."""


def _optical(pixels: Plane, *names: str) -> list[Plane]:
    return [pixels[BANDS_S2.index(name)] for name in names]


def _ratio(one: Plane, other: Plane) -> Plane:
    ratio: Plane = (one - other) / np.maximum(one + other, 1e-4)
    return ratio


def _mean(plane: Plane) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the mean of nothing is NaN, which is what we want
        return float(np.nanmean(plane))


def minus_nbr(pixels: Plane) -> float:
    """Mean of (B12 - B08) / (B12 + B08): the classic burn index. Source: Key and Benson 2006, FIREMON, chapter LA.

    Args:
        pixels: float32, (13, h, w), reflectance, NaN is no data.
    """
    near, short = _optical(pixels, "B08", "B12")
    return _mean(_ratio(short, near))


def minus_nbr_on_land(pixels: Plane) -> float:
    """The same with water masked (NDWI > 0) and extremes cut: the fairer index; -1 where all is water."""
    green, near, short = _optical(pixels, "B03", "B08", "B12")
    land = _ratio(green, near) <= 0
    return _mean(np.where(land, np.clip(_ratio(short, near), -1, 1), np.nan)) if land.any() else -1.0


def ndwi(pixels: Plane) -> float:
    """Mean of (B03 - B08) / (B03 + B08). Source: McFeeters 1996, Int. J. Remote Sensing 17, 1425."""
    green, near = _optical(pixels, "B03", "B08")
    return _mean(_ratio(green, near))


def minus_vh(pixels: Plane) -> float:
    """Mean of -VH in decibel: open water is dark.

    Args:
        pixels: float32, (2, h, w), linear power, NaN is no data.
    """
    return _mean(-10 * np.log10(np.maximum(pixels[BANDS_S1.index("VH")], 1e-6)))


INDICES: Mapping[tuple[str, str], Mapping[str, Callable[[Plane], float]]] = {
    ("Burned Area", "s2"): {"-NBR": minus_nbr, "-NBR on land": minus_nbr_on_land},
    ("Flooded Area", "s2"): {"NDWI": ndwi},
    ("Flooded Area", "s1"): {"-VH": minus_vh},
    ("Water", "s2"): {"NDWI": ndwi},
    ("Water", "s1"): {"-VH": minus_vh},
}
"""By label and sensor: the indices that a user would rank by."""


def index_names(sensor: str) -> list[str]:
    """Names of every index of a sensor."""
    return sorted({name for (_, of), some in INDICES.items() if of == sensor for name in some})


def indices_of(pixels: Plane, sensor: str) -> dict[str, float]:
    """Every index of the sensor by name; `NOTHING` where it cannot be had."""
    wanted = {name: index for (_, of), some in INDICES.items() if of == sensor for name, index in some.items()}
    values = {name: index(pixels) for name, index in wanted.items()}
    return {name: value if np.isfinite(value) else NOTHING for name, value in values.items()}
