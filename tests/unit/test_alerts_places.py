"""Places of cells by arithmetic are those of the grid, and neighbours are found across all edges."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alerts.places import cell, centres, groups, outlines, reach_km
from schemas.cells import cell_at, cell_of

LON, LAT = st.floats(-180, 179.999), st.floats(-79.9, 83.9)


@hypothesis_settings(max_examples=300, deadline=None)
@given(lon=LON, lat=LAT)
def test_arithmetic_gives_the_grids_own_cell(lon: float, lat: float):
    there = cell_at(lon, lat)
    assert cell(there.id) == there


def test_arithmetic_holds_at_the_edges_of_bands_and_hemispheres():
    for lat in (-79.99, -72.0, -8.0, -0.001, 0.0, 0.001, 8.0, 40.0, 72.0, 83.99):
        for shift in (-0.005, 0.0, 0.005):
            there = cell_at(33.3, float(np.clip(lat + shift, -80, 83.999)))
            assert cell(there.id) == there == cell_of(there.id)


@hypothesis_settings(max_examples=100, deadline=None)
@given(lon=LON, lat=LAT)
def test_outlines_hold_their_centres(lon: float, lat: float):
    there = cell_at(lon, lat)
    (outline,) = outlines([there.id])
    assert shapely.contains_xy(outline, *centres([there.id])[0])
    np.testing.assert_allclose(centres([there.id])[0], there.centre)
    assert outline.bounds[0] >= -180
    assert outline.bounds[2] <= 180


def test_neighbours_are_found_side_by_side_and_at_corners():
    ids = ["33TVF1010", "33TVF1111", "33TVF1311", "33TVF1711"]
    assert groups(ids, reach_km(0)) == [[0, 1], [2], [3]]
    assert groups(ids, reach_km(1)) == [[0, 1, 2], [3]]
    assert groups(ids, reach_km(2)) == [[0, 1, 2, 3]]
    assert groups([], reach_km(2)) == []


def test_neighbours_are_found_across_zones_the_equator_and_the_antimeridian():
    for one, other in (((11.998, 45), (12.002, 45)), ((14.5, -0.002), (14.5, 0.002)), ((179.998, 10), (-179.998, 10))):
        ids = [cell_at(*one).id, cell_at(*other).id]
        assert ids[0] != ids[1]
        assert groups(ids, reach_km(0)) == [[0, 1]]
