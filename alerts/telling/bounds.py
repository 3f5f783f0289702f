"""Boxes and single rings round places, for formats that know no more than these.

Flows in: geometries in lon/lat degrees, split at the antimeridian. Flows out: a bounding box, or one polygon. Stops
before any format.
"""

from __future__ import annotations

from typing import cast

import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

_EDGE_DEG = 1e-6


def box(place: BaseGeometry) -> list[float]:
    """West, south, east, north; across the antimeridian west is greater than east.

    Source: RFC 7946, section 5.2.
    """
    west, south, east, north = place.bounds
    if is_across(place):
        eastern, western = _sides(place)
        west, east = eastern.bounds[0], western.bounds[2]
    return [round(float(value), 6) for value in (west, south, east, north)]


def one_ring(place: BaseGeometry, most_vertices: int) -> Polygon | None:
    """One polygon that holds all parts of a place: its outline, or the convex hull.

    Across the antimeridian it holds the larger side: one ring cannot cross it.

    Args:
        place: Polygons.
        most_vertices: With more, an outline gives way to its hull.

    Returns:
        The polygon; none where the place has no extent.
    """
    ring = _ring(place, most_vertices)
    return ring if isinstance(ring, Polygon) and not ring.is_empty else None


def is_across(place: BaseGeometry) -> bool:
    """Whether a place of several parts lies on both sides of the antimeridian and touches it from both."""
    west, _, east, _ = place.bounds
    return len(shapely.get_parts(place)) > 1 and west <= -180 + _EDGE_DEG and east >= 180 - _EDGE_DEG


def _ring(place: BaseGeometry, most_vertices: int) -> BaseGeometry:
    parts = list(shapely.get_parts(place))
    if len(parts) == 1 and shapely.get_num_coordinates(place) <= most_vertices:
        return cast(BaseGeometry, parts[0])
    if is_across(place):
        return max(_sides(place), key=lambda side: float(side.area)).convex_hull
    return place.convex_hull


def _sides(place: BaseGeometry) -> tuple[BaseGeometry, BaseGeometry]:
    """Parts of the eastern and of the western hemisphere."""
    parts = shapely.get_parts(place)
    east = [part for part in parts if part.centroid.x >= 0]
    west = [part for part in parts if part.centroid.x < 0]
    return shapely.union_all(east), shapely.union_all(west)
