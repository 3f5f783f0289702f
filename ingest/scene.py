"""Which physical scene an item is about, whoever announces it and however often it was processed.

Flows in: an item. Flows out: sensor, platform, tile and the physical key. Stops before versions: `ledger` compares.

The key of Sentinel-2 is platform, datatake, place and sensing second; of Sentinel-1 the product's name without its
CRC, and what is left of the id (a crop's name). Facts that a catalogue does not give are left out of the key.
"""

from __future__ import annotations

import re
from datetime import datetime

import shapely
from shapely.geometry.base import BaseGeometry

from ingest.item import Item
from ingest.presets import collection_preset, generic
from schemas.errors import MalformedItem
from schemas.messages import Sensor

_PLATFORM = re.compile(r"s(?:entinel)?[-_ ]?([123])[-_ ]?([a-z])")
_MISSION = re.compile(r"sentinel[-_ ]?([12])(?:\D|$)|(?:^|[_-])s([12])[a-z]?(?:[_-]|$)")
_TILE = re.compile(r"(?:^|MGRS-|_)T?(\d{1,2})([C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:_|$)")
_DATATAKE = re.compile(r"GS2[A-Z]_(\d{8}T\d{6})_")
_PRODUCT_DATATAKE = re.compile(r"S2[A-Z]_MSIL\d[AC]_(\d{8}T\d{6})_")
_S1_PRODUCT = re.compile(r"(S1[A-Z])_(\w\w)_\w{4}_\d?(\w{3})_(\d{8}T\d{6})_(\d{8}T\d{6})_(\d{6})_([0-9A-F]{6})")
_S1_BURST = re.compile(r"T(\d{3}-\d{6}-IW\d)_(\d{8}T\d{6})Z?(?:_\d{8}T\d{6}Z)?_(S1[A-Z])")
_CRC = re.compile(r"[0-9A-F]{4}")
MAX_KEY = 300
"""Characters of a physical key: the width of its columns."""
_NO_PLACE = {"RTC", "COG", "SAFE", "GRD"}


def read_sensor(item: Item, preset: str | None) -> Sensor:
    """Which sensor made it.

    Raises:
        MalformedItem: neither Sentinel-1 nor Sentinel-2, or a Sentinel-1 product that is not terrain-corrected.
    """
    known = collection_preset(preset, item.collection)
    sensor = (
        known.sensor
        if known
        else sensor_named(
            *(item.text([name]) for name in ("constellation", "platform", "mission")), item.collection, item.id
        )
    )
    if sensor is None:
        raise MalformedItem(f"item {item.id} of {item.collection}: neither Sentinel-1 nor Sentinel-2 by its metadata")
    kind = (item.text(generic().properties["product_type"]) or "").upper()
    if sensor == "s1" and kind.startswith(("GRD", "SLC", "OCN", "RAW", "IW_GRD", "IW_SLC")):
        raise MalformedItem(
            f"item {item.id} of {item.collection}: {kind} is not terrain-corrected backscatter; watch an RTC collection"
        )
    return sensor


def sensor_named(*texts: str | None) -> Sensor | None:
    """The first Sentinel mission, 1 or 2, that one of these texts names."""
    for text in texts:
        if text and (match := _MISSION.search(text.lower())):
            return "s1" if "1" in (match[1], match[2]) else "s2"
    return None


def read_platform(item: Item) -> str | None:
    """`sentinel-2c` of `Sentinel-2C`, `S2C`; other names only in lower case; never checked against a list."""
    name = item.text(["platform"])
    if name is None:
        return None
    match = _PLATFORM.fullmatch(name.lower())
    return f"sentinel-{match[1]}{match[2]}" if match else name.lower()


def read_tile(item: Item) -> str | None:
    """MGRS tile, for example `33TWN`, of properties or id; none where only a finer square is given."""
    names = [*generic().properties["tile"], *generic().properties["product"]]
    for text in (*(item.text([name]) for name in names), item.id):
        if text and (match := _TILE.search(text.upper())):
            return match[1].zfill(2) + match[2]
    zone, band, square = (item.text([f"mgrs:{part}"]) for part in ("utm_zone", "latitude_band", "grid_square"))
    return f"{int(zone):02d}{band}{square}" if zone and zone.isdigit() and band and square else None


def physical_key(item: Item, sensor: Sensor, sensing_at: datetime, footprint: BaseGeometry) -> str:
    """The scene itself, the same for every processing version of it.

    Args:
        item: Any announcement of the scene.
        sensor: As `read_sensor` found.
        sensing_at: When it was sensed.
        footprint: Where, lon/lat; names the place when nothing else does.

    Raises:
        MalformedItem: what the item says of itself is too long to be the name of a scene.
    """
    if sensor == "s1" and (product := _s1_product(item.id)):
        return f"s1/{product}"
    second = sensing_at.strftime("%Y%m%dT%H%M%S")
    parts = [read_platform(item) or "-", _place(item, footprint), second]
    if sensor == "s2":
        parts.insert(1, _datatake(item) or "-")
    else:
        parts.insert(1, item.text(generic().properties["relative_orbit"]) or "-")
    key = "/".join([sensor, *parts])
    if len(key) > MAX_KEY:
        raise MalformedItem(f"item {item.id}: platform, orbit or place is no name ({key[:60]!r}…)")
    return key


def _s1_product(item_id: str) -> str | None:
    """Product and crop of an id, without the CRC wherever it stands; none when it is no product's name."""
    name = item_id.upper()
    if match := _S1_BURST.search(name):
        return f"{match[3]}/T{match[1]}/{match[2]}"
    match = _S1_PRODUCT.match(name)
    if match is None:
        return None
    rest = [part for part in name[match.end() :].split("_") if part and part not in _NO_PLACE]
    crop = [part for part in rest if not _CRC.fullmatch(part)]
    # polarisation and product type are left out: GRD and RTC of one take are one scene
    return "/".join([match[1], match[2], match[4], match[5], match[6], match[7], *crop])


def _datatake(item: Item) -> str | None:
    """Start of the datatake, without the processing baseline that stands in its identifier."""
    texts = (item.text(generic().properties["datatake"]), item.text(generic().properties["product"]), item.id)
    for text in texts:
        for pattern in (_DATATAKE, _PRODUCT_DATATAKE):
            if text and (match := pattern.search(text.upper())):
                return match[1]
    return None


def _place(item: Item, footprint: BaseGeometry) -> str:
    """The finest name of the place: a square finer than a tile, else the tile, else where its middle lies."""
    code = (item.text(["grid:code"]) or "").upper().removeprefix("MGRS-")
    if len(code) > 6:
        return code
    tile = read_tile(item)
    if tile:
        return tile
    west, south, east, north = footprint.bounds
    middle = shapely.centroid(footprint) if east - west < 180 else shapely.Point(west, (south + north) / 2)
    return f"{middle.x:.3f},{middle.y:.3f}"
