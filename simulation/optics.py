"""How Sentinel-2 sees a place: sun, relief, atmosphere, clouds, native resolutions and noise.

In: a place, the conditions of the day, what happened, and a `Sky`. Out: reflectance as a Level-2A product holds it.
Stops at arrays: digital numbers, files and metadata are in `simulation.catalogue`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.disturbance import Disturbance, disturb, per_cover
from simulation.fields import (
    BROAD,
    PATCH,
    FieldPool,
    FloatArray,
    block_mean,
    blur3,
    enlarge,
    gradient,
    quantile,
)
from simulation.labels import S2_GSD_M, Cover
from simulation.layout import FLAT_SCENES, Place
from simulation.spectra import WAVELENGTHS, Conditions, mixture, reflectance
from simulation.varieties import variants

DIFFUSE: Final = np.clip(0.32 * (0.49 / WAVELENGTHS) ** 1.6, 0.02, 0.45).astype(np.float32)
"""Share of the irradiance that comes from the sky, by band, in a clear atmosphere. Source: 6S, Vermote et al. 1997."""
RAYLEIGH: Final = (0.105 * (0.443 / WAVELENGTHS) ** 4.1).astype(np.float32)
"""Path reflectance of a clean atmosphere at nadir, sun at 45 degrees. Source: Hansen and Travis 1974; Bodhaine 1999."""
AEROSOL: Final = (0.05 * (0.49 / WAVELENGTHS) ** 1.2).astype(np.float32)
"""Path reflectance of haze of optical depth about 0.5, Angstrom exponent 1.2. Source: Dubovik et al. 2002."""
SMOKE: Final = (0.16 * (0.49 / WAVELENGTHS) ** 2.0).astype(np.float32)
"""Path reflectance of dense smoke, Angstrom exponent 2. Source: Eck et al. 1999; Dubovik et al. 2002."""
CLOUD: Final = np.array([0.66, 0.67, 0.66, 0.67, 0.68, 0.70, 0.71, 0.71, 0.72, 0.55, 0.12, 0.47, 0.36], np.float32)
"""Reflectance of a thick water cloud. Source: King et al. 1997, MOD06 ATBD: grey, absorbing beyond 1.5 um."""
NOISE: Final = np.array(
    [0.0010, 0.0014, 0.0013, 0.0013, 0.0012, 0.0012, 0.0012, 0.0015, 0.0012, 0.0010, 0.0006, 0.0012, 0.0012], np.float32
)
"""Noise in reflectance at low radiance. Source: User Handbook, table 2: SNR 50-174 at Lref."""

FOLDS: Final = 0.05
"""Height of gullies and spurs a hundred metres apart, as a share of the height range of a kilometre. Representative of
dissected hills, slopes of 5-15 degrees at that scale (Perron et al. 2009, Nature 460, 502)."""
ROUGHNESS: Final = per_cover(
    {
        Cover.WATER: 0.03,
        Cover.TREES: 0.10,
        Cover.GRASS: 0.03,
        Cover.FLOODED_VEGETATION: 0.06,
        Cover.CROPS: 0.02,
        Cover.SHRUB: 0.055,
        Cover.BUILT: 0.10,
        Cover.BARE: 0.025,
        Cover.SNOW: 0.02,
    }
)
"""Relative brightness texture at 10 m by cover: crowns and their shadows, walls, clods. Chosen by eye so that forests
and towns are rough and fields smooth."""
MIXING: Final = per_cover(
    {
        Cover.WATER: 0.25,
        Cover.TREES: 0.5,
        Cover.GRASS: 0.55,
        Cover.FLOODED_VEGETATION: 0.8,
        Cover.CROPS: 0.25,
        Cover.SHRUB: 0.7,
        Cover.BUILT: 0.5,
        Cover.BARE: 0.5,
        Cover.SNOW: 0.35,
    }
)
"""How far the mixture of materials varies inside one stand or parcel."""


@dataclass(frozen=True)
class Sky:
    """Sun and atmosphere of one acquisition.

    Attributes:
        sun_zenith_deg: Angle of the sun from the vertical.
        sun_azimuth_deg: Direction of the sun, clockwise from north.
        haze: Residual aerosol, 0 none to 1 thick; negative where the correction took too much.
        rayleigh: Residual of the clean atmosphere: 0 corrected, 1 top of atmosphere.
        cloud_share: Share of the scene under thick cloud, 0-1.
        cirrus: Thickness of cirrus, 0-1.
        smoke: Thickness of smoke plumes, 0-1.
        blur: Side weight of the three-tap blur that stands for the point spread function, 0-0.25.
        smooth: 20 m and 60 m bands resampled bilinearly (else nearest).
        gain: Brightness of the ground towards this sun and view, 0.85-1.2 (BRDF).
        glint: Reflectance that the sun's glitter adds to open water, 0-0.05.
        adjacency: Share of the surroundings' light scattered into a pixel at 0.49 um, 0-0.15.
        coarse: The product was resampled from a 20 m grid (composites, warped archives).
    """

    sun_zenith_deg: float = 40.0
    sun_azimuth_deg: float = 155.0
    haze: float = 0.0
    rayleigh: float = 0.0
    cloud_share: float = 0.0
    cirrus: float = 0.0
    smoke: float = 0.0
    blur: float = 0.15
    smooth: bool = True
    gain: float = 1.0
    glint: float = 0.0
    adjacency: float = 0.0
    coarse: bool = False


@dataclass(frozen=True)
class OpticalView:
    """What the optical sensor saw.

    Attributes:
        pixels: float32, (13, rows, columns), reflectance 0-1 without the offset, at 10 m.
        cloud: float32, (rows, columns), opacity 0-1.
        shadow: float32, (rows, columns), cloud shadow 0-1.
        burn_visible: float32, (rows, columns), 1 where a burn changed the surface visibly.
    """

    pixels: FloatArray
    cloud: FloatArray
    shadow: FloatArray
    burn_visible: FloatArray


def see(
    place: Place, now: Conditions, event: Disturbance, sky: Sky, *, pool: FieldPool, rng: np.random.Generator
) -> OpticalView:
    """One Sentinel-2 look at a place.

    Args:
        place: The ground.
        now: Conditions of the day.
        event: What happened before it.
        sky: Sun and atmosphere.
        pool: Fields for clouds and haze.
        rng: Noise of this acquisition.

    Returns:
        Pixels at 10 m, bands of coarser native resolution blurred accordingly.
    """
    image, visible = disturb(surface(place, now), place, event, now.summer)
    _shade(image, place, sky)
    _aim(image, place, sky)
    cloud, shadow = clouds(place.shape, sky, pool, rng)
    _atmosphere(image, sky, cloud, shadow, pool=pool, rng=rng)
    pixels = native_resolution(image, sky, pool, rng)
    return OpticalView(np.maximum(pixels, np.float32(0.0001), out=pixels), cloud, shadow, visible)


def surface(place: Place, now: Conditions) -> FloatArray:
    """Reflectance of the undisturbed ground, with texture: float32, (13, rows, columns)."""
    traits = place.traits
    other = traits.copy()
    other[:, [1, 3, 6]] = np.clip(traits[:, [1, 3, 6]] + np.array([0.45, 0.25, 0.2], np.float32), 0, 1)
    other[:, 0] = (traits[:, 0] + np.where(place.cover == Cover.WATER, 0.15, 0.0)) % 1.0
    table = variants(traits, place.biome)
    base = reflectance(mixture(place.cover, traits, now), traits, now.wetness, table)
    apart = (reflectance(mixture(place.cover, other, now), other, now.wetness, table) - base).T
    varied = np.clip(np.float32(0.14) * place.grain + np.float32(0.85) * place.patches, -1.6, 2.0)
    varied *= MIXING[place.cover][place.regions]
    image = np.empty((len(WAVELENGTHS), *place.shape), np.float32)
    for band, (mean, spread) in enumerate(zip(np.ascontiguousarray(base.T), np.ascontiguousarray(apart), strict=True)):
        np.multiply(np.take(spread, place.regions), varied, out=image[band])
        image[band] += np.take(mean, place.regions)
    image *= 1 + ROUGHNESS[place.cover][place.regions] * np.clip(place.grain, -2.5, 2.5)
    return np.maximum(image, np.float32(0.0006), out=image)


def _shade(image: FloatArray, place: Place, sky: Sky) -> None:
    height = place.elevation_m
    if place.scene not in FLAT_SCENES:
        steep = np.float32(FOLDS * min(place.biome.relief_m, 150) * 2 * place.traits[0, 15])
        height = height + steep * enlarge(block_mean(place.patches, 6), 6, smooth=True)
    east, south = gradient(height, 10.0)
    zenith, azimuth = np.radians(sky.sun_zenith_deg), np.radians(sky.sun_azimuth_deg)
    toward = np.float32(np.tan(zenith)) * (-east * np.float32(np.sin(azimuth)) + south * np.float32(np.cos(azimuth)))
    direct = np.clip((1 + toward) / np.sqrt(1 + east**2 + south**2), 0.03, 1.7).astype(np.float32)
    for band, diffuse in enumerate(DIFFUSE):
        image[band] *= diffuse + (1 - diffuse) * direct


def _aim(image: FloatArray, place: Place, sky: Sky) -> None:
    """Brightness by direction, glint and light from the surroundings, which a Level-2A correction leaves in.

    Source: Roy et al. 2016, Remote Sensing of Environment 176, 255 (BRDF: some 10-20 % across the swath); Cox and Munk
    1954 (glint); Vermote et al. 1997 (adjacency falls with wavelength, reach about 1 km).
    """
    share = (sky.adjacency * (0.49 / WAVELENGTHS) ** 1.3).astype(np.float32)
    around = image[:, ::4, ::4].mean(axis=(1, 2))
    image *= (np.float32(sky.gain) * (1 - share))[:, None, None]
    image += (np.float32(sky.gain) * share * around)[:, None, None]
    if sky.glint > 0:
        image += (place.is_cover(Cover.WATER) * np.float32(sky.glint)) * (1 + np.float32(0.2) * place.grain)


def clouds(
    shape: tuple[int, int], sky: Sky, pool: FieldPool, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Opacity of clouds and of their shadows, each float32 (rows, columns) 0-1."""
    clear = np.zeros(shape, np.float32)
    if sky.cloud_share <= 0:
        return clear, clear
    texture = pool.draw(rng, BROAD, shape) + np.float32(0.15) * pool.draw(rng, PATCH, shape)
    edge = np.float32(quantile(texture, 1 - sky.cloud_share))
    opacity = np.clip((texture - edge) * np.float32(rng.uniform(1.0, 3.5)), 0, 1).astype(np.float32)
    length = rng.uniform(6, 40) * np.tan(np.radians(sky.sun_zenith_deg))
    azimuth = np.radians(sky.sun_azimuth_deg)
    shift = (round(float(np.cos(azimuth) * length)), round(float(-np.sin(azimuth) * length)))
    shadow = displaced(opacity, shift) * (1 - opacity)
    return opacity, shadow


