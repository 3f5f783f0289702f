"""In: a folder of STAC items, COGs and `labels.parquet`. Out: chips of it with what is known of them.

Stops at reading: nothing is copied or written, and no scores are computed. A feed with a missing or damaged file is
refused: figures over what happens to be left would look like those of the whole.
"""

import importlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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

TABLE = "labels.parquet"
"""The labels of a feed."""

COLUMNS = {"item_id", "collection", "source", "level", "window_col_row_width_height", "labels", "absent_labels"}
"""What the table must have; `state`, `fractions`, `mask_label`, `mask_fraction` and `bbox_lon_lat` may be absent."""

FIRES = "runan_california_wildfires_s2"
"""Source of the burnt windows, before and after."""

FLOODS = "sen1floods11_sample"
"""Source of the flooded windows."""

SAME_GROUND = 0.1
"""Items are of one place if their boxes share more than this of the smaller one's area."""


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
        place: one name for all items whose boxes overlap; the item's own where the table gives no boxes.
        fractions: share of the chip by label, of maps, masks or a model's opinion; empty where nobody says.
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
    fractions: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Plane:
    path: Path
    scale: float
    offset: float
    gsd_m: float


def read_feed(folder: Path) -> Iterator[LabelledChip]:
    """Every row of `labels.parquet` with its pixels.

    Args:
        folder: with `labels.parquet`, `items/<collection>/<id>.json` and the COGs that the items name.

    Raises:
        NotFound: no such folder, no table in it, or an empty one.
        UnreadableAsset: the table, an item or a COG is missing, damaged or contradicts itself.
        SettingsError: pyarrow is not installed.
    """
    rows = read_rows(folder)
    places = places_of(rows)
    last, pixels = "", np.zeros((0, 0, 0), np.float32)
    present: tuple[str, ...] = ()
    for row in sorted(rows, key=lambda row: str(row["item_id"])):
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
            state=row.get("state") or "",
            offset=(column, line),
            place=places[last],
            fractions=_fractions(row),
        )


def read_rows(folder: Path) -> list[dict[str, Any]]:
    """The table as it is, with at least `COLUMNS`; errors as `read_feed`."""
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise SettingsError(
            "reading labels needs pyarrow, which is not installed: pip install 'tocsin[training]'"
        ) from error
    path = folder / TABLE
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder: give the one that holds {TABLE}, items and COGs")
    if not path.is_file():
        raise NotFound(f"{folder}: no {TABLE} in it, so its items have no labels")
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise UnreadableAsset(f"{path}: not a whole parquet file ({_first_line(error)}): fetch it again") from error
    if not rows:
        raise NotFound(f"{path} has no rows: there is nothing to evaluate")
    if lacking := COLUMNS - rows[0].keys():
        raise UnreadableAsset(f"{path}: no column {', '.join(sorted(lacking))}: it is not the table of a feed")
    return rows


def places_of(rows: list[dict[str, Any]]) -> dict[str, str]:
    """The place of each item: the first id, in the order of the alphabet, of those on the same ground.

    Two dates, two sensors or two sources of one place are one place; a chain of overlapping boxes is one as well.

    Args:
        rows: of the table; those of windows are of their item's place.
    """
    boxes = {r["item_id"]: r["bbox_lon_lat"] for r in rows if r["level"] == "item" and r.get("bbox_lon_lat")}
    place = {item: item for item in sorted({row["item_id"] for row in rows})}

    def root(item: str) -> str:
        while place[item] != item:
            item = place[item]
        return item

    names = sorted(boxes)
    for number, one in enumerate(names):
        for other in names[:number]:
            if _shared(boxes[one], boxes[other]) > SAME_GROUND:
                first, second = sorted((root(one), root(other)))
                place[second] = first
    return {item: root(item) for item in place}


def _shared(one: list[float], other: list[float]) -> float:
    """Area that two boxes (west, south, east, north, degrees) share, over the smaller one's."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / smaller if min(width, height, smaller) > 0 else 0.0


def _fractions(row: Mapping[str, Any]) -> dict[str, float]:
    found = {str(name): float(share) for name, share in json.loads(row.get("fractions") or "{}").items()}
    if row.get("mask_fraction") is not None and row.get("mask_label"):
        found[str(row["mask_label"])] = float(row["mask_fraction"])
    return found


def _planes(item_path: Path) -> dict[str, _Plane]:
    """Where each band of an item is and how to read it."""
    try:
        item = json.loads(item_path.read_text("utf-8"))
        planes = {}
        for asset in item["assets"].values():
            for band in asset.get("bands", []):
                facts = asset["raster:bands"][0]
                path = (item_path.parent / asset["href"]).resolve()
                spacing = float(facts.get("spatial_resolution", FINEST_M))
                planes[str(band["name"])] = _Plane(path, facts.get("scale", 1.0), facts.get("offset", 0.0), spacing)
    except FileNotFoundError as error:
        raise UnreadableAsset(f"{item_path} is missing, {TABLE} lists it: fetch the feed again") from error
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UnreadableAsset(f"{item_path}: not a STAC item with bands ({_first_line(error)})") from error
    return planes


def _read(plane: _Plane) -> NDArray[np.float32]:
    """One band at 10 m, NaN where there is no data."""
    try:
        with rasterio.open(plane.path) as file:
            shape = tuple(round(side * abs(file.transform.a) / FINEST_M) for side in file.shape)
            values = file.read(1, out_shape=shape, resampling=Resampling.bilinear, masked=True)
    except (RasterioError, OSError) as error:
        what = "is missing" if not plane.path.exists() else f"cannot be read whole ({_first_line(error)})"
        raise UnreadableAsset(f"{plane.path} {what}: fetch the feed again") from error
    filled: NDArray[np.float32] = values.astype(np.float32).filled(np.nan) * plane.scale + plane.offset
    return filled


def _item_pixels(item_path: Path, sensor: str) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """All planes of an item, absent ones NaN, and the names of the real ones."""
    planes = _planes(item_path)
    present = tuple(name for name in BANDS[sensor] if name in planes)
    if not present:
        raise UnreadableAsset(f"{item_path}: none of its assets is a band of {sensor}")
    read = {name: _read(planes[name]) for name in present}
    rows, columns = (min(plane.shape[axis] for plane in read.values()) for axis in (0, 1))
    empty = np.full((rows, columns), np.nan, np.float32)
    stacked = np.stack([read[name][:rows, :columns] if name in read else empty for name in BANDS[sensor]])
    return stacked, present


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
