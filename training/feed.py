"""In: a folder of STAC items, COGs and `labels.parquet`. Out: chips of it with what is known of them.

Stops at reading: nothing is copied or written, and no scores are computed.
"""

import importlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.errors import RasterioError

from encoders.bands import BANDS
from schemas.errors import NotFound, SettingsError, UnreadableAsset

FINEST_M = 10.0
"""Everything is read at this pixel size."""

PLACE_DEGREES = 0.05
"""Side of the boxes of longitude and latitude that count as one place: 5 km, more than any item here is wide."""

LABEL_TABLE = "labels.parquet"
"""What is known of the items and their windows."""

_COLUMNS = (
    *("item_id", "collection", "source", "level", "window_col_row_width_height"),
    *("labels", "absent_labels", "state"),
)


@dataclass(frozen=True, slots=True)
class LabelledChip:
    """A window or a whole item of the feed.

    Attributes:
        item: id of the item.
        level: ``"item"`` or ``"window"``.
        source: folder it comes from.
        sensor: ``"s2"`` or ``"s1"``.
        pixels: float32, (bands, h, w), reflectance or linear power, NaN is no data; absent bands are NaN.
        present: names of the bands it has.
        labels: names that are there.
        absent: names that are known not to be there.
        state: ``"positive"``, ``"negative"``, ``"ambiguous"`` or empty.
        offset: column and row of the window; (0, 0) for an item.
        place: box of `PLACE_DEGREES` around the item's centre; empty where the item does not say.
        fractions: share of the chip by label, where the table has it.
    """

    item: str
    level: str
    source: str
    sensor: str
    pixels: NDArray[np.float32]
    present: tuple[str, ...]
    labels: frozenset[str]
    absent: frozenset[str]
    state: str
    offset: tuple[int, int]
    place: str = ""
    fractions: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class _Plane:
    path: Path
    scale: float
    offset: float
    gsd_m: float


@dataclass(frozen=True, slots=True)
class _Item:
    pixels: NDArray[np.float32]
    present: tuple[str, ...]
    place: str


def place_at(lon: float, lat: float) -> str:
    """Name of the box of `PLACE_DEGREES` around a longitude and a latitude in degrees."""
    return f"{math.floor(lon / PLACE_DEGREES)}:{math.floor(lat / PLACE_DEGREES)}"


def _facts(item_path: Path) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(item_path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFound(f"{item_path} is missing: {LABEL_TABLE} names it; fetch the folder again") from error
    except ValueError as error:
        raise UnreadableAsset(f"{item_path} is no JSON ({error}): fetch it again") from error
    return facts


def _planes(item: Mapping[str, Any], item_path: Path) -> dict[str, _Plane]:
    """Where each band of an item is and how to read it."""
    planes = {}
    try:
        for asset in item["assets"].values():
            for band in asset.get("bands", []):
                facts = asset["raster:bands"][0]
                path = (item_path.parent / asset["href"]).resolve()
                spacing = float(facts.get("spatial_resolution", FINEST_M))
                planes[band["name"]] = _Plane(path, facts.get("scale", 1.0), facts.get("offset", 0.0), spacing)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise UnreadableAsset(f"{item_path}: no item with raster:bands in its assets ({error!r})") from error
    return planes


def _read(plane: _Plane) -> NDArray[np.float32]:
    """One band at 10 m, NaN where there is no data."""
    if not plane.path.is_file():
        raise NotFound(f"{plane.path} is missing: its item names it; fetch the folder again")
    try:
        with rasterio.open(plane.path) as file:
            shape = tuple(round(side * abs(file.transform.a) / FINEST_M) for side in file.shape)
            values = file.read(1, out_shape=shape, resampling=Resampling.bilinear, masked=True)
    except RasterioError as error:
        raise UnreadableAsset(f"{plane.path}: corrupt or cut short ({error}): fetch it again") from error
    filled: NDArray[np.float32] = values.astype(np.float32).filled(np.nan) * plane.scale + plane.offset
    return filled


def _read_item(item_path: Path, sensor: str) -> _Item:
    """All planes of an item, absent ones NaN, the names of the real ones, and its place."""
    item = _facts(item_path)
    planes = _planes(item, item_path)
    present = tuple(name for name in BANDS[sensor] if name in planes)
    if not present:
        raise UnreadableAsset(f"{item_path}: none of its assets is a band of {sensor}")
    read = {name: _read(planes[name]) for name in present}
    rows, columns = (min(plane.shape[axis] for plane in read.values()) for axis in (0, 1))
    empty = np.full((rows, columns), np.nan, np.float32)
    stacked = np.stack([read[name][:rows, :columns] if name in read else empty for name in BANDS[sensor]])
    box = item.get("bbox")
    place = place_at((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) if isinstance(box, list) and len(box) == 4 else ""
    return _Item(stacked, present, place)


def _label_rows(folder: Path) -> list[dict[str, Any]]:
    """The table, in the order of items.

    Raises:
        NotFound: no folder, or no table in it.
        UnreadableAsset: it is damaged or lacks a column.
        SettingsError: pyarrow is not installed.
    """
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SettingsError("reading labels needs pyarrow: pip install 'tocsin[training]'") from error
    path = folder / LABEL_TABLE
    if not path.is_file():
        raise NotFound(f"{folder}: no {LABEL_TABLE} in it; give the folder that holds it beside items and cogs")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise UnreadableAsset(f"{path}: not a whole parquet file ({str(error).splitlines()[0]})") from error
    lacking = sorted(set(_COLUMNS) - set(table.column_names))
    if lacking:
        raise UnreadableAsset(f"{path}: no column {', '.join(lacking)}")
    rows: list[dict[str, Any]] = table.to_pylist()
    if not rows:
        raise NotFound(f"{path} has no rows: there is nothing to measure")
    return sorted(rows, key=lambda row: str(row["item_id"]))


def read_feed(folder: Path) -> Iterator[LabelledChip]:
    """Every row of `labels.parquet` with its pixels.

    Args:
        folder: with `labels.parquet`, `items/<collection>/<id>.json` and the COGs that the items name.

    Raises:
        NotFound: the folder, its table, an item or a COG is missing.
        UnreadableAsset: one of them is damaged.
        SettingsError: pyarrow is not installed.
    """
    last, item = "", _Item(np.zeros((0, 0, 0), np.float32), (), "")
    for row in _label_rows(folder):
        sensor = "s1" if row["collection"].startswith("sentinel-1") else "s2"
        if row["item_id"] != last:
            last = row["item_id"]
            item = _read_item(folder / "items" / row["collection"] / f"{last}.json", sensor)
        column, line, width, height = row["window_col_row_width_height"] or (0, 0, *item.pixels.shape[:0:-1])
        yield LabelledChip(
            item=last,
            level=row["level"],
            source=row["source"],
            sensor=sensor,
            pixels=np.ascontiguousarray(item.pixels[:, line : line + height, column : column + width]),
            present=item.present,
            labels=frozenset(row["labels"] or ()),
            absent=frozenset(row["absent_labels"] or ()),
            state=row["state"] or "",
            offset=(column, line),
            place=item.place,
            fractions=json.loads(row["fractions"]) if row.get("fractions") else None,
        )
