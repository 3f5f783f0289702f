"""What relief does to a radar image: brighter and folded slopes towards the radar, dark ones away from it, shadow.

In: a place and the beam. Out: decibel to add, and where no signal comes from.
Stops at geometry: how dark the shadow is depends on the noise, added in `simulation.radar_noise`.
"""

from typing import Final

import numpy as np

from simulation.fields import FloatArray, blur3, gradient
from simulation.layout import Mask, Place
from simulation.radar_beam import Beam

SPACING_M: Final = 10.0
"""Ground distance between pixels, metres."""

FOLDED_DB: Final = 3.5
"""Gain where the ground lies in layover: two or three places share one range. Representative of Small 2011."""


def terrain_db(place: Place, beam: Beam) -> FloatArray:
    """What the terrain correction leaves: slopes facing the radar brighter, facing away darker, folded ones brightest.

    Source: area projection of Small 2011, IEEE TGRS 49, 3081: gamma naught scales with the tangent of the local angle.

    Returns:
        float32, (rows, columns), decibel; 0 on level ground such as water.
    """
    facing = _facing(place, beam)
    incidence = np.float32(np.radians(beam.incidence_deg))
    local = np.clip(incidence - np.arctan(facing), 0.08, 1.55).astype(np.float32)
    effect = np.float32(10 / np.log(10)) * np.log(np.tan(incidence) / np.tan(local))
    residual: FloatArray = np.clip(np.float32(beam.terrain) * effect, -8, 8)
    if float(facing.max()) > np.tan(incidence):
        folded = blur3(_layover(place, beam).astype(np.float32), 0.25)
        residual += np.float32(FOLDED_DB * (0.4 + 0.6 * beam.terrain)) * folded
    return residual


def shadow(place: Place, beam: Beam) -> Mask | None:
    """Pixels that the beam does not reach: bool, (rows, columns), or None where the relief is too gentle for any.

    The ray is followed along the image rows: IW looks within ten degrees of east or west.
    """
    descent = np.float32(1 / np.tan(np.radians(beam.incidence_deg)))
    if float(-_facing(place, beam).min()) < 0.9 * descent:
        return None
    height = place.elevation_m if beam.looks_east else place.elevation_m[:, ::-1]
    ray = height + np.arange(height.shape[1], dtype=np.float32) * np.float32(SPACING_M) * descent
    dark: Mask = ray < np.maximum.accumulate(ray, axis=1) - np.float32(0.5)
    return dark if beam.looks_east else dark[:, ::-1]


def _layover(place: Place, beam: Beam) -> Mask:
    """Pixels whose slant range another pixel of the same row shares."""
    height = place.elevation_m if beam.looks_east else place.elevation_m[:, ::-1]
    angle = np.radians(beam.incidence_deg)
    ground = np.arange(height.shape[1], dtype=np.float32) * np.float32(SPACING_M * np.sin(angle))
    slant = ground - height * np.float32(np.cos(angle))
    nearer = np.maximum.accumulate(slant, axis=1) > slant + np.float32(0.5)
    farther = np.minimum.accumulate(slant[:, ::-1], axis=1)[:, ::-1] < slant - np.float32(0.5)
    folded: Mask = nearer | farther
    return folded if beam.looks_east else folded[:, ::-1]


def _facing(place: Place, beam: Beam) -> FloatArray:
    """Slope towards the radar as rise over run, positive where the ground rises in the look direction."""
    east, south = gradient(place.elevation_m, SPACING_M)
    azimuth = np.radians(beam.look_azimuth_deg)
    rise: FloatArray = east * np.float32(np.sin(azimuth)) - south * np.float32(np.cos(azimuth))
    return rise
