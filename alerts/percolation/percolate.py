"""All new embeddings against all standing queries: one matrix product in tiles that fit the cache.

Flows in: the cells of a batch and the standing queries of its sensor and release. Flows out: the pairs that pass
score, presence, area and history. Stops before incidents: what the pairs mean together is `incidents`' matter.

An appearance query asks for (E − baseline) · q, a presence query for E · q: one product each, on a different left
side. The product is float32; a pair within its rounding bound of the threshold is kept and decided in float64, so that
the result does not depend on tiles, threads or the BLAS in use. Only what survives the score is looked at further:
presence in appearance mode, then whether the cell's centre lies in the query's area.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Indexes = NDArray[np.intp]

ROWS_PER_TILE, QUERIES_PER_TILE = 1024, 1024
"""Edge of a tile: 4 MB of scores and 1.5 MB of query vectors, so that they are compared before they leave the cache."""
ROUNDING = 5e-5
"""Bound on the float32 error of one score: 384 · 2^-24 · |left| · |q| with |q| = 1 and |E - baseline| at most 2.

Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1.
"""
_EXACT_AT_ONCE = 8192


@dataclass(frozen=True)
class Standing:
    """The standing queries of one sensor and release, presence queries first.

    Attributes:
        vectors: float32 (q, 384), unit rows.
        appearance: bool (q,), False first: whether the baseline is taken off.
        score: float64 (q,), what the mode's score must reach; infinity: nothing fires.
        presence: float64 (q,), what the presence score must reach as well; minus infinity: anything.
        areas: One lon/lat geometry per query, or none for everywhere.
    """

    vectors: Floats
    appearance: NDArray[np.bool_]
    score: Doubles
    presence: Doubles
    areas: Sequence[BaseGeometry | None]

    @cached_property
    def outlines(self) -> NDArray[np.object_]:
        """The areas as an array, prepared for many point tests."""
        outlines = np.array(self.areas, dtype=object)
        shapely.prepare(outlines)
        return outlines

    @cached_property
    def everywhere(self) -> Indexes:
        """Queries without an area."""
        return np.flatnonzero(np.array([area is None for area in self.areas], dtype=bool))

    @cached_property
    def tree(self) -> shapely.STRtree:
        """Index of the areas; queries without one are not in it."""
        return shapely.STRtree(self.outlines)

    def near(self, lon: Doubles, lat: Doubles) -> Indexes:
        """Queries, ascending, whose area's box meets the box of these points, and those without area."""
        if not lon.size or self.everywhere.size == len(self.areas):
            return self.everywhere
        found = self.tree.query(shapely.box(lon.min(), lat.min(), lon.max(), lat.max()))
        return np.sort(np.concatenate([self.everywhere, found]))


@dataclass(frozen=True)
class Points:
    """Cells of one acquisition.

    Attributes:
        vectors: float32 (n, 384), unit rows.
        baselines: float32 (n, 384), mean of the same cells' earlier vectors, zeros where there is none.
        counts: int (n,), how many earlier acquisitions that is.
        lon: float64 (n,), centres of the cells, degrees.
        lat: float64 (n,).
    """

    vectors: Floats
    baselines: Floats
    counts: NDArray[np.int64]
    lon: Doubles
    lat: Doubles


@dataclass(frozen=True)
class Hits:
    """Pairs that pass, by query and then by cell.

    Attributes:
        rows: int (k,), index of the cell.
        queries: int (k,), index of the query.
        scores: float64 (k,), the mode's score.
        presence: float64 (k,), cosine of cell and sentence.
    """

    rows: Indexes
    queries: Indexes
    scores: Doubles
    presence: Doubles


def percolate(standing: Standing, points: Points, *, min_baseline: int = 1) -> Hits:
    """The pairs of cell and query that pass all of the query's conditions.

    Args:
        standing: Queries of the sensor and release that made the points.
        points: The cells.
        min_baseline: Earlier acquisitions of a cell without which appearance queries don't fire there.
    """
    near = standing.near(points.lon, points.lat)
    first_appearance = int(np.searchsorted(standing.appearance, True))
    split = int(np.searchsorted(near, first_appearance))
    known = np.flatnonzero(points.counts >= min_baseline)
    changes = points.vectors[known] - points.baselines[known]
    found = [
        *_survivors(standing, points.vectors, np.arange(len(points.vectors)), near[:split]),
        *_survivors(standing, changes, known, near[split:]),
    ]
    rows = np.concatenate([rows for rows, _ in found]) if found else np.empty(0, np.intp)
    queries = np.concatenate([queries for _, queries in found]) if found else np.empty(0, np.intp)
    return _decide(standing, points, rows, queries)


def _survivors(standing: Standing, left: Floats, names: Indexes, near: Indexes) -> Iterator[tuple[Indexes, Indexes]]:
    """Pairs whose float32 score could pass, tile by tile.

    Args:
        standing: All queries.
        left: float32 (m, 384), what is multiplied with the queries.
        names: int (m,), index of each row of `left` among the points.
        near: Queries to try.
    """
    loose = (standing.score - ROUNDING).astype(np.float32)
    scores = np.empty(ROWS_PER_TILE * QUERIES_PER_TILE, np.float32)
    passed = np.empty(ROWS_PER_TILE * QUERIES_PER_TILE, np.bool_)
    for start in range(0, len(near), QUERIES_PER_TILE):
        some = near[start : start + QUERIES_PER_TILE]
        vectors, thresholds = _take(standing.vectors, some), _take(loose, some)
        for top in range(0, len(left), ROWS_PER_TILE):
            part = left[top : top + ROWS_PER_TILE]
            shape = (len(part), len(some))
            tile, mask = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in (scores, passed))
            np.matmul(part, vectors.T, out=tile)
            np.greater_equal(tile, thresholds, out=mask)
            rows, queries = np.divmod(np.flatnonzero(mask), len(some))
            yield names[top + rows], some[queries]


def _take(array: Floats, indexes: Indexes) -> Floats:
    """Rows of an array, without a copy where they follow each other."""
    first, last = int(indexes[0]), int(indexes[-1]) + 1
    return array[first:last] if last - first == len(indexes) else array[indexes]


def _decide(standing: Standing, points: Points, rows: Indexes, queries: Indexes) -> Hits:
    """Score the survivors in float64 and keep what passes, in a fixed order."""
    scores, presence = np.empty(len(rows)), np.empty(len(rows))
    for start in range(0, len(rows), _EXACT_AT_ONCE):
        part = slice(start, start + _EXACT_AT_ONCE)
        vectors = standing.vectors[queries[part]].astype(np.float64)
        presence[part] = np.einsum("ij,ij->i", points.vectors[rows[part]], vectors)
        past = np.einsum("ij,ij->i", points.baselines[rows[part]], vectors)
        scores[part] = presence[part] - np.where(standing.appearance[queries[part]], past, 0.0)
    passes = (scores >= standing.score[queries]) & (presence >= standing.presence[queries])
    kept = np.flatnonzero(passes)
    kept = kept[_inside(standing, points, rows[kept], queries[kept])]
    kept = kept[np.lexsort((rows[kept], queries[kept]))]
    return Hits(rows[kept], queries[kept], scores[kept], presence[kept])


def _inside(standing: Standing, points: Points, rows: Indexes, queries: Indexes) -> NDArray[np.bool_]:
    """Whether each cell's centre lies in its query's area."""
    outlines = standing.outlines[queries]
    bounded = shapely.is_geometry(outlines)
    inside = ~bounded
    inside[bounded] = shapely.contains_xy(outlines[bounded], points.lon[rows[bounded]], points.lat[rows[bounded]])
    return inside
