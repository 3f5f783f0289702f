"""Mean backscatter and texture of every stand of a place on a day, before anything happens to it.

In: a place, the conditions of the day and the beam. Out: decibel and texture per region.
Stops at regions: pixels, terrain, snow on the ground, events and speckle follow in the other `radar_…` modules.
"""

from typing import Final

import numpy as np

from simulation.disturbance import per_cover
from simulation.endmembers import Material
from simulation.fields import FloatArray
from simulation.labels import Cover
from simulation.layout import Mask, Place
from simulation.radar_beam import MIDDLE_DEG, Beam
from simulation.spectra import Conditions, choose_material, crop_stage, greenness

MEAN_DB: Final = {
    Cover.WATER: (-20.5, -27.5),
    Cover.TREES: (-8.2, -14.0),
    Cover.GRASS: (-12.2, -18.8),
    Cover.FLOODED_VEGETATION: (-7.2, -16.4),
    Cover.CROPS: (-11.2, -18.0),
    Cover.SHRUB: (-10.2, -16.4),
    Cover.BUILT: (-6.5, -14.0),
    Cover.BARE: (-13.4, -23.2),
    Cover.SNOW: (-6.2, -11.6),
}
"""Mean gamma naught in VV and VH at 38 degrees, decibel. Sources: Ulaby and Dobson 1989, Handbook of Radar Scattering
Statistics (C band, VV, HV by surface class); Rueetschi et al. 2018, Remote Sensing 10, 55 (forest gamma naught -8/-14);
Veloso et al. 2017, Remote Sensing of Environment 199, 415 (crops -8 to -14 VV, -13 to -22 VH); Twele et al. 2016,
International Journal of Remote Sensing 37, 2990 (water -15 to -24 VV); Tsyganskaya et al. 2018, Remote Sensing 10,
1286 (flooded vegetation: VV raised by double bounce, VH little); Koppel et al. 2017, International Journal of Remote
Sensing 38, 6402 (built-up); Oh et al. 1992, IEEE TGRS 30, 370 (bare soil: cross-polarised 9 to 12 dB below VV).
Permanent snow is refrozen firn, bright by volume scattering while cold (Rott and
Maetzler 1987, Annals of Glaciology 9, 177; Partington 1998, Journal of Glaciology 44, 42). Shrub lies between forest
and grass; levels are representative of these sources, not copied from one table."""

SPREAD_DB: Final = per_cover(
    {
        Cover.WATER: 1.3,
        Cover.TREES: 0.9,
        Cover.GRASS: 1.1,
        Cover.FLOODED_VEGETATION: 1.4,
        Cover.CROPS: 1.3,
        Cover.SHRUB: 1.0,
        Cover.BUILT: 2.0,
        Cover.BARE: 1.3,
        Cover.SNOW: 1.2,
    }
)
"""Standard deviation between stands or parcels of one cover, decibel: representative of the same sources once season,
angle, soil and moisture, which are modelled apart, are taken out."""

TEXTURE_DB: Final = np.array(
    [(0.12, 0.25), (0.7, 0.7), (0.45, 0.7), (1.0, 0.9), (0.4, 0.6), (1.2, 0.9), (2.0, 1.4), (0.25, 0.45), (0.15, 0.4)],
    np.float32,
)
"""Texture inside a stand in the order of `Cover`: decibel of the fine and of the coarse field. With the gamma speckle
it makes intensity close to K-distributed: order parameters of about 1 in towns, 6 in scrub, 8 in forest, more than 20
on fields and water. Source: representative of Oliver and Quegan 2004, Understanding Synthetic Aperture Radar Images,
chapter 5, and Frery et al. 1997, IEEE TGRS 35, 648 (towns)."""

ROCK_TEXTURE_DB: Final = (1.3, 1.2)
SAND_TEXTURE_DB: Final = (0.2, 1.1)
"""Fine and coarse texture of rock and lava (blocks, cracks) and of sand (dunes and flats between them), decibel;
representative of Stephen and Long 2005, IEEE TGRS 43, 238 (ergs) and Campbell and Shepard 1996, JGR 101, 18941."""

ANGLE_DB: Final = per_cover(
    {
        Cover.WATER: 0.35,
        Cover.TREES: 0.05,
        Cover.GRASS: 0.12,
        Cover.FLOODED_VEGETATION: 0.10,
        Cover.CROPS: 0.12,
        Cover.SHRUB: 0.08,
        Cover.BUILT: 0.05,
        Cover.BARE: 0.18,
        Cover.SNOW: 0.10,
    }
)
"""Fall of gamma naught per degree of incidence angle, decibel. Source: Mladenova et al. 2013, IEEE TGRS 51, 1655 (soil
and vegetation); CMOD5.N, Hersbach 2010 (water); forest gamma naught is nearly flat (Small 2011, IEEE TGRS 49, 3081)."""

FROZEN_DB: Final = 2.8
"""Fall of frozen bare or sparsely grown soil: permittivity falls as in drying. Source: Baghdadi et al. 2018, Remote
Sensing 10, 2073: 3 to 4 dB and more on winter crops and grassland in Sentinel-1 data."""


