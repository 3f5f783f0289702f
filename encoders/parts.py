"""The parts of a file that some cells need, brought here as they are read.

In: an asset of an acquisition. Out: a local file of its full length, in which the blocks that were asked for are real
and all else is a hole. Stops before decoding.

A scene's bands are a gigabyte and a cell is four blocks of each: whoever looks at a few cells again fetches those. It
works for compressed TIFFs whose directories come first (cloud-optimised ones) on hosts that answer ranges; every other
file is fetched whole. GDAL still opens local files only, and is never asked for a block that is not here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from rasterio.windows import Window

from encoders.assets import Fetched, Fetcher, Version, describe
from encoders.settings import EncoderSettings
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.messages import Acquisition

HEAD_BYTES = 1 << 18
"""First request: directories of a cloud-optimised band of a full scene are a tenth of it."""
GAP_BYTES = 1 << 16
"""Blocks closer than this are fetched with what lies between: a request costs more than its bytes."""

Span = tuple[int, int]
"""First byte, and the one after the last."""
Grid = tuple[tuple[int, int], tuple[int, int]]
"""Height and width of a raster, and of its blocks, pixels."""
TIFF = (b"II", b"MM")
"""First bytes of a file that may be had in parts."""


@dataclass
class Parts:
    """One asset's file, some of it here. One thread at a time."""

    acquisition: Acquisition
    fetcher: Fetcher
    fetched: Fetched
    until: float
    """Monotonic time after which nothing more is asked for."""
    whole: bool = False
    """Whether all of it is here."""
    _here: set[tuple[int | None, int, int]] = field(default_factory=set)
    _blocks: dict[int | None, dict[tuple[int, int], Span]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def index(self, dataset: Any, grids: Mapping[int | None, Grid]) -> bool:
        """Learn where an open file's blocks lie; False where it must be fetched whole to be read.

        Args:
            dataset: The file, open.
            grids: Of its pixels (none) and of each of its overviews (their number).
        """
        if self.whole:
            return True
        if dataset.driver != "GTiff" or dataset.compression is None:
            return False
        size = self.fetched.version.length or 0
        for level, grid in grids.items():
            blocks = dict(_blocks(dataset, level, grid))
            if any(start <= 0 or stop <= start or stop > size for start, stop in blocks.values()):
                return False
            self._blocks[level] = blocks
        return True

    def bring(self, dataset: Any, window: Window | None, level: int | None = None) -> None:
        """Fetch the blocks under a window that are not here yet.

        Args:
            dataset: The open file.
            window: Pixels; none: all.
            level: Of an overview; none: the file's own pixels.

        Raises:
            UnreadableAsset, AssetUnavailable: as `Fetcher.scene`; the latter too when time is up.
        """
        if self.whole:
            return
        with self._lock:
            wanted = [at for at in self._under(dataset, window, level) if (level, *at) not in self._here]
            spans = [self._blocks[level][at] for at in wanted]
            for start, stop in merged(spans):
                self._fetch(start, stop)
            self._here.update((level, *at) for at in wanted)

    def _under(self, dataset: Any, window: Window | None, level: int | None) -> list[tuple[int, int]]:
        if window is None or level is not None:
            return list(self._blocks[level])
        rows, columns = dataset.block_shapes[0]
        first_row, last_row = int(window.row_off) // rows, -(-int(window.row_off + window.height) // rows)
        first_column, last_column = int(window.col_off) // columns, -(-int(window.col_off + window.width) // columns)
        return list(product(range(first_row, last_row), range(first_column, last_column)))

    def _fetch(self, start: int, stop: int) -> None:
        label = self.fetched.label
        if time.monotonic() > self.until:
            raise AssetUnavailable(f"{label}: time is up")
        piece = self.fetcher.piece(self.acquisition, self.fetched.band, start, stop, self.until)
        if piece is None or len(piece.content) != stop - start:
            raise UnreadableAsset(f"{label}: bytes {start} to {stop} are not all there")
        if not piece.version.same_state(self.fetched.version):
            raise AssetUnavailable(f"{label}: changed while it was read, try again")
        with self.fetched.path.open("r+b") as file:
            file.seek(start)
            file.write(piece.content)


def begin(fetcher: Fetcher, acquisition: Acquisition, band: str, path: Path, settings: EncoderSettings) -> Parts:
    """The head of an asset's file; all of it where the host answers no ranges or there is not more.

    Raises:
        UnreadableAsset, AssetUnavailable: as `Fetcher.scene`.
    """
    until = time.monotonic() + settings.deadline_s
    head = fetcher.piece(acquisition, band, 0, HEAD_BYTES, until)
    if head is None or not head.content.startswith(TIFF):
        return Parts(acquisition, fetcher, fetcher.fetch(acquisition, band, path, until), until, whole=True)
    with path.open("wb") as file:
        file.write(head.content)
        file.truncate(max(head.total, len(head.content)))
    version = Version(head.version.etag, head.version.modified, head.total)
    fetched = Fetched(band, describe(acquisition, band), path, version)
    return Parts(acquisition, fetcher, fetched, until, whole=len(head.content) >= head.total)


def complete(parts: Parts) -> Parts:
    """The same file, fetched whole.

    Raises:
        UnreadableAsset, AssetUnavailable: as `Fetcher.scene`.
    """
    fetched = parts.fetcher.fetch(parts.acquisition, parts.fetched.band, parts.fetched.path, parts.until)
    return Parts(parts.acquisition, parts.fetcher, fetched, parts.until, whole=True)


def merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans in order, those that are closer than `GAP_BYTES` as one."""
    ordered = sorted(spans)
    while ordered:
        start, stop = ordered.pop(0)
        while ordered and ordered[0][0] - stop <= GAP_BYTES:
            stop = max(stop, ordered.pop(0)[1])
        yield start, stop


def _blocks(dataset: Any, level: int | None, grid: Grid) -> Iterator[tuple[tuple[int, int], Span]]:
    """Row, column and bytes of the blocks of a TIFF's first band; (0, 0) where the directory does not say.

    Source: GDAL's GTiff driver, metadata domain "TIFF", items BLOCK_OFFSET_x_y and BLOCK_SIZE_x_y.
    """
    (height, width), (rows, columns) = grid
    for row, column in product(range(-(-height // rows)), range(-(-width // columns))):
        start, size = (
            int(dataset.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1, ovr=level) or 0)
            for what in ("OFFSET", "SIZE")
        )
        yield (row, column), (start, start + size)
