"""Kinds of landscape: what grows, what lies bare, how steep it is and where on Earth it is found.

In: nothing. Out: `BIOMES` that training draws from and `HELD_OUT_BIOMES` that it never sees, all in `ALL_BIOMES`.
Stops at the mixture of things: how they look is in `simulation.spectra`, where they lie in `simulation.layout`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.endmembers import Material

M = Material
Box = tuple[float, float, float, float]
"""West, south, east, north in degrees, WGS84; west < east."""
Odds = tuple[tuple[Material, float], ...]


@dataclass(frozen=True)
class Biome:
    """What grows, what lies bare and how steep it is in one kind of landscape.

    Attributes:
        name: Words for captions.
        trees: Materials of tree canopies and how often each occurs.
        soils: Materials of the ground and how often each occurs.
        summer_green: Greenness 0-1 of grass in the middle of summer.
        winter_green: Greenness 0-1 of grass in the middle of winter.
        snow: Chance that a winter scene lies under snow.
        relief_m: Typical height range over one kilometre, metres.
        latitude: Typical absolute latitude in degrees, for the sun's height.
        shrubs: Materials of shrubs and how often each occurs.
        plant_cover: Least share 0-1 of the ground that shrubs hide; grass hides 0.25 more.
        waters: Odd colours of inland water and how often each occurs; the rest is clear, green or turbid.
        regions: Boxes on Earth where such land is common.
    """

    name: str
    trees: Odds
    soils: Odds
    summer_green: float
    winter_green: float
    snow: float
    relief_m: float
    latitude: float
    shrubs: Odds = ((M.CHAPARRAL, 0.7), (M.SAGE, 0.3))
    plant_cover: float = 0.40
    waters: Odds = ()
    regions: tuple[Box, ...] = ()


_TEMPERATE: Final = Biome(
    "temperate",
    ((M.BROADLEAF, 0.65), (M.CONIFER, 0.35)),
    ((M.SOIL_BROWN, 0.5), (M.SOIL_DARK, 0.25), (M.SOIL_LIGHT, 0.1), (M.SOIL_GREY, 0.1), (M.SOIL_YELLOW, 0.05)),
    0.85,
    0.65,
    0.25,
    60,
    48,
    shrubs=((M.CHAPARRAL, 0.5), (M.HEATH, 0.5)),
    regions=((0, 45, 30, 54), (-90, 36, -75, 44), (113, 31, 120, 38), (172, -44, 176, -38)),
)
_BOREAL: Final = Biome(
    "boreal",
    ((M.CONIFER, 0.75), (M.BROADLEAF, 0.25)),
    ((M.SOIL_DARK, 0.4), (M.SOIL_PEAT, 0.25), (M.SOIL_BROWN, 0.2), (M.ROCK, 0.15)),
    0.8,
    0.15,
    0.8,
    50,
    62,
    shrubs=((M.HEATH, 0.6), (M.CHAPARRAL, 0.4)),
    waters=((M.TANNIN_WATER, 0.5),),
    regions=((-125, 53, -80, 60), (28, 58, 60, 66), (85, 55, 125, 64)),
)
_MEDITERRANEAN: Final = Biome(
    "mediterranean",
    ((M.OAK, 0.65), (M.CONIFER, 0.25), (M.BROADLEAF, 0.1)),
    (
        (M.SOIL_LIGHT, 0.22),
        (M.SOIL_RED, 0.18),
        (M.SOIL_BROWN, 0.25),
        (M.SOIL_DARK, 0.13),
        (M.SOIL_GREY, 0.1),
        (M.SOIL_YELLOW, 0.07),
        (M.SHALE, 0.05),
        (M.PAVEMENT, 0.05),
    ),
    0.12,
    0.85,
    0.03,
    140,
    38,
    shrubs=((M.CHAPARRAL, 0.75), (M.SAGE, 0.25)),
    plant_cover=0.22,
    regions=((-9, 37, -1, 42), (20, 37, 30, 41), (-123, 34, -117, 40), (-72, -37, -70, -31), (116, -34, 119, -31)),
)
_SAVANNA: Final = Biome(
    "savanna",
    ((M.OAK, 0.6), (M.BROADLEAF, 0.4)),
    ((M.SOIL_RED, 0.45), (M.SOIL_BROWN, 0.2), (M.SOIL_YELLOW, 0.15), (M.SAND, 0.1), (M.SOIL_BASALT, 0.1)),
    0.75,
    0.1,
    0.0,
    30,
    14,
    plant_cover=0.30,
    regions=((-12, 8, 25, 13), (25, -18, 35, -8), (-55, -20, -45, -8), (130, -18, 145, -14)),
)
_TROPICAL: Final = Biome(
    "tropical",
    ((M.RAINFOREST, 0.9), (M.BROADLEAF, 0.1)),
    ((M.SOIL_RED, 0.45), (M.SOIL_BROWN, 0.2), (M.SOIL_YELLOW, 0.2), (M.SOIL_DARK, 0.1), (M.SOIL_PEAT, 0.05)),
    0.95,
    0.9,
    0.0,
    70,
    6,
    shrubs=((M.CHAPARRAL, 1.0),),
    waters=((M.TANNIN_WATER, 0.2),),
    regions=((-72, -10, -52, 0), (12, -4, 28, 3), (110, -2, 116, 3)),
)
_DESERT: Final = Biome(
    "desert",
    ((M.OAK, 1.0),),
    (
        (M.SAND, 0.22),
        (M.PAVEMENT, 0.2),
        (M.SOIL_LIGHT, 0.11),
        (M.SOIL_RED, 0.12),
        (M.ROCK, 0.08),
        (M.SOIL_BROWN, 0.06),
        (M.SHALE, 0.06),
        (M.SOIL_GREY, 0.06),
        (M.LAVA, 0.05),
        (M.SOIL_BASALT, 0.05),
        (M.SALT, 0.04),
    ),
    0.1,
    0.15,
    0.01,
    80,
    27,
    shrubs=((M.SAGE, 0.7), (M.CHAPARRAL, 0.3)),
    plant_cover=0.08,
    regions=((-8, 20, 32, 30), (42, 18, 54, 30), (122, -29, 138, -22), (-116, 31, -108, 36)),
)
_STEPPE: Final = Biome(
    "steppe",
    ((M.BROADLEAF, 0.6), (M.CONIFER, 0.4)),
    ((M.SOIL_BROWN, 0.4), (M.SOIL_DARK, 0.3), (M.SOIL_LIGHT, 0.2), (M.SOIL_GREY, 0.1), (M.PAVEMENT, 0.08)),
    0.4,
    0.2,
    0.35,
    40,
    46,
    shrubs=((M.SAGE, 0.7), (M.CHAPARRAL, 0.3)),
    plant_cover=0.20,
    regions=((45, 46, 90, 51), (-110, 37, -98, 48), (-69, -47, -66, -40)),
)
_ALPINE: Final = Biome(
    "alpine",
    ((M.CONIFER, 0.85), (M.BROADLEAF, 0.15)),
    ((M.ROCK, 0.45), (M.LIMESTONE, 0.15), (M.SHALE, 0.12), (M.SOIL_BROWN, 0.18), (M.SOIL_LIGHT, 0.1)),
    0.75,
    0.2,
    0.9,
    420,
    45,
    shrubs=((M.HEATH, 0.7), (M.CHAPARRAL, 0.3)),
    waters=((M.GLACIAL_WATER, 0.5),),
    regions=((6, 45.5, 14, 47.3), (78, 30, 88, 33), (-122, 47, -115, 52), (-71, -34, -70, -30)),
)
_TUNDRA: Final = Biome(
    "tundra",
    ((M.CONIFER, 0.8), (M.BROADLEAF, 0.2)),
    ((M.SOIL_PEAT, 0.5), (M.ROCK, 0.25), (M.SOIL_GREY, 0.15), (M.SHALE, 0.1)),
    0.6,
    0.05,
    0.95,
    40,
    68,
    shrubs=((M.HEATH, 1.0),),
    waters=((M.TANNIN_WATER, 0.4), (M.GLACIAL_WATER, 0.2)),
    regions=((-160, 66, -142, 70), (70, 67, 140, 71.5), (-120, 63, -95, 68)),
)
_HEATH: Final = Biome(
    "oceanic heath",
    ((M.CONIFER, 0.6), (M.BROADLEAF, 0.4)),
    ((M.SOIL_PEAT, 0.55), (M.SOIL_DARK, 0.2), (M.ROCK, 0.15), (M.SOIL_GREY, 0.1)),
    0.8,
    0.55,
    0.2,
    130,
    56,
    shrubs=((M.HEATH, 0.9), (M.CHAPARRAL, 0.1)),
    waters=((M.TANNIN_WATER, 0.7),),
    regions=((-10, 51.5, -6, 55.2), (-6, 55.5, -3, 58.5), (5.5, 58.5, 7.5, 62)),
)
_MONSOON: Final = Biome(
    "monsoon",
    ((M.BROADLEAF, 0.6), (M.RAINFOREST, 0.2), (M.OAK, 0.2)),
    ((M.SOIL_BASALT, 0.35), (M.SOIL_RED, 0.3), (M.SOIL_YELLOW, 0.2), (M.SOIL_GREY, 0.15)),
    0.85,
    0.2,
    0.0,
    50,
    20,
    regions=((74, 18, 86, 27), (98, 14, 105, 19)),
)
_CHACO: Final = Biome(
    "dry chaco",
    ((M.OAK, 0.75), (M.BROADLEAF, 0.25)),
    ((M.SOIL_YELLOW, 0.4), (M.SOIL_GREY, 0.3), (M.SOIL_BROWN, 0.2), (M.SALT, 0.1)),
    0.7,
    0.2,
    0.0,
    15,
    24,
    shrubs=((M.CHAPARRAL, 0.5), (M.SAGE, 0.5)),
    plant_cover=0.45,
    regions=((-64, -27, -59, -20),),
)

BIOMES: Final = (_TEMPERATE, _BOREAL, _MEDITERRANEAN, _SAVANNA, _TROPICAL, _DESERT, _STEPPE, _ALPINE)
"""Landscapes that training draws from; proportions and boxes follow Dinerstein et al. 2017, BioScience 67, 534, in
words and on its map, not in its numbers. Soils by region: representative of the Harmonized World Soil Database (FAO
2012)."""

ALL_BIOMES: Final = (*BIOMES, _TUNDRA, _HEATH, _MONSOON, _CHACO)
"""Every landscape that can be drawn by name."""

HELD_OUT_BIOMES: Final[tuple[str, ...]] = tuple(biome.name for biome in ALL_BIOMES[len(BIOMES) :])
"""Names of the landscapes that training never sees, to test what a model makes of an unknown one."""


def draw_lon_lat(biome: Biome, rng: np.random.Generator) -> tuple[float, float]:
    """A point inside one of the biome's boxes, uniform over their area.

    Args:
        biome: Kind of landscape; its `regions` must not be empty.
        rng: Source of randomness.

    Returns:
        Longitude and latitude in degrees, WGS84.
    """
    west, south, east, north = np.array(biome.regions, float).T
    low, high = np.sin(np.radians(south)), np.sin(np.radians(north))
    area = (east - west) * (high - low)
    box = int(rng.choice(len(area), p=area / area.sum()))
    latitude = np.degrees(np.arcsin(rng.uniform(low[box], high[box])))
    return float(rng.uniform(west[box], east[box])), float(latitude)
