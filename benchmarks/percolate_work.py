"""In: chance. Out: made-up cells of a scene and standing queries, and the rate of this machine's own arithmetic.

Stops before timing (`percolate`), peers (`percolate_peers`) and databases (`percolate_store`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np
import shapely
from numpy.typing import NDArray

from alerts.percolation.areas import Areas
from alerts.percolation.bank import Bank
from alerts.percolation.percolate import Points, Side, Standing
from archive.interface import DIMENSION

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

WEST, SOUTH, EAST, NORTH = 14.0, 40.0, 15.2, 40.9
"""The scene, 100 km wide."""
PASSING = 4.0
"""Standard deviations of a threshold above the mean score: one pair in 32,000 passes. A budget of two alarms a week, of
four cells each, asks for that in an area of 300 km, whose 90,000 cells are seen 2.6 times a week."""
OFTEN = 3.6
"""The same for one pair in 6,000: areas of 130 km."""
_PRODUCTS = ((1024, 1024, DIMENSION), (512, 1024, DIMENSION), (1024, 1024, 2048), (2048, 2048, 2048))
"""Rows, columns and depth of products of which the fastest is the peak."""


def unit(rng: np.random.Generator, n: int) -> Floats:
    """float32 (n, 384), rows of unit length."""
    vectors = rng.standard_normal((n, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def points(rng: np.random.Generator, cells: int) -> Points:
    """Cells of the scene, each with history."""
    baselines = unit(rng, cells) * np.float32(0.9)
    lon, lat = rng.uniform(WEST, EAST, cells), rng.uniform(SOUTH, NORTH, cells)
    return Points(unit(rng, cells), baselines, np.full(cells, 5, dtype=np.int64), lon, lat)


def appearance(queries: int) -> NDArray[np.bool_]:
    """Which queries ask for what is new: every second one."""
    return np.asarray(np.arange(queries) % 2 == 1)


def scores(queries: int, passing: float) -> Doubles:
    """Thresholds so many standard deviations above the mean score, by mode."""
    return np.asarray(passing * np.where(appearance(queries), np.sqrt(1 + 0.81), 1.0) / np.sqrt(DIMENSION))


def outlines(rng: np.random.Generator, queries: int) -> NDArray[np.object_]:
    """Polygons of 65 corners that meet the scene, of 10 to 100 km; every tenth query has none."""
    lon, lat = rng.uniform(WEST, EAST, queries), rng.uniform(SOUTH, NORTH, queries)
    found: NDArray[np.object_] = shapely.buffer(shapely.points(lon, lat), rng.uniform(0.1, 1.0, queries), quad_segs=16)
    found[::10] = None
    return found


def standing(rng: np.random.Generator, queries: int, passing: float = PASSING) -> Standing:
    """Queries of one vector each."""
    areas = Areas()
    numbers = areas.hold(outlines(rng, queries).tolist())
    vectors, least, new = unit(rng, queries), scores(queries, passing), appearance(queries)
    return Standing(_side(vectors, least, ~new), _side(vectors, least, new), areas, np.array(numbers, np.int32))


def _side(vectors: Floats, least: Doubles, which: NDArray[np.bool_]) -> Side:
    bank, slots = Bank(), np.flatnonzero(which)
    heads = bank.add(slots.tolist(), list(vectors[slots][:, None]))
    bank.fire("s2", heads, least[slots].tolist(), [-np.inf] * len(slots))
    return Side(bank, *bank.in_force("s2"))


def peaks() -> dict[str, tuple[Callable[[], object], ...]]:
    """Products of int8 (torch) and of float32 (numpy); each call is one product, `operations` says of how much."""
    import torch  # noqa: PLC0415 - an extra

    rng = np.random.default_rng(0)
    found: dict[str, list[Callable[[], object]]] = {"int8": [], "fp32": []}
    for rows, columns, depth in _PRODUCTS:
        left, right = (torch.from_numpy(rng.integers(-127, 128, (n, depth), dtype=np.int8)) for n in (rows, columns))
        out = torch.empty((rows, columns), dtype=torch.int32)
        found["int8"].append(lambda left=left, right=right, out=out: torch._int_mm(left, right.t(), out=out))  # type: ignore[misc]
        one, other = (rng.random((n, depth), dtype=np.float32) for n in (rows, columns))
        table = np.empty((rows, columns), np.float32)
        found["fp32"].append(lambda one=one, other=other, table=table: np.matmul(one, other.T, out=table))  # type: ignore[misc]
    return {name: tuple(tasks) for name, tasks in found.items()}


def operations() -> tuple[float, ...]:
    """Multiplications and additions of each product of `peaks`."""
    return tuple(2.0 * rows * columns * depth for rows, columns, depth in _PRODUCTS)


def interleaved(tasks: dict[str, Callable[[], object]], seconds: float, least: int = 3) -> dict[str, float]:
    """Median processor seconds of each task, run in turns so that all see the same machine.

    Args:
        tasks: What to time; each is run once before.
        seconds: How long to go on, all tasks together.
        least: How often each is run at least.
    """
    for task in tasks.values():
        task()
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, taken.values())) < least:
        for name, task in tasks.items():
            start = time.process_time()
            task()
            taken[name].append(time.process_time() - start)
    return {name: median(each) for name, each in taken.items()}


def peak_rates(seconds: float) -> dict[str, float]:
    """Operations a second of the fastest product of each arithmetic, measured now."""
    rates = {}
    for name, tasks in peaks().items():
        taken = interleaved({str(i): task for i, task in enumerate(tasks)}, seconds)
        rates[name] = max(each / taken[str(i)] for i, each in enumerate(operations()))
    return rates
