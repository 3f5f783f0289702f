"""Boxes and single rings round places, for formats that know no more than these.

Flows in: geometries in lon/lat degrees, split at the antimeridian. Flows out: a bounding box, or one polygon. Stops
before any format.
"""

from __future__ import annotations

from typing import cast

import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry


def box(place: BaseGeometry) -> list[float]:
    """West, south, east, north; across the antimeridian west is greater than east.

    Source: RFC 7946, section 5.2.
    """
    west, south, east, north = place.bounds
    sides = across(place)
    if sides is not None:
        west, east = sides[0].bounds[0], sides[1].bounds[2]
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


def across(place: BaseGeometry) -> tuple[BaseGeometry, BaseGeometry] | None:
    """Both sides of a place that is narrower across the antimeridian than the other way round: the one that lies west
    of it (at 179° E) first; none where it is not.
    """
    parts = sorted(shapely.get_parts(place), key=lambda part: float(part.bounds[0]))
    widest, cut, reached = 0.0, 0, float("-inf")
    for number, part in enumerate(parts):
        west, _, east, _ = part.bounds
        if number and west - reached > widest:
            widest, cut = west - reached, number
        reached = max(reached, east)
    if not cut or widest <= 360 - (place.bounds[2] - place.bounds[0]):
        return None
    return shapely.union_all(parts[cut:]), shapely.union_all(parts[:cut])


def _ring(place: BaseGeometry, most_vertices: int) -> BaseGeometry:
    parts = list(shapely.get_parts(place))
    if len(parts) == 1 and shapely.get_num_coordinates(place) <= most_vertices:
        return cast(BaseGeometry, parts[0])
    sides = across(place)
    if sides is not None:
        return max(sides, key=lambda side: float(side.area)).convex_hull
    return place.convex_hull
