"""In: a folder of STAC items, COGs and `labels.parquet`. Out: chips of it with what is known of them.

Stops at reading: nothing is copied or written, and no scores are computed.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyarrow import parquet
from rasterio.enums import Resampling

from encoders.bands import BANDS

FINEST_M = 10.0
"""Everything is read at this pixel size."""


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


@dataclass(frozen=True, slots=True)
class _Plane:
    path: Path
    scale: float
    offset: float
    gsd_m: float


def _planes(item_path: Path) -> dict[str, _Plane]:
    """Where each band of an item is and how to read it."""
    item = json.loads(item_path.read_text("utf-8"))
    planes = {}
    for asset in item["assets"].values():
        for band in asset.get("bands", []):
            facts = asset["raster:bands"][0]
            path = (item_path.parent / asset["href"]).resolve()
            spacing = float(facts.get("spatial_resolution", FINEST_M))
            planes[band["name"]] = _Plane(path, facts.get("scale", 1.0), facts.get("offset", 0.0), spacing)
    return planes


def _read(plane: _Plane) -> NDArray[np.float32]:
    """One band at 10 m, NaN where there is no data."""
    with rasterio.open(plane.path) as file:
        shape = tuple(round(side * abs(file.transform.a) / FINEST_M) for side in file.shape)
        values = file.read(1, out_shape=shape, resampling=Resampling.bilinear, masked=True)
    filled: NDArray[np.float32] = values.astype(np.float32).filled(np.nan) * plane.scale + plane.offset
    return filled


def _item_pixels(item_path: Path, sensor: str) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """All planes of an item, absent ones NaN, and the names of the real ones."""
    planes = _planes(item_path)
    present = tuple(name for name in BANDS[sensor] if name in planes)
    read = {name: _read(planes[name]) for name in present}
    rows, columns = (min(plane.shape[axis] for plane in read.values()) for axis in (0, 1))
    empty = np.full((rows, columns), np.nan, np.float32)
    stacked = np.stack([read[name][:rows, :columns] if name in read else empty for name in BANDS[sensor]])
    return stacked, present


def read_feed(folder: Path) -> Iterator[LabelledChip]:
    """Every row of `labels.parquet` with its pixels.

    Args:
        folder: with `labels.parquet`, `items/<collection>/<id>.json` and the COGs that the items name.
    """
    rows = parquet.read_table(folder / "labels.parquet").to_pylist()
    rows.sort(key=lambda row: row["item_id"])
    last, pixels = "", np.zeros((0, 0, 0), np.float32)
    present: tuple[str, ...] = ()
    for row in rows:
        sensor = "s1" if row["collection"].startswith("sentinel-1") else "s2"
        if row["item_id"] != last:
            last = row["item_id"]
            pixels, present = _item_pixels(folder / "items" / row["collection"] / f"{last}.json", sensor)
        column, line, width, height = row["window_col_row_width_height"] or (0, 0, *pixels.shape[:0:-1])
        yield LabelledChip(
            item=last,
            level=row["level"],
            source=row["source"],
            sensor=sensor,
            pixels=np.ascontiguousarray(pixels[:, line : line + height, column : column + width]),
            present=present,
            labels=frozenset(row["labels"] or ()),
            absent=frozenset(row["absent_labels"] or ()),
            state=row["state"] or "",
            offset=(column, line),
        )
