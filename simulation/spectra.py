"""Surface reflectance of land covers as mixtures of published material spectra.

In: land cover, a few persistent traits and the conditions of the day. Out: reflectance at the thirteen bands.
Stops at the ground: sun, terrain, atmosphere and the sensor are in `simulation.optics`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.biomes import Biome
from simulation.endmembers import LEAVES, SOILS, SPECTRA, Material
from simulation.fields import FloatArray
from simulation.labels import S2_WAVELENGTHS_UM, Cover

M = Material
TRAITS: Final = 16
"""Uniform random numbers kept per region for life, so that a place looks like itself at every acquisition."""

WAVELENGTHS: Final = np.array(S2_WAVELENGTHS_UM, np.float32)
LEAF_WATER: Final = np.array([0, 0, 0, 0, 0, 0.02, 0.03, 0.05, 0.06, 0.12, 0.5, 0.6, 1.0], np.float32)
"""Relative sensitivity of a canopy's reflectance to its water content. Source: Ceccato et al. 2001, Remote Sensing of
Environment 77, 22: equivalent water thickness acts beyond 0.9 um and most at 1.6-2.2 um."""
SOIL_WETNESS: Final = np.array(
    [0.48, 0.48, 0.46, 0.45, 0.45, 0.45, 0.45, 0.45, 0.45, 0.47, 0.6, 0.58, 0.66], np.float32
)
"""Share of a dry soil's reflectance that is lost at saturation. Source: Lobell and Asner 2002, Soil Science Society of
America Journal 66, 722: exponential darkening, saturating earlier in the visible, deeper in the shortwave infrared."""


SKIN: Final = 1.8
"""Exponent from the moisture of the soil to that of its skin, which is all the sensor sees and which dries within days.
Representative of Lobell and Asner 2002 and of Idso et al. 1975, Journal of Applied Meteorology 14, 109."""
PIGMENTS: Final = np.array([0.5, 0.5, 0.3, 0.6, 0.35, 0.1, 0, 0, 0, 0, 0, 0, 0], np.float32)
"""Logarithm of a canopy's reflectance from much to little chlorophyll. Source: representative of PROSAIL over 30-60
ug/cm2, Feret et al. 2008, Remote Sensing of Environment 112, 3030."""
SWIR_SLOPE: Final = np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0.05, 0.1, 0.25], np.float32)
"""Logarithm of the reflectance of ground and litter from much to little clay and cellulose at 2.1-2.3 um. Source:
representative of Nagler et al. 2000, Remote Sensing of Environment 71, 207."""


@dataclass(frozen=True)
class Conditions:
    """What the day does to every region of a place.

    Attributes:
        biome: Kind of landscape.
        summer: 0 in mid-winter to 1 in mid-summer.
        day: Day of the local growing year, 0 at mid-winter, 0-365.
        wetness: Soil moisture 0 (dry) to 1 (saturated).
        snow: Share 0-1 of open ground under snow.
        green_shift: Anomaly of this year's greenness, about -0.3 to 0.3.
    """

    biome: Biome
    summer: float
    day: float
    wetness: float
    snow: float
    green_shift: float


def conditions(biome: Biome, day: float, *, wetness: float, snow: float, green_shift: float) -> Conditions:
    """Conditions of a day of the local growing year (0 at mid-winter, in either hemisphere)."""
    summer = 0.5 - 0.5 * float(np.cos(2 * np.pi * day / 365.0))
    return Conditions(biome, summer, day, wetness, snow, green_shift)


def season(biome: Biome, day: float) -> float:
    """Usual greenness 0-1 of a biome's grass on a day of the local growing year (source: see `greenness`)."""
    lag = 60.0 if biome.winter_green > biome.summer_green else 20.0
    warm = 0.5 - 0.5 * float(np.cos(2 * np.pi * (day - lag) / 365.0))
    return biome.winter_green + (biome.summer_green - biome.winter_green) * warm


def greenness(traits: FloatArray, now: Conditions) -> FloatArray:
    """Green share 0-1 of the herbaceous cover of each region on the day.

    Grass follows the sun by about three weeks; where summers are dry it is greenest in early spring and brownest in
    late summer. Source: Zhang et al. 2003, Remote Sensing of Environment 84, 471.

    Args:
        traits: float32, (regions, `TRAITS`).
        now: Conditions of the day.

    Returns:
        float32, (regions,).
    """
    usual = season(now.biome, now.day)
    spread = 0.15 + 1.2 * usual * (1 - usual)  # stands differ most while they turn
    local: FloatArray = usual + now.green_shift + spread * (traits[:, 3] - 0.5) + 0.2 * (now.wetness - 0.4)
    return np.clip(local, 0.02, 1.0).astype(np.float32)


