"""Outlines of many queries at once.

Flows in: GeoJSON that our own services wrote. Flows out: shapely geometries. Stops before checking them, which
`schemas.geometry.read_area` did when the query was added: one by one they take a hundred times longer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import cast

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

GeoJSON = Mapping[str, object]
_Ring = Sequence[Sequence[float]]


def read_outlines(areas: Sequence[GeoJSON | None]) -> list[BaseGeometry | None]:
    """Polygons and MultiPolygons, lon/lat degrees, in the order given; none for everywhere."""
    bounded = [number for number, area in enumerate(areas) if area is not None]
    polygons: list[list[Sequence[_Ring]]] = []
    for number in bounded:
        area = cast("GeoJSON", areas[number])
        whole = area["type"] == "MultiPolygon"
        polygons.append(cast("list[Sequence[_Ring]]", area["coordinates"] if whole else [area["coordinates"]]))
    every = list(chain.from_iterable(polygons))
    rings = list(chain.from_iterable(every))
    corners = np.fromiter(chain.from_iterable(chain.from_iterable(rings)), np.float64).reshape(-1, 2)
    closed = np.asarray(shapely.linearrings(corners, indices=_numbered(rings)), dtype=object)
    made = np.asarray(shapely.polygons(closed, indices=_numbered(every)), dtype=object)
    found: list[BaseGeometry | None] = [None] * len(areas)
    first = 0
    for number, parts in zip(bounded, polygons, strict=True):
        some = made[first : first + len(parts)]
        found[number] = some[0] if areas[number]["type"] == "Polygon" else shapely.MultiPolygon(list(some))  # type: ignore[index]
        first += len(parts)
    return found


def _numbered(wholes: Sequence[Sequence[object]]) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """For each part of each whole the number of the whole."""
    return np.repeat(np.arange(len(wholes)), [len(whole) for whole in wholes])
