"""Areas of people and footprints of catalogues."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from schemas.errors import InvalidArea
from schemas.geometry import mended, read_area, read_bbox, read_footprint, split_antimeridian, to_geojson

SQUARE = {"type": "Polygon", "coordinates": [[[10, 50], [11, 50], [11, 51], [10, 51], [10, 50]]]}
BOW_TIE = {"type": "Polygon", "coordinates": [[[10, 50], [11, 51], [11, 50], [10, 51], [10, 50]]]}


def test_geometry_feature_and_collection_are_the_same_area() -> None:
    feature = {"type": "Feature", "properties": {}, "geometry": SQUARE}
    collection = {"type": "FeatureCollection", "features": [feature]}
    areas = [read_area(json.dumps(geojson)) for geojson in (SQUARE, feature, collection)]
    assert all(area.equals(shapely.box(10, 50, 11, 51)) for area in areas)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "not JSON"),
        ("[1, 2]", "not a GeoJSON object"),
        ('{"type": "Point", "coordinates": [1, 2]}', "no polygon"),
        ('{"type": "FeatureCollection", "features": []}', "no polygon"),
        ('{"type": "Polygon", "coordinates": "x"}', "GeoJSON"),
        ('{"type": "Polygon"}', "GeoJSON"),
        (json.dumps(BOW_TIE), "Self-intersection"),
        (json.dumps({**SQUARE, "crs": {"properties": {"name": "EPSG:3857"}}}), "reproject"),
        ('{"type":"Polygon","coordinates":[[[5e5,5e6],[6e5,5e6],[6e5,6e6],[5e5,5e6]]]}', "projected"),
    ],
)
def test_an_area_that_cannot_be_used_says_why(text: str, says: str) -> None:
    with pytest.raises(InvalidArea, match=says):
        read_area(text)


def test_too_many_vertices_are_refused() -> None:
    turn = np.linspace(0, 2 * np.pi, 100_001)
    circle = shapely.Polygon(np.column_stack([np.cos(turn), np.sin(turn)]))
    with pytest.raises(InvalidArea, match="vertices"):
        read_area(to_geojson(circle, digits=12))


def test_a_footprint_that_crosses_itself_is_repaired() -> None:
    assert read_footprint(BOW_TIE).is_valid
    assert read_footprint(BOW_TIE).area == pytest.approx(0.5)


@pytest.mark.parametrize(
    "ring",
    [
        [[179, -1], [-179, -1], [-179, 1], [179, 1], [179, -1]],
        [[179, -1], [181, -1], [181, 1], [179, 1], [179, -1]],
        [[-181, -1], [-179, -1], [-179, 1], [-181, 1], [-181, -1]],
    ],
)
def test_the_antimeridian_is_cut(ring: list[list[float]]) -> None:
    area = read_area({"type": "Polygon", "coordinates": [ring]})
    assert area.geom_type == "MultiPolygon"
    assert area.area == pytest.approx(4)
    assert (area.bounds[0], area.bounds[2]) == (-180, 180)


def test_a_box_across_the_antimeridian() -> None:
    area = read_bbox((170, -10, -170, 10))
    assert area.area == pytest.approx(400)
    assert split_antimeridian(area).equals(area)


@pytest.mark.parametrize("bbox", [(1, 2, 3), (0, 10, 5, 5), (0, 0, 400, 5), (0, float("nan"), 1, 1), (5, 0, 5, 1)])
def test_a_box_that_is_none(bbox: tuple[float, ...]) -> None:
    with pytest.raises(InvalidArea, match="bounding box"):
        read_bbox(bbox)


def test_a_hole_beside_its_shell_is_mended() -> None:
    shell, other = shapely.box(0, 0, 4, 4), shapely.box(2, 2, 6, 6)
    broken = shapely.Polygon(shell.exterior.coords, [shapely.box(3, 3, 5, 5).exterior.coords])
    with pytest.raises(shapely.GEOSException):
        broken.union(other)
    assert mended(broken).is_valid
    assert mended(broken).union(other).covers(other)
    assert mended(shell).equals(shell)