def crop_stage(traits: FloatArray, now: Conditions) -> tuple[FloatArray, FloatArray]:
    """Green cover and standing straw of each field on the day; what is left is bare soil.

    Winter crops grow from late autumn and are cut in early summer, summer crops grow from late spring and are cut in
    early autumn; each field has its own date. Source: double-logistic crop phenology, Fischer 1994, in the form used
    by Zhang et al. 2003, Remote Sensing of Environment 84, 471.

    Args:
        traits: float32, (regions, `TRAITS`): column 2 crop kind, 3 date, 5 stubble kept.
        now: Conditions of the day.

    Returns:
        Two float32 arrays (regions,): green share, straw share; their sum is at most 1.
    """
    winter_crop = traits[:, 2] < 0.5
    shift = (traits[:, 3] - 0.5) * 50
    rise = np.where(winter_crop, 75, 150) + shift
    fall = np.where(winter_crop, 165, 250) + shift
    up = 1 / (1 + np.exp(-(now.day - rise) / 12))
    down = 1 / (1 + np.exp(-(now.day - fall) / 9))
    green = 0.95 * up * (1 - down) + 0.12 * winter_crop * (now.day > 300)
    irrigated = traits[:, 7] > 0.85
    green = np.where(irrigated & (now.summer > 0.3), 0.9, green)
    cut = (now.day >= fall + 4 + 90 * traits[:, 5]) & ~irrigated
    green = np.where(cut, 0.3 * green, green)
    ripe = up * down * np.where(cut, 0.15, 1.0)
    cover = np.where(traits[:, 8] < 0.12, 0.05, 1.0)
    return (green * cover).astype(np.float32), (0.85 * ripe * cover * (1 - green)).astype(np.float32)


def mixture(covers: NDArray[np.uint8], traits: FloatArray, now: Conditions) -> FloatArray:
    """Shares of pure materials that make up each region on the day.

    Args:
        covers: uint8, (regions,), values of `Cover`.
        traits: float32, (regions, `TRAITS`), uniform 0-1.
        now: Conditions of the day.

    Returns:
        float32, (regions, materials), rows sum to 1.
    """
    shares = np.zeros((len(covers), len(M)), np.float32)
    soil = choose_material(now.biome.soils, traits[:, 2])
    tree = choose_material(now.biome.trees, traits[:, 0])
    green = greenness(traits, now)
    for cover in Cover:
        rows = np.flatnonzero(covers == cover)
        if rows.size:
            _MIXERS[cover](shares, rows, _Stands(traits[rows], soil[rows], tree[rows], green[rows], now))
    _lay_snow(shares, covers, traits, now)
    total: FloatArray = shares.sum(axis=1, keepdims=True)
    return np.divide(shares, total, dtype=np.float32)


def reflectance(shares: FloatArray, traits: FloatArray, wetness: float, table: FloatArray | None = None) -> FloatArray:
    """Reflectance of mixtures, with soil moisture, leaf water, brightness and colour varying between regions.

    Within-class spread is taken as 12 % in brightness, a spectral tilt of 0.1 per doubling of wavelength and leaf water
    of a quarter either way: the spread between samples of one material in the libraries named in
    `simulation.endmembers` and Price 1994, Remote Sensing of Environment 49, 181.

    Args:
        shares: float32, (regions, materials), rows sum to 1.
        traits: float32, (regions, `TRAITS`): columns 4 brightness, 5 tilt, 6 moisture, 10 pigments, 11 SWIR slope.
        wetness: Soil moisture 0-1 of the day.
        table: float32, (materials, 13): the place's own materials (`varieties.variants`); None is the typical ones.

    Returns:
        float32, (regions, 13), reflectance 0-1.
    """
    moist = np.clip(wetness + 0.6 * (traits[:, 6] - 0.5), 0, 1)[:, None] ** SKIN
    rows = SPECTRA if table is None else table
    soils = list(SOILS)
    dark = 1 - SOIL_WETNESS * (1 - np.exp(-2.5 * moist)) / (1 - np.exp(-2.5))
    spectrum = shares @ rows
    ground = shares[:, soils] @ rows[soils]
    spectrum = spectrum - ground + ground * dark * np.float32(0.9)
    leaf = shares[:, list(LEAVES)].sum(axis=1, keepdims=True)
    spectrum *= 1 - 0.5 * leaf * LEAF_WATER * (traits[:, 6:7] - 0.5)
    spectrum *= np.exp(PIGMENTS * leaf * (traits[:, 10:11] - 0.5) + SWIR_SLOPE * (1 - leaf) * (traits[:, 11:12] - 0.5))
    bright = np.exp(0.42 * (traits[:, 4:5] - 0.5))
    tilt = (WAVELENGTHS / 0.85) ** (0.35 * (traits[:, 5:6] - 0.5))
    result: FloatArray = np.clip(spectrum * bright * tilt, 0.0008, 1.0).astype(np.float32)
    return result


