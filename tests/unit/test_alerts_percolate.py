"""The matrix product finds exactly what a double loop finds."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.percolation import percolate as module
from alerts.percolation.percolate import Points, Standing, percolate


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.standard_normal((n, 384)).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9).astype(np.float32)


def points(rng: np.random.Generator, n: int, counts: list[int] | None = None) -> Points:
    number = np.array(counts if counts is not None else rng.integers(0, 3, n), dtype=np.int64)
    baselines = unit(rng, n) * (number > 0)[:, None] * 0.9
    lon, lat = rng.uniform(10, 12, n), rng.uniform(40, 42, n)
    return Points(unit(rng, n), baselines.astype(np.float32), number, lon, lat)


def standing(rng: np.random.Generator, q: int, areas: list[object], level: float) -> Standing:
    appearance = np.sort(rng.random(q) < 0.5)
    score = rng.normal(level, 0.05, q)
    score[rng.random(q) < 0.1] = np.inf
    floor = np.where(appearance, rng.normal(level, 0.05, q), -np.inf)
    return Standing(unit(rng, q), appearance, score, floor, areas)  # type: ignore[arg-type]


def double_loop(queries: Standing, cells: Points, min_baseline: int) -> set[tuple[int, int]]:
    """The definition, one pair at a time."""
    found = set()
    for row in range(len(cells.vectors)):
        for query in range(len(queries.vectors)):
            vector = queries.vectors[query].astype(float)
            presence = float(cells.vectors[row].astype(float) @ vector)
            score = presence
            if queries.appearance[query]:
                if cells.counts[row] < min_baseline or presence < queries.presence[query]:
                    continue
                score -= float(cells.baselines[row].astype(float) @ vector)
            area = queries.areas[query]
            if score >= queries.score[query] and (
                area is None or area.contains(shapely.Point(cells.lon[row], cells.lat[row]))
            ):
                found.add((row, query))
    return found


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    q=st.integers(0, 50),
    min_baseline=st.integers(1, 2),
    level=st.sampled_from([-0.1, 0.0, 0.05]),
    tile=st.sampled_from([(7, 5), (16, 64), (1024, 1024)]),
)
def test_equals_the_double_loop(*, seed: int, n: int, q: int, min_baseline: int, level: float, tile: tuple[int, int]):
    rng = np.random.default_rng(seed)
    areas: list[object] = []
    for _ in range(q):
        west, south, size = rng.uniform(8, 13), rng.uniform(38, 43), rng.uniform(0.01, 3)
        box = shapely.box(west, south, west + size, south + size)
        areas.append(None if rng.random() < 0.3 else shapely.Point(west, south).buffer(size) if size > 2 else box)
    queries, cells = standing(rng, q, areas, level), points(rng, n)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_PER_TILE", tile[0])
        patch.setattr(module, "QUERIES_PER_TILE", tile[1])
        hits = percolate(queries, cells, min_baseline=min_baseline)
    pairs = list(zip(hits.rows.tolist(), hits.queries.tolist(), strict=True))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == double_loop(queries, cells, min_baseline)
    assert pairs == sorted(pairs, key=lambda pair: (pair[1], pair[0]))


def test_a_score_equal_to_the_threshold_passes_and_one_beside_it_does_not():
    rng = np.random.default_rng(3)
    cells = points(rng, 1, counts=[1])
    vector = unit(rng, 1)
    lowest = Standing(vector, np.array([False]), np.array([-1.0]), np.array([-np.inf]), [None])
    exact = percolate(lowest, cells).scores[0]
    for threshold, fires in ((exact, True), (np.nextafter(exact, 2), False)):
        queries = Standing(vector, np.array([False]), np.array([threshold]), np.array([-np.inf]), [None])
        assert (percolate(queries, cells).rows.size == 1) is fires


def test_what_has_always_looked_so_does_not_appear():
    vector = np.eye(1, 384, dtype=np.float32)
    cells = Points(vector, vector.copy(), np.array([5]), np.zeros(1), np.zeros(1))
    there = Standing(vector, np.array([False]), np.array([0.5]), np.array([-np.inf]), [None])
    new = Standing(vector, np.array([True]), np.array([0.5]), np.array([0.5]), [None])
    assert percolate(there, cells).rows.size == 1
    assert percolate(new, cells).rows.size == 0


def test_without_history_an_appearance_query_does_not_fire():
    vector = np.eye(1, 384, dtype=np.float32)
    new = Standing(vector, np.array([True]), np.array([0.5]), np.array([0.5]), [None])
    for count, fires in ((0, 0), (1, 0), (2, 1)):
        cells = Points(vector, np.zeros_like(vector), np.array([count]), np.zeros(1), np.zeros(1))
        assert percolate(new, cells, min_baseline=2).rows.size == fires


def test_a_change_to_something_else_does_not_fire():
    """The cloud over a water body went: it looks more like water than the mean did, but like any other field."""
    vector = np.eye(1, 384, dtype=np.float32)
    cells = Points(0.1 * vector, -0.6 * vector, np.array([3]), np.zeros(1), np.zeros(1))
    new = Standing(vector, np.array([True]), np.array([0.5]), np.array([0.3]), [None])
    assert percolate(new, cells).rows.size == 0
