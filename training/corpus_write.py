"""Labelled chips into the layout of CrisisLandMark, scene by scene.

In: chips of one scene with their labels, licence and attribution. Out: one h5 file per scene and `metadata.parquet`.
Stops at files: which chips, and what they show, is `corpus_build`'s.

Everything is written beside its place and renamed, so a killed build leaves whole files only. A scene is done when
its own table lies in `parts/`; what is not done is written again. `metadata.parquet` is those tables, one after
another, and is renewed after every scene.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS
from schemas.cells import GSD_M, Cell
from schemas.errors import UnreadableAsset, UsageError
from training.corpus_facts import L2A
from training.crisislandmark import METADATA, needed

FORMAT_VERSION: Final = 1
"""Of our additions to the layout; raised when a reader of today could not read what is written."""
PARTS: Final = "parts"
SETTINGS: Final = "build.json"
LOCK: Final = "build.lock"
BLOCK_DEG: Final = 0.5
"""Edge of the squares that are put whole into one split, degrees: about 50 km, wider than most events."""
SPLIT_PERCENT: Final = {"training": 70, "validation": 15, "corpus": 15}
"""Shares of the squares, in the published words: `corpus` is what the authors search in, their test set."""
_TEXTS: Final = ("labels", "absent_labels", "unknown_labels")


@dataclass(frozen=True, slots=True)
class LabelledCell:
    """A chip to be written.

    Attributes:
        cell: Where.
        pixels: float32, (bands, 120, 120), order `BANDS[sensor]`, reflectance 0-1 or linear power, NaN is no data.
        labels: Known to be there.
        absent: Known not to be there.
        unknown: Neither.
        state: `pre` or `post` of an event, else empty.
        share: Share 0-1 of the chip that events cover.
    """

    cell: Cell
    pixels: NDArray[np.float32]
    labels: frozenset[str]
    absent: frozenset[str]
    unknown: frozenset[str] = frozenset()
    state: str = ""
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What all chips of a scene share.

    Attributes:
        item: Id of its item.
        sensor: `s2` or `s1`.
        sensed: Sensing time, aware.
        licence: Under which its pixels may be used.
        attribution: Who must be named.
    """

    item: str
    sensor: str
    sensed: datetime
    licence: str
    attribution: str

    @property
    def name(self) -> str:
        """Stem of its files."""
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.item)
        return f"tocsin{self.sensor}_{safe}"


def split_of(lon: float, lat: float) -> str:
    """The split of a place: all chips of a half-degree square are in one, whatever the scene, sensor or build."""
    block = f"{int((lon + 180.0) // BLOCK_DEG)}/{int((lat + 90.0) // BLOCK_DEG)}"
    point = int.from_bytes(hashlib.sha256(block.encode()).digest()[:8], "big") % 100
    for name, share in SPLIT_PERCENT.items():
        if point < share:
            return name
        point -= share
    return "corpus"


@contextmanager
def begun(folder: Path, settings: Mapping[str, object]) -> Iterator[None]:
    """Make a folder ready for a build, or for going on with one of the same settings; nobody else may meanwhile.

    Raises:
        UsageError: something else is in it, or another build is at work there.
    """
    path = folder / SETTINGS
    wanted = json.dumps({"format_version": FORMAT_VERSION, **settings}, indent=1, sort_keys=True)
    if not path.exists() and folder.exists() and any(one.name not in (LOCK, PARTS) for one in folder.iterdir()):
        raise UsageError(f"{folder} is not empty, and no build was begun there: choose another folder")
    (folder / PARTS).mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(f"another build is at work in {folder}: wait for it, or choose another folder") from error
        if path.exists() and path.read_text("utf-8") != wanted:
            raise UsageError(f"{folder} holds a corpus built with other settings ({path}): choose another folder")
        for left in folder.rglob("*.partial"):
            left.unlink()
        _replace_text(path, wanted)
        yield


def is_done(folder: Path, scene: Scene) -> int | None:
    """How many chips a finished scene gave; none when it is still to be read."""
    path = folder / PARTS / f"{scene.name}.parquet"
    if not path.exists():
        return None
    return int(needed("pyarrow.parquet").read_metadata(path).num_rows)


