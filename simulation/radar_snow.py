"""Snow as C-band sees it: transparent while dry, a dark and even surface as soon as it is wet.

In: decibel of the ground, a place and the day. Out: decibel with wet snow, and where snow can and cannot be seen.
Stops at snow: frozen soil and the levels of dry firn and ice are in `simulation.radar_stands`.
"""

from typing import Final

import numpy as np

from simulation.fields import FloatArray
from simulation.labels import Cover
from simulation.layout import Place
from simulation.radar_beam import DECIBEL, MIDDLE_DEG, Beam
from simulation.spectra import Conditions, snow_share

WET_SNOW_DB: Final = (-17.0, -24.5)
"""Gamma naught of wet snow in VV and VH at 38 degrees: what lies below is absorbed. Source: Nagler and Rott 2000,
IEEE TGRS 38, 754; Nagler et al. 2016, Remote Sensing 8, 348 (3 dB and more below dry snow in both polarisations)."""

WET_SNOW_ANGLE_DB: Final = 0.22
"""Fall per degree of incidence angle: representative of surface scattering in Nagler et al. 2016."""

SNOW_VISIBLE_DB: Final = 2.0
"""Fall against snow-free or dry ground from which snow counts as seen. Source: threshold of Nagler et al. 2016."""

CONTINENTAL_LATITUDE: Final = 55.0
"""Degrees beyond which snow stays dry most of the winter; nearer the equator half of it is wet at any time. Source:
snow classes of Sturm et al. 1995, Journal of Climate 8, 1261 (taiga against maritime and ephemeral snow)."""


def melt(place: Place, now: Conditions, *, permanent: bool) -> FloatArray:
    """How opaque wet snow would be on each pixel: lower ground melts first, a few percent of water suffice.

    Args:
        place: The ground.
        now: Conditions: warm seasons melt, and so do wet spells in winter.
        permanent: Firn and glaciers, cold until well into summer, instead of seasonal snow.

    Returns:
        float32, (rows, columns), 0 dry and transparent to 1 wet and opaque.
    """
    dry_below = 0.5 if now.biome.latitude > CONTINENTAL_LATITUDE else 0.36
    warmth = 3.0 * now.summer - 0.5 if permanent else 2.4 * now.summer + 2.2 * (now.wetness - dry_below)
    span = float(np.ptp(place.elevation_m))
    height = (place.elevation_m - place.elevation_m.mean()) / np.float32(span + 40.0)
    wet = np.clip(np.float32(warmth) - np.float32(0.5) * height, 0, 1)
    opaque: FloatArray = 1 - np.exp(np.float32(-5.0) * wet)
    return opaque


def lay_snow(image: FloatArray, place: Place, now: Conditions, beam: Beam) -> FloatArray:
    """Covers the ground with what snow there is.

    Args:
        image: float32, (2, rows, columns), decibel; changed in place.
        place: The ground.
        now: Conditions of the day.
        beam: Geometry.

    Returns:
        float32, (rows, columns), 1 where seasonal snow lies that the radar sees through.
    """
    hidden = np.zeros(place.shape, np.float32)
    permanent = place.is_cover(Cover.SNOW)
    if now.snow <= 0 and not permanent.any():
        return hidden
    white = snow_share(place.cover, place.traits, now)[place.regions]
    opaque = white * melt(place, now, permanent=False)
    if permanent.any():
        opaque = np.where(permanent, melt(place, now, permanent=True), opaque)
    level = np.array(WET_SNOW_DB, np.float32) - np.float32(WET_SNOW_ANGLE_DB * (beam.incidence_deg - MIDDLE_DEG))
    before = image.mean(axis=0)
    smooth = np.float32(0.35) * place.patches
    for band in range(2):
        ground = np.exp(image[band] * DECIBEL) * (1 - opaque)
        image[band] = np.log(ground + opaque * np.exp((level[band] + smooth) * DECIBEL)) / DECIBEL
    unseen: FloatArray = ((white > 0.5) & (before - image.mean(axis=0) < SNOW_VISIBLE_DB)).astype(np.float32)
    return unseen
