"""A catalogue's item as it came: JSON that may lack, mistype or contradict anything.

Flows in: a decoded JSON object. Flows out: its facts as text, number or aware datetime, or none where they are not
usable. Stops before meaning: `scene`, `assets` and `translate` know what the facts say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from schemas.errors import MalformedItem

Json = Mapping[str, object]
"""A decoded JSON object of somebody else's."""
MAX_ID = 250
"""Longest id of an item that we keep, characters: ledger columns are 300 wide, and physical keys add to it."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    Attributes:
        id: As the catalogue says.
        collection: Its own, or the one that was asked for.
        json: All of it.
        url: Where it was read, for relative hrefs; empty when unknown.
    """

    id: str
    collection: str
    json: Json
    url: str = ""

    @property
    def properties(self) -> Json:
        """Its properties, empty when they are no object."""
        return mapping(self.json.get("properties"))

    @property
    def assets(self) -> Mapping[str, Json]:
        """Its assets by key, without those that are no objects."""
        return {key: asset for key, asset in mapping(self.json.get("assets")).items() if isinstance(asset, Mapping)}

    def text(self, names: Sequence[str]) -> str | None:
        """The first of these properties that is a printable text or a whole number."""
        for name in names:
            value = self.properties.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool):
                text = str(value).strip()
                if text and text.isprintable():
                    return text
        return None

    def number(self, names: Sequence[str]) -> float | None:
        """The first of these properties that is a finite number."""
        return next((x for name in names if (x := finite(self.properties.get(name))) is not None), None)

    def time(self, names: Sequence[str]) -> datetime | None:
        """The first of these properties that is a time."""
        return next((t for name in names if (t := moment(self.properties.get(name))) is not None), None)


def read_item(json: object, collection: str, url: str = "") -> Item:
    """An item of what a catalogue put among its features.

    Args:
        json: Decoded JSON.
        collection: The one that was asked for.
        url: Where it was read.

    Raises:
        MalformedItem: not a JSON object with an id, or of another collection.
    """
    if not isinstance(json, Mapping):
        raise MalformedItem(f"collection {collection}: a feature is no JSON object")
    item_id, own = json.get("id"), json.get("collection")
    if not isinstance(item_id, str) or not item_id or len(item_id) > MAX_ID or not item_id.isprintable():
        raise MalformedItem(f"collection {collection}: an item without a usable id ({str(item_id)[:60]!r})")
    if own not in (None, "", collection):
        raise MalformedItem(f"item {item_id} says that it belongs to {own!r}, {collection!r} was asked for")
    return Item(item_id, collection, json, url or _self_link(json))


def mapping(value: object) -> Json:
    """A JSON object, or an empty one."""
    return value if isinstance(value, Mapping) else {}


def first_mapping(value: object) -> Json:
    """The first object of a JSON list, or an empty one."""
    return mapping(value[0]) if isinstance(value, list) and value else {}


def finite(value: object) -> float | None:
    """A number that is neither NaN nor infinite, or none; `true` is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def moment(value: object) -> datetime | None:
    """An aware datetime of an RFC 3339 text; without a zone it is UTC; none when it is no time."""
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _self_link(json: Json) -> str:
    links = json.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "self" and isinstance(link.get("href"), str):
            return str(link["href"])
    return ""
