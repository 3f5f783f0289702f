"""In: made-up embeddings and standing queries. Out: how fast they are matched, beside the machine's peak and others.

Stops at matching: thresholds, areas and baselines are included, incidents and the database are not, but for the time
from registering a query to its first match.

Every rate is of one thread, in processor seconds (median of turns that all peers take), so that whatever else runs
matters less. One product is counted per vector and cell (2 · 384 operations), appearance queries included: their second
product is never needed. A share is of the fastest product of the same arithmetic that this machine does, measured in
between: int8 by torch, fp32 by numpy. All of it takes about six minutes, `--quick` two.
"""

import os

os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # read when numpy is imported

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from alerts.percolation.percolate import Standing, percolate
from benchmarks import percolate_peers as peers
from benchmarks import percolate_store as store
from benchmarks.percolate_work import OFTEN, PASSING, interleaved, operations, peaks, points, standing
from benchmarks.report import emit
from encoders.nano import load_nano
from schemas.logs import configure

CELLS = (1024, 4096)
QUERIES = {1: "q1", 1000: "q1k", 10_000: "q10k", 100_000: "q100k"}
MILLION = 1_000_000
FLOOR = 0.70
"""Share of the peak that must be reached from 10,000 queries on."""
CEILING_GIB, CEILING_S = 4.0, 1.0
HELD = 100_000
"""Queries of which some pass more often, and beside which one is registered: `100k` in names of figures."""
SILENT = 9.0
"""Standard deviations that nothing passes: what is timed is being in force, not the writing of alarms."""
SEARCHES = 100
"""Queries that Qdrant is asked, one search each."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--quick", action="store_true", help="leave out a million queries")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each size is measured")
    options = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    for number, label in QUERIES.items():
        made = standing(np.random.default_rng(0), number)
        shares(made, number, label, options.seconds)
        if number >= 10_000:
            compare(made, number, label, options.seconds)
    shares(standing(np.random.default_rng(0), HELD, OFTEN), HELD, "q100k_often", options.seconds, floor=None)
    with tempfile.TemporaryDirectory() as folder:
        qdrant(Path(folder) / "edge", options.seconds)
        release = load_nano(1).release
        engine = store.written(Path(folder), HELD, release, SILENT)
        taken, alone = store.registered(engine, release)
        emit("register_to_in_force_100k_s", taken, "s", ceiling=CEILING_S)
        emit("batch_without_change_100k_s", alone, "s")
        held(str(engine.url), release, HELD, "100k", options.seconds)
        if not options.quick:
            url = str(store.written(Path(folder), MILLION, release, PASSING, ("s2",)).url)
            held(url, release, MILLION, "1m", options.seconds)


def shares(made: Standing, number: int, label: str, seconds: float, floor: float | None = FLOOR) -> None:
    """Pairs a second, and the share of the peak of the arithmetic used."""
    rng = np.random.default_rng(1)
    cells = {each: points(rng, each) for each in CELLS}
    name = made.present.bank.product.name
    yardsticks = {f"peak {i}": task for i, task in enumerate(peaks()[name])}
    ours = {str(each): lambda each=each: percolate(made, cells[each]) for each in CELLS}
    taken = interleaved(ours | yardsticks, seconds)
    peak = max(each / taken[f"peak {i}"] for i, each in enumerate(operations()))
    emit(f"peak_{label}", peak / 1e9, f"{name} Gop/s")
    alone = operations()[0] / taken["peak 0"] / peak  # a tile of ours: shallower than what is fastest
    emit(f"product_alone_share_of_peak_{label}", alone, "1", peer="peak", ratio=alone)
    for each in CELLS:
        _pairs(label, each, each * number / taken[str(each)], peak, floor=floor if number >= 10_000 else None)


def _pairs(label: str, cells: int, rate: float, peak: float, *, floor: float | None) -> None:
    suffix = "" if cells == CELLS[0] else f"_b{cells}"
    emit(f"pairs_per_s_per_core_{label}{suffix}", rate, "pairs/s")
    emit(f"share_of_peak_{label}{suffix}", rate * 768 / peak, "1", peer="peak", ratio=rate * 768 / peak, floor=floor)


def compare(made: Standing, number: int, label: str, seconds: float) -> None:
    """Ours against a float32 product by numpy and a range search by faiss, which look at scores alone."""
    cells = points(np.random.default_rng(1), CELLS[0])
    others = {"numpy_fp32": peers.by_numpy(made, cells)}
    if find_spec("faiss"):
        others["faiss_range_search"] = peers.by_faiss(made, cells)
    else:
        print("faiss is not installed (tocsin[peers]): its figures are left out", file=sys.stderr)
    found = {name: task() for name, task in others.items()}
    if len(set(found.values())) != 1 or len(percolate(made, cells).rows) > min(found.values()):
        raise SystemExit(f"the peers find {found} pairs: the benchmark is void")
    taken = interleaved({"ours": lambda: percolate(made, cells), **others}, seconds)
    for name in others:
        ratio = taken[name] / taken["ours"]
        emit(f"{label}_over_{name}", ratio, "1", peer=name, ratio=ratio)
        emit(f"{name}_pairs_per_s_{label}", CELLS[0] * number / taken[name], "pairs/s")


def qdrant(folder: Path, seconds: float) -> None:
    """One filtered search per presence query, against ours with the same queries and no others."""
    made, cells = standing(np.random.default_rng(0), 2 * SEARCHES), points(np.random.default_rng(1), CELLS[1])
    made.appeared.score[:] = np.inf
    search = peers.by_qdrant(made, cells, folder, range(SEARCHES))
    if search() != len(percolate(made, cells).rows):
        raise SystemExit("Qdrant finds other pairs: the benchmark is void")
    taken = interleaved({"qdrant": search, "ours": lambda: percolate(made, cells)}, seconds)
    rates = {name: SEARCHES / each for name, each in taken.items()}
    emit("qdrant_queries_per_s_b4096", rates["qdrant"], "queries/s")
    ratio = rates["ours"] / rates["qdrant"]
    emit("queries_per_s_b4096", rates["ours"], "queries/s", peer=f"Qdrant, {SEARCHES} searches", ratio=ratio)


def held(url: str, release: str, number: int, label: str, seconds: float) -> None:
    """What so many queries with areas take in a process of their own, from the database on."""
    found = store.in_a_process(url, release, seconds)
    emit(f"startup_{label}_s", found["startup_s"], "s")
    emit(f"memory_{label}_gib", found["memory_gib"], "GiB", ceiling=CEILING_GIB)
    emit(f"memory_peak_{label}_gib", found["memory_peak_gib"], "GiB", ceiling=CEILING_GIB)
    if number == MILLION:
        for cells in CELLS:
            _pairs("q1m", cells, found[f"pairs_per_s_{cells}"], found["peak"], floor=FLOOR)


if __name__ == "__main__":
    main()
