"""The matrix product finds exactly what a double loop finds, in every arithmetic."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.percolation import percolate as percolation
from alerts.percolation import products as module
from alerts.percolation.areas import Areas
from alerts.percolation.bank import Bank
from alerts.percolation.percolate import Points, Side, Standing, percolate, products
from alerts.percolation.products import Fp32Product, Product

MAKERS: dict[str, Callable[[Bank], Product]] = {"fp32": lambda bank: Fp32Product(bank.vectors, bank.norms)}
if importlib.util.find_spec("torch") is not None:  # a plain installation has numpy's alone
    from alerts.percolation.int8 import Int8Product, Tiling

    MAKERS |= {
        "int8": lambda _: Int8Product("cpu"),
        "int8 in small tiles": lambda _: Int8Product("cpu", Tiling(7, 16)),
        "as on a GPU": lambda _: Int8Product("cpu", Tiling(64, 128, multiple=8, least=32, on_host=False)),
    }


@dataclass
class Queries:
    """Standing queries as a person would write them down; the number of one is its slot."""

    vectors: list[np.ndarray]
    appearance: Sequence[bool]
    score: Sequence[float]
    presence: Sequence[float]
    areas: Sequence[object]

    def standing(self, arithmetic: str = "fp32") -> Standing:
        areas, sides = Areas(), []
        for appearance in (False, True):
            bank = Bank()
            bank.use(MAKERS[arithmetic](bank))
            slots = [slot for slot, each in enumerate(self.appearance) if bool(each) is appearance]
            heads = bank.add(slots, [self.vectors[slot] for slot in slots])
            bank.fire("s2", heads, [self.score[slot] for slot in slots], [self.presence[slot] for slot in slots])
            sides.append(Side(bank, *bank.in_force("s2")))
        return Standing(*sides, areas, np.array(areas.hold(self.areas), np.int32))  # type: ignore[arg-type]


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.standard_normal((n, 384)).astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9).astype(np.float32)


def points(rng: np.random.Generator, n: int, counts: list[int] | None = None) -> Points:
    number = np.array(counts if counts is not None else rng.integers(0, 3, n), dtype=np.int64)
    baselines = unit(rng, n) * (number > 0)[:, None] * 0.9
    lon, lat = rng.uniform(10, 12, n), rng.uniform(40, 42, n)
    return Points(unit(rng, n), baselines.astype(np.float32), number, lon, lat)


def one(vector: np.ndarray, *, appearance: bool, score: float, presence: float = -np.inf) -> Queries:
    return Queries([vector], [appearance], [score], [presence], [None])


def scores_of(queries: Queries, cells: Points, row: int, query: int) -> tuple[float, float]:
    """Score and presence of one pair, by the definition."""
    pairs = [(cells.vectors[row : row + 1], vector[None]) for vector in queries.vectors[query]]
    present = [float(products(left, vector)[0]) for left, vector in pairs]
    past = [float(products(cells.baselines[row : row + 1], vector)[0]) for _, vector in pairs]
    if not queries.appearance[query]:
        return max(present), max(present)
    return max(now - before for now, before in zip(present, past, strict=True)), max(present)


def double_loop(queries: Queries, cells: Points, min_baseline: int = 1) -> list[tuple[int, int, float, float]]:
    """The definition, one pair at a time: query, cell, score, presence."""
    found = []
    for query, area in enumerate(queries.areas):
        for row in range(len(cells.vectors)):
            score, presence = scores_of(queries, cells, row, query)
            known = not queries.appearance[query] or cells.counts[row] >= min_baseline
            inside = area is None or area.contains(shapely.Point(cells.lon[row], cells.lat[row]))  # type: ignore[attr-defined]
            if known and inside and score >= queries.score[query] and presence >= queries.presence[query]:
                found.append((query, row, score, presence))
    return found


def found_by(queries: Queries, cells: Points, arithmetic: str, min_baseline: int = 1):
    hits = percolate(queries.standing(arithmetic), cells, min_baseline=min_baseline)
    rows = (hits.slots, hits.rows, hits.scores, hits.presence)
    return list(zip(*(each.tolist() for each in rows), strict=True))


@st.composite
def situations(draw: st.DrawFn) -> tuple[Queries, Points]:
    """Queries and cells with all that can go wrong: thresholds exactly at scores, zero rows, shared areas."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, q = draw(st.integers(0, 40)), draw(st.integers(0, 50))
    cells = points(rng, n)
    spread = draw(st.sampled_from([1.0, 8.0, 300.0]))
    for array in (cells.vectors, cells.baselines):
        array[rng.random(n) < 0.05] = 0
        array[:, :3] *= np.float32(spread)  # a few coordinates stand out, and one scale fits the others badly
        array[:] /= np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1).astype(np.float32)
    vectors = [unit(rng, int(k)) for k in rng.choice([1, 1, 1, 2, 5], q)]
    for each in vectors:
        if rng.random() < 0.05:
            each[0] = 0
        if rng.random() < 0.3 and n:
            each[-1] = cells.vectors[rng.integers(n)]
    shapes = [shapely.box(w, s, w + d, s + d) for w, s, d in rng.uniform([8, 38, 0.01], [13, 43, 3], (6, 3))]
    shapes += [shapely.Point(11, 41).buffer(0.7), None, None]
    appearance = rng.random(q) < 0.5
    level = draw(st.sampled_from([-0.1, 0.0, 0.05, 0.4]))
    score, presence = rng.normal(level, 0.05, q), np.where(appearance, rng.normal(level, 0.05, q), -np.inf)
    queries = Queries(vectors, appearance, score, presence, [shapes[i] for i in rng.integers(len(shapes), size=q)])
    for query in np.flatnonzero(rng.random(q) < 0.4) if n else ():
        exact = scores_of(queries, cells, int(rng.integers(n)), int(query))
        score[query] = np.nextafter(exact[0], rng.choice([-9, exact[0], 9]))
        if appearance[query] and rng.random() < 0.5:
            presence[query] = np.nextafter(exact[1], rng.choice([-9, exact[1], 9]))
    score[rng.random(q) < 0.1] = np.inf
    score[rng.random(q) < 0.02] = -np.inf
    return queries, cells


