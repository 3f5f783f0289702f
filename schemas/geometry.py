"""Footprints and areas: GeoJSON in, valid lon/lat geometries out.

Flows in: GeoJSON of catalogues and people. Flows out: shapely polygons in WGS84, split at the antimeridian.
Stops before place names and indexes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import shapely
from shapely import affinity
from shapely.errors import GEOSException
from shapely.geometry import mapping, shape
from shapely.geometry.base import BaseGeometry
from shapely.validation import explain_validity

from schemas.errors import InvalidArea

MAX_VERTICES = 100_000
"""An outline finer than this is simplified by nobody and helps nobody: refuse it."""
GeoJSON = Mapping[str, object]


def read_area(text_or_geojson: str | GeoJSON) -> BaseGeometry:
    """A person's area: Geometry, Feature or FeatureCollection of polygons, lon/lat degrees.

    Raises:
        InvalidArea: not GeoJSON, no polygon, empty, self-crossing, outside WGS84, or too many vertices.
    """
    geojson = _parse(text_or_geojson) if isinstance(text_or_geojson, str) else text_or_geojson
    crs = geojson.get("crs")
    if crs is not None and "CRS84" not in str(crs) and "4326" not in str(crs):
        raise InvalidArea(f"the area names the CRS {crs}: GeoJSON is lon/lat WGS84 (RFC 7946); reproject it first")
    geometry = _polygons(geojson)
    if not geometry.is_valid:
        raise InvalidArea(f"the area's outline is not valid ({explain_validity(geometry)}): mend it there")
    return split_antimeridian(geometry)


def read_footprint(geojson: GeoJSON) -> BaseGeometry:
    """A catalogue's footprint; outlines that cross themselves are repaired.

    Raises:
        InvalidArea: nothing in it can be a footprint.
    """
    geometry = split_antimeridian(_polygons(geojson))
    if not geometry.is_valid:
        geometry = shapely.union_all([p for p in shapely.get_parts(shapely.make_valid(geometry)) if p.area > 0])
    if geometry.is_empty or geometry.area == 0:
        raise InvalidArea("the footprint is empty")
    return geometry


def read_bbox(west_south_east_north: Sequence[float]) -> BaseGeometry:
    """A box in degrees; west > east means that it crosses the antimeridian (RFC 7946, section 5.2).

    Raises:
        InvalidArea: not four finite numbers in range, or south is not below north.
    """
    if len(west_south_east_north) != 4 or not np.all(np.isfinite(west_south_east_north)):
        raise InvalidArea("a bounding box is four numbers: west,south,east,north in degrees")
    west, south, east, north = map(float, west_south_east_north)
    if not (-90 <= south < north <= 90 and -180 <= west <= 180 and -180 <= east <= 180 and west != east):
        raise InvalidArea(f"bounding box {west},{south},{east},{north}: expected west,south,east,north in degrees")
    if west > east:
        parts = [shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)]
        return shapely.MultiPolygon([part for part in parts if part.area > 0])
    return shapely.box(west, south, east, north)


def split_antimeridian(geometry: BaseGeometry) -> BaseGeometry:
    """Cut at ±180° so that every part lies within [-180, 180].

    An outline that jumps by more than 180° between neighbours is taken to cross the antimeridian the short way.
    """
    parts = [_unwrap(part) for part in shapely.get_parts(geometry)]
    whole = [part for part in parts if part.bounds[0] >= -180 and part.bounds[2] <= 180]
    for part in parts:
        if part in whole:
            continue
        for turn in (-360.0, 0.0, 360.0):
            moved = affinity.translate(part, xoff=turn)
            cut = moved.intersection(shapely.box(-180, -90, 180, 90))
            whole += [piece for piece in shapely.get_parts(cut) if piece.area > 0]
    return whole[0] if len(whole) == 1 else shapely.union_all(whole, grid_size=None)


def mended(drawn: BaseGeometry) -> BaseGeometry:
    """A valid geometry of what a buffer or a simplification has drawn.

    Both can come out with a hole beside its shell, and unions and intersections refuse to work on those.
    """
    return shapely.make_valid(drawn, method="structure", keep_collapsed=False)


def to_geojson(geometry: BaseGeometry, digits: int = 6) -> dict[str, object]:
    """GeoJSON geometry, coordinates rounded (6 digits of a degree: 0.1 m)."""
    rounded = shapely.transform(geometry, lambda xy: np.round(xy, digits))
    return cast("dict[str, object]", json.loads(json.dumps(mapping(rounded))))


def _parse(text: str) -> GeoJSON:
    try:
        geojson = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidArea(f"the area is not JSON ({error}): give a GeoJSON file with a Polygon") from error
    if not isinstance(geojson, dict):
        raise InvalidArea("the area is not a GeoJSON object: give a Polygon, Feature or FeatureCollection")
    return geojson


def _polygons(geojson: GeoJSON) -> BaseGeometry:
    parts = [part for geometry in _geometries(geojson) for part in shapely.get_parts(geometry)]
    if not parts or any(part.geom_type != "Polygon" for part in parts):
        raise InvalidArea("the area has no polygon, or something else beside it: give Polygon or MultiPolygon")
    geometry = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    coordinates = shapely.get_coordinates(geometry)
    if geometry.is_empty or len(coordinates) > MAX_VERTICES:
        raise InvalidArea(f"the area has {len(coordinates)} vertices: expected between 4 and {MAX_VERTICES}")
    lon, lat = coordinates.T
    if not np.all(np.isfinite(coordinates)) or np.abs(lat).max() > 90 or np.abs(lon).max() > 360:
        raise InvalidArea("coordinates outside lon ±180, lat ±90: is it projected? GeoJSON is lon/lat in degrees")
    return geometry


def _geometries(geojson: GeoJSON) -> list[BaseGeometry]:
    kind = geojson.get("type")
    if kind == "FeatureCollection":
        features = geojson.get("features")
        return [g for feature in (features if isinstance(features, list) else []) for g in _geometries(feature)]
    if kind == "Feature":
        geometry = geojson.get("geometry")
        return _geometries(geometry) if isinstance(geometry, dict) else []
    try:
        return [shape(dict(geojson))]
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, GEOSException) as error:
        raise InvalidArea(f"not a GeoJSON geometry ({error})") from error


def _unwrap(polygon: BaseGeometry) -> BaseGeometry:
    """Make longitudes continuous along each ring of a polygon."""

    def continuous(
        xy: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    ) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        # whole turns only: np.unwrap rounds, its rings do not close and GEOS cuts them into nonsense
        turns = np.concatenate([[0.0], np.cumsum(np.round(np.diff(xy[:, 0]) / 360.0))])
        return np.column_stack([xy[:, 0] - 360.0 * turns, xy[:, 1]])

    lon = shapely.get_coordinates(polygon)[:, 0]
    if not isinstance(polygon, shapely.Polygon) or np.abs(np.diff(lon)).max(initial=0) <= 180:
        return polygon
    rings = [continuous(shapely.get_coordinates(ring)) for ring in (polygon.exterior, *polygon.interiors)]
    return shapely.Polygon(rings[0], rings[1:])
