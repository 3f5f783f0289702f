"""Land-cover maps, and which of the nine land-cover labels a chip has by them.

In: GeoTIFFs of ESA WorldCover, local, over HTTP, or of a STAC collection. Out: classes of chips, and their labels.
Stops at the map: what an event has changed since is taken out by `corpus_build`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urljoin, urlsplit

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.enums import Resampling
from shapely.geometry.base import BaseGeometry

from encoders.assets import Fetched, Fetcher, Version
from encoders.offsets import Calibration
from encoders.rasters import Raster, opened
from encoders.settings import EncoderSettings
from encoders.unfold import unfold
from ingest.catalogue import open_catalogue
from ingest.item import Item, read_item
from ingest.pages import Window
from ingest.presets import preset_named
from ingest.sources import source_of
from schemas.cells import CHIP_PX, Cell
from schemas.errors import InvalidArea, MalformedItem, UnreadableAsset, UsageError
from schemas.geometry import read_footprint, to_geojson
from schemas.messages import Acquisition, Asset, stable_id
from training.phrases import LABELS

LAND_LABELS: Final = frozenset(LABELS[:9])
"""The nine classes of Dynamic World, which a land-cover map can tell."""
WORLDCOVER: Final[Mapping[int, frozenset[str]]] = {
    10: frozenset({"Trees"}),
    20: frozenset({"Shrub and Scrub"}),
    30: frozenset({"Grass"}),
    40: frozenset({"Crops"}),
    50: frozenset({"Built"}),
    60: frozenset({"Bare"}),
    70: frozenset({"Snow and Ice"}),
    80: frozenset({"Water"}),
    90: frozenset({"Flooded Vegetation"}),
    95: frozenset({"Flooded Vegetation"}),
    100: frozenset(),
}
"""Classes of ESA WorldCover onto our labels. Source: WorldCover Product User Manual v2.0, table 3 (CC-BY-4.0). 90 is
herbaceous wetland, 95 mangroves. 100, moss and lichen, has no class in Dynamic World: it counts as known ground that
may be grass, shrub or bare."""
MOSS: Final = 100
MOSS_MAY_BE: Final = frozenset({"Grass", "Shrub and Scrub", "Bare"})
PRESENT: Final = 0.10
"""Share of a chip from which a label is present, as in `simulation.labels.LABEL_FRACTION`."""
KNOWN: Final = 0.90
"""Share of a chip that the map must cover: below it nobody can say what is absent."""
ATTRIBUTION: Final = "© ESA WorldCover project / Contains modified Copernicus Sentinel data, CC-BY-4.0"
"""What the licence of WorldCover asks for."""
PRESET: Final = "worldcover"
"""Word that stands for the collection below."""
PRESET_HREF: Final = "https://planetarycomputer.microsoft.com/api/stac/v1#esa-worldcover"
"""ESA WorldCover 2020 and 2021 as a STAC collection; the newest version of a tile is used."""
PRESET_HOSTS: Final = ("ai4edataeuwest.blob.core.windows.net",)
"""Where that collection's files are."""
_MAP_KEYS: Final = ("map", "ESA_WORLDCOVER_10M_MAP")


@dataclass(frozen=True, slots=True)
class CoverLabels:
    """What a map says of one chip.

    Attributes:
        present: Labels of at least `PRESENT` of the chip.
        absent: The other land-cover labels that are surely below it.
        unknown: Those that cannot be told.
    """

    present: frozenset[str]
    absent: frozenset[str]
    unknown: frozenset[str]


