"""In: chips in physical units with gaps. Out: the numbers that CLOSP was trained on.

Stops before the towers; resizing for the ViT variants happens inside them.

Source: the authors' data reader (DarthReca/closp, `dataset/crisis_land_mark.py`).
"""

import numpy as np
from numpy.typing import NDArray

from encoders.arrays import library
from encoders.bands import BANDS_S1, BANDS_S2
from encoders.interface import Pixels
from encoders.words import LONGEST

B10 = BANDS_S2.index("B10")
"""The cirrus band, absent from L2A: CLOSP has always seen zeros there."""

FLOOR_POWER = 1e-4
"""Linear power that zero and negative values are raised to: -40 dB, below the noise floor of every S1 mode."""

FILL_DB = np.float32(1e-6)
"""What the authors' reader puts where S1 has no data, in the unit of their pixels."""


VIT_PX = 224
"""Side that chips are resized to for the ViT variants, in their towers."""


def specification(variant: str) -> dict[str, object]:
    """What happens to pixels and words on their way into a variant; part of the release's hash.

    Args:
        variant: a key of `encoders.closp.VARIANTS`.

    Returns:
        What can be written as JSON. Vectors that were made otherwise must not be compared.
    """
    resize = {"px": VIT_PX, "mode": "bilinear", "align_corners": True, "antialias": False}
    return {
        "version": 1,
        "s2": {"bands": BANDS_S2, "unit": "reflectance without offset", "absent": 0.0, "zeroed": ["B10"]},
        "s1": {"bands": BANDS_S1, "unit": "decibel", "floor_power": FLOOR_POWER, "absent": float(FILL_DB)},
        "resize": resize if variant in {"closp-vs", "closp-vl"} else None,
        "text": {"longest": LONGEST, "pooling": "first token"},
    }


def prepare(pixels: Pixels, sensor: str, mask: NDArray[np.bool_]) -> Pixels:
    """Bring chips into CLOSP's units.

    S2 stays reflectance; gaps, absent bands and B10 become 0. S1 becomes decibels: the paper names no unit, but
    most of its S1 chips are BigEarthNet-S1, which is sigma0 in dB; gaps and absent bands become `FILL_DB`.

    Args:
        pixels: float32, (n, bands, h, w), checked.
        sensor: ``"s2"`` or ``"s1"``.
        mask: bool, (bands,), the planes to read.

    Returns:
        float32, same shape, finite; a new array, of the library and on the device of `pixels`.
    """
    return _reflectance(pixels, mask) if sensor == "s2" else _decibels(pixels, mask)


def _reflectance(pixels: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    prepared: Pixels = library(pixels).nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)
    for plane in (*_absent(mask), B10):
        prepared[:, plane] = 0.0
    return prepared


def _absent(mask: NDArray[np.bool_]) -> list[int]:
    """One by one, because a GPU waits for a mask to arrive."""
    return [plane for plane, present in enumerate(mask) if not present]


def _decibels(pixels: Pixels, mask: NDArray[np.bool_]) -> Pixels:
    xp = library(pixels)
    readable = xp.isfinite(pixels)
    for plane in _absent(mask):
        readable[:, plane] = False
    power = xp.where(readable, xp.clip(pixels, FLOOR_POWER, None), 1.0)
    decibels: Pixels = xp.where(readable, 10.0 * xp.log10(power), float(FILL_DB))
    return decibels