def stands_db(place: Place, now: Conditions, beam: Beam) -> FloatArray:
    """Mean gamma naught of each region on the day without snow on the ground: float32, (regions, 2), VV then VH.

    Args:
        place: The ground.
        now: Conditions: wet soil is brighter (Ulaby et al. 1978: about 3 dB over the range in VV), growing crops
            raise VH and ripe ones lower VV (Veloso et al. 2017), frozen soil is dark.
        beam: Geometry and wind.

    Returns:
        Decibel, -31 to 2.
    """
    cover, traits = place.cover, place.traits
    table = np.array([MEAN_DB[c] for c in Cover], np.float32)[cover]
    own = (traits[:, 4:6] - 0.5) * np.float32(3.46) * SPREAD_DB[cover][:, None]
    table = table + 0.75 * own[:, :1] + 0.5 * own
    table -= (ANGLE_DB[cover] * np.float32(beam.incidence_deg - MIDDLE_DEG))[:, None]
    table += _growth(place, now, beam) + _ground(place, now)
    table += (beam.wind * np.float32(7.5) * (cover == Cover.WATER))[:, None] * np.array([1.0, 0.35], np.float32)
    paved = (cover == Cover.BUILT) & (traits[:, 1] == 0)
    table[paved] = np.array([-15.0, -22.5], np.float32)
    firn = 3.5 * (traits[:, 0] - 0.5) - np.where(traits[:, 1] > 0.8, 6.0, 0)  # bare ice where optics shows it
    table += (firn * (cover == Cover.SNOW))[:, None] * np.array([1.0, 1.15], np.float32)
    leafless = (cover == Cover.TREES) * (1 - now.summer) * now.biome.snow
    table -= leafless[:, None] * np.array([1.2, 1.5], np.float32)
    limited: FloatArray = np.clip(table, -31, 2).astype(np.float32)
    return limited


def texture_db(place: Place, now: Conditions) -> FloatArray:
    """Texture of each region: float32, (regions, 2), decibel of the fine and of the coarse field."""
    table = TEXTURE_DB[place.cover]
    sand, stony = _sandy(place, now), _stony(place, now)
    table[sand], table[stony] = SAND_TEXTURE_DB, ROCK_TEXTURE_DB
    return table


def _sandy(place: Place, now: Conditions) -> Mask:
    soil = choose_material(now.biome.soils, place.traits[:, 2])
    sand: Mask = (place.cover == Cover.BARE) & np.isin(soil, [Material.SAND, Material.SALT])
    return sand


def _stony(place: Place, now: Conditions) -> Mask:
    soil = choose_material(now.biome.soils, place.traits[:, 2])
    stony: Mask = (place.cover == Cover.BARE) & np.isin(soil, [Material.ROCK, Material.LAVA])
    return stony


def _growth(place: Place, now: Conditions, beam: Beam) -> FloatArray:
    """Leaves, straw, ridges and open ground between shrubs: float32, (regions, 2), decibel.

    Sources: Veloso et al. 2017 (crops by stage); Beaudoin et al. 1990, International Journal of Remote Sensing 11, 793
    (tillage rows square to the beam raise VV by a few decibels within ten degrees).
    """
    cover, traits = place.cover, place.traits
    green = greenness(traits, now)
    leaf, straw = crop_stage(traits, now)
    crop = (cover == Cover.CROPS).astype(np.float32)
    earth = np.clip(1 - leaf - straw, 0, 1) * crop
    rows = np.pi * traits[:, 9] - np.radians(beam.look_azimuth_deg)
    square = np.exp(-((np.sin(rows) / 0.17) ** 2)) * earth
    copolar = crop * (0.6 - 2.4 * leaf) + 3.0 * square
    crosspolar = crop * 4.2 * leaf - 2.8 * earth + 1.2 * square
    crosspolar += 2.0 * (cover == Cover.GRASS) * (green - 0.5)
    sparse = (cover == Cover.SHRUB) * np.clip(0.6 - traits[:, 1], 0, 1)
    if now.biome.name in ("desert", "steppe"):
        sparse = sparse * 1.8
    copolar -= 2.0 * sparse
    crosspolar -= 2.8 * sparse
    both: FloatArray = np.stack([copolar, crosspolar], axis=1).astype(np.float32)
    return both


def _ground(place: Place, now: Conditions) -> FloatArray:
    """Moisture, frost and the kind of soil: float32, (regions, 2), decibel.

    Sand is smooth and dry and swallows the wave, rock and lava are rough at the wavelength.
    """
    cover, traits = place.cover, place.traits
    covered = 1 - 0.5 * greenness(traits, now) * (cover == Cover.GRASS)
    open_ground = np.isin(cover, [Cover.GRASS, Cover.CROPS, Cover.BARE, Cover.SHRUB]).astype(np.float32)
    wet = np.float32(now.wetness - 0.4) * open_ground * covered
    frost = np.clip((0.15 - now.summer) / 0.12, 0, 1) * now.biome.snow * open_ground * covered
    sand, stony = _sandy(place, now), _stony(place, now)
    copolar = 4.5 * wet - FROZEN_DB * frost + 3.6 * stony - (1.5 + 4.5 * traits[:, 6]) * sand
    crosspolar = 3.0 * wet - FROZEN_DB * frost + 4.6 * stony - (2.0 + 4.0 * traits[:, 6]) * sand
    both: FloatArray = np.stack([copolar, crosspolar], axis=1).astype(np.float32)
    return both
