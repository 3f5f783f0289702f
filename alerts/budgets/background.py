"""The archive's past as scores: what standing queries see when nothing happens.

Flows in: whole time series of cells, of one sensor and release. Flows out: their vectors, their changes as live
matching would have computed them, and how often places are seen. Stops before any budget (`thresholds`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from schemas.messages import Embedding

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

DAY_S = 86_400.0
USUAL_PASSES_PER_DAY = 0.2
"""Passes of one place a day where no place has been seen twice: Sentinel-2's five days, Sentinel-1's six."""
YOUNG_SHARE, YOUNG_DAYS = 0.25, 365.0
"""A baseline is young in the first part of the time that a history covers, and at most for a year: it has not seen
every season yet, and what has happened in each year since is new to it."""


@dataclass(frozen=True)
class History:
    """Points of one sensor and release, and what had changed in each.

    Attributes:
        cells: Ids (n).
        lon: float64 (n,), degrees.
        lat: float64 (n,).
        days: float64 (n,), sensing time, days since 1970.
        vectors: float32 (n, 384), unit rows.
        changed: int (m,), points that had enough earlier ones of their own cell (S1: and orbit).
        changes: float32 (m, 384), those points less the mean of the earlier ones.
        ages: float64 (m,), days from the oldest of the earlier ones.
        share: Share of the archive's points that were read, 0-1.
    """

    cells: NDArray[np.str_]
    lon: Doubles
    lat: Doubles
    days: Doubles
    vectors: Floats
    changed: NDArray[np.intp]
    changes: Floats
    ages: Doubles
    share: float = 1.0

    @property
    def cell_count(self) -> float:
        """Cells that the archive knows, the unread ones estimated."""
        return len(np.unique(self.cells)) / self.share if len(self.cells) else 0.0

    def passes_per_day(self) -> float:
        """How often one cell is seen: all repeats over all time between a cell's first and last pass."""
        if not len(self.cells):
            return USUAL_PASSES_PER_DAY
        _, group, counts = np.unique(self.cells, return_inverse=True, return_counts=True)
        first, last = np.full(len(counts), np.inf), np.full(len(counts), -np.inf)
        np.minimum.at(first, group, self.days)
        np.maximum.at(last, group, self.days)
        watched = float((last - first).sum())
        return float((counts - 1).sum()) / watched if watched > 0 else USUAL_PASSES_PER_DAY

    def within(self, area: BaseGeometry) -> History:
        """Only the points whose cell's centre lies in an area."""
        return self.only(np.asarray(shapely.contains_xy(area, self.lon, self.lat)))

    def only(self, inside: NDArray[np.bool_]) -> History:
        """Some of the points, with the changes that they have in the whole.

        Args:
            inside: bool (n,).
        """
        number = np.cumsum(inside) - 1
        kept = inside[self.changed]
        return History(
            self.cells[inside],
            self.lon[inside],
            self.lat[inside],
            self.days[inside],
            self.vectors[inside],
            number[self.changed[kept]].astype(np.intp),
            self.changes[kept],
            self.ages[kept],
            self.share,
        )

    def settled(self, least: int) -> History:
        """Without the changes against young baselines, which are noisier than those to come.

        Args:
            least: Where fewer changes than this would be left, all are kept.
        """
        if not len(self.days):
            return self
        old = self.ages >= min(YOUNG_SHARE * float(np.ptp(self.days)), YOUNG_DAYS)
        if old.sum() < least:
            return self
        return replace(self, changed=self.changed[old], changes=self.changes[old], ages=self.ages[old])

    def at(self, rows: NDArray[np.intp]) -> History:
        """Some of the points in this order, int (k,), without their changes."""
        return History(
            self.cells[rows],
            self.lon[rows],
            self.lat[rows],
            self.days[rows],
            self.vectors[rows],
            self.changed[:0],
            self.changes[:0],
            self.ages[:0],
            self.share,
        )


def joined(parts: Sequence[History]) -> History:
    """The points of several histories one after the other, without their changes."""
    return History(
        np.concatenate([part.cells for part in parts]),
        np.concatenate([part.lon for part in parts]),
        np.concatenate([part.lat for part in parts]),
        np.concatenate([part.days for part in parts]),
        np.concatenate([part.vectors for part in parts]),
        parts[0].changed[:0],
        parts[0].changes[:0],
        parts[0].ages[:0],
    )


def read_history(
    embeddings: Sequence[Embedding], vectors: Floats, *, min_baseline: int = 1, share: float = 1.0
) -> History:
    """Compute what had changed in each point, exactly as the archive's baselines do for a live one.

    Args:
        embeddings: Points of one sensor and release, in any order; each series whole.
        vectors: float32 (n, 384), row i belongs to embeddings[i].
        min_baseline: Earlier acquisitions that a change needs.
        share: Share of the archive's points that these are.
    """
    changed: list[int] = []
    changes: list[Floats] = []
    ages: list[float] = []
    order = sorted(range(len(embeddings)), key=lambda i: (*_series(embeddings[i]), embeddings[i].sensing_at))
    for _, members in groupby(order, key=lambda i: _series(embeddings[i])):
        series = list(members)
        sums = np.vstack([np.zeros((1, vectors.shape[1])), np.cumsum(vectors[series], axis=0, dtype=np.float64)])
        times = [embeddings[i].sensing_at.timestamp() for i in series]
        for i, earlier in zip(series, np.searchsorted(times, times, side="left").tolist(), strict=True):
            if earlier >= min_baseline:
                changed.append(i)
                changes.append((vectors[i] - sums[earlier] / earlier).astype(np.float32))
                ages.append((embeddings[i].sensing_at.timestamp() - times[0]) / DAY_S)
    return History(
        np.array([e.cell for e in embeddings], dtype=np.str_),
        np.array([e.lon for e in embeddings], dtype=np.float64),
        np.array([e.lat for e in embeddings], dtype=np.float64),
        np.array([e.sensing_at.timestamp() / DAY_S for e in embeddings], dtype=np.float64),
        vectors,
        np.array(changed, dtype=np.intp),
        np.array(changes, dtype=np.float32).reshape(-1, vectors.shape[1]),
        np.array(ages, dtype=np.float64),
        share,
    )


def _series(embedding: Embedding) -> tuple[str, int]:
    """What shares a baseline: the cell; for Sentinel-1 also the orbit, whose geometry shapes the picture."""
    orbit = embedding.relative_orbit if embedding.sensor == "s1" else None
    return (embedding.cell, -1 if orbit is None else orbit)