@pytest.mark.parametrize("arithmetic", MAKERS)
@settings(max_examples=60, deadline=None)
@given(situation=situations(), min_baseline=st.integers(1, 2), tile=st.sampled_from([(7, 16, 1), (1024, 1024, 4096)]))
def test_equals_the_double_loop(
    *, arithmetic: str, situation: tuple[Queries, Points], min_baseline: int, tile: tuple[int, int, int]
) -> None:
    queries, cells = situation
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CELLS", tile[0])
        patch.setattr(module, "ROWS", tile[1])
        patch.setattr(percolation, "_AT_ONCE", tile[2])
        found = found_by(queries, cells, arithmetic, min_baseline)
    assert found == double_loop(queries, cells, min_baseline)


@pytest.mark.parametrize("arithmetic", MAKERS)
def test_many_cells_and_queries_give_the_same_in_every_arithmetic(arithmetic: str) -> None:
    rng = np.random.default_rng(8)
    cells, q = points(rng, 1500), 2500
    appearance = rng.random(q) < 0.5
    score = np.where(appearance, 4.0, 3.0) / np.sqrt(384)
    queries = Queries([unit(rng, 1 + i % 2) for i in range(q)], appearance, score, np.full(q, -np.inf), [None] * q)
    found = found_by(queries, cells, arithmetic)
    assert len(found) > 1000
    assert found == found_by(queries, cells, "fp32")


@pytest.mark.parametrize("arithmetic", MAKERS)
def test_a_score_equal_to_the_threshold_passes_and_one_beside_it_does_not(arithmetic: str) -> None:
    rng = np.random.default_rng(3)
    cells = points(rng, 1, counts=[1])
    vector = unit(rng, 1)
    exact = found_by(one(vector, appearance=False, score=-1.0), cells, arithmetic)[0][2]
    for threshold, fires in ((exact, True), (np.nextafter(exact, 2), False)):
        assert bool(found_by(one(vector, appearance=False, score=threshold), cells, arithmetic)) is fires


