"""An item becomes an acquisition.

Flows in: one item of a catalogue and the source that announced it. Flows out: the `Acquisition`, and which bands are
still missing. Stops before the ledger: whether this is news is decided there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from shapely.geometry.base import BaseGeometry

from ingest.assets import declared_polarisations, read_assets
from ingest.item import Item, mapping
from ingest.presets import generic, preset_named, required_bands
from ingest.scene import physical_key, read_platform, read_sensor, read_tile
from schemas.errors import InvalidArea, MalformedItem
from schemas.geometry import read_bbox, read_footprint, to_geojson
from schemas.messages import Acquisition, Sensor, stable_id, utc

CLOCK_SKEW = timedelta(days=1)
"""A time later than now by more than this is a lie: it would hide every later version, or the whole future."""
_PRODUCT_BASELINE = re.compile(r"_N(\d{2})\.?(\d{2})(?:_|$)")
_SENSING = ("datetime", "end_datetime", "start_datetime")
_EPSG = re.compile(r"EPSG:(\d{4,6})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading:
    """One item, read.

    Attributes:
        acquisition: What would be announced.
        missing: Bands that must still come before it is worth encoding; empty when it is complete.
        footprint: Of the acquisition, lon/lat, split at the antimeridian.
        dated: Whether the catalogue says when it published; otherwise `published_at` is the best guess.
    """

    acquisition: Acquisition
    missing: tuple[str, ...]
    footprint: BaseGeometry
    dated: bool


@dataclass(frozen=True, slots=True)
class Origin:
    """Where items come from, as far as their acquisitions must know.

    Attributes:
        source: Name that the operator gave.
        preset: Name of what is known of the catalogue, or none.
        allowed_hosts: Where hrefs may lead, preset's hosts included.
    """

    source: str
    preset: str | None
    allowed_hosts: tuple[str, ...]


def translate(item: Item, origin: Origin, seen_at: datetime, *, backfill: bool = False) -> Reading:
    """Read one item.

    Args:
        item: As the catalogue gave it.
        origin: The source.
        seen_at: When we read it.
        backfill: From a date range of the past.

    Raises:
        MalformedItem: it lacks or contradicts what is needed; says which item of which collection, and what.
    """
    sensor = read_sensor(item, origin.preset)
    footprint = _footprint(item)
    sensing_at = _sensing_at(item, seen_at)
    published = _published(item, seen_at)
    processed_at = _processed_at(item, sensing_at, seen_at) or published or sensing_at
    baseline = _baseline(item)
    assets = read_assets(item, sensor, origin.allowed_hosts, baseline)
    if not assets:
        raise MalformedItem(f"{_name(item)}: no asset is one of the {sensor} bands ({_some(item.assets)})")
    acquisition = Acquisition(
        acquisition_id=announcement_id(item, seen_at),
        physical_key=physical_key(item, sensor, sensing_at, footprint),
        processed_at=processed_at,
        source=origin.source,
        collection=item.collection,
        item_id=item.id,
        sensor=sensor,
        platform=read_platform(item),
        sensing_at=sensing_at,
        published_at=published or processed_at,
        seen_at=seen_at,
        footprint=to_geojson(footprint),
        epsg=_epsg(item),
        tile=read_tile(item) if sensor == "s2" else None,
        relative_orbit=_relative_orbit(item),
        orbit_state=_orbit_state(item),
        cloud_cover_percent=item.number(generic().properties["cloud_cover"]),
        processing_baseline=baseline,
        assets=assets,
        allowed_hosts=origin.allowed_hosts,
        signing_url=known.signing_url if (known := preset_named(origin.preset)) else None,
        backfill=backfill,
        simulated=item.properties.get("tocsin:simulated") is True,
    )
    missing = missing_bands(item, origin.preset, sensor, frozenset(assets))
    return Reading(acquisition, missing, footprint, published is not None)


def announcement_id(item: Item, now: datetime) -> UUID:
    """Id of what the item says today: the same until the catalogue changes it.

    Args:
        item: As the catalogue gave it.
        now: Times after this are not believed.
    """
    said = _time(item, "updated", now) or _time(item, "processed", now) or item.time(_SENSING)
    return stable_id(item.collection, item.id, utc(said) if said else "")


def processing_time(item: Item, now: datetime) -> datetime | None:
    """When the item says that this version was processed, or none."""
    return _time(item, "processed", now)


def missing_bands(item: Item, preset: str | None, sensor: Sensor, present: frozenset[str]) -> tuple[str, ...]:
    """Bands that must still come.

    Sentinel-1 needs VV, and VH unless the item itself says that it was sensed in VV alone: such a take is complete,
    the encoders know how to do without VH. An item that declares VH and does not have it waits.
    """
    required = required_bands(preset, item.collection, sensor)
    if sensor == "s1":
        required = (*required, *sorted(declared_polarisations(item) - set(required)))
    return tuple(band for band in required if band not in present)


def _footprint(item: Item) -> BaseGeometry:
    """Its geometry, or its box where there is none."""
    geometry, box = mapping(item.json.get("geometry")), item.json.get("bbox")
    try:
        if geometry.get("coordinates"):
            return read_footprint(geometry)
        if isinstance(box, list) and len(box) in (4, 6) and all(isinstance(x, int | float) for x in box):
            return read_bbox(box if len(box) == 4 else [box[0], box[1], box[3], box[4]])
    except InvalidArea as error:
        raise MalformedItem(f"{_name(item)}: its footprint cannot be used: {error}") from error
    raise MalformedItem(f"{_name(item)}: neither geometry nor bbox")


def _sensing_at(item: Item, now: datetime) -> datetime:
    """When it was sensed; of a range the end, because nothing of it was known earlier."""
    found = item.time(_SENSING)
    if found is None:
        raise MalformedItem(f"{_name(item)}: no datetime, end_datetime or start_datetime")
    if found > now + CLOCK_SKEW:
        raise MalformedItem(f"{_name(item)}: sensed at {utc(found)}, which has not been yet")
    return found


def _published(item: Item, now: datetime) -> datetime | None:
    """When this version was published: the latest of what the catalogue says of it."""
    times = (item.time([name]) for name in generic().properties["published"])
    return max((t for t in times if t is not None and t <= now + CLOCK_SKEW), default=None)


def _time(item: Item, fact: str, now: datetime) -> datetime | None:
    """A time that is not of the future."""
    times = (item.time([name]) for name in generic().properties[fact])
    return next((t for t in times if t is not None and t <= now + CLOCK_SKEW), None)


def _processed_at(item: Item, sensing_at: datetime, now: datetime) -> datetime | None:
    """When this version was processed; none where the item says nothing, or that it was before it was sensed."""
    found = _time(item, "processed", now)
    return found if found is not None and found >= sensing_at else None


def _baseline(item: Item) -> str | None:
    """Processing baseline as `05.10`."""
    text = item.text(generic().properties["baseline"])
    if text and re.fullmatch(r"\d{1,2}\.\d{2}", text):
        return text.zfill(5)
    for name in (item.text(generic().properties["product"]), item.text(generic().properties["datatake"]), item.id):
        if name and (match := _PRODUCT_BASELINE.search(name.upper().removesuffix(".SAFE"))):
            return f"{match[1]}.{match[2]}"
    return None


def _epsg(item: Item) -> int | None:
    if (match := _EPSG.fullmatch(item.text(["proj:code"]) or "")) is not None:
        return int(match[1])
    number = item.number(["proj:epsg"])
    return int(number) if number is not None and number.is_integer() and number > 0 else None


def _relative_orbit(item: Item) -> int | None:
    number = item.number(generic().properties["relative_orbit"])
    return int(number) if number is not None and number.is_integer() and number > 0 else None


def _orbit_state(item: Item) -> Literal["ascending", "descending"] | None:
    match (item.text(["sat:orbit_state"]) or "").lower():
        case "ascending":
            return "ascending"
        case "descending":
            return "descending"
        case _:
            return None


def _name(item: Item) -> str:
    return f"item {item.id} of {item.collection}"


def _some(assets: object) -> str:
    keys = sorted(map(str, assets if isinstance(assets, dict) else mapping(assets)))
    return ", ".join(keys[:12]) or "it has none"
