"""In: made-up embeddings and standing queries. Out: how fast they are matched, beside the machine's own GEMM rate.

Stops at matching: thresholds, areas and baselines are included, incidents and the database are not.

Every figure is the median of interleaved repeats, all peers in one run and with the same BLAS threads: one, as a
service has it, unless OMP_NUM_THREADS says otherwise. One product is counted per query and cell (2 · 384 operations),
appearance queries included: their second product is never needed.
"""

import os

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", "1"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))

import argparse  # noqa: E402 - the BLAS reads its number of threads when numpy is imported
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from statistics import median  # noqa: E402

import numpy as np  # noqa: E402
import shapely  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from alerts.percolation.percolate import Points, Standing, percolate  # noqa: E402
from benchmarks.report import emit  # noqa: E402

CELLS, QUERIES, DIMENSION = 1000, 10_000, 384
FLOOR = 0.5
"""Share of the GEMM rate that must be reached."""
PASSING = 3.6
"""Standard deviations of a threshold above the mean score: one pair in six thousand passes it."""

Floats = NDArray[np.float32]


def unit(rng: np.random.Generator, n: int) -> Floats:
    """float32 (n, 384), rows of unit length."""
    vectors = rng.standard_normal((n, DIMENSION)).astype(np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def points(rng: np.random.Generator) -> Points:
    """Cells of one scene of 100 km, each with history."""
    baselines = unit(rng, CELLS) * np.float32(0.9)
    return Points(
        unit(rng, CELLS),
        baselines,
        np.full(CELLS, 5, dtype=np.int64),
        rng.uniform(14.0, 15.2, CELLS),
        rng.uniform(40.0, 40.9, CELLS),
    )


def standing(rng: np.random.Generator, *, far_share: float) -> Standing:
    """Queries, half of them in appearance mode, nine of ten with a polygon of their own that meets the scene.

    Args:
        rng: Chance.
        far_share: Share of the queries whose area lies elsewhere.
    """
    appearance = np.arange(QUERIES) >= QUERIES // 2
    spread = np.where(appearance, np.sqrt(1 + 0.81), 1.0) / np.sqrt(DIMENSION)
    areas: list[shapely.Polygon | None] = []
    for i in range(QUERIES):
        lon, lat = rng.uniform(14.0, 15.2), rng.uniform(40.0, 40.9)
        east = 40.0 if rng.random() < far_share else 0.0
        areas.append(None if i % 10 == 0 else shapely.Point(lon + east, lat).buffer(rng.uniform(0.1, 1.0)))
    return Standing(
        unit(rng, QUERIES), appearance, PASSING * spread, np.where(appearance, 0.0, -np.inf).astype(np.float64), areas
    )


def naive(queries: Standing, cells: Points) -> int:
    """The same by whole matrices: both products, then every condition for every pair."""
    present = cells.vectors @ queries.vectors.T
    past = cells.baselines @ queries.vectors.T
    score = np.where(queries.appearance, present - past, present)
    inside = np.ones(present.shape, dtype=bool)
    for i, area in enumerate(queries.areas):
        if area is not None:
            inside[:, i] = shapely.contains_xy(area, cells.lon, cells.lat)
    passes = (score >= queries.score) & (present >= queries.presence) & inside
    return int(passes.sum())


def gemm(left: Floats, right: Floats, out: Floats) -> None:
    """The machine's own rate: one large product into memory that is already there."""
    np.matmul(left, right.T, out=out)


def interleaved(tasks: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each task, run in turns so that all see the same machine."""
    for task in tasks.values():
        task()
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            start = time.perf_counter()
            task()
            taken[name].append(time.perf_counter() - start)
    return {name: median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--repeats", type=int, default=9, help="repeats of each task (median is reported)")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    cells, near, mixed = points(rng), standing(rng, far_share=0.0), standing(rng, far_share=0.9)
    out = np.empty((CELLS, QUERIES), dtype=np.float32)
    found = len(percolate(near, cells).rows)
    if found != naive(near, cells):
        raise SystemExit(f"percolate finds {found} pairs and naive numpy {naive(near, cells)}: the benchmark is void")
    seconds = interleaved(
        {
            "gemm": lambda: gemm(cells.vectors, near.vectors, out),
            "percolate": lambda: percolate(near, cells),
            "mixed": lambda: percolate(mixed, cells),
        },
        arguments.repeats,
    )
    slow = interleaved({"naive": lambda: naive(near, cells), "percolate": lambda: percolate(near, cells)}, 3)
    flop = 2.0 * CELLS * QUERIES * DIMENSION
    share = seconds["gemm"] / seconds["percolate"]
    emit("percolate_threads", THREADS, "threads")
    emit("percolate_gemm", flop / seconds["gemm"] / 1e9, "GFLOP/s")
    emit("percolate_share_of_gemm", share, "1", peer="gemm", ratio=share, floor=FLOOR)
    emit("pairs_per_s", CELLS * QUERIES / seconds["percolate"], "pairs/s")
    emit(
        "percolate_vs_naive_numpy",
        slow["naive"] / slow["percolate"],
        "1",
        peer="naive_numpy",
        ratio=slow["naive"] / slow["percolate"],
    )
    emit("pairs_per_s_areas_mostly_elsewhere", CELLS * QUERIES / seconds["mixed"], "pairs/s")
    emit("percolate_pairs_found", found, "pairs")


if __name__ == "__main__":
    main()
