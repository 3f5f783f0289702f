"""A static STAC catalogue of simulated acquisitions, released one by one as real ones arrive.

In: a scenario and a folder. Out: COGs, items, two collections and a root catalogue that link to what is released.
Stops at files: `simulation.server` serves them, any static STAC reader walks them.
"""

import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from pyproj import Transformer

from simulation.cogs import Json, write_cogs
from simulation.scenario import Pass, Scenario
from simulation.world import Acquisition, World

COLLECTIONS: Final = {"s2": "sentinel-2-c1-l2a", "s1": "sentinel-1-rtc"}
"""Collection ids by sensor: those of Earth Search and of the Planetary Computer, whose keys the items carry."""
S1_RELATIVE_ORBIT: Final = 117
"""All simulated Sentinel-1 passes share one orbit, so that one baseline grows."""
S2_RELATIVE_ORBIT: Final = 36
"""All simulated Sentinel-2 passes share one orbit."""
BASELINE: Final = "05.11"
"""Processing baseline that the items claim: one with the +1000 offset."""
EXTENSIONS: Final = tuple(
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("projection/v2.0.0", "raster/v1.1.0", "grid/v1.1.0", "eo/v1.1.0", "sat/v1.0.0", "sar/v1.0.0")
)


@dataclass(frozen=True)
class Draft:
    """An acquisition whose files are written and whose item nobody can see yet.

    Attributes:
        id: Item id.
        collection: Collection id.
        sensed: Sensing time, UTC.
        backfill: It belongs to the past from which baselines are made.
        item: The item without `created` and `updated`.
    """

    id: str
    collection: str
    sensed: datetime
    backfill: bool
    item: Json


