"""Archive filters as conditions on payloads, in words of our own that both engines' types are made from.

Flows in: an `ArchiveFilter`. Flows out: a few conditions that must all hold, and the exact test of the area. Stops
before any engine: `edge_types` and `server_types` say the same in theirs. (qdrant-client's models would do as the
shared language too, but importing them takes seconds, and the in-process engine has no other use for them.)

The engines get rectangles only, a little too large, and `inside` settles the outline: their polygons are wrong at
the antimeridian, and boxes 300° wide or more drop points (qdrant-edge-py 0.9.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from archive.interface import ArchiveFilter

WIDEST_BOX_DEG = 120.0
"""Boxes wider than this are cut into strips."""
MOST_BOXES = 32
"""An area of more parts is covered by the box around all of them."""
SLACK_DEG = 1e-6
"""Boxes are larger by this on each side (0.1 m), so that rounding at their edge loses nothing."""

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The payload field `key` is one of `values`."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Is:
    """The payload field `key` is `value`."""

    key: str
    value: bool


@dataclass(frozen=True, slots=True)
class AtMost:
    """The number `key` is at most `value`."""

    key: str
    value: float


@dataclass(frozen=True, slots=True)
class Between:
    """The time `key` is at or after `since` and before `until`."""

    key: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class InBoxes:
    """The place `key` lies in one of `boxes`, edges included."""

    key: str
    boxes: tuple[Box, ...]


Condition = OneOf | Is | AtMost | Between | InBoxes


def conditions(filter: ArchiveFilter) -> list[Condition]:
    """What must hold of a payload, all of it; the area is widened to rectangles."""
    must: list[Condition] = []
    if filter.cells is not None:
        must.append(OneOf("cell", filter.cells))
    for key, values in (("sensor", filter.sensors), ("source", filter.sources), ("physical_key", filter.physical_keys)):
        if values:
            must.append(OneOf(key, tuple(values)))
    if filter.since or filter.until:
        must.append(Between("sensing_at", filter.since, filter.until))
    if filter.max_cloud is not None:
        must.append(AtMost("cloud_fraction", filter.max_cloud))
    if filter.simulated is not None:
        must.append(Is("simulated", filter.simulated))
    if filter.area is not None:
        must.append(InBoxes("place", tuple(boxes(filter.area))))
    return must


def boxes(area: BaseGeometry) -> list[Box]:
    """Rectangles (west, south, east, north) that together hold an area, none across the antimeridian."""
    parts = [part.bounds for part in shapely.get_parts(area)]
    whole = [area.bounds] if len(parts) > MOST_BOXES else parts
    return [strip for box in whole for strip in _strips(_widened(box))]


def inside(area: BaseGeometry, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which centres lie in an area, its edge included, bool (n,)."""
    return np.asarray(shapely.intersects_xy(area, lon, lat), dtype=bool)


def _widened(box: tuple[float, ...]) -> Box:
    west, south, east, north = box
    return (
        max(west - SLACK_DEG, -180.0),
        max(south - SLACK_DEG, -90.0),
        min(east + SLACK_DEG, 180.0),
        min(north + SLACK_DEG, 90.0),
    )


def _strips(box: Box) -> list[Box]:
    west, south, east, north = box
    edges = np.linspace(west, east, int((east - west) // WIDEST_BOX_DEG) + 2)
    return [(float(a), south, float(b), north) for a, b in pairwise(edges)]
