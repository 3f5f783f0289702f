"""The cell grid: one cell for each point, one id for each cell, and honest borders."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from schemas.cells import CELL_M, Cell, cell_at, cell_of, cells_in, centres_lon_lat
from schemas.errors import InvalidArea, InvalidCell, UnsupportedPlace
from schemas.geometry import read_bbox, read_footprint

LON = st.floats(-180, 180, allow_nan=False)
LAT = st.floats(-80, 84, exclude_max=True, allow_nan=False)
NEAR_EDGES = st.sampled_from([-180, -179.9999, -6, 0, 3, 5.9999, 6, 8.9999, 9, 12, 21, 33, 42, 179.9999, 180])
NEAR_BANDS = st.sampled_from([-80, -72.0001, -8, -0.00001, 0, 0.00001, 8, 48, 55.9999, 56, 63.9999, 64, 72, 83.9999])


@given(LON | NEAR_EDGES, LAT | NEAR_BANDS)
@example(0.0, 83.99999999999999)  # a sliver of a square that lies beyond the grid
def test_a_points_cell_holds_it_and_has_one_id(lon: float, lat: float) -> None:
    cell = cell_at(lon, lat)
    x, y = Transformer.from_crs(4326, cell.epsg, always_xy=True).transform(lon, lat)
    west, south, east, north = cell.bounds
    assert west - 1e-3 <= x < east + 1e-3
    assert south - 1e-3 <= y < north + 1e-3
    assert cell_of(cell.id) == cell


@given(LON, LAT)
def test_the_window_is_120_pixels_round_the_cell(lon: float, lat: float) -> None:
    cell = cell_at(lon, lat)
    west, south, east, north = cell.window
    assert (east - west, north - south) == (1200, 1200)
    assert (west + 100, south + 100) == (cell.easting_m, cell.northing_m)


@pytest.mark.parametrize(
    ("lon", "lat", "expected"),
    [
        # Towers and crossings whose MGRS references are published.
        (-77.035278, 38.889484, "18SUJ2306"),  # Washington Monument: 18S UJ 23394 06519
        (2.294497, 48.858222, "31UDQ4811"),  # Eiffel Tower: 31U DQ 48251 11932
        (151.215256, -33.856159, "56HLH3452"),  # Sydney Opera House: 56H LH 34873 52266 (about)
        (15.646, 78.2232, "33XWG1485"),  # Longyearbyen, Svalbard's widened zone 33
        (5.3221, 60.3913, "32VKN9700"),  # Bergen, Norway's widened zone 32
    ],
)
def test_known_places(lon: float, lat: float, expected: str) -> None:
    assert cell_at(lon, lat).id[:5] == expected[:5]
    assert abs(int(cell_at(lon, lat).id[5:7]) - int(expected[5:7])) <= 1


@pytest.mark.parametrize(("lon", "lat"), [(0, 84), (0, 90), (0, -80.0001), (float("nan"), 0), (0, float("nan"))])
def test_the_poles_are_refused(lon: float, lat: float) -> None:
    with pytest.raises(UnsupportedPlace, match="polar"):
        cell_at(lon, lat)


@pytest.mark.parametrize(
    "bad", ["", "33TWN", "33TWN451", "61TWN4512", "00TWN4512", "33IWN4512", "33TWN45123", "33TIN4512", "33TAN4512", "x"]
)
def test_what_is_no_cell_is_refused(bad: str) -> None:
    with pytest.raises(InvalidCell, match=repr(bad) if bad else "no 1 km"):
        cell_of(bad)


def test_a_square_outside_its_zone_is_refused() -> None:
    # Column A of set 1 begins at 100 km: nowhere near the equator does zone 31 reach so far west.
    with pytest.raises(InvalidCell, match="does not exist"):
        cell_of("31NAA0500")


def test_cells_of_an_area_tile_it_without_gaps_or_doubles() -> None:
    area = read_bbox((11.9, 47.9, 12.1, 48.1))  # across a zone edge (12° E) and a band edge (48° N)
    cells = cells_in(area)
    assert len({cell.id for cell in cells}) == len(cells)
    assert {cell.epsg for cell in cells} == {32632, 32633}
    rng = np.random.default_rng(0)
    inner = [cell_at(*p) for p in rng.uniform((11.92, 47.92), (12.08, 48.08), (300, 2))]
    assert {cell.id for cell in inner} <= {cell.id for cell in cells}
    west = [cell for cell in cells_in(read_bbox((11.9, 48.0, 11.98, 48.05))) if cell.epsg == 32633]
    assert west == []


@settings(max_examples=30)
@given(st.floats(-179, 178), st.floats(-79, 82), st.floats(0.02, 0.1))
def test_every_listed_cell_has_its_centre_inside(lon: float, lat: float, size: float) -> None:
    area = read_bbox((lon, lat, lon + size, lat + size))
    cells = cells_in(area)
    centres = centres_lon_lat(cells)
    assert shapely.contains_xy(area.buffer(1e-9), *centres.T).all()
    at = [cell_at(*centre) for centre in centres]
    assert all(there == cell or there.epsg != cell.epsg for there, cell in zip(at, cells, strict=True))
    assert all(cell_of(cell.id) == cell for cell in cells[:20])


def test_the_antimeridian_and_the_equator() -> None:
    cells = cells_in(read_bbox((179.9, -0.05, -179.9, 0.05)))
    assert {cell.epsg for cell in cells} == {32601, 32660, 32701, 32760}
    assert all(np.ptp(shapely.get_coordinates(cell.polygon)[:, 0]) < 1 for cell in cells)


def test_the_southern_hemisphere_counts_from_the_false_northing() -> None:
    cell = cell_at(-58.4, -34.6)  # Buenos Aires
    assert cell.epsg == 32721
    assert 6_000_000 < cell.northing_m < 6_400_000
    assert cell.centre == pytest.approx((-58.4, -34.6), abs=CELL_M / 100_000)


def test_a_planet_of_cells_is_refused() -> None:
    with pytest.raises(InvalidArea, match="split it"):
        cells_in(read_bbox((-180, -80, 179.9, 83)))


def test_cells_order_by_id() -> None:
    assert sorted([Cell("33TWN0001", 32633, 0, 0), Cell("33TWN0000", 32633, 0, 0)])[0].id == "33TWN0000"


def test_a_ring_across_the_antimeridian_holds_its_own_cells_only() -> None:
    # Rounding while unwrapping once left such rings open, and their cells ran round the globe.
    ring = [[179.873215, -16.62131], [-179.885471, -16.62417], [-179.883213, -16.83291], [179.876021, -16.83012]]
    footprint = read_footprint({"type": "Polygon", "coordinates": [[*ring, ring[0]]]})
    cells = cells_in(footprint)
    assert 500 < len(cells) < 700
    assert all(abs(cell.centre[0]) > 179.8 for cell in cells)
