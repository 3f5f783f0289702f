"""Scatterers inside a stand: texture, pools between reeds, corner reflectors of towns, waves and wind streaks.

In: decibel per pixel before texture, a place and the beam. Out: the same with what makes its texture.
Stops at undisturbed ground and collapsed towns; floods and fires are in `simulation.radar_events`.
"""

from typing import Final

import numpy as np

from simulation.disturbance import Disturbance
from simulation.fields import FloatArray
from simulation.labels import Cover
from simulation.layout import Mask, Place
from simulation.radar_beam import MIDDLE_DEG, Beam
from simulation.radar_stands import texture_db
from simulation.spectra import Conditions

POOL_DB: Final = (-19.5, -26.5)
"""Open water between the plants of a marsh: sheltered, nearly calm (Twele et al. 2016, lower half of their range)."""

STREAK_DB: Final = 1.6
"""Wind streaks and slicks on open water in strong wind, decibel. Source: representative of Horstmann et al. 2000, IEEE
TGRS 38, 2122, and Alpers and Espedal 2004 (Synthetic Aperture Radar Marine User's Manual, chapter 11)."""

SWELL_M: Final = (90.0, 260.0)
"""Wavelengths of swell that 20 m resolution shows on coasts (same manual, chapter 2)."""

FARMED_SCENES: Final = ("farmland", "pasture", "mixed", "pivots", "river", "lake")
FARMSTEAD_GRAIN: Final = 2.9
FARMSTEAD_DB: Final = (8.0, 6.5)
"""Single barns, pylons and greenhouses that no land-cover map shows: where, how rare (upper tail of the fine field, one
pixel in five hundred) and how bright. Representative of rural point targets in Frery et al. 1997."""

HEDGE_DB: Final = (1.8, 2.6)
"""How much brighter a 10 m pixel with a hedge in it is than the field: half forest, half field by `MEAN_DB`."""


def roughen(image: FloatArray, place: Place, now: Conditions, beam: Beam) -> None:
    """Adds the texture of stands, pools in marshes and streaks and swell on water; changes the image in place."""
    texture = texture_db(place, now)
    image += texture[:, 0][place.regions] * place.grain + texture[:, 1][place.regions] * place.patches
    image += np.array(HEDGE_DB, np.float32)[:, None, None] * hedges(place)
    marsh = place.is_cover(Cover.FLOODED_VEGETATION)
    if marsh.any():
        _pools(image, place, marsh.astype(np.float32), beam)
    water = place.is_cover(Cover.WATER)
    if beam.wind > 0.2 and water.any():
        image += np.float32(STREAK_DB * (beam.wind - 0.2)) * place.patches * water
        if place.scene == "coast":
            image += np.float32(0.8 * beam.wind) * _swell(place) * water


def hedges(place: Place) -> Mask:
    """Hedges and tree-lined banks with gaps between the parcels of half of the landscapes: bool, (rows, columns)."""
    edge = np.zeros(place.shape, bool)
    if place.traits[0, 7] < 0.5:
        return edge
    regions = place.regions
    edge[:, 1:] = regions[:, 1:] != regions[:, :-1]
    edge[1:] |= regions[1:] != regions[:-1]
    ground = np.isin(place.cover, [Cover.GRASS, Cover.CROPS])[regions]
    gaps: Mask = edge & ground & (place.patches > np.float32(2.4 * (0.75 - place.traits[0, 7]))) & (place.grain > -0.9)
    return gaps


def _pools(image: FloatArray, place: Place, marsh: FloatArray, beam: Beam) -> None:
    """Plants stand in water that is open between them: a mosaic of double bounce and of dark pools.

    Source: Tsyganskaya et al. 2018, Remote Sensing 10, 1286; Brisco et al. 2013, Canadian J. Remote Sensing 39, 1.
    """
    share = (0.75 - 0.9 * place.traits[:, 1]).astype(np.float32)[place.regions]
    texture = np.float32(0.8) * place.patches + np.float32(0.6) * place.grain
    wet = np.clip((np.float32(2.2) * share - np.float32(1.1) - texture) * np.float32(2.5), 0, 0.95) * marsh
    calm = np.array(POOL_DB, np.float32) - np.float32(0.35 * (beam.incidence_deg - MIDDLE_DEG))
    for band in range(2):
        image[band] = (1 - wet) * image[band] + wet * calm[band]


def _swell(place: Place) -> FloatArray:
    rows, columns = np.indices(place.shape, dtype=np.float32)
    low, high = SWELL_M
    wavelength = (low + (high - low) * float(place.traits[0, 0])) / 10.0
    angle = np.pi * float(place.traits[0, 1])
    phase = (rows * np.float32(np.cos(angle)) + columns * np.float32(np.sin(angle))) * np.float32(
        2 * np.pi / wavelength
    )
    waves: FloatArray = np.sin(phase + np.float32(1.2) * place.patches)
    return waves


def corner_reflectors(image: FloatArray, place: Place, event: Disturbance, beam: Beam) -> None:
    """Walls and roofs that send the wave straight back; fewer, and a rougher field without direction, after a quake.

    Streets square to the beam are brighter. Source: Matsuoka and Yamazaki 2004, Earthquake Spectra 20, 975 (collapsed
    blocks are darker and less ordered); Koppel et al. 2017 (alignment).
    """
    if place.scene in FARMED_SCENES:
        farms = (place.grain > FARMSTEAD_GRAIN) & place.is_cover(Cover.CROPS, Cover.GRASS)
        image += np.array(FARMSTEAD_DB, np.float32)[:, None, None] * farms
    town = place.is_cover(Cover.BUILT)
    if not town.any():
        return
    walls = (place.traits[:, 8][place.regions] > 0.55) & (place.traits[:, 1][place.regions] > 0)
    strength = np.clip(place.grain - np.float32(0.25), 0, 2.2) * (town & walls)
    if event.damage is not None:
        lost = event.damage * town
        strength = strength * (1 - np.float32(0.8) * lost)
        rough = np.float32(1.6) * place.grain[::-1] * lost
        image[0] += rough - np.float32(1.8) * lost
        image[1] += rough + np.float32(0.6) * lost
    aligned = 1 + 0.35 * np.cos(4 * np.radians(beam.look_azimuth_deg) + 6 * float(place.traits[0, 9]))
    image[0] += np.float32(7.5 * aligned) * strength
    image[1] += np.float32(6.2) * strength