def displaced(layer: FloatArray, shift: tuple[int, int]) -> FloatArray:
    """The layer moved by whole rows (south) and columns (east); what comes in from outside is 0."""
    out = np.zeros_like(layer)
    (down, right), (rows, columns) = shift, layer.shape
    if abs(down) >= rows or abs(right) >= columns:
        return out
    out[max(down, 0) : rows + min(down, 0), max(right, 0) : columns + min(right, 0)] = layer[
        max(-down, 0) : rows + min(-down, 0), max(-right, 0) : columns + min(-right, 0)
    ]
    return out


def _atmosphere(
    image: FloatArray, sky: Sky, cloud: FloatArray, shadow: FloatArray, *, pool: FieldPool, rng: np.random.Generator
) -> None:
    shape = cloud.shape[0], cloud.shape[1]
    if sky.cloud_share > 0:
        image *= 1 - shadow * (np.float32(0.9) - np.float32(1.1) * DIFFUSE)[:, None, None]
    path = sky.haze * AEROSOL + sky.rayleigh * RAYLEIGH
    image *= (1 - 0.9 * np.abs(path))[:, None, None].astype(np.float32)
    if abs(sky.haze) > 0.05:
        unevenness = 1 + np.float32(0.25) * pool.draw(rng, BROAD, shape)
        image += (sky.haze * AEROSOL)[:, None, None].astype(np.float32) * unevenness
        path = sky.rayleigh * RAYLEIGH
    image += path.astype(np.float32)[:, None, None]
    image[10] = np.float32(0.0014)
    if sky.smoke > 0:
        plume = np.clip(pool.draw(rng, BROAD, shape) + np.float32(0.3), 0, 2) * np.float32(sky.smoke)
        _veil(image, plume, SMOKE)
    if sky.cirrus > 0:
        veil = np.clip(pool.draw(rng, BROAD, shape) * np.float32(0.5) + 1, 0, 2) * np.float32(0.25 * sky.cirrus)
        _veil(image, veil, CLOUD * np.float32(0.6))
        image[10] += np.float32(0.05) * veil
    if sky.cloud_share > 0:
        image *= 1 - cloud
        texture = np.clip(1 + np.float32(0.15) * (cloud - np.float32(0.6)), 0.7, 1.2)
        image += (cloud * texture) * CLOUD[:, None, None]


