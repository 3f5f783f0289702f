"""Archive filters as conditions on payloads, in words of our own that both engines' types are made from.

Flows in: an `ArchiveFilter`. Flows out: a few conditions that must all hold, and the exact test of the area. Stops
before any engine: `edge_types` and `server_types` say the same in theirs. (qdrant-client's models would do as the
shared language too, but importing them takes seconds, and the in-process engine has no other use for them.)

The engines get rectangles only, a little too large, as ranges of longitude and latitude, and `inside` settles the
outline. The in-process engine's own geo conditions (qdrant-edge-py 0.9.0) are wrong at the antimeridian, exclude
their edges, and drop most points of boxes that are wide or reach a pole.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from archive.interface import ArchiveFilter

MOST_BOXES = 32
"""An area of more parts is covered by the box around all of them."""
SLACK_DEG = 1e-6
"""Boxes are larger by this on each side (0.1 m), so that rounding at their edge loses nothing."""

SLACK_FRACTION = 5e-10
"""Half a unit of the last decimal that is kept of fractions: what reads back a bit higher still passes."""

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees."""


@dataclass(frozen=True, slots=True)
class OneOf:
    """The payload field `key` is one of `values`."""

    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Is:
    """The whole number `key` is `value`."""

    key: str
    value: int


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
    """The place lies in one of `boxes`, edges included."""

    boxes: tuple[Box, ...]


LON, LAT = "place.lon", "place.lat"
"""Payload fields of a point's place."""

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
        must.append(AtMost("cloud_fraction", filter.max_cloud + SLACK_FRACTION))
    if filter.simulated is not None:
        must.append(Is("simulated", int(filter.simulated)))
    if filter.area is not None:
        must.append(InBoxes(tuple(boxes(filter.area))))
    return must


def boxes(area: BaseGeometry) -> list[Box]:
    """Rectangles that together hold an area."""
    parts = shapely.get_parts(area)
    whole = shapely.bounds(parts if len(parts) <= MOST_BOXES else [area])
    widened = whole + SLACK_DEG * np.array([-1, -1, 1, 1])
    return [(float(west), float(south), float(east), float(north)) for west, south, east, north in widened]


def inside(area: BaseGeometry, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which centres lie in an area, its edge included, bool (n,)."""
    return np.asarray(shapely.intersects_xy(area, lon, lat), dtype=bool)
