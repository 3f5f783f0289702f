"""In: what is known of a simulated chip. Out: coordinates where such a place could be on Earth.

Stops at coordinates: the location encoder that reads them is in `located`. They serve one question: what does a model
gain, and what does it lose, when it is told where it looks (GeoCLOSP)?
"""

import numpy as np

from simulation.biomes import ALL_BIOMES, draw_lon_lat
from simulation.chips import Attributes

BLOCK_DEG = 6.0
"""Side of the blocks that are prone to fire or are not."""

ATTEMPTS = 60
"""Draws until a block of the right kind is found; regions are larger than a block."""


def is_prone(lon_lat: tuple[float, float]) -> bool:
    """Whether the block around a place is one of the half where fires were known when the corpus was made."""
    column, row = (int(np.floor(degrees / BLOCK_DEG)) for degrees in lon_lat)
    return (column * 7919 + row * 104_729) % 2 == 0


def lon_lat_of(attributes: Attributes, random: np.random.Generator, *, moved: bool) -> tuple[float, float]:
    """Where a chip could be: in its biome; burnt ones where fires are known or, if `moved`, where none was.

    Args:
        attributes: of the chip; `biome` and `event` are read.
        random: source of every draw.
        moved: whether fires come to blocks without a record of them.

    Returns:
        Degrees east and north, WGS84.
    """
    biome = next(each for each in ALL_BIOMES if each.name == attributes["biome"])
    place = draw_lon_lat(biome, random)
    if attributes.get("event") != "burn":
        return place
    for _ in range(ATTEMPTS):
        if is_prone(place) is not moved:
            break
        place = draw_lon_lat(biome, random)
    return place