def _veil(image: FloatArray, thickness: FloatArray, spectrum: FloatArray) -> None:
    image *= 1 - thickness * spectrum[:, None, None]
    image += thickness * spectrum[:, None, None]


def native_resolution(image: FloatArray, sky: Sky, pool: FieldPool, rng: np.random.Generator) -> FloatArray:
    """The image as the sensor's three grids hold it, with the sensor's noise, brought back to 10 m.

    Args:
        image: float32, (13, rows, columns), rows and columns multiples of 6; changed in place.
        sky: Blur of the point spread function and resampling.
        pool: Noise.
        rng: Noise of this acquisition.

    Returns:
        The image.

    Source: Sentinel-2 MTF at Nyquist 0.15-0.30 (User Handbook, section 2.3). A pixel's own square passes 0.64 there, so
    side weights w of 0.13-0.19 (1 - 4 w) remain.
    """
    for band, gsd in enumerate(S2_GSD_M):
        factor = max(gsd // 10, 2 if sky.coarse else 1)
        plane = block_mean(image[band], factor) if factor > 1 else image[band]
        plane = blur3(plane, sky.blur / factor) if sky.blur > 0 else plane
        plane = plane + NOISE[band] * pool.white(rng, (plane.shape[0], plane.shape[1]))
        image[band] = enlarge(plane, factor, smooth=sky.smooth) if factor > 1 else plane
    return image
