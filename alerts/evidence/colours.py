"""Pixels as colours, before and after in the same way.

Flows in: chips, reflectance or linear power. Flows out: uint8 pictures, (h, w, 3). Stops before words (`plates`).

What differs between two pictures must differ on the ground: limits are taken from both looks together and applied to
both. No data is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from alerts.evidence.chips import Pixels, Seen
from encoders.bands import BANDS_S1, BANDS_S2

Picture8 = NDArray[np.uint8]
"""uint8 (h, w, 3), red, green, blue."""

PERCENTILES: Final = (1.0, 99.0)
"""Of the pixels of both looks: what lies beyond is drawn black or white. Cloud and glint are a few per cent of a clear
look."""
CLOUD_RATIO: Final = 1.5
"""How much brighter than nine tenths of the ground reflectance may be drawn: a cloud in a corner is white, and does not
make the ground black."""
CLOUD_RIM: Final = 1.3
"""Bright pixels that count as cloud, of those that the classification found: its rims are thin."""
GAMMA: Final = 1.5
"""Of reflectance: land is dark, and the eye sees ratios."""
LEAST_SPAN: Final = {"s2": 0.06, "s1": 4.0}
"""Reflectance and decibels: a quiet scene is not stretched until its noise shows."""
NO_DATA: Final = (150, 150, 150)
FLOOR_DB: Final = -40.0
"""Below the noise of either sensor mode: power of zero has no logarithm."""
CHANGE_DB: Final = (-25.0, 5.0)
"""Limits of backscatter in change composites, decibels VV: from still water to corners of houses."""
CHANGE_SPAN: Final = 0.66
"""Change of a normalised difference that is drawn in full colour: from here on a burn is severe. Source: Key and
Benson, Landscape Assessment (2006), table LA-2."""
SPECKLE_PX: Final = 3
"""Edge of the window that backscatter is averaged over before it is drawn: single pixels are mostly speckle."""

Ramp = tuple[tuple[float, tuple[int, int, int]], ...]
HEAT: Final[Ramp] = (
    (0.0, (255, 247, 188)),
    (0.25, (254, 217, 118)),
    (0.5, (253, 141, 60)),
    (0.75, (227, 26, 28)),
    (1.0, (128, 0, 38)),
)
"""Yellow to dark red, for scores. Source: ColorBrewer YlOrRd (Harrower and Brewer, 2003)."""
DIVERGING: Final[Ramp] = (
    (0.0, (33, 102, 172)),
    (0.25, (146, 197, 222)),
    (0.5, (247, 247, 247)),
    (0.75, (244, 165, 130)),
    (1.0, (178, 24, 43)),
)
"""Blue over white to red, for changes; also for people who don't tell red from green. Source: ColorBrewer RdBu."""
DARK: Final[Ramp] = (
    (0.0, (0, 0, 4)),
    (0.25, (81, 18, 124)),
    (0.5, (183, 55, 121)),
    (0.75, (252, 137, 97)),
    (1.0, (252, 253, 191)),
)
"""Black over purple to yellow, for magnitudes. Source: matplotlib's magma (Smith and van der Walt, 2015), sampled."""


def true_colour(looks: Sequence[Seen]) -> list[Picture8]:
    """Red, green and blue light, one range for the three."""
    return _optical(looks, ("B04", "B03", "B02"))


def false_colour(looks: Sequence[Seen]) -> list[Picture8]:
    """Short-wave infrared, near infrared and red as red, green and blue: burns are rust, plants green, water black."""
    return _optical(looks, ("B12", "B08", "B04"))


def radar(looks: Sequence[Seen]) -> list[Picture8]:
    """VV, VH and VV/VH in decibels as red, green and blue; each with a range of its own."""
    found = []
    for look in looks:
        vv, vh = (decibels(smoothed(plane)) for plane in _bands(look, BANDS_S1))
        found.append(np.stack([vv, vh, vv - vh]))
    limits = np.array([_limits(values, "s1") for values in np.concatenate(found, axis=1)])
    return [_painted(planes, limits[:, 0], limits[:, 1], 1.0) for planes in found]


def radar_change(before: Seen, after: Seen, band: str) -> Picture8:
    """One polarisation, before as red, after as green and blue: red is what got darker, cyan what got brighter."""
    past, now = (decibels(smoothed(_bands(look, (band,))[0])) for look in (before, after))
    shift = 0.0 if band == "VV" else 6.0  # VH lies so far below VV over land
    low, high = CHANGE_DB[0] - shift, CHANGE_DB[1] - shift
    return _painted(np.stack([past, now, now]), np.full(3, low), np.full(3, high), 1.0)


