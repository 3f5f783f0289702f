"""The unit of place: 1 km squares of the MGRS grid, and the 120 px window around each.

Flows in: a lon/lat point, an id such as `33TWN4512`, or a footprint. Flows out: cells with their UTM bounds.
Stops before pixels: cutting them is `encoders`' work.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from schemas.errors import InvalidArea, InvalidCell, UnsupportedPlace

CELL_M = 1000.0
"""Edge of a cell, metres: the kilometre square that rescue services already name."""
MARGIN_M = 100.0
"""Added on each side of a cell for its chip, metres: 10 px of context."""
GSD_M = 10.0
"""Ground sampling distance of a chip, metres: the finest of Sentinel-2."""
CHIP_PX = 120
"""Edge of a chip, pixels: (CELL_M + 2 MARGIN_M) / GSD_M, and what CLOSP was trained on."""
NORTH_LIMIT_DEG, SOUTH_LIMIT_DEG = 84.0, -80.0
"""Where UTM, and so the cell grid, ends."""
MAX_CELLS = 5_000_000
"""More cells than this in one listing is a mistake: about half of Europe."""

_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_COLUMNS = ("ABCDEFGH", "JKLMNPQR", "STUVWXYZ")
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_ID = re.compile(r"(\d{1,2})([C-HJ-NP-X])([A-HJ-NP-Z])([A-HJ-NP-V])(\d{2})(\d{2})")
_FALSE_NORTHING_M = 10_000_000


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One kilometre square.

    Attributes:
        id: MGRS at 1 km precision, zone with two digits, for example `33TWN4512`. The latitude band is the one of
            the square's centre, so that a square across a band's edge has one id, not two.
        epsg: UTM zone of its grid, 32601-32660 (north) or 32701-32760 (south).
        easting_m: West edge in that zone, a multiple of 1000.
        northing_m: South edge in that zone, a multiple of 1000.
    """

    id: str
    epsg: int
    easting_m: int
    northing_m: int

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the square, metres in `epsg`."""
        return (self.easting_m, self.northing_m, self.easting_m + CELL_M, self.northing_m + CELL_M)

    @property
    def window(self) -> tuple[float, float, float, float]:
        """West, south, east, north of the chip's 1.2 km window, metres in `epsg`."""
        west, south, east, north = self.bounds
        return (west - MARGIN_M, south - MARGIN_M, east + MARGIN_M, north + MARGIN_M)

    @property
    def square(self) -> str:
        """The 100 km square that holds it, for example `33TWN`: key of Kafka partitions."""
        return self.id[:5]

    @property
    def centre(self) -> tuple[float, float]:
        """Longitude and latitude of the centre, degrees WGS84."""
        lon, lat = _to_wgs84(self.epsg).transform(self.easting_m + CELL_M / 2, self.northing_m + CELL_M / 2)
        return (float(lon), float(lat))

    @property
    def polygon(self) -> shapely.Polygon:
        """The square's outline in lon/lat degrees, unwrapped (may pass ±180) where it meets the antimeridian."""
        west, south, east, north = self.bounds
        lon, lat = _to_wgs84(self.epsg).transform([west, east, east, west], [south, south, north, north])
        lons = np.asarray(lon)
        if np.ptp(lons) > 180:
            lons = np.where(lons < 0, lons + 360, lons)
        return shapely.Polygon(np.column_stack([lons, lat]))


