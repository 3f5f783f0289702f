"""Which files of an item are which bands, and what their numbers mean.

Flows in: an item's assets under the many names that catalogues use. Flows out: `Asset` by the encoders' band names.
Stops before opening any file: what the metadata declare is checked against the pixels when they are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urljoin

from ingest.item import Item, Json, finite, first_mapping, mapping
from ingest.presets import generic
from schemas.errors import MalformedItem
from schemas.hosts import host_allowed
from schemas.messages import Asset, Sensor

REFLECTANCE_SCALE = 1e-4
"""Reflectance per DN of Sentinel-2 products (ESA, Sentinel-2 Products Specification Document)."""
BASELINE_OFFSET = -0.1
"""Reflectance offset of processing baselines from 04.00: 1000 was added to the DN (same document, 4.9)."""
_NOT_DATA = {"thumbnail", "overview", "visual", "metadata", "reproject"}


def read_assets(item: Item, sensor: Sensor, allowed_hosts: tuple[str, ...], baseline: str | None) -> dict[str, Asset]:
    """The item's bands.

    Args:
        item: Whose assets.
        sensor: Which band names to look for.
        allowed_hosts: Where hrefs may lead.
        baseline: Processing baseline such as `05.10`, for assets that declare no offset.

    Returns:
        By band name; only what is there.

    Raises:
        MalformedItem: an href leads to a host or scheme that the source may not use.
    """
    return {
        band: _asset(item, band, json, sensor, allowed_hosts, baseline) for band, json in _by_band(item, sensor).items()
    }


def declared_polarisations(item: Item) -> frozenset[str]:
    """What a Sentinel-1 item says that it holds, `VV` and `VH`; empty when it says nothing.

    Without `sar:polarizations` the product's own name tells: 1SDV is VV and VH, 1SSV is VV.
    """
    declared = item.properties.get("sar:polarizations")
    if isinstance(declared, list) and declared:
        return frozenset(str(name).upper() for name in declared) & {"VV", "VH"}
    return frozenset({"VV", "VH"} if "_1SDV_" in item.id else {"VV"} if "_1SSV_" in item.id else ())


def _by_band(item: Item, sensor: Sensor) -> dict[str, Json]:
    keys = {key.lower(): asset for key, asset in item.assets.items() if isinstance(asset.get("href"), str)}
    named = _by_name(keys)
    found: dict[str, Json] = {}
    for band, names in generic().bands[sensor].items():
        plain = (keys[name] for name in names if name in keys)
        declared = (named[name] for name in names if name in named)
        jp2 = (keys[f"{name}-jp2"] for name in names if f"{name}-jp2" in keys)
        for candidates in (plain, declared, jp2):
            if band not in found and (first := next(candidates, None)) is not None:
                found[band] = first
    return found


def _by_name(keys: Mapping[str, Json]) -> dict[str, Json]:
    """Assets by the name or common name of their only band, for catalogues with keys of their own."""
    named: dict[str, Json] = {}
    for key, asset in keys.items():
        roles = asset.get("roles")
        if key.endswith("-jp2") or (isinstance(roles, list) and _NOT_DATA & set(map(str, roles))):
            continue
        for list_name in ("bands", "eo:bands"):
            bands = asset.get(list_name)
            if not isinstance(bands, list) or len(bands) != 1:
                continue
            for name in ("name", "common_name", "eo:common_name"):
                named.setdefault(str(mapping(bands[0]).get(name)).lower(), asset)
    return named


def _asset(
    item: Item, band: str, json: Json, sensor: Sensor, allowed_hosts: tuple[str, ...], baseline: str | None
) -> Asset:
    href = urljoin(item.url, str(json["href"]))
    if not host_allowed(href, allowed_hosts):
        raise MalformedItem(
            f"item {item.id} of {item.collection}: {band} leads to {href[:200]!r}, where its source may not read; "
            "if you trust that host, add the source again with --allow-host"
        )
    scale, offset = _scaling(item, band, json, sensor, baseline)
    return Asset(
        href=href,
        gsd_m=_declared(json, "spatial_resolution", "raster:spatial_resolution", "gsd"),
        scale=scale,
        offset=offset,
        nodata=_declared(json, "nodata"),
    )


def _scaling(item: Item, band: str, json: Json, sensor: Sensor, baseline: str | None) -> tuple[float, float]:
    """Scale and offset as declared; undeclared Sentinel-2 DN follow the product specification."""
    if sensor == "s1" or band == "SCL":
        return (1.0, 0.0)
    scale = _declared(json, "scale", "raster:scale")
    offset = _declared(json, "offset", "raster:offset")
    if item.properties.get("earthsearch:boa_offset_applied") is True:
        offset = 0.0
    if offset is None:
        offset = BASELINE_OFFSET if scale is None and baseline is not None and baseline >= "04.00" else 0.0
    return (scale or REFLECTANCE_SCALE, offset)


def _declared(json: Json, *names: str) -> float | None:
    """A number of STAC 1.0's `raster:bands`, of STAC 1.1's `bands`, or of the asset itself."""
    for place in (first_mapping(json.get("raster:bands")), first_mapping(json.get("bands")), json):
        for name in names:
            if (value := finite(place.get(name))) is not None:
                return value
    return None
