"""What the archive needs of an engine: a few exact operations, the same for both.

Flows in: points and baselines of one release. Flows out: the same, by id or by filter. Stops before rules: what
is stored, replaced or averaged is decided in `stored` and `baselines`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from archive.interface import ArchiveFilter, Hit, Vectors
from schemas.messages import Embedding

FORMAT_VERSION = 1
"""Layout of collections and shards; a newer one is refused, never guessed at."""


Members = NDArray[np.void]
"""Acquisitions that a baseline is made of, `records.MEMBER` (m,)."""


@dataclass(frozen=True, slots=True)
class Page:
    """Points with their vectors, float32 (n, 384)."""

    embeddings: list[Embedding]
    vectors: Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """Mean of all acquisitions of one cell, sensor, relative orbit (S1) and release.

    Attributes:
        baseline_id: Name-based on these four.
        vector: float32 (384,), mean of the members' vectors, not normalised.
        count: How many members.
        members: The latest of them, ascending: `records.MEMBER` (m,).
        revision: Grows with each change; 0: not stored yet. Two writers notice each other by it.
    """

    baseline_id: UUID
    vector: Vectors
    count: int
    members: Members
    revision: int


class Store(Protocol):
    """One engine. Writes are durable when they return. A release that is not there is empty, not an error."""

    def releases(self) -> list[str]: ...

    def points(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, tuple[Embedding, Vectors]]:
        """Points by id, each with the sensing time near which it is expected; those that exist."""
        ...

    def vectors(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, Vectors]:
        """Only the vectors of points, float32 (384,), by id; those that exist."""
        ...

    def write_points(self, release: str, embeddings: Sequence[Embedding], vectors: Vectors) -> None:
        """Insert or replace points."""
        ...

    def baselines(self, release: str, ids: Sequence[UUID]) -> dict[UUID, Baseline]:
        """Baselines by id, those that exist."""
        ...

    def write_baselines(self, release: str, baselines: Sequence[Baseline]) -> set[UUID]:
        """Replace those whose stored revision is one less; returns the ids of those that somebody else changed."""
        ...

    def nearest(self, release: str, vector: Vectors, filter: ArchiveFilter, limit: int) -> list[Hit]:
        """The best `limit` points, best first, over a rectangle around the area; scores exact, ties in any order."""
        ...

    def scroll(self, release: str, filter: ArchiveFilter) -> Iterator[Page]:
        """All points over a rectangle around the area, page by page."""
        ...

    def count(self, release: str, filter: ArchiveFilter) -> int:
        """How many points over a rectangle around the area, exactly."""
        ...

    def cells(self, release: str, filter: ArchiveFilter) -> dict[str, int]:
        """Points of each cell over a rectangle around the area, exactly."""
        ...

    def close(self) -> None: ...