def cell_at(lon: float, lat: float) -> Cell:
    """The one cell that a point is in.

    Args:
        lon: Degrees east, WGS84; any turn of the circle.
        lat: Degrees north, WGS84.

    Raises:
        UnsupportedPlace: beyond 84° N or 80° S, or not a number.
    """
    if not (SOUTH_LIMIT_DEG <= lat < NORTH_LIMIT_DEG and np.isfinite(lon)):
        raise UnsupportedPlace(
            f"no cell at lon {lon}, lat {lat}: the grid reaches from 80° S to 84° N; polar scenes are not watched"
        )
    lon = wrap_longitude(lon)
    epsg = epsg_at(lon, lat)
    easting, northing = _to_utm(epsg).transform(lon, lat)
    if epsg > 32700:  # a hair south of the equator rounds to the false northing itself
        northing = min(northing, _FALSE_NORTHING_M - 1)
    return _cell(epsg, int(easting // CELL_M * CELL_M), int(northing // CELL_M * CELL_M))


def cell_of(cell_id: str) -> Cell:
    """The cell of an id.

    Raises:
        InvalidCell: not of the form `33TWN4512`, or no point on Earth lies in such a square.
    """
    match = _ID.fullmatch(cell_id.strip().upper())
    zone = int(match[1]) if match else 0
    if not match or not 1 <= zone <= 60:
        raise InvalidCell(f"{cell_id!r} is no 1 km MGRS cell: expected zone, band, square, 2+2 digits, as 33TWN4512")
    cell = _from_parts(zone, match[2], match[3] + match[4], int(match[5]), int(match[6]))
    if cell is None:
        raise InvalidCell(f"{cell_id!r}: square {match[3]}{match[4]} does not exist in zone {zone}{match[2]}")
    return cell


def cells_in(footprint: BaseGeometry) -> list[Cell]:
    """All cells whose centre lies in a geometry, ordered by zone, then north to south, west to east.

    A square cut by a zone's edge is listed if any corner lies in its own zone: along the edge the squares of both
    zones overlap, so that no ground is missed.

    Args:
        footprint: Polygon or MultiPolygon, lon/lat degrees, split at the antimeridian (`geometry.read_geometry`).

    Raises:
        InvalidArea: more than `MAX_CELLS` cells.
    """
    return list(_iterate(footprint))


def centres_lon_lat(cells: list[Cell]) -> NDArray[np.float64]:
    """Centres of many cells at once, float64 (n, 2), lon and lat in degrees."""
    out = np.empty((len(cells), 2))
    epsgs = np.array([cell.epsg for cell in cells])
    grid = np.array([(cell.easting_m, cell.northing_m) for cell in cells], dtype=float).reshape(-1, 2) + CELL_M / 2
    for epsg in np.unique(epsgs):
        rows = epsgs == epsg
        out[rows] = np.column_stack(_to_wgs84(int(epsg)).transform(grid[rows, 0], grid[rows, 1]))
    return out


def wrap_longitude(lon: float) -> float:
    """The same meridian in [-180, 180)."""
    return (lon + 180.0) % 360.0 - 180.0


def epsg_at(lon: float, lat: float) -> int:
    """EPSG code of the UTM zone of a point, with the exceptions of Norway and Svalbard.

    Source: DMA TM 8358.1, Datums, Ellipsoids, Grids and Grid Reference Systems, section 2-3.
    """
    zone = int((lon + 180.0) // 6.0) % 60 + 1
    if 56 <= lat < 64 and 3 <= lon < 12:
        zone = 32
    elif lat >= 72 and 0 <= lon < 42:
        zone = 31 if lon < 9 else 33 if lon < 21 else 35 if lon < 33 else 37
    return (32600 if lat >= 0 else 32700) + zone


def _iterate(footprint: BaseGeometry) -> Iterator[Cell]:
    if _square_kilometres(footprint) > 1.1 * MAX_CELLS:
        raise InvalidArea(f"the area holds more than {MAX_CELLS} cells of 1 km: split it or use a smaller one")
    for epsg, part in _by_zone(footprint):
        lon, lat, squares = _grid(epsg, part)
        inside = shapely.contains_xy(part, lon, lat)
        inside[inside] = _touches_zone(epsg, squares[inside])
        yield from _cells(epsg, squares[inside], lat[inside])


def _square_kilometres(footprint: BaseGeometry) -> float:
    """Area on a sphere, by the cylindrical equal-area projection: good to 1 %, enough to refuse planets."""
    radius_km = 6371.0
    flat = shapely.transform(footprint, lambda p: np.column_stack([np.radians(p[:, 0]), np.sin(np.radians(p[:, 1]))]))
    return float(flat.area) * radius_km**2


def _by_zone(footprint: BaseGeometry) -> Iterator[tuple[int, BaseGeometry]]:
    """Cut a geometry at the edges of UTM zones (widened, the exact edge is settled per centre)."""
    west, south, east, north = footprint.bounds
    for zone in range(int((west + 180) // 6) - 1, int((east + 180) // 6) + 3):
        if not 0 <= zone <= 59:
            continue
        for low, high, base in ((SOUTH_LIMIT_DEG, 0.0, 32700), (0.0, NORTH_LIMIT_DEG, 32600)):
            if north <= low or south >= high:
                continue
            strip = shapely.box(zone * 6 - 186, low, zone * 6 - 168, high)
            part = footprint.intersection(strip)
            if part.area > 0:
                yield base + zone + 1, part


def _grid(epsg: int, part: BaseGeometry) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Every kilometre square that could have its centre in `part`: lon, lat of centres and the south-west corners."""
    outline = shapely.segmentize(part, 0.1)
    x, y = _to_utm(epsg).transform(*shapely.get_coordinates(outline).T)
    west, south = (np.floor(np.min(v) / CELL_M) * CELL_M - CELL_M for v in (x, y))
    columns = np.arange(west, np.max(x) + CELL_M, CELL_M)
    rows = np.arange(south, np.max(y) + CELL_M, CELL_M)[::-1]
    if columns.size * rows.size > 20 * MAX_CELLS:
        raise InvalidArea(f"the area spans more than {MAX_CELLS} cells of 1 km: split it or use a smaller one")
    squares = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    lon, lat = _to_wgs84(epsg).transform(squares[:, 0] + CELL_M / 2, squares[:, 1] + CELL_M / 2)
    return np.asarray(lon), np.asarray(lat), squares


def _touches_zone(epsg: int, squares: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a corner or the centre of each square (n, 2; south-west corners) lies in the zone itself."""
    touches = np.zeros(len(squares), dtype=bool)
    inset = CELL_M - 1e-3
    for dx, dy in ((0, 0), (inset, 0), (0, inset), (inset, inset), (CELL_M / 2, CELL_M / 2)):
        lon, lat = (np.asarray(v) for v in _to_wgs84(epsg).transform(squares[:, 0] + dx, squares[:, 1] + dy))
        touches |= (lat >= SOUTH_LIMIT_DEG) & (lat < NORTH_LIMIT_DEG) & (_epsgs(lon, lat) == epsg)
    return touches


def _cells(epsg: int, squares: NDArray[np.float64], lat: NDArray[np.float64]) -> Iterator[Cell]:
    for (easting, northing), centre_lat in zip(squares.astype(int).tolist(), lat.tolist(), strict=True):
        yield _named(epsg, easting, northing, centre_lat)


def _epsgs(lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.int64]:
    zone = ((lon + 180.0) // 6.0).astype(int) % 60 + 1
    zone = np.where((lat >= 56) & (lat < 64) & (lon >= 3) & (lon < 12), 32, zone)
    svalbard = np.select([lon < 9, lon < 21, lon < 33], [31, 33, 35], 37)
    zone = np.where((lat >= 72) & (lon >= 0) & (lon < 42), svalbard, zone)
    return np.asarray(np.where(lat >= 0, 32600, 32700) + zone, dtype=np.int64)


def _cell(epsg: int, easting_m: int, northing_m: int) -> Cell:
    _, lat = _to_wgs84(epsg).transform(easting_m + CELL_M / 2, northing_m + CELL_M / 2)
    return _named(epsg, easting_m, northing_m, float(lat))


def _named(epsg: int, easting_m: int, northing_m: int, lat: float) -> Cell:
    zone = epsg % 100
    # A square across the equator belongs to the hemisphere of its grid; its band must say so.
    lat = max(lat, 0.0) if epsg < 32700 else min(lat, -1e-9)
    column = _COLUMNS[(zone - 1) % 3][easting_m // 100_000 - 1]
    row = _ROWS[(northing_m // 100_000 + (5 if zone % 2 == 0 else 0)) % 20]
    cell_id = f"{zone:02d}{_band(lat)}{column}{row}{easting_m // 1000 % 100:02d}{northing_m // 1000 % 100:02d}"
    return Cell(cell_id, epsg, easting_m, northing_m)


def _band(lat: float) -> str:
    return _BANDS[min(max(int((lat + 80.0) // 8.0), 0), 19)]


def _from_parts(zone: int, band: str, square: str, east_km: int, north_km: int) -> Cell | None:
    column = _COLUMNS[(zone - 1) % 3].find(square[0])
    if column < 0:
        return None
    epsg = (32600 if band >= "N" else 32700) + zone
    easting = (column + 1) * 100_000 + east_km * 1000
    row = (_ROWS.index(square[1]) - (5 if zone % 2 == 0 else 0)) % 20
    wanted = f"{zone:02d}{band}{square}{east_km:02d}{north_km:02d}"
    for cycle in range(5):
        northing = cycle * 2_000_000 + row * 100_000 + north_km * 1000
        if northing < _FALSE_NORTHING_M:
            cell = _cell(epsg, easting, northing)
            if cell.id == wanted and _exists(cell):
                return cell
    return None


SLIVER_DEG = 5e-5
"""Five metres: how far beyond a limit of the grid a square may seem to lie, looked at every 125 m of its slanting edge,
and yet hold a point inside it."""


def _exists(cell: Cell) -> bool:
    """Whether some point of the square lies in its own zone and hemisphere."""
    edge = np.linspace(0.0, CELL_M - 1e-3, 9)
    x, y = (axis.ravel() for axis in np.meshgrid(cell.easting_m + edge, cell.northing_m + edge))
    lon, lat = (np.asarray(v) for v in _to_wgs84(cell.epsg).transform(x, y))
    reached = (lat >= SOUTH_LIMIT_DEG - SLIVER_DEG) & (lat < NORTH_LIMIT_DEG + SLIVER_DEG)
    return bool(np.any(reached & (_epsgs(lon, lat) == cell.epsg)))


@lru_cache(maxsize=128)
def _to_utm(epsg: int) -> Transformer:
    return Transformer.from_crs(4326, epsg, always_xy=True)


@lru_cache(maxsize=128)
def _to_wgs84(epsg: int) -> Transformer:
    return Transformer.from_crs(epsg, 4326, always_xy=True)