@dataclass
class LandCover:
    """Tiles of one map, opened when a cell needs them. Close its stack when done: fetched tiles lie in it.

    Attributes:
        tiles: Outline in lon/lat where known, and how it is fetched.
        fetcher: The way to the network.
        stack: Holds what is open.
        classes: Class number onto labels.
    """

    tiles: Sequence[tuple[BaseGeometry | None, Acquisition | Path]]
    fetcher: Fetcher
    stack: ExitStack
    classes: Mapping[int, frozenset[str]] = field(default_factory=lambda: WORLDCOVER)
    _open: dict[int, Raster] = field(default_factory=dict)

    def cut(self, cells: Sequence[Cell]) -> NDArray[np.float32]:
        """Classes under chips, float32, (n, 120, 120), NaN where no tile has any. The cells are of one zone.

        Raises:
            UnreadableAsset: a tile is missing, damaged, or of another legend.
            AssetUnavailable: its host is down or slow.
        """
        out = np.full((len(cells), CHIP_PX, CHIP_PX), np.nan, np.float32)
        windows = np.array([cell.window for cell in cells])
        west, south = windows[:, :2].min(axis=0)
        east, north = windows[:, 2:].max(axis=0)
        ground = shapely.union_all([cell.polygon for cell in cells]).envelope.buffer(0.005)
        layer = np.empty_like(out)
        for number, (outline, _) in enumerate(self.tiles):
            if outline is not None and not outline.intersects(ground):
                continue
            raster = self._raster(number)
            if not raster.footprint.intersects(ground):
                continue
            unfold(raster.warp(cells[0].epsg, west, south, east, north), [cell.window for cell in cells], layer)
            strange = [number for number in np.unique(layer[~np.isnan(layer)]) if number not in self.classes]
            if strange:
                raise UnreadableAsset(
                    f"{raster.fetched.label}: class {strange[0]:g} is none of ESA WorldCover's: is it another map?"
                )
            out = np.where(np.isnan(out), layer, out)
        return out

    def labels(self, classes: NDArray[np.float32], hidden: NDArray[np.bool_] | None = None) -> CoverLabels | None:
        """Labels of one chip.

        Args:
            classes: float32, (120, 120), as from `cut`.
            hidden: bool, (120, 120), ground of which the map is out of date (under an event): it makes nothing present,
                and what only it would make present is unknown.

        Returns:
            None where the map covers less than `KNOWN`.
        """
        hidden = np.zeros(classes.shape, bool) if hidden is None else hidden
        numbers = np.unique(classes[~np.isnan(classes)]).astype(int)
        if np.isnan(classes).mean() > 1 - KNOWN:
            return None
        seen, all_of_it = dict.fromkeys(LAND_LABELS, 0.0), dict.fromkeys(LAND_LABELS, 0.0)
        for number in numbers:
            mask = classes == number
            for label in self.classes[int(number)]:
                seen[label] += float((mask & ~hidden).mean())
                all_of_it[label] += float(mask.mean())
        present = frozenset(label for label, share in seen.items() if share >= PRESENT)
        unknown = {label for label, share in all_of_it.items() if share >= PRESENT}
        if self.classes is WORLDCOVER and float((classes == MOSS).mean()) >= PRESENT:
            unknown |= MOSS_MAY_BE
        return CoverLabels(present, LAND_LABELS - present - unknown, frozenset(unknown) - present)

    def _raster(self, number: int) -> Raster:
        if number not in self._open:
            place = self.tiles[number][1]
            if isinstance(place, Path):
                fetched = Fetched("SCL", str(place), place, Version(None, None, None))
            else:
                fetched = self.stack.enter_context(self.fetcher.scene(place, ["SCL"]))["SCL"]
            raster = self.stack.enter_context(opened(fetched, "SCL"))
            raster.resampling = Resampling.nearest
            raster.calibration = Calibration(nodata=0)
            self._open[number] = raster
        return self._open[number]


