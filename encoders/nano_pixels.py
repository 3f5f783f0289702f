"""In: chips with gaps. Out: the same without gaps, and the share of valid pixels at half the resolution.

Stops before the network: it averages, scales and takes logarithms itself.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
"""float32 of any shape."""


def even(pixels: Array) -> Array:
    """Leave out the last row or column where their number is odd: (n, bands, h, w) with h, w even."""
    return pixels[..., : pixels.shape[-2] // 2 * 2, : pixels.shape[-1] // 2 * 2]


def gaps_filled(pixels: Array, present: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Put 0 where nothing was measured and say where that is.

    Args:
        pixels: float32, (n, bands, h, w), h and w even; NaN and infinite are no data.
        present: bool, (bands,), planes that hold measurements; what the others hold is not looked at.

    Returns:
        float32 (n, bands, h, w), the very same array where nothing had to be filled, and float32
        (n, bands, h / 2, w / 2), the share of valid pixels among four, 0-1.
    """
    count, bands, rows, columns = pixels.shape
    valid = np.empty((count, bands, rows // 2, columns // 2), np.float32)
    valid[:] = present[None, :, None, None]
    with np.errstate(invalid="ignore", over="ignore"):
        sums = pixels.sum(axis=(2, 3))
    gaps = ~np.isfinite(sums)
    if not gaps.any():
        return pixels, valid
    filled = pixels.copy()
    for chip, band in np.argwhere(gaps):
        known = np.isfinite(filled[chip, band])
        filled[chip, band][~known] = 0
        if present[band]:
            valid[chip, band] = known.reshape(rows // 2, 2, columns // 2, 2).mean(axis=(1, 3), dtype=np.float32)
    return filled, valid
