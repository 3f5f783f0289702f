"""Many outlines at once are what each is on its own."""

from __future__ import annotations

import shapely
from shapely.geometry import shape

from alerts.percolation.outlines import read_outlines
from schemas.geometry import to_geojson


def test_outlines_are_what_they_are_one_by_one() -> None:
    hole = shapely.box(0, 0, 9, 9) - shapely.box(1, 1, 2, 2) - shapely.box(3, 3, 5, 5)
    islands = shapely.union_all([hole, shapely.box(20, 0, 21, 1), shapely.Point(30, 5).buffer(2)])
    single = shapely.MultiPolygon([shapely.box(4, 4, 5, 5)])
    areas = [None, *(to_geojson(each) for each in (shapely.box(1, 2, 3, 4), islands, hole, single)), None]
    assert read_outlines(areas) == [None if area is None else shape(area) for area in areas]


def test_no_outlines_are_none() -> None:
    assert read_outlines([]) == []
    assert read_outlines([None, None]) == [None, None]
