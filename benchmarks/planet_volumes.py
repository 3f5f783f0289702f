"""In: nothing. Out: what there is to watch, what a machine costs, and how much of it may be used.

Stops at assumptions, each with its source or its reason: replace them by yours. What a machine does in a second is
measured, and lies in `docs/planet-figures.json`.
"""

import math
from dataclasses import dataclass
from typing import Literal

from encoders.bands import SENTINEL_2

Kind = Literal["cpu", "gpu"]
"""Whether a machine has a GPU that encodes."""

# What a product holds. Sources: Sentinel-2 Products Specification (tiles of 109.8 km), Sentinel-1 User Guide (IW).

TILE_KM = 109.8
"""Edge of a Sentinel-2 tile."""

SCL_GSD_M = 20.0
"""Sampling of the scene classification, which is read with the bands."""

NOT_IN_L2A = frozenset({"B10"})
"""Bands without a file in a Level-2A product."""

TILE_MPX = sum(
    (TILE_KM * 1000 / gsd_m) ** 2 / 1e6
    for gsd_m in (*(band.gsd_m for band in SENTINEL_2 if band.name not in NOT_IN_L2A), SCL_GSD_M)
)
"""Pixels of a tile that are decoded: 12 bands and the classification at their own sampling, 700 million."""

SCENE_KM = (250.0, 170.0)
"""Swath and length of a Sentinel-1 IW scene."""

SCENE_MPX = 2 * SCENE_KM[0] * SCENE_KM[1] / 1e-2**2 / 1e6
"""Pixels of its two polarisations at 10 m, 850 million."""

TILE_CELLS, SCENE_CELLS = 99e6 / 12_000, 35e6 / 1_200
"""Assumption: cells of a product that hold data and are encoded, on average over a day of the whole constellation.
Tiles at the edge of a swath are partly empty."""

FULL_TILE_CELLS, FULL_SCENE_CELLS = TILE_KM**2, SCENE_KM[0] * SCENE_KM[1]
"""Bound: every square kilometre of every product."""

SEEN_BELOW_CLOUD = 0.45
"""Bound: what clouds leave of Sentinel-2's cells; obscured ones are decoded, not encoded. Clouds cover 55 % of the land
on average. Source: King et al. 2013, doi:10.1109/TGRS.2012.2227333."""

TILE_GB, SCENE_GB = 0.8, 1.0
"""Assumption: bytes to fetch for one product, 10^9."""

VECTOR_BYTES = {"float32": 384 * 4, "int8": 384}
"""A vector in the archive, without its payload and its place in the graph."""

# What a machine costs and how it is used. Assumptions all: replace them by your provider's (`--price`).

LOAD = 0.5
"""Share of the day in which a machine may be busy: passes come in bunches, and some head room must remain."""

EGRESS_EUR_PER_GB = 0.08
"""Price of reading from another cloud; nothing is paid beside the data, or where a catalogue is open to all."""

DISK_EUR_PER_GB_MONTH = 0.05
"""Price of disks that an archive can be searched on."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine that can be rented.

    Attributes:
        name: of its column.
        cores: CPU cores.
        kind: whose figures apply.
        eur_per_hour: an assumption.
    """

    name: str
    cores: int
    kind: Kind
    eur_per_hour: float


MACHINES = (
    Machine("2 cores", 2, "cpu", 0.05),
    Machine("16 cores", 16, "cpu", 0.40),
    Machine("GPU", 16, "gpu", 2.50),
)
"""Assumption: orders of magnitude, on demand, without tax. CPU rates are taken to grow with the number of cores, as the
operating system counts them."""


@dataclass(frozen=True, slots=True)
class Region:
    """What is to be watched.

    Attributes:
        name: of its row.
        tiles: Sentinel-2 products a day.
        scenes: Sentinel-1 products a day.
        why: where these numbers come from.
    """

    name: str
    tiles: float
    scenes: float
    why: str


def region(name: str, area_km2: float, latitude_deg: float, border: float, source: str) -> Region:
    """Products a day over an area, by the orbits' geometry.

    Sentinel-2: two satellites, 143 orbits in 10 days, swath 290 km, descending only. Sentinel-1: two satellites, 175
    orbits in 12 days, swath 250 km, both directions. Source: ESA, mission pages. The orbits' distance on the ground
    shrinks with the cosine of the latitude.

    Args:
        name: of the region.
        area_km2: its area.
        latitude_deg: of its middle.
        border: products that touch it, divided by those that would fit into it: an assumption.
        source: of the area.
    """
    equator_km = 40_075 * math.cos(math.radians(latitude_deg))
    s2_days, s1_days = 10 * equator_km / 143 / 290 / 2, 12 * equator_km / 175 / 250 / 2 / 2
    why = (
        f"{area_km2:,.0f} km² ({source}); seen every {s2_days:.1f} days by Sentinel-2 and every {s1_days:.1f} by "
        f"Sentinel-1 at {latitude_deg:.0f}°; {border:g} times the products that would fit into it"
    )
    return Region(name, area_km2 * border / 100**2 / s2_days, area_km2 * border / FULL_SCENE_CELLS / s1_days, why)


REGIONS = (
    region("Greece", 131_957, 39, 2.0, "Eurostat"),
    region("Europe", 10_180_000, 52, 1.3, "Encyclopaedia Britannica"),
    Region("the planet", 12_000, 1_200, "12,000 Sentinel-2 tiles and 1,200 Sentinel-1 scenes a day: an assumption"),
)
"""A Sentinel-2 tile adds 100 x 100 km to its neighbours."""


@dataclass(frozen=True, slots=True)
class Volume:
    """How many cells of a product are encoded."""

    tile_cells: float
    scene_cells: float


EXPECTED = Volume(TILE_CELLS, SCENE_CELLS)
LEAST = Volume(TILE_CELLS * SEEN_BELOW_CLOUD, SCENE_CELLS)
MOST = Volume(FULL_TILE_CELLS, FULL_SCENE_CELLS)
