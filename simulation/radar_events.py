"""What fire and water change in the backscatter, and where the change is large enough to be seen.

In: decibel per pixel, a place, what happened and the beam. Out: the changed image and masks of what shows.
Stops at fire and water: collapsed towns are in `simulation.radar_scatterers`.
"""

from typing import Final

import numpy as np

from simulation.disturbance import Disturbance
from simulation.fields import FloatArray
from simulation.labels import Cover
from simulation.layout import Place
from simulation.radar_beam import DECIBEL, MIDDLE_DEG, Beam
from simulation.radar_scatterers import hedges
from simulation.spectra import Conditions, crop_stage

VISIBLE_DB: Final = 3.0
"""Fall of backscatter from which change is told from speckle. Source: Clement et al. 2018, Journal of Flood Risk
Management 11, 152: thresholds of about 3 dB in change detection."""

BURN_VISIBLE_DB: Final = 2.0
"""Fall of VH from which a burn counts as visible once averaged over a stand: the middle of the 1 to 4 dB of Tanase et
al. 2010. Below it a burn is neither present nor absent."""

WOOD_LOSS_DB: Final = (1.0, 4.0)
SCRUB_LOSS_DB: Final = (1.0, 3.8)
GRASS_LOSS_DB: Final = (0.6, 1.4)
"""Fall of VV and VH where all is consumed, at 38 degrees: the canopy's volume is lost, trunks and soil remain. Source:
Tanase et al. 2010, IEEE TGRS 48, 3663 (C band, 1-4 dB in HV); Belenguer-Plomer et al. 2019, Remote Sensing of
Environment 233, 111345 (Sentinel-1: VH falls more than VV; wet soil hides the fall)."""

CALM_DB: Final = (-20.8, -27.8)
"""Calm flood water in VV and VH at 38 degrees (Twele et al. 2016, International Journal of Remote Sensing 37, 2990)."""

FETCH: Final = 0.6
"""Share of the wind that roughens shallow flood water among hedges and houses: waves need fetch. Representative of the
fetch laws in Holthuijsen 2007, Waves in Oceanic and Coastal Waters, chapter 8."""

SINGLE_GRAIN: Final = 2.2
"""Value of the fine field from which a pixel holds something that stands above the water: one pixel in seventy."""


def char(image: FloatArray, place: Place, now: Conditions, event: Disturbance, beam: Beam) -> FloatArray:
    """Burns the place; changes the image in place.

    Steep beams reach the soil and lose more; soil wet from rain shows through what is left of the canopy.

    Returns:
        float32, (rows, columns), 1 where VH fell by `BURN_VISIBLE_DB` or more.
    """
    if event.severity is None:
        return np.zeros(place.shape, np.float32)
    healed = np.float32(np.exp(-event.burn_age_days / 700.0))
    steep = np.float32(1 + 0.02 * (MIDDLE_DEG - beam.incidence_deg))
    wet = np.float32(2.0 * (now.wetness - 0.35))
    loss = np.zeros((2, len(Cover)), np.float32)
    loss[:, Cover.TREES], loss[:, Cover.SHRUB] = WOOD_LOSS_DB, SCRUB_LOSS_DB
    loss[:, Cover.GRASS] = loss[:, Cover.CROPS] = GRASS_LOSS_DB
    woody = place.is_cover(Cover.TREES, Cover.SHRUB).astype(np.float32)
    burnt = event.severity * healed
    image[0] += burnt * (wet * woody - loss[0][place.cover][place.regions])
    fall = burnt * (steep * loss[1][place.cover][place.regions] - np.float32(0.5) * wet * woody)
    image[1] -= fall
    snags = np.float32(0.8) * burnt * woody * place.grain  # trunks left standing singly
    image += snags
    visible: FloatArray = (fall >= BURN_VISIBLE_DB).astype(np.float32)
    return visible


def inundate(image: FloatArray, place: Place, now: Conditions, event: Disturbance, beam: Beam) -> FloatArray:
    """Floods the place; changes the image in place.

    Open water counts by its share of the power. Trunks, tall crops and walls standing in water send back a double
    bounce, and so do hedges, dykes and farmsteads that rise above it: unlike a lake, flooded land keeps its pattern.
    Source: Martinis and Rieke 2015, Remote Sensing 7, 3732; Mason et al. 2014, IEEE TGRS 52, 3041 (walls in water).

    Returns:
        float32, (rows, columns), 1 where the ground darkened by `VISIBLE_DB` or more.
    """
    if event.water is None:
        return np.zeros(place.shape, np.float32)
    before = image.mean(axis=0)
    woody = place.is_cover(Cover.TREES).astype(np.float32)
    walls = place.is_cover(Cover.BUILT).astype(np.float32)
    rising, tall = _rising(place), _standing_crop(place, now)
    reach = np.minimum(event.water * 2, 1)
    bounce = reach * (
        np.float32(3.4) * woody + np.float32(2.0) * walls + np.float32(2.0) * rising + np.float32(5.0) * tall
    )
    calm = np.array(CALM_DB, np.float32) - np.float32(0.35 * (beam.incidence_deg - MIDDLE_DEG))
    open_db = calm + np.float32(FETCH * event.wind) * np.array([7.5, 2.6], np.float32)
    share = np.where((woody + walls) > 0, event.water * np.float32(0.15), event.water * (1 - np.float32(0.5) * rising))
    share = share * (1 - np.float32(0.8) * tall)
    for band, gain in enumerate((1.0, 0.45)):
        dry = np.exp((image[band] + np.float32(gain) * bounce) * DECIBEL) * (1 - share)
        wet = np.exp((open_db[band] + np.float32(0.3) * place.patches) * DECIBEL) * share
        image[band] = np.log(dry + wet + np.float32(1e-5)) / DECIBEL
    visible: FloatArray = (before - image.mean(axis=0) >= VISIBLE_DB).astype(np.float32)
    return visible


def _rising(place: Place) -> FloatArray:
    """What stands above flood water on open ground: hedges and banks between parcels, single trees, barns.

    Returns:
        float32, (rows, columns), 0 open to 1 standing out; 0 on permanent water, in woods and in towns.
    """
    ground = place.is_cover(Cover.GRASS, Cover.CROPS, Cover.SHRUB, Cover.BARE)
    rising: FloatArray = (hedges(place) | ((place.grain > SINGLE_GRAIN) & ground)).astype(np.float32)
    return rising


def _standing_crop(place: Place, now: Conditions) -> FloatArray:
    """Parcels whose crop is taller than the water: float32, (rows, columns), 0 or 1."""
    leaf, straw = crop_stage(place.traits, now)
    tall = (place.cover == Cover.CROPS) & (leaf + straw > 0.5) & (place.traits[:, 8] > 0.82)
    standing: FloatArray = tall.astype(np.float32)[place.regions]
    return standing
