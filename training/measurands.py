"""In: a chip's bands. Out: the bands and indices whose distributions say whether a simulation is physical.

Stops at planes: nothing is sampled or compared here.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS

Plane = NDArray[np.float32]
"""float32, (rows, columns), NaN is no data."""

INDICES: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "NDVI": (("B08",), ("B04",)),
    "NBR": (("B08",), ("B12",)),
    "NDWI": (("B03",), ("B08",)),
    "NDMI": (("B8A",), ("B11",)),
    "BSI": (("B11", "B04"), ("B08", "B02")),
}
"""Normalised differences of sums. Sources: Rouse 1974 (NDVI); Key and Benson 2006 (NBR); McFeeters 1996 (NDWI);
Gao 1996 (NDMI); Rikimaru et al. 2002 (BSI)."""
WINDOW: Final = 5
"""Pixels along a side of the window of radar texture."""
FLOOR: Final = 1e-6
"""Linear power below which a radar holds nothing but noise; keeps logarithms finite."""


def measurands(pixels: NDArray[np.float32], sensor: str, present: Iterable[str]) -> dict[str, Plane]:
    """Planes of every band that is present and of every index that those allow.

    Args:
        pixels: float32, (bands, rows, columns), reflectance or linear power, NaN is no data; bands as `BANDS` has them.
        sensor: `s2` or `s1`.
        present: Names of the bands that the product has.

    Returns:
        By name: reflectance and indices, or decibel, their difference, and texture. B10 is left out: it holds no
        ground, and Level-2A products lack it.
    """
    bands = {name: pixels[BANDS[sensor].index(name)] for name in present if name != "B10"}
    return _radar(bands) if sensor == "s1" else bands | _optical(bands)


def _optical(bands: dict[str, Plane]) -> dict[str, Plane]:
    planes = {}
    for name, (plus, minus) in INDICES.items():
        if bands.keys() >= {*plus, *minus}:
            high, low = (np.sum([bands[band] for band in side], axis=0) for side in (plus, minus))
            planes[name] = np.clip((high - low) / np.maximum(high + low, 1e-4), -1, 1).astype(np.float32)
    return planes


def _radar(bands: dict[str, Plane]) -> dict[str, Plane]:
    planes = {name: 10 * np.log10(np.maximum(power, FLOOR)) for name, power in bands.items()}
    if {"VV", "VH"} <= planes.keys():
        planes["VH-VV"] = planes["VH"] - planes["VV"]
    return planes | {f"{name} texture": texture(power) for name, power in bands.items()}


def texture(power: Plane) -> Plane:
    """Standard deviation over mean of linear power in windows of `WINDOW` pixels: speckle, and what is in the ground.

    Args:
        power: float32, (rows, columns), linear power.

    Returns:
        float32, (rows - 4, columns - 4); an empty plane if the image is smaller than the window.

    Source: Ulaby et al. 1986, IEEE TGRS 24, 235: for pure speckle it is 1 / sqrt(looks).
    """
    if min(power.shape) < WINDOW:
        return np.zeros((0, 0), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(power, (WINDOW, WINDOW))
    mean = windows.mean(axis=(2, 3))
    spread: Plane = (windows.std(axis=(2, 3)) / np.maximum(mean, FLOOR)).astype(np.float32)
    return spread
