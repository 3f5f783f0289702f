"""The port of the archive: what a caller asks for and what it gets.

Flows in: embeddings with their vectors, questions with filters. Flows out: baselines, hits, histories. Stops
before any engine: `stored` holds the rules, `edge` and `server` the two engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from schemas.messages import Embedding, Sensor

DIMENSION = 384
"""Length of every vector: the width of the shared text space."""

SCORE_DIGITS = 6
"""Decimals of a score: what float32 sums agree on, so that equal chips have equal scores on every engine."""

Vectors = NDArray[np.float32]
"""float32, (n, 384)."""


@dataclass(frozen=True, slots=True)
class ArchiveFilter:
    """Which points a question is about; what is left out does not restrict.

    Attributes:
        area: Polygon or MultiPolygon, lon/lat degrees, split at the antimeridian (`schemas.geometry.read_area`);
            a point is in it when the centre of its cell is.
        since: Sensing time at or after, aware.
        until: Sensing time before, aware.
        sensors: `s1`, `s2`, or both; empty: all.
        max_cloud: Highest cloud fraction, 0-1, inclusive.
        cells: Ids of cells; None: all; empty: nothing matches.
        sources: Names of sources; empty: all.
        physical_keys: Scenes; empty: all.
        simulated: Only simulated (True) or only real (False) points.
    """

    area: BaseGeometry | None = None
    since: datetime | None = None
    until: datetime | None = None
    sensors: tuple[Sensor, ...] = ()
    max_cloud: float | None = None
    cells: tuple[str, ...] | None = None
    sources: tuple[str, ...] = ()
    physical_keys: tuple[str, ...] = ()
    simulated: bool | None = None


EVERYTHING = ArchiveFilter()
"""No restriction."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer of a search.

    Attributes:
        embedding: The point, without its vector.
        score: Dot product of its vector and the question's, the cosine when both are unit vectors; rounded to
            `SCORE_DIGITS`.
    """

    embedding: Embedding
    score: float


@dataclass(frozen=True, slots=True)
class Baselines:
    """What each cell looked like before.

    Attributes:
        vectors: float32 (n, 384), mean of the unit vectors that earlier overpasses gave; zeros where there is none.
        counts: How many acquisitions each mean is made of.
    """

    vectors: Vectors
    counts: tuple[int, ...]


class Archive(Protocol):
    """Points of all releases: write, ask, look back. Every method may raise `StoreUnavailable`."""

    def record(self, embeddings: Sequence[Embedding], vectors: Vectors) -> Baselines:
        """Store points and tell what their cells looked like before.

        Durable when it returns; the same call again changes nothing. A point whose stored version was processed
        later is left as it is.

        Args:
            embeddings: Any number, all of one release.
            vectors: float32 (n, 384), unit rows; row i belongs to embeddings[i].

        Returns:
            For each, the mean over the acquisitions of the same cell, sensor, release (and for S1 relative orbit)
            that were sensed before it, its own scene left out.

        Raises:
            MalformedMessage: vectors that are not finite unit rows, or a place or time that cannot be.
            ReleaseMismatch: two releases in one call, or vectors of another length.
        """
        ...

    def search(
        self, vector: Vectors, *, release: str, filter: ArchiveFilter, limit: int, min_score: float | None = None
    ) -> list[Hit]:
        """The points most like a vector, the best first, equal scores in the order of their ids; exact.

        Args:
            vector: float32 (384,), finite.
            release: Only its points are compared.
            filter: Which points.
            limit: At most so many hits, 1 or more.
            min_score: Least score, inclusive.

        Raises:
            MalformedMessage: the vector holds NaN.
            ReleaseMismatch: the vector has another length.
            UsageError: limit below 1, a filter that cannot be.
        """
        ...

    def history(
        self, *, release: str, filter: ArchiveFilter, max_points: int, seed: int = 0
    ) -> tuple[list[Embedding], Vectors]:
        """Whole time series (within the filter) of random cells, for calibration.

        Args:
            release: Of which encoder.
            filter: Which points.
            max_points: At most so many points; a cell whose series does not fit any more is passed over.
            seed: Of the choice of cells: the same archive and seed give the same cells.

        Returns:
            Points ordered by cell, time and id, and their vectors, float32 (n, 384).
        """
        ...

    def count(self, *, release: str | None = None, filter: ArchiveFilter | None = None) -> int:
        """How many points there are, of one release or of all."""
        ...

    def cells(self, *, release: str, filter: ArchiveFilter = EVERYTHING) -> dict[str, int]:
        """Ids of the cells that have points, in alphabetical order, and how many; exact."""
        ...

    def releases(self) -> list[str]:
        """Releases that have points, in alphabetical order."""
        ...

    def close(self) -> None:
        """Let go of the engine; the archive stays."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