def reflectance_change(before: Seen, after: Seen) -> tuple[Picture8, float]:
    """Root mean square of the change over the bands that both looks have, dark to bright, and the value of bright."""
    have = [BANDS_S2.index(band) for band in BANDS_S2 if band in before.present_bands and band in after.present_bands]
    difference = after.pixels[have] - before.pixels[have]
    valid = ~np.isnan(difference)
    squares = np.where(valid, difference, 0).astype(np.float64) ** 2
    rms = np.sqrt(squares.sum(axis=0) / np.maximum(valid.sum(axis=0), 1))
    rms[~valid.any(axis=0)] = np.nan
    clear = 1 - min(max(before.chip.cloud_fraction, after.chip.cloud_fraction) * CLOUD_RIM, 0.9)
    brightest = float(np.nanpercentile(rms, PERCENTILES[1] * clear)) if np.isfinite(rms).any() else 0.0
    top = max(brightest, LEAST_SPAN["s2"])
    return ramped(rms / top, DARK), top


def index_change(before: Seen, after: Seen) -> Picture8:
    """Change of the normalised difference of near and short-wave infrared: red fell (burnt, bared), blue rose (wetter).

    Source: Key and Benson, Landscape Assessment (2006), the normalised burn ratio (B08 - B12) / (B08 + B12).
    """
    past, now = (_normalised(look) for look in (before, after))
    return ramped((past - now) / (2 * CHANGE_SPAN) + 0.5, DIVERGING)


def smoothed(power: Pixels) -> Pixels:
    """Mean of the valid power within `SPECKLE_PX`, (h, w); no data stays no data."""
    edge = SPECKLE_PX // 2
    padded = np.pad(power, edge, constant_values=np.nan)
    windows = sliding_window_view(padded, (SPECKLE_PX, SPECKLE_PX))
    valid = ~np.isnan(windows)
    mean = np.where(valid, windows, 0).sum(axis=(2, 3)) / np.maximum(valid.sum(axis=(2, 3)), 1)
    return np.asarray(np.where(np.isnan(power), np.nan, mean), dtype=np.float32)


def decibels(power: Pixels) -> NDArray[np.float64]:
    """10 log10 of linear power, NaN stays."""
    return np.asarray(10 * np.log10(np.maximum(power.astype(np.float64), 10 ** (FLOOR_DB / 10))))


def ramped(share: NDArray[np.float64], ramp: Ramp) -> Picture8:
    """Numbers as colours of a ramp, uint8 (..., 3); below 0 and above 1 as the ends, NaN as no data."""
    at = [step for step, _ in ramp]
    channels = [np.interp(np.nan_to_num(share), at, [colour[i] for _, colour in ramp]) for i in range(3)]
    out = np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    out[np.isnan(share)] = NO_DATA
    return np.asarray(out)


def _normalised(look: Seen) -> NDArray[np.float64]:
    nir, swir = (plane.astype(np.float64) for plane in _bands(look, ("B08", "B12")))
    total = nir + swir
    return np.where(total > 0, (nir - swir) / np.where(total > 0, total, 1.0), np.nan)


def _bands(look: Seen, names: Sequence[str]) -> Pixels:
    """Planes by name, (n, h, w); near infrared is B8A in products that lack B08, and B11 stands in for B12."""
    known = BANDS_S1 if look.acquisition.sensor == "s1" else BANDS_S2
    instead = {"B08": "B8A", "B12": "B11"}
    return np.stack(
        [look.pixels[known.index(name if name in look.present_bands else instead.get(name, name))] for name in names]
    )


def _optical(looks: Sequence[Seen], names: Sequence[str]) -> list[Picture8]:
    """Reflectance of several looks as pictures, one range for all; cloud is left out of it, and drawn white."""
    pictures = [_bands(look, names) for look in looks]
    ground = [_ground(planes, look.chip.cloud_fraction) for planes, look in zip(pictures, looks, strict=True)]
    low, high = _limits(np.concatenate(ground), "s2")
    return [_painted(planes, np.full(3, low), np.full(3, high), GAMMA) for planes in pictures]


def _ground(planes: Pixels, cloud_fraction: float) -> NDArray[np.float32]:
    """Values of the pixels but for the brightest, as many as are cloud."""
    bright = planes.mean(axis=0)
    valid = np.isfinite(bright)
    if not valid.any():
        return np.empty(0, np.float32)
    share = min(cloud_fraction * CLOUD_RIM, 0.9) if cloud_fraction > 0 else 0.0
    return np.asarray(planes[:, valid & (bright <= np.quantile(bright[valid], 1 - share))].ravel())


def _limits(values: NDArray[np.floating], sensor: str) -> tuple[float, float]:
    valid = values[np.isfinite(values)]
    if not valid.size:
        return 0.0, 1.0
    low, high = (float(one) for one in np.percentile(valid, PERCENTILES))
    if sensor == "s2":
        high = min(high, CLOUD_RATIO * float(np.percentile(valid, 90)))
    widen = max(LEAST_SPAN[sensor] - (high - low), 0.0) / 2
    return low - widen, high + widen


def _painted(
    planes: NDArray[np.floating], low: NDArray[np.float64], high: NDArray[np.float64], gamma: float
) -> Picture8:
    unit = np.clip((planes.astype(np.float64) - low[:, None, None]) / (high - low)[:, None, None], 0, 1) ** (1 / gamma)
    out = np.rint(np.nan_to_num(np.moveaxis(unit, 0, -1)) * 255).astype(np.uint8)
    out[np.isnan(planes).any(axis=0)] = NO_DATA
    return np.asarray(out)