@dataclass
class SimulatedCatalogue:
    """The catalogue in a folder.

    Attributes:
        folder: Root; `catalog.json` lies in it.
        base_url: Address that serves the folder; None writes relative hrefs of assets.
    """

    folder: Path
    base_url: str | None = None
    _released: dict[str, list[Json]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def create(self) -> None:
        """Writes the root and two empty collections."""
        children = [
            {"rel": "child", "href": f"./{name}/collection.json", "type": "application/json"}
            for name in COLLECTIONS.values()
        ]
        own = {"rel": "root", "href": "./catalog.json", "type": "application/json"}
        root: Json = {
            "type": "Catalog",
            "stac_version": "1.1.0",
            "id": "tocsin-simulated",
            "title": "Simulated acquisitions",
            "description": "Sentinel-1 and Sentinel-2 acquisitions of a made-up landscape. Nothing here is real data.",
            "links": [own, *children],
        }
        _replace(self.folder / "catalog.json", root)
        for name in COLLECTIONS.values():
            self._released[name] = []
            self._write_collection(name)

    def prepare(self, scenario: Scenario, planned: Pass) -> Draft:
        """Makes one acquisition's files, not yet visible to anybody who follows links.

        Args:
            scenario: The world.
            planned: The pass.

        Returns:
            What `release` needs.
        """
        acquisition = scenario.acquire(planned)
        collection = COLLECTIONS[acquisition.sensor]
        name = item_id(acquisition, scenario.world)
        assets = write_cogs(acquisition, scenario.world, self.folder / collection / "assets" / name)
        for key, asset in assets.items():
            path = f"{collection}/assets/{name}/{key}.tif"
            asset["href"] = f"{self.base_url}/{path}" if self.base_url else f"../assets/{name}/{key}.tif"
        item = describe_item(name, collection, acquisition, scenario.world) | {"assets": assets}
        return Draft(name, collection, acquisition.when, planned.backfill, item)

    def release(self, draft: Draft, at: datetime | None = None) -> Json:
        """Makes an acquisition visible: item first, then the collection's link to it, each in one rename.

        Args:
            draft: From `prepare`.
            at: Time of publication, `created` and `updated`; None is now.

        Returns:
            The item as published. Releasing a draft again renews `updated` and keeps one link.
        """
        stamp = _iso(at or datetime.now(UTC))
        properties = draft.item["properties"]
        if not isinstance(properties, dict):
            raise TypeError(f"item {draft.id} has no properties")
        item = draft.item | {"properties": properties | {"created": stamp, "updated": stamp}}
        with self._lock:
            _replace(self.folder / draft.collection / "items" / f"{draft.id}.json", item)
            kept = [known for known in self._released[draft.collection] if known["id"] != draft.id]
            self._released[draft.collection] = [*kept, item]
            self._write_collection(draft.collection)
        return item

    def released(self) -> list[str]:
        """Ids of the visible items, in the order of their release within each collection."""
        with self._lock:
            return [str(item["id"]) for items in self._released.values() for item in items]

    def _write_collection(self, name: str) -> None:
        items = self._released[name]
        boxes: list[object] = [item["bbox"] for item in items]
        times = sorted(str(_property(item, "datetime")) for item in items)
        links: list[Json] = [
            {"rel": "root", "href": "../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../catalog.json", "type": "application/json"},
        ]
        for item in items:
            links.append({"rel": "item", "href": f"./items/{item['id']}.json", "type": "application/geo+json"})
        collection: Json = {
            "type": "Collection",
            "stac_version": "1.1.0",
            "id": name,
            "title": f"Simulated {name}",
            "description": "Simulated acquisitions in the shape of the real collection of this name.",
            "license": "Apache-2.0",
            "keywords": ["simulated"],
            "extent": {
                "spatial": {"bbox": boxes[:1] or [[-180, -90, 180, 90]]},
                "temporal": {"interval": [[times[0], times[-1]] if times else [None, None]]},
            },
            "links": links,
        }
        _replace(self.folder / name / "collection.json", collection)


def item_id(acquisition: Acquisition, world: World) -> str:
    """Id in the style of the real catalogue."""
    tile, stamp = world.tile, acquisition.when
    if acquisition.sensor == "s2":
        return f"S2C_T{tile}_{stamp:%Y%m%dT%H%M%S}_L2A"
    end = stamp + timedelta(seconds=25)
    orbit = 10_000 + int(stamp.timestamp() // 5925) % 50_000
    return f"S1C_IW_GRDH_1SDV_{stamp:%Y%m%dT%H%M%S}_{end:%Y%m%dT%H%M%S}_{orbit:06d}_{orbit * 7:06X}_rtc"


def describe_item(name: str, collection: str, acquisition: Acquisition, world: World) -> Json:
    """A STAC 1.1 item without assets, `created` and `updated`."""
    west, south, east, north = world.bounds
    ring = _ring(world)
    lons, lats = [point[0] for point in ring], [point[1] for point in ring]
    properties: Json = {
        "datetime": _iso(acquisition.when),
        "proj:code": f"EPSG:{world.site.epsg}",
        "proj:bbox": [west, south, east, north],
        "grid:code": f"MGRS-{world.tile}",
        "license": "Apache-2.0",
        "tocsin:simulated": True,
    }
    properties |= _optical(acquisition, world.tile) if acquisition.sensor == "s2" else _radar(acquisition)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": list(EXTENSIONS),
        "id": name,
        "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": properties,
        "links": [
            {"rel": "root", "href": "../../catalog.json", "type": "application/json"},
            {"rel": "parent", "href": "../collection.json", "type": "application/json"},
            {"rel": "collection", "href": "../collection.json", "type": "application/json"},
        ],
    }


def _optical(acquisition: Acquisition, tile: str) -> Json:
    when = acquisition.when
    generated = when + timedelta(hours=3, minutes=12)
    return {
        "platform": "sentinel-2c",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 10,
        "eo:cloud_cover": round(acquisition.cloud_percent, 3),
        "sat:orbit_state": "descending",
        "sat:relative_orbit": S2_RELATIVE_ORBIT,
        "mgrs:utm_zone": int(tile[:2]),
        "mgrs:latitude_band": tile[2],
        "mgrs:grid_square": tile[3:],
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": BASELINE,
        "s2:generation_time": _iso(generated),
        "s2:datatake_id": f"GS2C_{when:%Y%m%dT%H%M%S}_{1000 + when.timetuple().tm_yday:06d}_N{BASELINE}",
        "s2:product_uri": f"S2C_MSIL2A_{when:%Y%m%dT%H%M%S}_N0511_R{S2_RELATIVE_ORBIT:03d}_T{tile}"
        f"_{generated:%Y%m%dT%H%M%S}.SAFE",
        "earthsearch:boa_offset_applied": False,
    }


def _radar(acquisition: Acquisition) -> Json:
    return {
        "platform": "SENTINEL-1C",
        "constellation": "Sentinel-1",
        "instruments": ["c-sar"],
        "gsd": 10,
        "start_datetime": _iso(acquisition.when),
        "end_datetime": _iso(acquisition.when + timedelta(seconds=25)),
        "sat:orbit_state": "ascending",
        "sat:relative_orbit": S1_RELATIVE_ORBIT,
        "sar:instrument_mode": "IW",
        "sar:frequency_band": "C",
        "sar:center_frequency": 5.405,
        "sar:polarizations": ["VV", "VH"],
        "sar:product_type": "RTC",
        "s1:processing_level": "1",
        "tocsin:backscatter": "gamma0 linear power",
    }


def _ring(world: World) -> list[list[float]]:
    west, south, east, north = world.bounds
    to_degrees = Transformer.from_crs(world.site.epsg, 4326, always_xy=True)
    corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
    return [[round(float(v), 7) for v in to_degrees.transform(*corner)] for corner in corners]


def _property(item: Json, name: str) -> object:
    properties = item["properties"]
    return properties.get(name) if isinstance(properties, dict) else None


def _iso(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _replace(path: Path, document: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".partial")
    draft.write_text(json.dumps(document, indent=1))
    draft.replace(path)
