"""What is asked of a catalogue, and what comes back.

Flows in: nothing. Flows out: the words that both kinds of catalogue share. Stops at facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import shapely
from shapely.geometry.base import BaseGeometry

from ingest.item import Json

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees, west < east."""


@dataclass(frozen=True, slots=True)
class Window:
    """Which items are wanted.

    Attributes:
        published_after: Published or changed since then; none: all.
        thorough_after: The same for catalogues that only say when a scene was sensed or processed, which is long
            before they publish it.
        sensed: First and last moment of sensing, for a back-fill; none: whenever.
        area: Lon/lat geometry, split at the antimeridian; none: everywhere. Catalogues are asked for its boxes, so
            they may give items outside it.
    """

    published_after: datetime | None = None
    thorough_after: datetime | None = None
    sensed: tuple[datetime, datetime] | None = None
    area: BaseGeometry | None = None

    def boxes(self) -> tuple[Box | None, ...]:
        """What to ask for: one box, two where the area lies on both sides of the antimeridian, `None` for no limit."""
        if self.area is None:
            return (None,)
        parts = list(shapely.get_parts(self.area))
        west = [part for part in parts if part.bounds[0] < 0]
        east = [part for part in parts if part.bounds[0] >= 0]
        if not west or not east or self.area.bounds[2] - self.area.bounds[0] < 180:
            return (_box(self.area),)
        return (_box(shapely.union_all(west)), _box(shapely.union_all(east)))


@dataclass(frozen=True, slots=True)
class Page:
    """Some items.

    Attributes:
        features: As decoded; each may be anything.
        through: Everything published up to then has been given, so that a cursor may move; none: not known yet.
        urls: Where each feature was read, for relative hrefs; empty when the features say it themselves.
    """

    features: tuple[object, ...]
    through: datetime | None = None
    urls: tuple[str, ...] = ()


class Catalogue(Protocol):
    """Something that announces items."""

    def collections(self) -> Sequence[str]:
        """Ids of what it offers.

        Raises:
            CatalogueUnavailable: it does not answer.
        """
        ...

    def pages(self, collection: str, window: Window) -> Iterator[Page]:
        """Items of a collection, to the last page.

        Raises:
            CatalogueUnavailable: it does not answer, or stops before the end.
        """
        ...

    def notes(self, collection: str) -> tuple[str, ...]:
        """What this catalogue cannot do, and what is done instead; known after the first page."""
        ...


def features_of(page: Json) -> tuple[object, ...]:
    """What a page gives, or nothing."""
    features = page.get("features")
    return tuple(features) if isinstance(features, list) else ()


def _box(geometry: BaseGeometry) -> Box:
    west, south, east, north = geometry.bounds
    return (west, south, east, north)
