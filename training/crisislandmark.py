"""CrisisLandMark's files, and ours in the same layout, as labelled chips.

In: a folder of h5 files and their metadata table. Out: samples one after another, and what was skipped and why.
Stops at samples: nothing is normalised, mixed or cut; what the sources' numbers mean is told in `corpus_facts`.

Layout (read from the authors' loader, github.com/DarthReca/closp, `dataset/crisis_land_mark.py`, and the data card's
words): h5 groups named by key (a key may hold slashes) with `image` (bands, h, w), `coords` (2, h, w: x and y of each
pixel in the group's CRS) and the attributes `crs` and `timestamp`; a table of `key`, `labels` (list of names in any
case) and `split`. `crisislandmark.h5` or one h5 per source, `metadata.parquet`, or as the loader has it,
`geocrisis.parquet` (with `file`) and `splits.parquet`. Not verifiable without the data, so assumed: the spelling of
splits (all in `SPLITS` are understood) and of time stamps (ISO 8601); anything else is reported, not guessed.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from encoders.bands import BANDS
from schemas.errors import NotFound, SettingsError, UnreadableAsset
from training.corpus_facts import SPLITS, SourceFacts, facts_of, label_named, physical

METADATA = "metadata.parquet"
"""The table of a corpus, ours and the published one."""
OPTIONAL = frozenset({"file", "absent_labels", "unknown_labels", "state"})
"""Columns that are used where the table has them."""
LEAST_PX = 32
"""Chips with a shorter edge than this are no chips: every source has 120."""
MAX_PROBLEMS = 10_000
"""Problems that are kept with their words; the rest is counted."""

Sensor = Literal["s2", "s1"]
_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError)
"""What h5py raises over damaged files, by the part that is damaged."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One labelled chip.

    Attributes:
        key: Its name in the corpus.
        sensor: `s2` or `s1`.
        pixels: float32, (bands, h, w), order `encoders.bands.BANDS`, reflectance 0-1 or linear power; NaN is no data
            and absent bands are NaN throughout.
        present: Names of the bands with at least one value.
        labels: Names of `training.phrases.LABELS`.
        lon_lat: Centre, degrees WGS84; none where the file does not say.
        split: `train`, `val` or `test`; other words as they stand in the table.
        source: Where it comes from, prefix of the key.
        timestamp: Sensing time, UTC; none where the file does not say.
        crs: Of the chip's grid, as the file has it.
        absent: Labels that are known not to be there; empty where the corpus does not say (the published one).
        unknown: Labels that nobody can say are there or not, for example of a chip that an event half touches.
        state: `pre` or `post` of an event, else empty.
    """

    key: str
    sensor: Sensor
    pixels: NDArray[np.float32]
    present: tuple[str, ...]
    labels: frozenset[str]
    lon_lat: tuple[float, float] | None
    split: str
    source: str
    timestamp: datetime | None
    crs: str | None
    absent: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    state: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table."""

    key: str
    labels: tuple[str, ...] | None
    split: str
    file: str | None
    absent: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    state: str = ""