def choose_material(options: tuple[tuple[Material, float], ...], uniform: FloatArray) -> NDArray[np.intp]:
    """One material per region, drawn from the options by the region's own uniform number: intp, (regions,)."""
    edges = np.cumsum([share for _, share in options])
    picks = np.searchsorted(edges / edges[-1], uniform, side="right").clip(0, len(options) - 1)
    result: NDArray[np.intp] = np.array([int(material) for material, _ in options], np.intp)[picks].astype(np.intp)
    return result


Rows = NDArray[np.intp]


@dataclass(frozen=True)
class _Stands:
    traits: FloatArray
    soil: Rows
    tree: Rows
    green: FloatArray
    now: Conditions


def _water(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    turbid = np.clip(2.2 * t[:, 0] - 1.3, 0, 0.9)
    algal = np.clip(2.0 * t[:, 1] - 1.0, 0, 0.9) * (1 - turbid)
    odd = np.zeros(len(i), np.float32)
    edge = 0.0
    for material, share in x.now.biome.waters:
        here = (t[:, 13] >= edge) & (t[:, 13] < edge + share)
        strength = here * (0.3 + 0.7 * t[:, 12]).astype(np.float32)
        s[i, material] = strength
        odd, edge = odd + strength, edge + share
    s[i, M.TURBID_WATER], s[i, M.GREEN_WATER] = turbid * (1 - odd), algal * (1 - odd)
    s[i, M.CLEAR_WATER] = (1 - turbid - algal) * (1 - odd)


def _trees(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    canopy = 0.62 + 0.38 * np.sqrt(t[:, 1])
    deciduous = x.tree == M.BROADLEAF
    leaves = np.where(deciduous, np.clip(2.4 * x.now.summer - 0.55 + 0.3 * (t[:, 3] - 0.5), 0.03, 1), 1.0)
    evergreen = np.isin(x.tree, [M.CONIFER, M.OAK])
    shade = canopy * np.where(evergreen, 0.38, 0.18) * t[:, 12] ** 1.5 * (1.25 - leaves * 0.25)
    s[i, M.SHADE] += shade
    canopy = canopy - shade
    s[i, x.tree] += canopy * leaves
    s[i, M.TWIGS] += canopy * (1 - leaves)
    open_share = 1 - canopy - shade
    s[i, M.GREEN_GRASS] += open_share * 0.7 * x.green
    s[i, M.DRY_GRASS] += open_share * 0.7 * (1 - x.green)
    s[i, x.soil] += open_share * 0.3


def _grass(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    least = min(x.now.biome.plant_cover + 0.25, 0.65)
    most = min(0.5 + 1.6 * x.now.biome.plant_cover, 0.98)
    cover = least + (most - least) * np.sqrt(t[:, 1])
    s[i, M.GREEN_GRASS] += cover * x.green
    s[i, M.DRY_GRASS] += cover * (1 - x.green)
    s[i, x.soil] += 1 - cover


def _marsh(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    cover = 0.30 + 0.45 * t[:, 1]
    wood = t[:, 0] > 0.75
    s[i, M.GREEN_GRASS] += np.where(wood, 0.1, cover * np.maximum(x.green, 0.35))
    s[i, M.RAINFOREST] += np.where(wood, cover, 0)
    s[i, M.DRY_GRASS] += np.where(wood, 0, cover * (1 - np.maximum(x.green, 0.35)))
    s[i, M.GREEN_WATER] += (1 - cover) * 0.6
    s[i, M.CLEAR_WATER] += (1 - cover) * 0.4


def _crops(s: FloatArray, i: Rows, x: _Stands) -> None:
    leaf, straw = crop_stage(x.traits, x.now)
    kind, winter = x.traits[:, 13], x.traits[:, 2] < 0.5
    flowers = leaf * ((kind < 0.15) & winter & (abs(x.now.day - 125) < 18)) * 0.8
    paddy = (kind > 0.7) & ~winter & (x.now.biome.name in ("tropical", "monsoon"))
    shade = leaf * 0.15 * x.traits[:, 12]  # rows of maize, vines and orchards
    s[i, M.RAPE_FLOWER] += flowers
    s[i, M.RICE] += leaf * paddy
    s[i, M.GREEN_CROP] += leaf * ~paddy - flowers
    s[i, M.SHADE] += shade
    s[i, M.STRAW] += straw
    s[i, x.soil] += np.clip(1 - leaf - straw, 0, 1)


def _shrub(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    arid = min(x.now.biome.plant_cover / 0.3, 1.0)
    cover = x.now.biome.plant_cover + (0.2 + 0.25 * arid) * t[:, 1]
    shade = cover * (0.04 + 0.22 * t[:, 12] ** 1.5)
    s[i, M.CHAPARRAL] += cover - shade
    s[i, M.SHADE] += shade
    sward = (1 - cover) * (0.1 + 0.6 * t[:, 13]) * arid
    s[i, M.GREEN_GRASS] += sward * x.green
    s[i, M.DRY_GRASS] += sward * (1 - x.green)
    s[i, x.soil] += 1 - cover - sward


def _built(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    roofs = (M.RED_TILE, M.CONCRETE, M.ASPHALT, M.BRIGHT_ROOF, M.DARK_ROOF, M.ASPHALT, M.CONCRETE)
    first = np.array([int(r) for r in roofs])[(t[:, 0] * len(roofs)).astype(int).clip(0, len(roofs) - 1)]
    garden = 0.45 * t[:, 1] ** 1.5
    np.add.at(s, (i, first), 1 - garden - 0.12)
    s[i, M.ASPHALT] += 0.12
    s[i, M.GREEN_GRASS] += garden * 0.5 * x.green
    s[i, M.DRY_GRASS] += garden * 0.5 * (1 - x.green)
    s[i, x.tree] += garden * 0.5


def _bare(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    plants = 0.18 * t[:, 1] ** 2
    s[i, x.soil] += 1 - plants
    s[i, M.DRY_GRASS] += plants * 0.7
    s[i, M.CHAPARRAL] += plants * 0.3


def _snow(s: FloatArray, i: Rows, x: _Stands) -> None:
    t = x.traits
    old = np.clip(1.6 * t[:, 0] - 0.3 + 0.3 * x.now.summer, 0, 1)
    icy = np.clip(3 * t[:, 1] - 2.4, 0, 0.6)
    rocky = 0.25 * t[:, 3] ** 3
    dirty = old * np.clip(2.5 * t[:, 12] - 1.5, 0, 0.8)
    s[i, M.FRESH_SNOW] += (1 - old) * (1 - icy) * (1 - rocky)
    s[i, M.OLD_SNOW] += (old - dirty) * (1 - icy) * (1 - rocky)
    s[i, M.DIRTY_SNOW] += dirty * (1 - icy) * (1 - rocky)
    s[i, M.ICE] += icy * (1 - rocky)
    s[i, M.ROCK] += rocky


_MIXERS: Final = {
    Cover.WATER: _water,
    Cover.TREES: _trees,
    Cover.GRASS: _grass,
    Cover.FLOODED_VEGETATION: _marsh,
    Cover.CROPS: _crops,
    Cover.SHRUB: _shrub,
    Cover.BUILT: _built,
    Cover.BARE: _bare,
    Cover.SNOW: _snow,
}

SNOW_HELD: Final = {
    Cover.WATER: 0.1,
    Cover.TREES: 0.3,
    Cover.GRASS: 1.0,
    Cover.FLOODED_VEGETATION: 0.75,
    Cover.CROPS: 1.0,
    Cover.SHRUB: 0.8,
    Cover.BUILT: 0.65,
    Cover.BARE: 0.95,
    Cover.SNOW: 0.0,
}
"""Share of a cover that looks white from above under full snow. Source: canopy closure hides the ground from above
(Vikhamar and Solberg 2003, Remote Sensing of Environment 88, 309); water freezes in part."""


def snow_share(covers: NDArray[np.uint8], traits: FloatArray, now: Conditions) -> FloatArray:
    """Share 0-1 of each region that is white from above on the day (0 for permanent snow, which is a cover itself)."""
    held = np.array([SNOW_HELD[Cover(c)] for c in range(len(Cover))], np.float32)[covers]
    return np.clip(held * now.snow * (0.8 + 0.4 * traits[:, 9]), 0, 0.98).astype(np.float32)


def _lay_snow(shares: FloatArray, covers: NDArray[np.uint8], traits: FloatArray, now: Conditions) -> None:
    if now.snow <= 0:
        return
    white = snow_share(covers, traits, now)[:, None]
    old = np.clip(traits[:, 8:9] + 0.4 * now.summer, 0, 1)
    shares /= shares.sum(axis=1, keepdims=True)
    shares *= 1 - white
    shares[:, M.FRESH_SNOW : M.FRESH_SNOW + 1] += white * (1 - old)
    shares[:, M.OLD_SNOW : M.OLD_SNOW + 1] += white * old
