"""A made-up piece of Earth that Sentinel-1 and Sentinel-2 pass over, and the truth of what happened there.

In: a seed, a place on the UTM grid and events. Out: acquisitions as arrays, and the cells that each event truly hit.
Stops at arrays: files, items and links are in `simulation.catalogue`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from schemas.cells import Cell, cell_at
from simulation.backscatter import Beam, illuminate
from simulation.disturbance import Disturbance
from simulation.events import Fire, Flood
from simulation.fields import FieldPool, FloatArray, block_mean, pool_for
from simulation.labels import BURNED_FRACTION, FLOODED_FRACTION, S2_BANDS, S2_GSD_M, Cover
from simulation.landscape import MARGIN_PX, Landscape, make_landscape
from simulation.optics import OpticalView, Sky, see
from simulation.spectra import Conditions, conditions

OFFSET_DN: Final = 1000
"""Added to the digital numbers since processing baseline 04.00. Source: ESA, Sentinel-2 product notice of 2022."""
QUANTIFICATION: Final = 10000
"""Digital numbers per unit of reflectance."""

Kind = Literal["burn", "flood"]


@dataclass(frozen=True)
class Site:
    """Where a world lies: the south-west corner of its south-west cell, on the kilometre grid of a UTM zone.

    Attributes:
        epsg: UTM zone, northern hemisphere.
        easting_m: Multiple of 1000.
        northing_m: Multiple of 1000.
    """

    epsg: int = 32633
    easting_m: int = 500_000
    northing_m: int = 4_550_000


@dataclass(frozen=True)
class Acquisition:
    """One simulated pass.

    Attributes:
        sensor: `s2` or `s1`.
        when: Sensing time, UTC.
        bands: By name. S2: uint16 digital numbers at native resolution, reflectance * 10000 + 1000, 0 no data, B10
            absent as in Level-2A. S1: float32 gamma naught in linear power at 10 m.
        scl: uint8, (rows, columns) at 20 m, scene classes of Level-2A; None for S1.
        cloud_percent: Share of the ground under cloud, 0-100; 0 for S1.
    """

    sensor: Literal["s1", "s2"]
    when: datetime
    bands: Mapping[str, NDArray[np.uint16] | FloatArray]
    scl: NDArray[np.uint8] | None
    cloud_percent: float


@dataclass(frozen=True)
class Truth:
    """What really happened to which cells.

    Attributes:
        kind: `burn` or `flood`.
        label: The same in the words of `labels.LABELS`.
        started: When, UTC.
        shares: Share 0-1 of each touched cell that was burnt or flooded at the peak, by cell id.
        cells: Ids of the cells that count as hit.
    """

    kind: Kind
    label: str
    started: datetime
    shares: Mapping[str, float]
    cells: frozenset[str]


@dataclass(frozen=True)
class World:
    """A landscape on the Earth, with what happens to it.

    Attributes:
        seed: Everything follows from it.
        site: Where it lies.
        landscape: The ground.
        fires: Fires, in any order.
        floods: Floods, in any order.
        pool: Noise fields.
    """

    seed: int
    site: Site
    landscape: Landscape
    fires: tuple[Fire, ...]
    floods: tuple[Flood, ...]
    pool: FieldPool

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the imaged ground in metres of the site's UTM zone."""
        rows, columns = self.landscape.place.shape
        west = self.site.easting_m - MARGIN_PX * 10.0
        north = self.site.northing_m + self.landscape.size_km * 1000.0 + MARGIN_PX * 10.0
        return west, north - rows * 10.0, west + columns * 10.0, north

    def cells(self) -> dict[str, tuple[slice, slice]]:
        """Ids of the world's cells, and each one's rows and columns (100 x 100 pixels) in the 10 m arrays."""
        size = self.landscape.size_km
        spots = [(row, column) for row in range(size) for column in range(size)]
        found = {}
        for (row, column), cell in zip(spots, self._cells(spots), strict=True):
            top, left = MARGIN_PX + row * 100, MARGIN_PX + column * 100
            found[cell.id] = (slice(top, top + 100), slice(left, left + 100))
        return found

    @property
    def tile(self) -> str:
        """The 100 km square of the south-west cell, for example `33TWF`: the tile that the items claim."""
        return self._cells([(self.landscape.size_km - 1, 0)])[0].square

    def truth(self) -> tuple[Truth, ...]:
        """What each event did to which cells: burnt from 40 %, flooded from 20 % of the cell."""
        told = [
            self._tell("burn", "Burned Area", fire.started, fire.severity > 0.25, BURNED_FRACTION)
            for fire in self.fires
        ]
        for flood in self.floods:
            water = flood.water(flood.started)
            under = np.zeros(self.landscape.place.shape, bool) if water is None else water > 0.3
            told.append(self._tell("flood", "Flooded Area", flood.started, under, FLOODED_FRACTION))
        return tuple(told)

    def conditions(self, when: datetime) -> Conditions:
        """Season and soil of a moment; rain before a flood wets the ground."""
        day = (when.timetuple().tm_yday + 10) % 365
        wet = any(-1 <= (when - flood.started).total_seconds() / 86400 <= 6 for flood in self.floods)
        wetness = 0.7 if wet else float(0.2 + 0.1 * np.sin(day / 5.0))
        return conditions(self.landscape.place.biome, day, wetness=wetness, snow=0.0, green_shift=0.1)

    def disturbance(self, when: datetime) -> Disturbance:
        """What has happened up to a moment; of several fires or floods the strongest counts at each pixel."""
        burnt = [fire for fire in self.fires if fire.started <= when]
        severity = np.maximum.reduce([fire.severity for fire in burnt]) if burnt else None
        age = min((fire.age_days(when) for fire in burnt), default=0.0)
        flooded = [(flood, water) for flood in self.floods if (water := flood.water(when)) is not None]
        water = np.maximum.reduce([layer for _, layer in flooded]) if flooded else None
        turbidity = max((flood.turbidity_at(when) for flood, _ in flooded), default=0.0)
        return Disturbance(
            severity=severity,
            burn_age_days=age,
            char_darkness=0.8,
            ash=0.2,
            water=water,
            turbidity=turbidity,
            wind=0.15,
        )

    def acquire_s2(self, when: datetime, sky: Sky) -> Acquisition:
        """A Sentinel-2 pass: digital numbers with the +1000 offset, and the scene classification."""
        rng = self._noise(when, 2)
        now = self.conditions(when)
        view = see(self.landscape.place, now, self.disturbance(when), sky, pool=self.pool, rng=rng)
        bands: dict[str, NDArray[np.uint16] | FloatArray] = {}
        for name, gsd, plane in zip(S2_BANDS, S2_GSD_M, view.pixels, strict=True):
            if name != "B10":
                bands[name] = digital_numbers(block_mean(plane, gsd // 10) if gsd > 10 else plane)
        return Acquisition("s2", when, bands, classify_scene(view), 100 * float((view.cloud > 0.5).mean()))

    def acquire_s1(self, when: datetime, beam: Beam) -> Acquisition:
        """A Sentinel-1 pass: terrain-corrected gamma naught in linear power."""
        rng = self._noise(when, 1)
        now = self.conditions(when)
        view = illuminate(self.landscape.place, now, self.disturbance(when), beam, pool=self.pool, rng=rng)
        return Acquisition("s1", when, {"VV": view.pixels[0], "VH": view.pixels[1]}, None, 0.0)

    def _noise(self, when: datetime, sensor: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, sensor, int(when.timestamp())])

    def _cells(self, spots: list[tuple[int, int]]) -> list[Cell]:
        to_degrees = Transformer.from_crs(self.site.epsg, 4326, always_xy=True)
        east = [self.site.easting_m + column * 1000 + 500 for _, column in spots]
        north = [self.site.northing_m + (self.landscape.size_km - row) * 1000 - 500 for row, _ in spots]
        return [cell_at(lon, lat) for lon, lat in zip(*to_degrees.transform(east, north), strict=True)]

    def _tell(self, kind: Kind, label: str, started: datetime, mask: NDArray[np.bool_], needed: float) -> Truth:
        shares = {name: float(mask[window].mean()) for name, window in self.cells().items()}
        touched = {name: share for name, share in shares.items() if share > 0.01}
        return Truth(kind, label, started, touched, frozenset(n for n, share in touched.items() if share >= needed))


def digital_numbers(reflectance: FloatArray) -> NDArray[np.uint16]:
    """Reflectance as Level-2A stores it since baseline 04.00: uint16, at least 1 where there is data, 0 for NaN."""
    scaled = np.rint(np.nan_to_num(reflectance) * QUANTIFICATION + OFFSET_DN)
    valid = np.clip(scaled, 1, 65535) * ~np.isnan(reflectance)
    return valid.astype(np.uint16)


def classify_scene(view: OpticalView) -> NDArray[np.uint8]:
    """A scene classification as Sen2Cor would make it: uint8 at 20 m.

    Source: Sentinel-2 Level-2A ATBD: 3 shadow, 4 vegetation, 5 bare, 6 water, 8 and 9 cloud, 11 snow.
    """
    cloud, shadow = block_mean(view.cloud, 2), block_mean(view.shadow, 2)
    green, red, nir, swir = (block_mean(view.pixels[i], 2) for i in (2, 3, 8, 11))
    classes = np.where((nir - red) / (nir + red) > 0.4, 4, 5)
    classes = np.where((nir < 0.12) & (swir < 0.08) & (green > nir), 6, classes)
    classes = np.where((green > 0.35) & ((green - swir) / (green + swir) > 0.4), 11, classes)
    classes = np.where(shadow > 0.3, 3, classes)
    classes = np.where(cloud > 0.15, 8, classes)
    return np.where(cloud > 0.5, 9, classes).astype(np.uint8)


def make_world(
    seed: int,
    size_km: int = 10,
    site: Site | None = None,
    *,
    fires: tuple[Fire, ...] = (),
    floods: tuple[Flood, ...] = (),
) -> World:
    """A world of the seed's landscape.

    Args:
        seed: The same seed makes the same world.
        size_km: Cells along each side, at least 2.
        site: Where it lies; None is the middle of UTM zone 33 at 41 degrees north.
        fires: Fires, from `events.spread_fire` on the same landscape.
        floods: Floods, from `events.rise_flood` on the same landscape.

    Returns:
        The world.
    """
    pool = pool_for(seed)
    return World(seed, site or Site(), make_landscape(seed, size_km, pool), fires, floods, pool)


def permanent_water(world: World) -> frozenset[str]:
    """Ids of the cells that the lake fills by a fifth or more: they must never alert as a flood."""
    lake = world.landscape.lake
    return frozenset(name for name, window in world.cells().items() if lake[window].mean() >= FLOODED_FRACTION)


def harvested(world: World) -> frozenset[str]:
    """Ids of the cells that late grain fills by 40 % or more: cut and ploughed, they must never alert as a burn."""
    late = world.landscape.late_fields & world.landscape.place.is_cover(Cover.CROPS)
    return frozenset(name for name, window in world.cells().items() if late[window].mean() >= BURNED_FRACTION)
