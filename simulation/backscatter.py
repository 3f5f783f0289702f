"""How Sentinel-1 sees a place: gamma naught in VV and VH, snow, terrain, events, noise and speckle put together.

In: a place, the conditions of the day, what happened, and the radar's `Beam`. Out: linear power at 10 m.
Stops at arrays: files and metadata are in `simulation.catalogue`; each effect has its own `radar_…` module.
"""

from dataclasses import dataclass

import numpy as np

from simulation.disturbance import Disturbance
from simulation.fields import FieldPool, FloatArray, blur3
from simulation.layout import Place
from simulation.radar_beam import DECIBEL, LOOKS, Beam
from simulation.radar_events import VISIBLE_DB, char, inundate
from simulation.radar_noise import receive, speckle
from simulation.radar_scatterers import corner_reflectors, roughen
from simulation.radar_snow import lay_snow
from simulation.radar_stands import stands_db
from simulation.radar_terrain import shadow, terrain_db
from simulation.spectra import Conditions

__all__ = ["LOOKS", "VISIBLE_DB", "Beam", "RadarView", "illuminate", "speckle", "stands_db", "terrain_db"]


@dataclass(frozen=True)
class RadarView:
    """What the radar saw.

    Attributes:
        pixels: float32, (2, rows, columns), gamma naught in linear power, VV and VH.
        flood_visible: float32, (rows, columns), 1 where a flood darkened the ground by `VISIBLE_DB` or more.
        burn_visible: float32, (rows, columns), 1 where a fire lowered VH by `radar_events.BURN_VISIBLE_DB` or more.
        snow_hidden: float32, (rows, columns), 1 where seasonal snow is too dry for the radar to see.
    """

    pixels: FloatArray
    flood_visible: FloatArray
    burn_visible: FloatArray
    snow_hidden: FloatArray


def illuminate(
    place: Place, now: Conditions, event: Disturbance, beam: Beam, *, pool: FieldPool, rng: np.random.Generator
) -> RadarView:
    """One Sentinel-1 look at a place.

    Args:
        place: The ground.
        now: Conditions of the day.
        event: What happened before it.
        beam: Geometry and state of the radar.
        pool: Fields of speckle.
        rng: Speckle of this acquisition.

    Returns:
        Pixels, and where what happened can be seen.
    """
    image = np.take(np.ascontiguousarray(stands_db(place, now, beam).T), place.regions, axis=1)
    roughen(image, place, now, beam)
    corner_reflectors(image, place, event, beam)
    burn_visible = char(image, place, now, event, beam)
    snow_hidden = lay_snow(image, place, now, beam)
    flood_visible = inundate(image, place, now, event, beam)
    image += terrain_db(place, beam)
    power = blur3(np.exp(image * DECIBEL), 0.2)
    pixels = receive(power, beam, shadow(place, beam), pool=pool, rng=rng)
    return RadarView(pixels, flood_visible, burn_visible, snow_hidden)