@dataclass
class Corpus:
    """A folder that was opened; nothing of its pixels has been read.

    Attributes:
        folder: Where it is.
        files: Its h5 files, by name.
        entries: The table, by key.
        problems: What was skipped so far: file, key, reason. Grows while `chips` is read.
    """

    folder: Path
    files: tuple[Path, ...]
    entries: Mapping[str, Entry]
    problems: list[str] = field(default_factory=list)
    _known: set[str] = field(default_factory=set)

    def chips(self, split: str | None = None, sensor: str | None = None) -> Iterator[Sample]:
        """Samples, file by file and in the order of their keys; one chip is in memory at a time.

        What cannot be used is skipped and told in `problems`: unreadable files and groups, keys without a group or
        without a known label, groups without a row, chips that are empty, of a wrong shape or of unknown bands.

        Args:
            split: `train`, `val` or `test`; none: all.
            sensor: `s2` or `s1`; none: both.

        Raises:
            UnreadableAsset: not one h5 file of the folder can be opened.
        """
        given: set[str] = set()
        opened = 0
        wanted = {key: entry for key, entry in self.entries.items() if split in (None, entry.split)}
        by_file = self._by_file(wanted)
        for path in self.files:
            try:
                file = _h5py().File(path, "r")
            except _DAMAGE as error:
                self._skip(path.name, "", f"not a whole HDF5 file ({_first_line(error)}): fetch or build it again")
                continue
            opened += 1
            with file:
                for key in sorted(by_file.get(path.name, []) + by_file.get("", [])):
                    yield from self._of_key(file, path.name, wanted[key], given, sensor)
                if split is None and sensor is None:
                    self._report_strangers(file, path.name, given)
        if not opened:
            raise UnreadableAsset(
                f"{self.folder}: none of its {len(self.files)} h5 files can be opened; fetch it again"
            )
        for key in sorted(wanted.keys() - given):
            known = facts_of(key, wanted[key].file or "")
            if sensor is None or known is None or known.sensor == sensor:
                self._skip(wanted[key].file or METADATA, key, "the table lists it, no readable file has it")

    def _by_file(self, wanted: Mapping[str, Entry]) -> dict[str, list[str]]:
        """Keys by the file that the table names, under an empty name where it names none that is here."""
        here = {path.name for path in self.files}
        found: dict[str, list[str]] = {}
        for key, entry in wanted.items():
            name = Path(entry.file).name if entry.file else ""
            found.setdefault(name if name in here else "", []).append(key)
        return found

    def _of_key(self, file: Any, name: str, entry: Entry, given: set[str], sensor: str | None) -> Iterator[Sample]:
        group = _group(file, entry.key)
        if group is None:
            return
        if entry.key in given:
            self._skip(name, entry.key, "another file has the same key; the first file's chip is used")
            return
        given.add(entry.key)
        facts = facts_of(entry.key, name)
        if facts is not None and sensor not in (None, facts.sensor):
            return
        if facts is None:
            self._skip(name, entry.key, "its source is unknown: training/corpus_facts.py lists those known")
            return
        labels = self._labels(name, entry)
        sample = self._sample(group, name, entry, facts, labels) if labels is not None else None
        if sample is not None:
            yield sample

    def _sample(self, group: Any, name: str, entry: Entry, facts: SourceFacts, labels: frozenset[str]) -> Sample | None:
        try:
            attributes = {str(key): _plain(value) for key, value in group.attrs.items()}
            pixels = physical(np.asarray(group["image"][()]), facts, attributes, LEAST_PX)
            coords = self._centre(group, name, entry.key, attributes.get("crs"), pixels.shape[1:])
        except UnreadableAsset as error:
            self._skip(name, entry.key, str(error))
            return None
        except _DAMAGE as error:
            self._skip(name, entry.key, f"damaged: {_first_line(error)}")
            return None
        present = tuple(
            band for band, plane in zip(BANDS[facts.sensor], pixels, strict=True) if not np.isnan(plane).all()
        )
        crs, when = attributes.get("crs"), _moment(attributes.get("timestamp"))
        if attributes.get("timestamp") is not None and when is None:
            self._tell(name, entry.key, f"timestamp {attributes['timestamp']!r} is no ISO 8601 time; taken as unknown")
        return Sample(
            key=entry.key,
            sensor=facts.sensor,
            pixels=pixels,
            present=present,
            labels=labels,
            lon_lat=coords,
            split=entry.split,
            source=facts.name,
            timestamp=when,
            crs=None if crs is None else str(crs),
            absent=frozenset(entry.absent),
            unknown=frozenset(entry.unknown),
            state=entry.state,
        )

    def _labels(self, name: str, entry: Entry) -> frozenset[str] | None:
        if entry.labels is None or not (entry.labels or entry.absent):
            self._skip(name, entry.key, "the table gives it no labels")
            return None
        found = {text: label_named(text) for text in entry.labels}
        unknown = sorted(text for text, label in found.items() if label is None)
        if unknown:
            self._skip(name, entry.key, f"unknown label {', '.join(map(repr, unknown))}")
            return None
        return frozenset(label for label in found.values() if label is not None)

    def _centre(
        self, group: Any, name: str, key: str, crs: object, shape: tuple[int, ...]
    ) -> tuple[float, float] | None:
        """Centre of a chip; a chip whose place is unusable is still a chip."""
        if "coords" not in group or crs is None:
            return None
        coords = group["coords"]
        if coords.shape != (2, *shape):
            self._tell(name, key, f"coords of shape {coords.shape} beside an image of {shape}; its place is unknown")
            return None
        x, y = (float(value) for value in coords[:, shape[0] // 2, shape[1] // 2])
        try:
            lon, lat = _to_wgs84(str(crs)).transform(x, y)
        except ProjError:
            lon = lat = float("nan")
        if not (np.isfinite(lon) and np.isfinite(lat)):
            self._tell(name, key, f"coords {x}, {y} in CRS {str(crs)[:40]!r} are no place; its place is unknown")
            return None
        return float(lon), float(lat)

    def _report_strangers(self, file: Any, name: str, given: set[str]) -> None:
        def visit(path: str, thing: Any) -> None:
            key, _, last = path.rpartition("/")
            if last != "image" or not hasattr(thing, "shape"):
                return
            entry = self.entries.get(key)
            if entry is None:
                self._skip(name, key, "no row of the table has this key, so it has no labels")
            elif entry.file and Path(entry.file).name != name and key not in given:
                self._tell(name, key, f"another chip of this key; the table names that of {Path(entry.file).name}")

        try:
            file.visititems(visit)
        except _DAMAGE as error:
            self._skip(name, "", f"its list of groups is damaged: {_first_line(error)}")

    def _skip(self, file: str, key: str, reason: str) -> None:
        self._tell(file, key, f"skipped: {reason}")

    def _tell(self, file: str, key: str, reason: str) -> None:
        text = f"{file}: {key}: {reason}" if key else f"{file}: {reason}"
        if text not in self._known and len(self._known) < MAX_PROBLEMS:
            self._known.add(text)
            self.problems.append(text)
            if len(self._known) == MAX_PROBLEMS:
                self.problems.append(f"more than {MAX_PROBLEMS} problems: the others are not listed")


def open_corpus(folder: Path) -> Corpus:
    """Read the table of a corpus and find its h5 files.

    Args:
        folder: With the table and at least one `*.h5`.

    Raises:
        NotFound: no such folder, no h5 file, or no table in it.
        UnreadableAsset: the table is damaged or lacks `key`, `labels` or `split`.
        SettingsError: h5py or pyarrow is not installed.
    """
    _h5py()
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder: give the one that holds {METADATA} and the h5 files")
    files = tuple(sorted(folder.glob("*.h5")))
    problems: list[str] = []
    entries = _entries(folder, problems)
    if not files:
        raise NotFound(f"{folder}: no h5 file in it; fetch the corpus, or build one with tocsin corpus build")
    return Corpus(folder, files, entries, problems, set(problems))


def _entries(folder: Path, problems: list[str]) -> dict[str, Entry]:
    published, loader = folder / METADATA, folder / "geocrisis.parquet"
    path = published if published.exists() or not loader.exists() else loader
    if not path.exists():
        raise NotFound(f"{folder}: no {METADATA} in it, so its chips have no labels; fetch or build it again")
    rows = _rows(path, {"key", "labels"} if path == loader else {"key", "labels", "split"})
    splits = {}
    if path == loader:
        splits = {row["key"]: row["split"] for row in _rows(folder / "splits.parquet", {"key", "split"})}
    entries: dict[str, Entry] = {}
    words: dict[object, Any] = {}  # the same few sets of labels and names of files, again and again: kept once
    for row in rows:
        key, file = str(row["key"]), row.get("file")
        if key in entries:
            problems.append(f"{path.name}: {key}: skipped: listed twice, the first row is used")
            continue
        said = str(splits.get(key, row.get("split")))
        labels = row["labels"]
        names = (labels,) if isinstance(labels, str) else None if labels is None else tuple(map(str, labels))
        split = SPLITS.get(said.lower(), said)
        more = (tuple(row.get("absent_labels") or ()), tuple(row.get("unknown_labels") or ()), row.get("state") or "")
        facts = (names, split, str(file) if file else None, *more)
        kept: list[Any] = [words.setdefault(fact, fact) for fact in facts]
        entries[key] = Entry(key, *kept)
    return entries


def _rows(path: Path, columns: set[str]) -> Iterator[dict[str, Any]]:
    """Rows of a table, batch by batch: the published one has 647,000."""
    parquet = needed("pyarrow.parquet")
    try:
        with parquet.ParquetFile(path) as table:
            names = table.schema_arrow.names
            lacking = ", ".join(sorted(columns - set(names)))
            if lacking:
                raise UnreadableAsset(f"{path}: no column {lacking} (it has {', '.join(names)})")
            for batch in table.iter_batches(4096, columns=[name for name in names if name in columns | OPTIONAL]):
                yield from batch.to_pylist()
    except FileNotFoundError as error:
        raise NotFound(f"{path} is missing: fetch the corpus again") from error
    except (OSError, ValueError) as error:  # pyarrow.ArrowInvalid is a ValueError
        raise UnreadableAsset(f"{path}: not a whole parquet file ({_first_line(error)}): fetch it again") from error


def _group(file: Any, key: str) -> Any | None:
    try:
        thing = file.get(key)
    except _DAMAGE:
        return None
    return thing if thing is not None and hasattr(thing, "keys") else None


def _h5py() -> Any:
    return needed("h5py")


def needed(module: str) -> Any:
    """A package of the extra `training`.

    Raises:
        SettingsError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise SettingsError(f"corpora need {name}, which is not installed: pip install 'tocsin[training]'") from error


def _plain(value: object) -> object:
    """An attribute as Python has it."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


@lru_cache(maxsize=256)
def _to_wgs84(crs: str) -> Transformer:
    return Transformer.from_crs(CRS.from_user_input(int(crs) if crs.isdecimal() else crs), 4326, always_xy=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
