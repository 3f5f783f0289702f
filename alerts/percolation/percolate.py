"""All new embeddings against all standing queries: one matrix product in tiles that fit the cache.

Flows in: the cells of a batch and the standing queries of its sensor and release. Flows out: the pairs that pass
score, presence, area and history. Stops before incidents: what the pairs mean together is `incidents`' matter.

With q_1 … q_k the vectors of a query (wordings of a sentence, say; mostly one), E a cell's embedding and b the mean of
its earlier ones, all products in float64:

    presence = max_k E·q_k            score = presence for a presence query,
                                      score = max_k (E·q_k - b·q_k) for an appearance query.

Of an appearance query each wording is asked by how much the cell has come to look more like it, and the highest answer
counts, as it does for the presence beside it.

An appearance query asks for (E - b)·q, a presence query for E·q: one product each, on a different left side
(`products`), and every vector of a query is a row of its own. What may pass is scored again in float32, and what then
lies above or within its rounding bound is decided in float64, always in the same order of additions: the result depends
neither on tiles, threads or the arithmetic in use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.percolation.areas import Areas
from alerts.percolation.bank import Bank
from alerts.percolation.growing import Indexes
from alerts.percolation.quantise import ROUNDING, Left, lengths

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_AT_ONCE = 4096
"""Pairs scored at once: 6 MB of vectors on either side."""


@dataclass(frozen=True)
class Side:
    """Standing queries of one mode.

    Attributes:
        bank: Their vectors.
        score: float64, by row, what the mode's score must reach; infinity: nothing fires.
        presence: float64, by row, what the presence score must reach as well; minus infinity: anything.
    """

    bank: Bank
    score: Doubles
    presence: Doubles


@dataclass(frozen=True)
class Standing:
    """The standing queries of one sensor, release and stratum.

    Attributes:
        present: Those that ask for what is there.
        appeared: Those that ask for what is new.
        areas: Their areas.
        area: Number of its area, by slot.
    """

    present: Side
    appeared: Side
    areas: Areas
    area: NDArray[np.int32]


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
    """Pairs that pass, by slot and then by cell.

    Attributes:
        rows: int (k,), index of the cell.
        slots: int (k,), the query's slot.
        scores: float64 (k,), the mode's score.
        presence: float64 (k,), highest cosine of the cell and the query's vectors.
        thresholds: float64 (k,), what the score had to reach.
    """

    rows: Indexes
    slots: Indexes
    scores: Doubles
    presence: Doubles
    thresholds: Doubles


def percolate(standing: Standing, points: Points, *, min_baseline: int = 1) -> Hits:
    """The pairs of cell and query that pass all of the query's conditions.

    Args:
        standing: Queries of the sensor and release that made the points.
        points: The cells; one whose vector or baseline is not of finite length matches nothing.
        min_baseline: Earlier acquisitions of a cell without which appearance queries don't fire there.
    """
    near = standing.areas.near(points.lon, points.lat)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is left out
        there = _left(points.vectors)
        changes = _left(points.vectors - points.baselines, points.counts >= min_baseline)
    found = [
        *_side(standing, standing.present, points, there, near),
        *_side(standing, standing.appeared, points, changes, near),
    ]
    return _inside(standing, points, _in_order(found))


def _left(vectors: Floats, wanted: NDArray[np.bool_] | bool = True) -> Left:
    """Wanted rows of finite length, without a copy where that is all of them."""
    norms = lengths(vectors)
    names = np.flatnonzero(wanted & np.isfinite(norms))
    return Left(vectors, norms, names) if len(names) == len(vectors) else Left(vectors[names], norms[names], names)


def _side(standing: Standing, side: Side, points: Points, left: Left, near: NDArray[np.bool_]) -> Iterator[Hits]:
    """What passes of one mode, also outside an area's outline.

    Args:
        standing: All queries.
        side: Those of the mode.
        points: All cells.
        left: What is multiplied with the queries.
        near: Bitmap of areas that the cells may lie in.
    """
    able = np.flatnonzero(side.score < np.inf)
    wanted = able[near[standing.area[side.bank.slots.values[able]]]]
    if not len(wanted) or not len(left.names):
        return
    waiting: list[tuple[Indexes, Indexes]] = []
    held = 0
    for cells, rows in side.bank.product.survivors(left, wanted, side.score):
        waiting.append((cells, rows))
        held += len(cells)
        if held >= _AT_ONCE:
            yield _decide(standing, side, points, left, waiting)
            waiting, held = [], 0
    yield _decide(standing, side, points, left, waiting)


def _decide(
    standing: Standing,
    side: Side,
    points: Points,
    left: Left,
    waiting: list[tuple[Indexes, Indexes]],
) -> Hits:
    """Score the survivors, (index of `left`, row) each, and keep what passes in the box of its area."""
    cells = np.concatenate([cells for cells, _ in waiting] or [np.empty(0, np.intp)])
    rows = np.concatenate([rows for _, rows in waiting] or [np.empty(0, np.intp)])
    area = standing.area[side.bank.slots.values[rows]]
    names = left.names[cells]
    kept = np.flatnonzero(standing.areas.in_box(area, points.lon[names], points.lat[names]))
    kept = kept[_may_reach(side, left, cells[kept], rows[kept])]
    cells, heads = names[kept], side.bank.heads.values[rows[kept]].astype(np.intp)
    scores, presence = _exact(side, points, cells, heads, taken_off=side is standing.appeared)
    passes = np.flatnonzero((scores >= side.score[heads]) & (presence >= side.presence[heads]))
    slots = side.bank.slots.values[heads[passes]].astype(np.intp)
    return Hits(cells[passes], slots, scores[passes], presence[passes], side.score[heads[passes]])


def _may_reach(side: Side, left: Left, cells: Indexes, rows: Indexes) -> NDArray[np.bool_]:
    """Whether each pair's float32 product comes within its rounding bound of the score."""
    may = np.empty(len(rows), np.bool_)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        bound = ROUNDING * left.norms[cells[part]] * side.bank.norms.values[rows[part]] + ROUNDING
        score = np.einsum("ij,ij->i", left.vectors[cells[part]], side.bank.vectors.take(rows[part]))
        may[part] = score >= side.score[rows[part]] - bound
    return may