def open_land_cover(
    hrefs: Sequence[str],
    catalogue_url: str,
    area: BaseGeometry,
    stack: ExitStack,
    settings: EncoderSettings,
    allow_hosts: Sequence[str] = (),
) -> LandCover:
    """Find the tiles of a map; none is fetched before a cell needs it.

    Args:
        hrefs: Each `worldcover`, a GeoTIFF (path, or http(s) URL ending in .tif or .tiff), `CATALOGUE_URL#COLLECTION`,
            or the id of a collection of `catalogue_url`.
        catalogue_url: Of the scenes.
        area: Lon/lat.
        stack: Closes what is opened.
        settings: Limits of fetching.
        allow_hosts: Where else hrefs may lead.

    Raises:
        UsageError: no such file, or nothing of the collection lies in the area.
        CatalogueUnavailable: the catalogue does not answer.
    """
    fetcher = Fetcher(settings)
    stack.callback(fetcher.close)
    tiles: list[tuple[BaseGeometry | None, Acquisition | Path]] = []
    for said in hrefs:
        href = PRESET_HREF if said == PRESET else said
        hosts = (*allow_hosts, *(PRESET_HOSTS if said == PRESET else ()))
        is_url, is_tiff = (
            href.startswith(("http://", "https://")),
            href.split("?")[0].lower().endswith((".tif", ".tiff")),
        )
        if is_url and is_tiff:
            tiles.append((None, _tile(href, source_of(href, "map", {}, hosts).allowed_hosts, None)))
        elif is_tiff or Path(href).is_file():
            if not Path(href).is_file():
                raise UsageError(f"--land-cover {href}: no such file")
            tiles.append((None, Path(href)))
        else:
            url, _, collection = href.rpartition("#")
            tiles += _collection(url or catalogue_url, collection, area, hosts)
    return LandCover(tiles, fetcher, stack)


def _collection(
    url: str, collection: str, area: BaseGeometry, allow_hosts: Sequence[str]
) -> list[tuple[BaseGeometry | None, Acquisition | Path]]:
    source = source_of(url, collection, to_geojson(area), allow_hosts)
    catalogue = open_catalogue(url, preset=source.preset, collections=[collection], allowed_hosts=source.allowed_hosts)
    known = preset_named(source.preset)
    signing = known.signing_url if known else None
    tiles: dict[str, tuple[BaseGeometry | None, Acquisition | Path]] = {}
    for page in catalogue.pages(collection, Window(area=area)):
        for index, feature in enumerate(page.features):
            item = read_item(feature, collection, page.urls[index] if page.urls else "")
            outline = _outline(item)
            if outline is None or outline.intersects(area):
                tiles[item.id] = (outline, _tile(_map_href(item), source.allowed_hosts, signing))
    if not tiles:
        raise UsageError(f"--land-cover: collection {collection} of {url} has no item in the area")
    return [tiles[name] for name in sorted(tiles, reverse=True)]  # the newest year's name is the last, and wins


def _outline(item: Item) -> BaseGeometry | None:
    geometry = item.json.get("geometry")
    try:
        return read_footprint(geometry) if isinstance(geometry, Mapping) else None
    except InvalidArea:
        return None


def _map_href(item: Item) -> str:
    named = [item.assets[key] for key in _MAP_KEYS if key in item.assets]
    tiffs = [a for a in item.assets.values() if str(a.get("href")).split("?")[0].lower().endswith((".tif", ".tiff"))]
    if not named and len(tiffs) != 1:
        raise MalformedItem(f"item {item.id} of {item.collection}: which asset is the map? ({', '.join(item.assets)})")
    href = str((named or tiffs)[0].get("href"))
    return urljoin(item.url, href) if not urlsplit(href).scheme else href


def _tile(href: str, allowed_hosts: tuple[str, ...], signing_url: str | None) -> Acquisition:
    """A tile as the fetcher knows scenes: one asset, called as the other file of classes is."""
    now = datetime.now(UTC)
    return Acquisition(
        acquisition_id=stable_id("land cover", href),
        physical_key=href[-100:],
        processed_at=now,
        source="land cover",
        collection="land cover",
        item_id=href.rpartition("/")[2].split("?")[0][:100],
        sensor="s2",
        sensing_at=now,
        published_at=now,
        seen_at=now,
        footprint={"type": "Polygon", "coordinates": []},
        assets={"SCL": Asset(href=href)},
        allowed_hosts=allowed_hosts,
        signing_url=signing_url,
    )
