"""The archive's past as the messages that live matching would have had.

Flows in: pages of points in order of time. Flows out: scenes, each as embedding batches with what its cells looked
like before. Stops before matching (`rehearsal`).

Baselines are computed as `archive.baselines` does: the same sums in the same precision, so that what comes in order
of time has the same baselines to the bit. An archive keeps the newest processing version of a scene only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from alerts.places import cell
from archive.baselines import OVERPASS
from archive.interface import DIMENSION, Vectors
from archive.store import Page
from schemas.messages import MAX_CELLS_PER_BATCH, Acquisition, Embedding, EmbeddingBatch

Series = tuple[str, str, int | None]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One acquisition, as far as its points are looked at.

    Attributes:
        points: Its cells, ordered as the encoder orders them.
        vectors: float32 (n, 384).
        baselines: float32 (n, 384), mean of what earlier overpasses gave; zeros where there is none.
        counts: int (n,), how many acquisitions each mean is made of.
    """

    points: list[Embedding]
    vectors: Vectors
    baselines: Vectors
    counts: NDArray[np.int64]

    @property
    def acquisition(self) -> Acquisition:
        """What the archive still knows of the announcement."""
        one = self.points[0]
        return Acquisition(
            acquisition_id=one.acquisition_id,
            physical_key=one.physical_key,
            processed_at=one.processed_at,
            source=one.source,
            collection=one.collection,
            item_id=one.item_id,
            sensor=one.sensor,
            platform=one.platform,
            sensing_at=one.sensing_at,
            published_at=one.processed_at,
            seen_at=one.processed_at,
            footprint={},
            relative_orbit=one.relative_orbit,
            assets={},
            allowed_hosts=(),
            simulated=one.simulated,
        )

    def batches(self) -> Iterator[EmbeddingBatch]:
        """The messages, cut as the encoder cuts them."""
        acquisition, starts = self.acquisition, range(0, len(self.points), MAX_CELLS_PER_BATCH)
        for number, start in enumerate(starts):
            rows = slice(start, start + MAX_CELLS_PER_BATCH)
            yield EmbeddingBatch(
                acquisition=acquisition,
                release=self.points[0].release,
                batch=number,
                batches=len(starts),
                cells=tuple(point.cell for point in self.points[rows]),
                vectors=self.vectors[rows],
                baselines=self.baselines[rows],
                baseline_counts=tuple(self.counts[rows].tolist()),
            )


def scenes(pages: Iterable[Page]) -> Iterator[Scene]:
    """Scenes in order of sensing time, with their baselines.

    Args:
        pages: All points from the first on, in order of time, those of one instant on one page.
    """
    past = Baselines()
    for page in pages:
        order = sorted(range(len(page.embeddings)), key=lambda row: (_scene(page.embeddings[row]), row))
        for _, group in groupby(order, key=lambda row: _scene(page.embeddings[row])):
            rows = sorted(group, key=lambda row: _place(page.embeddings[row].cell))
            points, vectors = [page.embeddings[row] for row in rows], page.vectors[rows]
            yield Scene(points, vectors, *past.pass_by(points, vectors))


class Baselines:
    """Running means of all series: 1.5 KB a cell, sensor and radar orbit."""

    def __init__(self) -> None:
        self._row: dict[Series, int] = {}
        self._means = np.zeros((256, DIMENSION), dtype=np.float32)
        self._counts = np.zeros(256, dtype=np.int64)
        self._overpass: deque[tuple[datetime, NDArray[np.intp], Vectors]] = deque()

    def pass_by(self, points: Sequence[Embedding], vectors: Vectors) -> tuple[Vectors, NDArray[np.int64]]:
        """What the cells of a scene looked like before, and from now on its own look counts too.

        Args:
            points: Of one scene, each cell once; no scene may be older than the one before.
            vectors: float32 (n, 384).

        Returns:
            float32 (n, 384), zeros where nothing is known, and how many earlier acquisitions that is, (n,).
        """
        rows = np.array([self._row.setdefault(_series(point), len(self._row)) for point in points], dtype=np.intp)
        self._grow(len(self._row))
        total, counts = self._means[rows].astype(np.float64) * self._counts[rows, None], self._counts[rows]
        earlier, known = total.copy(), counts.copy()
        at = points[0].sensing_at
        while self._overpass and self._overpass[0][0] < at - OVERPASS:
            self._overpass.popleft()
        for _, others, seen in self._overpass:  # neighbouring tiles of this overpass are no past
            _, mine, theirs = np.intersect1d(rows, others, assume_unique=True, return_indices=True)
            earlier[mine] -= seen[theirs]
            known[mine] -= 1
        self._means[rows] = ((total + vectors) / (counts + 1)[:, None]).astype(np.float32)
        self._counts[rows] = counts + 1
        self._overpass.append((at, rows, vectors))
        means = np.where(known[:, None] > 0, earlier / np.maximum(known, 1)[:, None], 0.0)
        return means.astype(np.float32), known

    def _grow(self, size: int) -> None:
        if size > len(self._counts):
            more = max(size, 2 * len(self._counts)) - len(self._counts)
            self._means = np.concatenate([self._means, np.zeros((more, DIMENSION), dtype=np.float32)])
            self._counts = np.concatenate([self._counts, np.zeros(more, dtype=np.int64)])


def _series(point: Embedding) -> Series:
    return (point.cell, point.sensor, point.relative_orbit if point.sensor == "s1" else None)


def _scene(point: Embedding) -> tuple[object, ...]:
    """Points with the same are of one acquisition."""
    return (point.sensing_at, point.physical_key, point.processed_at, point.acquisition_id)


def _place(cell_id: str) -> tuple[int, int, int]:
    """By zone, then north to south, west to east: `schemas.cells.cells_in`."""
    one = cell(cell_id)
    return (one.epsg, -one.northing_m, one.easting_m)