def _exact(side: Side, points: Points, cells: Indexes, heads: Indexes, *, taken_off: bool) -> tuple[Doubles, Doubles]:
    """Score and presence of pairs of cell and head, float64 each."""
    counts = side.bank.counts.values[heads].astype(np.intp)
    scores, presence = np.full(len(heads), -np.inf), np.full(len(heads), -np.inf)
    for start in range(0, len(heads), _AT_ONCE):
        part = np.arange(start, min(start + _AT_ONCE, len(heads)))
        for number in range(int(counts[part].max())):
            some = part[counts[part] > number]
            vectors = side.bank.vectors.take(heads[some] + number)
            there = products(points.vectors[cells[some]], vectors)
            past = products(points.baselines[cells[some]], vectors) if taken_off else 0.0
            presence[some] = np.maximum(presence[some], there)
            scores[some] = np.maximum(scores[some], there - past)
    return scores, presence


def products(one: Floats, other: Floats) -> Doubles:
    """The product of each row with its partner, float64 (n,): rounded the same wherever the rows stand."""
    return np.asarray((one.astype(np.float64) * other).sum(axis=1))


def _inside(standing: Standing, points: Points, hits: Hits) -> Hits:
    """Those in the area of their query."""
    lon, lat = points.lon[hits.rows], points.lat[hits.rows]
    kept = standing.areas.inside(standing.area[hits.slots].astype(np.intp), lon, lat)
    return Hits(hits.rows[kept], hits.slots[kept], hits.scores[kept], hits.presence[kept], hits.thresholds[kept])


def _in_order(found: list[Hits]) -> Hits:
    """By slot and cell, each pair once: several vectors of a query may have survived."""
    rows, slots = _joined([hits.rows for hits in found]), _joined([hits.slots for hits in found])
    order = np.lexsort((rows, slots))
    rows, slots = rows[order], slots[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = (rows[1:] != rows[:-1]) | (slots[1:] != slots[:-1])
    kept = order[first]
    numbers = [np.concatenate([getattr(hits, name) for hits in found] or [np.empty(0)])[kept] for name in _NUMBERS]
    return Hits(rows[first], slots[first], *numbers)


_NUMBERS = ("scores", "presence", "thresholds")


def _joined(parts: list[Indexes]) -> Indexes:
    return np.concatenate([np.empty(0, np.intp), *parts])
