"""In: what a caller hands to an encoder. Out: the mask of its real bands, or a refusal that says what is wrong.

Stops before any change to the pixels: filling gaps and scaling belong to each model.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.arrays import is_on, library
from encoders.bands import BANDS, present_mask
from encoders.interface import Pixels
from schemas.errors import Rejected

SMALLEST_PX = 32
"""Least height and width of a chip: the deepest layers see one value per 32 pixels."""

LARGEST_REFLECTANCE = 10.0
"""A median above it is not reflectance. Clouds and glint reach 2; digital numbers start in the hundreds."""

STRIDE = 8
"""Every 8th row and column is looked at to recognise wrong units: reading all would cost a tenth of the encoding."""


def check_pixels(
    pixels: Pixels, sensor: str, present_bands: Sequence[str] | None, device: str | None = None
) -> NDArray[np.bool_]:
    """Refuse what no encoder can embed.

    Args:
        pixels: see `encoders.interface.Pixels`. Infinite values count as no data.
        sensor: ``"s2"`` or ``"s1"``.
        present_bands: names of the real bands; ``None``: all.
        device: where they may be besides in numpy's memory.

    Returns:
        bool, ``(bands,)``: which planes to read.

    Raises:
        Rejected: unknown sensor or band, wrong dtype, shape or units, or a chip without one valid value.
    """
    mask = _mask(sensor, present_bands)
    if not (isinstance(pixels, np.ndarray) or is_on(pixels, device)) or pixels.dtype != library(pixels).float32:
        kind = getattr(pixels, "dtype", type(pixels).__name__)
        raise Rejected(f"pixels are {kind}: hand over a float32 array")
    planes = len(BANDS[sensor])
    if pixels.ndim != 4 or pixels.shape[1] != planes:
        raise Rejected(f"pixels have shape {pixels.shape}: {sensor} needs (n, {planes}, h, w)")
    if min(pixels.shape[2:]) < SMALLEST_PX:
        raise Rejected(f"chips of {pixels.shape[2]} x {pixels.shape[3]} px: at least {SMALLEST_PX} x {SMALLEST_PX}")
    if len(pixels):
        _check_values(pixels, sensor, mask)
    return mask


def check_sentences(sentences: list[str]) -> None:
    """Refuse sentences that say nothing.

    Raises:
        Rejected: not a list of strings, or one of them is blank.
    """
    if isinstance(sentences, str) or not all(isinstance(sentence, str) for sentence in sentences):
        raise Rejected("texts takes a list of sentences, not a single string or other objects")
    blank = [str(index) for index, sentence in enumerate(sentences) if not sentence.strip()]
    if blank:
        raise Rejected(f"sentence {', '.join(blank)} is blank: describe what to look for")


def _mask(sensor: str, present_bands: Sequence[str] | None) -> NDArray[np.bool_]:
    if isinstance(present_bands, str):
        raise Rejected(f"present_bands is the string {present_bands!r}: hand over a list of band names")
    try:
        return present_mask(sensor, None if present_bands is None else tuple(present_bands))
    except ValueError as error:
        raise Rejected(str(error)) from error


def _check_values(pixels: Pixels, sensor: str, mask: NDArray[np.bool_]) -> None:
    xp = library(pixels)
    sample = pixels[:, mask, ::STRIDE, ::STRIDE]
    valid = xp.isfinite(sample)
    for index, seen in enumerate(valid.any(axis=(1, 2, 3)).tolist()):
        if not seen and not xp.isfinite(pixels[index][mask]).any():
            raise Rejected(f"chip {index} has no valid pixel in its present bands: count it as not seen instead")
    values = sample[valid]
    median = float(xp.median(values)) if len(values) else 0.0
    if sensor == "s2" and median > LARGEST_REFLECTANCE:
        raise Rejected(f"median {median:.0f} is not reflectance: divide digital numbers by 10000")
    if sensor == "s1" and median < 0.0:
        raise Rejected(f"median {median:.1f} is not linear power: these look like decibels")
