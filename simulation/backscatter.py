"""How Sentinel-1 sees a place: gamma naught in VV and VH, terrain, point targets, texture and speckle.

In: a place, the conditions of the day, what happened, and the radar's `Beam`. Out: linear power at 10 m.
Stops at arrays: files and metadata are in `simulation.catalogue`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.disturbance import Disturbance, per_cover
from simulation.endmembers import Material
from simulation.fields import FieldPool, FloatArray, blur3, fractal, gradient
from simulation.labels import Cover
from simulation.layout import Place
from simulation.spectra import Conditions, choose_material, crop_stage, greenness, snow_share

DECIBEL: Final = np.float32(np.log(10) / 10)
"""Natural logarithm of one decibel of power."""

LOOKS: Final = 4.4
"""Equivalent number of looks of IW GRD high resolution. Source: Sentinel-1 Product Definition (S1-RS-MDA-52-7440)."""

SPECKLE_SIDE: Final = 0.24
"""Side weight of the blur that gives speckle the correlation of 20 x 22 m resolution on 10 m pixels (same source)."""

MEAN_DB: Final = {
    Cover.WATER: (-20.5, -27.5),
    Cover.TREES: (-8.2, -14.0),
    Cover.GRASS: (-11.8, -18.8),
    Cover.FLOODED_VEGETATION: (-8.8, -16.2),
    Cover.CROPS: (-11.2, -18.5),
    Cover.SHRUB: (-10.4, -17.0),
    Cover.BUILT: (-6.5, -14.0),
    Cover.BARE: (-13.0, -21.5),
    Cover.SNOW: (-12.5, -20.0),
}
"""Mean gamma naught in VV and VH at 38 degrees, decibel. Sources: Ulaby and Dobson 1989, Handbook of Radar Scattering
Statistics (C band, VV, HV by surface class); Rueetschi et al. 2018, Remote Sensing 10, 55 (forest gamma naught -8/-14);
Veloso et al. 2017, Remote Sensing of Environment 199, 415 (crops -8 to -14 VV, -13 to -22 VH); Twele et al. 2016,
International Journal of Remote Sensing 37, 2990 (water -15 to -24 VV); Tsyganskaya et al. 2018, Remote Sensing 10,
1286 (flooded vegetation); Koppel et al. 2017, International Journal of Remote Sensing 38, 6402 (built-up)."""

SPREAD_DB: Final = per_cover(
    {
        Cover.WATER: 1.6,
        Cover.TREES: 1.0,
        Cover.GRASS: 1.6,
        Cover.FLOODED_VEGETATION: 2.2,
        Cover.CROPS: 1.6,
        Cover.SHRUB: 1.5,
        Cover.BUILT: 2.0,
        Cover.BARE: 2.0,
        Cover.SNOW: 2.0,
    }
)
"""Standard deviation between stands or parcels of one cover, decibel (same sources)."""

TEXTURE_DB: Final = per_cover(
    {
        Cover.WATER: 0.25,
        Cover.TREES: 0.9,
        Cover.GRASS: 0.5,
        Cover.FLOODED_VEGETATION: 1.1,
        Cover.CROPS: 0.4,
        Cover.SHRUB: 0.9,
        Cover.BUILT: 2.6,
        Cover.BARE: 0.7,
        Cover.SNOW: 0.6,
    }
)
"""Texture inside a stand: with the gamma speckle it gives K-distributed intensity. Source: Oliver and Quegan 2004,
Understanding Synthetic Aperture Radar Images, chapter 5; towns after Frery et al. 1997 (heterogeneous clutter)."""

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
        Cover.SNOW: 0.15,
    }
)
"""Fall of gamma naught per degree of incidence angle, decibel. Source: Mladenova et al. 2013, IEEE TGRS 51, 1655 (soil
and vegetation); CMOD5.N, Hersbach 2010 (water); forest gamma naught is nearly flat (Small 2011, IEEE TGRS 49, 3081)."""


@dataclass(frozen=True)
class Beam:
    """Geometry and state of one radar acquisition.

    Attributes:
        incidence_deg: Incidence angle on level ground, 29-46 in IW.
        look_azimuth_deg: Direction in which the radar looks, clockwise from north (ascending about 80, descending 280).
        noise_db: Noise-equivalent power added to the signal, decibel; residual after the product's noise removal.
        looks: Equivalent number of looks of the product.
        terrain: Share of the slope's effect that the terrain correction left, 0-1.
        wind: Roughness of permanent water, 0 calm to 1 strong wind.
        gain_db: Calibration and sigma/gamma naught difference, decibel.
        stripes: Strength of interference stripes, decibel; 0 for none.
    """

    incidence_deg: float = 38.0
    look_azimuth_deg: float = 80.0
    noise_db: float = -27.0
    looks: float = LOOKS
    terrain: float = 0.3
    wind: float = 0.25
    gain_db: float = 0.0
    stripes: float = 0.0


@dataclass(frozen=True)
class RadarView:
    """What the radar saw.

    Attributes:
        pixels: float32, (2, rows, columns), gamma naught in linear power, VV and VH.
        flood_visible: float32, (rows, columns), 1 where a flood darkened the ground by `VISIBLE_DB` or more.
        burn_visible: float32, (rows, columns), 1 where a fire lowered VH by half of that or more.
    """

    pixels: FloatArray
    flood_visible: FloatArray
    burn_visible: FloatArray


VISIBLE_DB: Final = 3.0
"""Fall of backscatter from which change is told from speckle. Source: Clement et al. 2018, Journal of Flood Risk
Management 11, 152: thresholds of about 3 dB in change detection."""


def stands_db(place: Place, now: Conditions, beam: Beam) -> FloatArray:
    """Mean gamma naught of each region on the day, decibel: float32, (regions, 2), VV then VH.

    Args:
        place: The ground.
        now: Conditions: wet soil is brighter (Ulaby et al. 1978: about 3 dB over the range in VV), growing crops
            raise VH, ripe ones lower VV, wet snow absorbs (Nagler and Rott 2000: more than 3 dB below dry).
        beam: Geometry and wind.

    Returns:
        Decibel.
    """
    cover, traits = place.cover, place.traits
    table = np.array([MEAN_DB[c] for c in Cover], np.float32)[cover]
    own = (traits[:, 4:6] - 0.5) * np.float32(3.46) * SPREAD_DB[cover][:, None]
    table = table + 0.75 * own[:, :1] + 0.5 * own
    table -= (ANGLE_DB[cover] * np.float32(beam.incidence_deg - 38))[:, None]
    green = greenness(traits, now)
    leaf, straw = crop_stage(traits, now)
    open_ground = np.isin(cover, [Cover.GRASS, Cover.CROPS, Cover.BARE, Cover.SHRUB]).astype(np.float32)
    wet = np.float32(now.wetness - 0.4) * open_ground * (1 - 0.5 * green * (cover == Cover.GRASS))
    table += np.stack([4.5 * wet, 3.0 * wet], axis=1)
    crop = (cover == Cover.CROPS).astype(np.float32)
    table += np.stack([crop * (0.6 - 2.4 * leaf), crop * (4.2 * leaf - 2.6 * (1 - leaf - straw))], axis=1)
    table[:, 1] += 2.0 * (cover == Cover.GRASS) * (green - 0.5)
    soil = choose_material(now.biome.soils, traits[:, 2])
    sand = ((cover == Cover.BARE) & np.isin(soil, [Material.SAND, Material.SALT])).astype(np.float32)
    stony = ((cover == Cover.BARE) & np.isin(soil, [Material.ROCK, Material.LAVA])).astype(np.float32)
    table += np.stack([3.2 * stony - 5.5 * sand * traits[:, 6], 3.5 * stony - 4.5 * sand * traits[:, 6]], axis=1)
    table += (beam.wind * np.float32(7.5) * (cover == Cover.WATER))[:, None] * np.array([1.0, 0.35], np.float32)
    open_marsh = (cover == Cover.FLOODED_VEGETATION) * np.clip(0.45 - traits[:, 1], 0, 1)
    table -= open_marsh[:, None] * np.array([14.0, 14.0], np.float32)
    paved = (cover == Cover.BUILT) & (traits[:, 1] == 0)
    table[paved] = np.array([-15.0, -22.5], np.float32)
    thaw = np.where(cover == Cover.SNOW, 1.0, snow_share(cover, traits, now)) * np.clip(2.4 * now.summer + 0.05, 0, 1)
    table -= thaw[:, None] * np.array([5.0, 4.5], np.float32) * (cover != Cover.TREES)[:, None]
    frozen_leafless = (cover == Cover.TREES) * (1 - now.summer) * now.biome.snow
    table -= frozen_leafless[:, None] * np.array([1.2, 1.5], np.float32)
    limited: FloatArray = np.clip(table, -31, 2).astype(np.float32)
    return limited


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
    texture = TEXTURE_DB[place.cover][place.regions]
    image += texture * (np.float32(0.85) * place.patches + np.float32(0.45) * place.grain)
    _points(image, place, event, beam)
    burn_visible = _burnt(image, place, event)
    flood_visible = _under_water(image, place, event, beam)
    image += terrain_db(place, beam)
    if beam.stripes > 0:
        image += np.float32(beam.stripes) * (fractal(rng, (place.shape[0], 1), 1.0) > 1.3)
    power = np.exp(image * DECIBEL)
    power = blur3(power, 0.2) + np.float32(10 ** (beam.noise_db / 10)) * np.array([[[1.0]], [[0.9]]], np.float32)
    for band in range(2):
        power[band] *= speckle(pool, rng, place.shape, beam.looks)
    power *= np.float32(10 ** (beam.gain_db / 10))
    return RadarView(power, flood_visible, burn_visible)


def speckle(pool: FieldPool, rng: np.random.Generator, shape: tuple[int, int], looks: float) -> FloatArray:
    """Multi-look speckle: gamma distributed with mean 1 and variance 1 / looks, correlated over 20 m.

    Args:
        pool: Holds a large plane of speckle at `LOOKS`.
        rng: Chooses the crop.
        shape: Rows and columns.
        looks: Equivalent number of looks.

    Returns:
        float32, `shape`.
    """
    plane = pool.speckle(rng, shape, LOOKS, SPECKLE_SIDE)
    if abs(looks - LOOKS) < 0.05:
        return plane
    powered: FloatArray = np.exp(np.log(plane) * np.float32(np.sqrt(LOOKS / looks)))
    result: FloatArray = np.divide(powered, powered.mean(), dtype=np.float32)
    return result


def terrain_db(place: Place, beam: Beam) -> FloatArray:
    """What the terrain correction leaves: slopes facing the radar brighter, facing away darker, and radar shadow.

    Source: area projection of Small 2011, IEEE TGRS 49, 3081: gamma naught scales with the tangent of the local angle.

    Returns:
        float32, (rows, columns), decibel.
    """
    east, south = gradient(place.elevation_m, 10.0)
    azimuth = np.radians(beam.look_azimuth_deg)
    facing = east * np.float32(np.sin(azimuth)) - south * np.float32(np.cos(azimuth))
    incidence = np.radians(beam.incidence_deg)
    local = np.clip(incidence - np.arctan(facing), 0.08, 1.55).astype(np.float32)
    effect = np.float32(10 / np.log(10)) * np.log(np.tan(np.float32(incidence)) / np.tan(local))
    shadow = np.clip((local - np.float32(1.25)) * np.float32(40), 0, 12)
    residual: FloatArray = np.clip(np.float32(beam.terrain) * effect, -7, 7) - shadow
    return residual


def _points(image: FloatArray, place: Place, event: Disturbance, beam: Beam) -> None:
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


def _burnt(image: FloatArray, place: Place, event: Disturbance) -> FloatArray:
    """Loss of canopy volume: VH falls most. Source: Tanase et al. 2010, IEEE TGRS 48, 3663 (C band, 1-4 dB in HV)."""
    if event.severity is None:
        return np.zeros(place.shape, np.float32)
    woody = place.is_cover(Cover.TREES, Cover.SHRUB).astype(np.float32)
    grassy = place.is_cover(Cover.GRASS, Cover.CROPS).astype(np.float32)
    healed = np.float32(np.exp(-event.burn_age_days / 700.0))
    image[0] -= event.severity * healed * (np.float32(1.5) * woody + np.float32(0.6) * grassy)
    fall = event.severity * healed * (np.float32(3.4) * woody + np.float32(1.6) * grassy)
    image[1] -= fall
    return (fall >= VISIBLE_DB / 2).astype(np.float32)


def _under_water(image: FloatArray, place: Place, event: Disturbance, beam: Beam) -> FloatArray:
    """Open water by its share of the power; trunks and walls standing in water send back a double bounce."""
    if event.water is None:
        return np.zeros(place.shape, np.float32)
    before = image.mean(axis=0)
    woody = place.is_cover(Cover.TREES).astype(np.float32)
    walls = place.is_cover(Cover.BUILT).astype(np.float32)
    reach = np.minimum(event.water * 2, 1)
    bounce = reach * (np.float32(3.2) * woody + np.float32(1.5) * walls)
    calm = np.array([-20.8, -27.8], np.float32) - np.float32(0.35 * (beam.incidence_deg - 38))
    open_db = calm + np.float32(event.wind) * np.array([7.0, 2.2], np.float32)
    share = np.where((woody + walls) > 0, event.water * np.float32(0.15), event.water)
    for band, gain in enumerate((1.0, 0.45)):
        dry = np.exp((image[band] + np.float32(gain) * bounce) * DECIBEL) * (1 - share)
        wet = np.exp((open_db[band] + np.float32(0.3) * place.patches) * DECIBEL) * share
        image[band] = np.log(dry + wet + np.float32(1e-5)) / DECIBEL
    visible: FloatArray = (before - image.mean(axis=0) >= VISIBLE_DB).astype(np.float32)
    return visible
