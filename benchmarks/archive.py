"""In: made-up acquisitions of one tile. Out: how fast the embedded archive records them, and how much disk they take.

Stops at recording: points, their indexes and the baselines of their cells, in batches as the encoder service records
them; reading is in the benchmarks of what reads. The engine runs in this process, as in its owner's; what a client
and the loopback add is in `benchmarks.pipeline`. No graph is built, because the archive builds none.

    python -m benchmarks.archive [--json] [--cells N] [--passes N]
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from archive.edge import EdgeStore
from archive.interface import DIMENSION, Vectors
from archive.stored import StoredArchive
from benchmarks.machine import Elapsed, elapsed
from benchmarks.report import emit
from encoders.encode import RECORD_CELLS
from schemas.cells import cell_of
from schemas.logs import configure
from schemas.messages import Embedding, stable_id

CELLS = 10_000
"""Of one pass: the 100 x 100 km of a square of the grid, which a Sentinel-2 tile covers."""
PASSES = 7
"""The first finds an empty archive."""
START, APART = datetime(2026, 5, 20, 10, tzinfo=UTC), timedelta(days=5)
"""The passes lie in two months, so in two shards."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.archive", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--cells", type=int, default=CELLS, help=f"of one pass, at most {CELLS}")
    parser.add_argument("--passes", type=int, default=PASSES, help="acquisitions of the same cells, two at least")
    arguments = parser.parse_args()
    if not (1 <= arguments.cells <= CELLS and arguments.passes >= 2):
        parser.error(f"--cells lies between 1 and {CELLS}, --passes is 2 or more")
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    with tempfile.TemporaryDirectory(prefix="tocsin-archive-") as name:
        folder = Path(name)
        taken = recorded(folder, arguments.cells, arguments.passes)
        size = sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file()) * 512
    later = taken[1:]
    emit("archive_record_points_per_s", arguments.cells / median(one.cpu_s for one in later), "points/CPU s")
    emit("archive_record_first_points_per_s", arguments.cells / taken[0].cpu_s, "points/CPU s")
    share = median(one.cpu_s / one.wall_s for one in later)
    emit("archive_record_busy_cores", share, "cores")
    emit("archive_bytes_per_point", size / (arguments.cells * arguments.passes), "bytes", peer="float32 vector alone",
         ratio=size / (arguments.cells * arguments.passes * DIMENSION * 4))  # fmt: skip


def recorded(folder: Path, cells: int, passes: int) -> list[Elapsed]:
    """What each pass took."""
    names = [f"33TWN{row // 100:02d}{row % 100:02d}" for row in range(cells)]
    centres = [cell_of(name).centre for name in names]
    rng, taken = np.random.default_rng(0), []
    with StoredArchive(EdgeStore(folder)) as archive:
        for number in range(passes):
            embeddings = [_embedding(name, *centre, number) for name, centre in zip(names, centres, strict=True)]
            vectors = rng.standard_normal((cells, DIMENSION), dtype=np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            taken.append(elapsed(partial(_record, archive, embeddings, vectors)))
    return taken


def _record(archive: StoredArchive, embeddings: list[Embedding], vectors: Vectors) -> None:
    for start in range(0, len(embeddings), RECORD_CELLS):
        part = slice(start, start + RECORD_CELLS)
        archive.record(embeddings[part], vectors[part])


def _embedding(cell: str, lon: float, lat: float, number: int) -> Embedding:
    """A cell in the pass of a number."""
    moment, name = START + number * APART, f"S2A_MADE_UP_{number:03d}"
    return Embedding(
        point_id=stable_id("point", cell, name, "made-up"),
        cell=cell,
        sensor="s2",
        sensing_at=moment,
        physical_key=name,
        acquisition_id=stable_id("made up", name),
        processed_at=moment,
        source="benchmark",
        collection="sentinel-2-l2a",
        item_id=name,
        platform="sentinel-2a",
        relative_orbit=22,
        release="made-up",
        lon=lon,
        lat=lat,
        valid_fraction=1,
        cloud_fraction=0.01,
    )


if __name__ == "__main__":
    main()
