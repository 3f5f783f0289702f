"""Which pixels cloud hides.

In: chips' reflectance, and the scene classification where the product has one. Out: cloud per pixel, where the chips
are. Stops before deciding what that means for a cell (`chips`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import or_

import numpy as np
from numpy.typing import NDArray

from encoders.arrays import library
from encoders.bands import BANDS_S2
from encoders.interface import Pixels

SCL_CLOUD = (3, 8, 9, 10)
"""Cloud shadow, cloud of medium and high probability, thin cirrus; 11, snow, is ground. Source: Sentinel-2 Level-2A
Algorithm Overview, scene classification."""
SCL_SHADOW = 3
"""Cloud shadow among them."""
SCL_NO_DATA = (0, 1)
"""No data, saturated or defective."""
SCL_DEFECT = 1
"""Acquired, and yet of no use: saturated or defective."""

BRIGHT = 0.25
"""Blue reflectance of cloud that hides the ground; without an atmosphere bare ground and built-up stay below."""
BLUE_TO_RED = 0.85
"""Cloud is as bright in blue as in red; sand, salt and bright soil are redder."""
NIR_TO_BLUE = 1.6
"""Cloud is as bright in near infrared as in blue; vegetation and soil under haze are brighter there."""
SWIR = {"B11": 0.16, "B12": 0.12}
"""Cloud reflects short-wave infrared, snow and ice absorb it: below this it is snow. The first band there is."""
CIRRUS = 0.02
"""B10, where water vapour hides the ground: only what floats above it reflects. Twice the usual threshold, so that
high mountains pass."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Hidden:
    """What hides pixels, and what it is; bool, (n, h, w), where the chips are.

    Attributes:
        cloud: Cloud or its shadow.
        shadow: The shadow among it; none where nothing tells them apart.
        defect: Acquired but of no use; none where nothing says so.
    """

    cloud: Mask
    shadow: Mask | None = None
    defect: Mask | None = None


def classified(scl: Pixels) -> tuple[Hidden, Mask]:
    """What hides pixels, and no data, by a product's own classification.

    Args:
        scl: float32, (n, h, w), classes, NaN outside the file.

    Returns:
        hidden, no data (defects included): outside the file neither is known, so neither is said.
    """
    cloud, no_data = (reduce(or_, (scl == each for each in classes)) for classes in (SCL_CLOUD, SCL_NO_DATA))
    shadow, defect = (scl == each for each in (SCL_SHADOW, SCL_DEFECT))
    return Hidden(cloud, shadow, defect), no_data


def spectral(pixels: Pixels, present_bands: tuple[str, ...]) -> Mask:
    """Cloud of a scene without classification: a plain test that rather misses cloud than blames ground.

    Bright in blue, flat up to near infrared, and not dark in short-wave infrared; or bright in the cirrus band.
    Thin cloud, haze and shadow pass as ground.

    Args:
        pixels: float32, (n, 13, h, w), reflectance, NaN is no data.
        present_bands: Which planes hold measurements. Without B02, B04 and B08 nothing is called cloud.

    Returns:
        bool, (n, h, w).
    """
    planes = {band: pixels[:, BANDS_S2.index(band)] for band in present_bands}
    cloud: Mask = library(pixels).zeros_like(pixels[:, 0], dtype=bool)
    if "B10" in planes:
        cloud |= planes["B10"] > CIRRUS
    if planes.keys() >= {"B02", "B04", "B08"}:
        blue, red, nir = planes["B02"], planes["B04"], planes["B08"]
        flat = (blue > BLUE_TO_RED * red) & (nir < NIR_TO_BLUE * blue)
        swir = next((planes[band] > least for band, least in SWIR.items() if band in planes), True)
        cloud |= (blue > BRIGHT) & flat & swir
    return cloud
