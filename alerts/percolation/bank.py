"""The standing vectors of one release and mode, with their thresholds.

Flows in: vectors of queries as they come, change and go. Flows out: rows that any arithmetic multiplies with, and what
each must reach. Stops before whose queries they are (`standing`): here they are numbers, called slots.

A query's vectors lie in rows that follow each other, the first of which is the query's *head*. Rows that were left
are taken by the next that fit, so that nothing is ever built anew: a change costs what it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.percolation.growing import Blocks, Column, Indexes
from alerts.percolation.products import Arithmetic, Product, product
from alerts.percolation.quantise import lengths
from archive.interface import DIMENSION

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

NONE = -1
"""No slot, no row."""
_AT_ONCE = 8192
LARGE = 4096
"""Rows from which on an arithmetic other than numpy's is worth what it takes to load: 300 MB for torch."""


@dataclass
class Thresholds:
    """What each row must reach, of one sensor; a stratum has others for some queries.

    Attributes:
        score: float64, by row, on the mode's score; infinity: nothing fires.
        presence: float64, by row, on the presence score as well; minus infinity: anything.
        strata: By stratum and head, both.
    """

    score: Column[np.float64] = field(default_factory=lambda: Column(np.float64, np.inf))
    presence: Column[np.float64] = field(default_factory=lambda: Column(np.float64, -np.inf))
    strata: dict[str, dict[int, tuple[float, float]]] = field(default_factory=dict)


class Bank:
    """Rows of vectors, each of a slot."""

    def __init__(self, arithmetic: Arithmetic = "auto", large: int = LARGE) -> None:
        """Empty.

        Args:
            arithmetic: What multiplies.
            large: With "auto", fewer rows than this are multiplied by numpy.
        """
        self._arithmetic, self._large = arithmetic, large
        self.vectors = Blocks(DIMENSION)
        self.norms = Column(np.float64, 0.0)
        """At least the length of each vector."""
        self.slots, self.heads, self.counts = Column(np.int32, NONE), Column(np.int32, NONE), Column(np.int32, 0)
        self.thresholds: dict[str, Thresholds] = {}
        self._free: dict[int, list[int]] = {}
        self._rows = 0
        self._product: Product | None = None
        self._small = False

    @property
    def rows(self) -> int:
        """Rows in use or free."""
        return self._rows

    @property
    def product(self) -> Product:
        """What multiplies with the vectors; chosen when first asked for, and again when there are many."""
        small = self._arithmetic == "auto" and self._rows < self._large
        if self._product is None or (self._small and not small):
            self._product = self.use(product("fp32" if small else self._arithmetic, self.vectors, self.norms))
            self._small = small
        return self._product

    def use(self, product: Product) -> Product:
        """Multiply with this one from now on; returns it."""
        self._product, self._small = product, False
        for start in range(0, self._rows, _AT_ONCE):
            rows = np.arange(start, min(start + _AT_ONCE, self._rows))
            used = rows[self.slots.values[rows] != NONE]
            product.put(used, self.vectors.take(used))
        return product

    def add(self, slots: Sequence[int], vectors: Sequence[Floats]) -> list[int]:
        """Take the vectors of slots, each float32 (k, 384), finite; returns their heads. No thresholds yet."""
        heads = [self._take(len(each)) for each in vectors]
        counts = np.array([len(each) for each in vectors], np.intp)
        rows = _runs(np.array(heads, np.intp), counts)
        together = np.concatenate([*vectors, np.empty((0, DIMENSION), np.float32)]).astype(np.float32, copy=False)
        self.vectors.put(rows, together)
        self.norms.values[rows] = lengths(together)
        self.slots.values[rows] = np.repeat(np.array(slots, np.intp), counts)
        self.heads.values[rows] = np.repeat(np.array(heads, np.intp), counts)
        self.counts.values[rows] = np.repeat(counts, counts)
        if self._product is not None:
            self._product.put(rows, together)
        return heads

    def fire(self, sensor: str, heads: Sequence[int], scores: Sequence[float], presences: Sequence[float]) -> None:
        """Put thresholds in force."""
        thresholds = self.thresholds.setdefault(sensor, Thresholds())
        self._level(thresholds)
        firsts = np.array(heads, np.intp)
        counts = self.counts.values[firsts]
        rows = _runs(firsts, counts)
        thresholds.score.values[rows] = np.repeat(scores, counts)
        thresholds.presence.values[rows] = np.repeat(presences, counts)

    def fire_in(self, sensor: str, stratum: str, head: int, score: float, presence: float) -> None:
        """Put thresholds in force that go before the others where that stratum is."""
        thresholds = self.thresholds.setdefault(sensor, Thresholds())
        thresholds.strata.setdefault(stratum, {})[head] = (score, presence)

    def remove(self, head: int) -> None:
        """Forget the vectors of a head and their thresholds."""
        count = int(self.counts.values[head])
        rows = slice(head, head + count)
        for thresholds in self.thresholds.values():
            self._level(thresholds)
            thresholds.score.values[rows], thresholds.presence.values[rows] = np.inf, -np.inf
            for others in thresholds.strata.values():
                others.pop(head, None)
        self.slots.values[rows] = self.heads.values[rows] = NONE
        self.counts.values[rows] = 0
        self._free.setdefault(count, []).append(head)

    def in_force(self, sensor: str, stratum: str = "") -> tuple[Doubles, Doubles]:
        """Thresholds on score and presence by row, float64 (rows,), for a sensor and stratum; only to be read."""
        if sensor not in self.thresholds:
            return np.full(self._rows, np.inf), np.full(self._rows, -np.inf)
        thresholds = self.thresholds[sensor]
        self._level(thresholds)
        score, presence = thresholds.score.values, thresholds.presence.values
        others = thresholds.strata.get(stratum)
        if not others:
            return score, presence
        heads = np.fromiter(others, np.intp, len(others))
        both = np.array(list(others.values()))
        counts = self.counts.values[heads]
        rows = _runs(heads, counts)
        score, presence = score.copy(), presence.copy()
        score[rows], presence[rows] = np.repeat(both, counts, axis=0).T
        return score, presence

    def _level(self, thresholds: Thresholds) -> None:
        thresholds.score.grow(self._rows)
        thresholds.presence.grow(self._rows)

    def _take(self, count: int) -> int:
        """The first of so many rows that follow each other."""
        fitting = [size for size in self._free if size >= count]
        if fitting:
            size = min(fitting)
            head = self._free[size].pop()
            if not self._free[size]:
                del self._free[size]
            if size > count:
                self._free.setdefault(size - count, []).append(head + count)
            return head
        head, self._rows = self._rows, self._rows + count
        self.vectors.grow(self._rows)
        for column in (self.norms, self.slots, self.heads, self.counts):
            column.grow(self._rows)
        return head


def _runs(firsts: Indexes, counts: NDArray[np.integer]) -> Indexes:
    """`counts[i]` numbers from `firsts[i]` on, one after the other."""
    before = np.cumsum(counts) - counts
    return np.asarray(np.repeat(firsts - before, counts) + np.arange(counts.sum()), dtype=np.intp)
