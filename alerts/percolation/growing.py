"""Arrays that grow while they are in use, without ever being built anew.

Flows in: how many rows are needed. Flows out: the rows that were there, where they were, and new ones. Stops before
what the rows mean (`bank`, `areas`).

One number a row lives in a `Column`, which doubles; a vector a row lives in `Blocks`, which never move: doubling a
gigabyte of vectors would need three.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Indexes = NDArray[np.intp]
Scalar = TypeVar("Scalar", bound=np.generic)

CELLS, ROWS = 1024, 1024
"""Cells and standing vectors of a tile: 0.4 MB each as int8 and 4 MB of products."""
ROWS_PER_BLOCK = 65_536
"""Rows of one block of vectors: 100 MB of float32, of which the system gives what is written to."""
DENSE = 7 / 8
"""From this share of wanted rows on, a run of rows is multiplied as it lies: taking them out costs a twentieth."""


class Column(Generic[Scalar]):
    """One number for each row; rows that were never written have the fill."""

    def __init__(self, dtype: type[Scalar], fill: float) -> None:
        """An empty column."""
        self._dtype, self._fill = dtype, fill
        self._room: NDArray[Scalar] = np.empty(0, dtype)
        self._rows = 0

    @property
    def values(self) -> NDArray[Scalar]:
        """(rows,), writable, until the column grows again."""
        return self._room[: self._rows]

    def grow(self, rows: int) -> None:
        """Have at least so many rows."""
        if rows > len(self._room):
            room: NDArray[Scalar] = np.full(max(1024, rows, 2 * len(self._room)), self._fill, self._dtype)
            room[: self._rows] = self.values
            self._room = room
        self._rows = max(self._rows, rows)


class Blocks:
    """A vector for each row, float32 (rows, width)."""

    def __init__(self, width: int) -> None:
        """No rows yet."""
        self._width = width
        self._blocks: list[NDArray[np.float32]] = []

    def grow(self, rows: int) -> None:
        """Have at least so many rows."""
        while len(self._blocks) * ROWS_PER_BLOCK < rows:
            self._blocks.append(np.empty((ROWS_PER_BLOCK, self._width), np.float32))

    def put(self, rows: Indexes, vectors: NDArray[np.float32]) -> None:
        """Write vectors, (n, width), to the rows named."""
        for number, which, within in by_block(rows):
            self._blocks[number][within] = vectors[which]

    def take(self, rows: Indexes) -> NDArray[np.float32]:
        """A copy of the rows named, (n, width)."""
        out = np.empty((len(rows), self._width), np.float32)
        for number, which, within in by_block(rows):
            out[which] = self._blocks[number][within]
        return out

    def run(self, start: int, stop: int) -> NDArray[np.float32]:
        """Rows that follow each other in one block, without a copy."""
        first = start % ROWS_PER_BLOCK
        return self._blocks[start // ROWS_PER_BLOCK][first : first + stop - start]


def by_block(rows: Indexes) -> Iterator[tuple[int, Indexes | slice, Indexes]]:
    """Rows by the block they lie in: its number, which of `rows` they are, and their places in it."""
    if not len(rows):
        return
    numbers = rows // ROWS_PER_BLOCK
    first, last = int(numbers.min()), int(numbers.max())
    if first == last:
        yield first, slice(None), rows - first * ROWS_PER_BLOCK
        return
    for number in np.unique(numbers).tolist():
        which = np.flatnonzero(numbers == number)
        yield number, which, rows[which] - number * ROWS_PER_BLOCK


def tiles(wanted: Indexes, rows: int, size: int) -> Iterator[range | Indexes]:
    """Wanted rows in portions of at most `size`: as runs where most of a run is wanted, else named one by one.

    Args:
        wanted: Ascending rows. A run may hold others too.
        rows: How many rows there are.
        size: Rows of a portion; blocks are made of whole ones.
    """
    if not len(wanted):
        return
    starts = np.arange(0, rows, size)
    edges = np.append(np.searchsorted(wanted, starts), len(wanted))
    lengths = np.minimum(size, rows - starts)
    dense = np.diff(edges) >= DENSE * lengths
    for start, length in zip(starts[dense].tolist(), lengths[dense].tolist(), strict=True):
        yield range(start, start + length)
    left = wanted if not dense.any() else wanted[~dense[wanted // size]]
    for start in range(0, len(left), size):
        yield left[start : start + size]
