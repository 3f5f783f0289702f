"""In: chips at 10 m with gaps. Out: means, texture and validity at 20 m, which is what nano's networks read.

Stops before the network: logarithms of reflectance and scaling are its own. Training uses the very same reduction.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS, BANDS_S1, BANDS_S2

Array = NDArray[np.float32]
"""float32 of any shape."""

FINE: dict[str, tuple[int, ...]] = {
    "s2": tuple(BANDS_S2.index(name) for name in ("B02", "B03", "B04", "B08")),
    "s1": tuple(range(len(BANDS_S1))),
}
"""Planes with detail at 10 m, whose texture inside each 20 m pixel is kept."""

BRIGHTEST = 1.5
"""Reflectance above which is cut: clouds and snow at low sun."""

FAINTEST_POWER = 1e-4
"""Linear power below which is cut, -40 dB: under the noise of any Sentinel-1 product."""

STRONGEST_POWER = 10.0
"""Linear power above which is cut, +10 dB: corner reflectors."""

ROUGHEST = 3.0
"""Radar texture above which is cut: a corner reflector alone among four pixels gives 1.7."""


def specification() -> dict[str, object]:
    """What happens to pixels before the networks. A release names what it was trained with and runs with no other."""
    return {
        "version": 1,
        "pixel_m": 20,
        "s2": {"bands": list(BANDS_S2), "unit": "reflectance", "fine": list(FINE["s2"]), "brightest": BRIGHTEST},
        "s1": {
            "bands": list(BANDS_S1),
            "unit": "decibel",
            "fine": list(FINE["s1"]),
            "power": [FAINTEST_POWER, STRONGEST_POWER],
            "roughest": ROUGHEST,
        },
    }


@dataclass(frozen=True, slots=True)
class Planes:
    """Chips at 20 m.

    Attributes:
        means: float32, (n, bands, h / 2, w / 2), reflectance, or decibel for radar; 0 where nothing is valid.
        spread: float32, (n, fine, h / 2, w / 2), standard deviation inside the pixel, over its mean for radar.
        valid: float32, (n, bands, h / 2, w / 2), share of valid 10 m pixels, 0-1; 0 for absent bands.
    """

    means: Array
    spread: Array
    valid: Array


def reduced(pixels: Array, present: NDArray[np.bool_], sensor: str) -> Planes:
    """Average 2 x 2 pixels, leaving out what is not valid.

    Args:
        pixels: float32, (n, bands, h, w), reflectance or linear power; NaN and infinite are no data. An odd last row
            or column is not read.
        present: bool, (bands,), planes that hold measurements; what the others hold is not looked at.
        sensor: ``"s2"`` or ``"s1"``.
    """
    rows, columns = (side // 2 for side in pixels.shape[2:])
    size = (len(pixels), len(BANDS[sensor]), rows, columns)
    means, valid = np.zeros(size, np.float32), np.zeros(size, np.float32)
    spread = np.zeros((len(pixels), len(FINE[sensor]), rows, columns), np.float32)
    for band in np.flatnonzero(present):
        plane, known = _known(pixels[:, band, : 2 * rows, : 2 * columns])
        share = _share(known)
        means[:, band] = _sum4(plane) * share
        valid[:, band] = 1 if known is None else known
        if band in FINE[sensor]:
            squares = _sum4(plane * plane) * share
            deviation = np.sqrt(np.maximum(squares - means[:, band] ** 2, 0))
            spread[:, FINE[sensor].index(int(band))] = deviation
    if sensor == "s1":
        return _radar(means, spread, valid)
    return Planes(np.clip(means, 0, BRIGHTEST, out=means), np.minimum(spread, BRIGHTEST, out=spread), valid)


def _known(plane: Array) -> tuple[Array, Array | None]:
    """The plane with 0 in its gaps, and the share of valid pixels among four; None if all are."""
    flat = plane.reshape(len(plane), -1)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = flat @ np.ones(flat.shape[1], np.float32)
    if np.isfinite(sums).all():
        return plane, None
    finite = np.isfinite(plane)
    share: Array = _sum4(finite.astype(np.float32)) * np.float32(0.25)
    filled: Array = np.where(finite, plane, np.float32(0))
    return filled, share


def _sum4(plane: Array) -> Array:
    """Sum of each 2 x 2: (n, h, w) to (n, h / 2, w / 2)."""
    rows = plane[:, 0::2] + plane[:, 1::2]
    summed: Array = rows[:, :, 0::2] + rows[:, :, 1::2]
    return summed


def _share(known: Array | None) -> Array | np.float32:
    """What turns a sum of four into a mean over the valid ones; 0 where there are none."""
    if known is None:
        return np.float32(0.25)
    share: Array = np.where(known > 0, np.float32(0.25) / np.maximum(known, np.float32(0.25)), np.float32(0))
    return share


def _radar(means: Array, spread: Array, valid: Array) -> Planes:
    """Power to decibel, deviation to coefficient of variation."""
    texture = np.minimum(spread / np.maximum(means, FAINTEST_POWER), ROUGHEST).astype(np.float32)
    decibel = 10 * np.log10(np.clip(means, FAINTEST_POWER, STRONGEST_POWER)) * (valid > 0)
    return Planes(decibel.astype(np.float32), texture, valid)