def write_corpus(folder: Path, scene: Scene, chips: Iterable[LabelledCell]) -> int:
    """Write one scene's chips and renew the table. One chip is in memory at a time.

    The image is stored as the published sources have it: Sentinel-2 as counts of 1/10000, 12 bands; Sentinel-1 in
    decibels, VV and VH; float32 with NaN for no data, and absent bands NaN throughout.

    Args:
        folder: Within `begun`.
        scene: What they share.
        chips: They; a scene without chips is finished too.

    Returns:
        How many were written.
    """
    path = folder / f"{scene.name}.h5"
    partial = path.with_suffix(".h5.partial")
    rows = []
    with needed("h5py").File(partial, "w") as file:
        for chip in chips:
            rows.append(_write_chip(file, path.name, scene, chip))
    if rows:
        partial.replace(path)
    else:
        partial.unlink()
    _write_rows(folder / PARTS / f"{scene.name}.parquet", rows)
    renew_table(folder)
    return len(rows)


def renew_table(folder: Path) -> None:
    """Write `metadata.parquet` from the tables of the finished scenes.

    Raises:
        UnreadableAsset: one of them is damaged.
    """
    arrow, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    tables = []
    for part in sorted((folder / PARTS).glob("*.parquet")):
        try:
            tables.append(parquet.read_table(part))
        except (OSError, ValueError) as error:
            raise UnreadableAsset(f"{part} is damaged: delete it, its scene is then read again") from error
    if tables:
        _write_table(folder / METADATA, arrow.concat_tables(tables))


def _write_chip(file: Any, name: str, scene: Scene, chip: LabelledCell) -> dict[str, object]:
    key = f"{scene.name}_{chip.cell.id}"
    group = file.create_group(key)
    names = BANDS[scene.sensor]
    if scene.sensor == "s2":
        image = chip.pixels[[names.index(band) for band in L2A]] * np.float32(10_000)
    else:
        image = np.float32(10) * np.log10(chip.pixels)
    options = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    group.create_dataset("image", data=np.round(image, 2).astype(np.float32), **options)
    group.create_dataset("coords", data=_coords(chip.cell, image.shape[1:]), **options)
    group.attrs["crs"] = f"EPSG:{chip.cell.epsg}"
    group.attrs["timestamp"] = scene.sensed.isoformat()
    group.attrs["units"] = "DN" if scene.sensor == "s2" else "dB"
    lon, lat = chip.cell.centre
    return {
        "key": key,
        "labels": sorted(chip.labels),
        "split": split_of(lon, lat),
        "file": name,
        "absent_labels": sorted(chip.absent),
        "unknown_labels": sorted(chip.unknown),
        "state": chip.state,
        "event_share": round(chip.share, 4),
        "cell": chip.cell.id,
        "item": scene.item,
        "licence": scene.licence,
        "attribution": scene.attribution,
        "format_version": FORMAT_VERSION,
    }


def _coords(cell: Cell, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Centres of a chip's pixels, float64, (2, h, w): x and y, metres in the cell's zone."""
    west, _, _, north = cell.window
    x = west + GSD_M * (np.arange(shape[1]) + 0.5)
    y = north - GSD_M * (np.arange(shape[0]) + 0.5)
    return np.stack(np.meshgrid(x, y))


def _write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    arrow = needed("pyarrow")
    text, number = arrow.string(), arrow.float64()
    columns = ["key", "labels", "split", "file", "absent_labels", "unknown_labels", "state", "event_share"]
    columns += ["cell", "item", "licence", "attribution", "format_version"]
    kinds = {"event_share": number, "format_version": arrow.int32()} | {name: arrow.list_(text) for name in _TEXTS}
    schema = arrow.schema([(name, kinds.get(name, text)) for name in columns])
    _write_table(path, arrow.Table.from_pylist(rows, schema=schema))


def _write_table(path: Path, table: Any) -> None:
    partial = path.with_suffix(".parquet.partial")
    needed("pyarrow.parquet").write_table(table, partial)
    partial.replace(path)


def _replace_text(path: Path, text: str) -> None:
    partial = path.with_suffix(".json.partial")
    partial.write_text(text, "utf-8")
    partial.replace(path)