@pytest.mark.parametrize("arithmetic", MAKERS)
@pytest.mark.parametrize("whole", ["query", "cell"])
def test_what_rounding_loses_in_the_worst_case_is_no_miss(arithmetic: str, whole: str) -> None:
    """All that the codes of one side leave out points along the other side, which codes express exactly."""
    rng = np.random.default_rng(6)
    signs = rng.choice([-1, 1], 384).astype(np.float32)
    codes = np.full(384, 0.49, np.float32) * signs
    codes[0] = 127
    exact, rounded = signs[None] / np.sqrt(384, dtype=np.float32), codes[None] / np.linalg.norm(codes)
    query, cell = (exact, rounded) if whole == "query" else (rounded, exact)
    cells = Points(cell, np.zeros_like(cell), np.ones(1, int), np.zeros(1), np.zeros(1))
    threshold = float(products(cell, query)[0])
    assert found_by(one(query, appearance=False, score=threshold), cells, arithmetic)


@pytest.mark.parametrize("arithmetic", MAKERS)
def test_a_cell_that_is_not_finite_matches_nothing_and_hides_nothing(arithmetic: str) -> None:
    rng = np.random.default_rng(4)
    cells = points(rng, 4, counts=[1, 1, 1, 1])
    cells.vectors[1, 7] = np.nan
    cells.vectors[2, 7] = np.inf
    cells.baselines[3, 0] = np.nan
    for appearance, rows in ((False, [0, 3]), (True, [0])):
        found = found_by(one(unit(rng, 1), appearance=appearance, score=-9.0), cells, arithmetic)
        assert [row for _, row, *_ in found] == rows


@pytest.mark.parametrize("arithmetic", MAKERS)
def test_a_query_that_matches_everything_gives_every_cell_once(arithmetic: str) -> None:
    rng = np.random.default_rng(5)
    cells = points(rng, 2100, counts=[1] * 2100)
    queries = one(unit(rng, 3), appearance=True, score=-np.inf)
    assert [row for _, row, *_ in found_by(queries, cells, arithmetic)] == list(range(2100))


def test_what_has_always_looked_so_does_not_appear() -> None:
    vector = np.eye(1, 384, dtype=np.float32)
    cells = Points(vector, vector.copy(), np.array([5]), np.zeros(1), np.zeros(1))
    assert found_by(one(vector, appearance=False, score=0.5), cells, "fp32")
    assert not found_by(one(vector, appearance=True, score=0.5, presence=0.5), cells, "fp32")


def test_without_history_an_appearance_query_does_not_fire() -> None:
    vector = np.eye(1, 384, dtype=np.float32)
    new = one(vector, appearance=True, score=0.5, presence=0.5)
    for count, fires in ((0, 0), (1, 0), (2, 1)):
        cells = Points(vector, np.zeros_like(vector), np.array([count]), np.zeros(1), np.zeros(1))
        assert len(found_by(new, cells, "fp32", min_baseline=2)) == fires


def test_a_change_to_something_else_does_not_fire() -> None:
    """The cloud over a water body went: it looks more like water than the mean did, but like any other field."""
    vector = np.eye(1, 384, dtype=np.float32)
    cells = Points(0.1 * vector, -0.6 * vector, np.array([3]), np.zeros(1), np.zeros(1))
    assert not found_by(one(vector, appearance=True, score=0.5, presence=0.3), cells, "fp32")


def test_the_wording_that_the_cell_came_to_look_like_counts() -> None:
    """It looked like the first wording before; the second is new."""
    wordings = np.eye(2, 384, dtype=np.float32)
    cells = Points(wordings.sum(axis=0, keepdims=True) * 0.7, wordings[:1].copy(), np.ones(1, int), *np.zeros((2, 1)))
    (_, _, score, presence), *others = found_by(one(wordings, appearance=True, score=0.5), cells, "fp32")
    assert (others, score, presence) == ([], pytest.approx(0.7), pytest.approx(0.7))
