"""One whole Sentinel-2 tile, from a web server to vectors in the archive: `python -m benchmarks.pipeline [--json]`.

Flows in: a tile that is made once (`benchmarks.tile`) and served from this machine. Flows out: seconds, memory, and how
well the stages overlap. Every part runs in a process of its own, on the first cores of this one, one after another:

    path      `Encoding.handle`: fetch, decode, cut, encode with nano, record in the embedded archive
    decode    all of the path up to the chips (`read_scene`, fetching included), which are thrown away
    encode    as many of the tile's chips as it has, ready in memory, to vectors

`tile_over_slower_stage` is the path over the slower of decode and encode, each alone with *all* the cores that the path
has. Both are bound by computation, so on a machine without idle cores no pipeline reaches the slower one: what is
between them is the other stage's work. `tile_over_slower_stage_one_core_each` is the path over the slower of the two
when each has one of two cores for itself, as two stages of a pipeline have. `tile_over_busy_cores` is the path over
its own processor seconds spread over all cores: 1 means that none was ever idle.

The peer is what one would write with odc-stac: all bands on one 10 m grid, parts of 22 x 22 cells with their margins,
and nano (this very encoder, so that the difference is the way to it); its vectors are kept in memory, not recorded.
It is left out where odc-stac is not installed (`tocsin[peers]`).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path

from benchmarks.machine import elapsed
from benchmarks.memory import family, set_size_mib
from benchmarks.report import emit
from benchmarks.serving import served
from benchmarks.tile import announce, make_tile
from encoders.interface import Vectors
from schemas.logs import configure
from schemas.messages import Acquisition

SLOWER_STAGE_CEILING = 1.15
"""Most that the path may take, over its slower stage."""
MEMORY_CEILING_GIB = 2.5
KEPT_BLOCKS = 8
"""Blocks of chips that are encoded over and over to time the encoder alone: 240 MB, more than any cache."""
TILE_CELLS = 12_100
"""Cells of the tile: 110 x 110."""
LOOK_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Part:
    """What a part took.

    Attributes:
        seconds: On the wall, models loaded before.
        cells: That it handled.
        cpu_s: Processor seconds, and those of the archive's process.
        peak_gib: Most memory at any time, sum of proportional set sizes.
    """

    seconds: float
    cells: int
    cpu_s: float
    peak_gib: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--tile", type=Path, default=Path(tempfile.gettempdir()) / "tocsin-tile", help="its folder")
    parser.add_argument("--cores", type=int, default=2, help="of the path and of each stage")
    parser.add_argument("--part", choices=sorted(PARTS), help="only this, here: what the others are started with")
    parser.add_argument("--address", help="of the server, with --part")
    options = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    files = make_tile(options.tile)
    if options.part:
        PARTS[options.part](announce(options.address, files))
        return
    with served(options.tile) as address:
        report(lambda part, cores: run(part, cores, options.tile, address), options.cores)


def report(measured: Callable[[str, int], Part], cores: int) -> None:
    """Print the figures."""
    path = measured("path", cores)
    stages = {name: measured(name, cores) for name in ("decode", "encode")}
    alone = {name: measured(name, 1) for name in ("decode", "encode")}
    emit("tile_seconds", path.seconds, "s")
    emit("tile_cells_per_s", path.cells / path.seconds, "cells/s")
    for name, stage in stages.items():
        emit(f"tile_{name}_seconds", stage.seconds, "s", peer=f"one core, {alone[name].seconds:.1f} s")
    slower, one_core = (max(part.seconds for part in parts.values()) for parts in (stages, alone))
    emit(
        "tile_over_slower_stage",
        path.seconds / slower,
        "1",
        peer=f"decode or encode alone, {cores} cores",
        ceiling=SLOWER_STAGE_CEILING,
    )
    emit("tile_over_slower_stage_one_core_each", path.seconds / one_core, "1", peer="decode or encode alone, 1 core")
    emit("tile_over_busy_cores", path.seconds * cores / path.cpu_s, "1", peer=f"{path.cpu_s:.1f} processor seconds")
    emit("tile_peak_memory_gib", path.peak_gib, "GiB", ceiling=MEMORY_CEILING_GIB)
    if find_spec("odc") is None:
        print("odc-stac is not installed: tile_over_odc_stac is left out", file=sys.stderr)
        return
    peer = measured("peer", cores)
    emit("odc_stac_tile_seconds", peer.seconds, "s")
    emit("odc_stac_peak_memory_gib", peer.peak_gib, "GiB")
    emit(
        "tile_over_odc_stac",
        path.seconds / peer.seconds,
        "1",
        peer="odc-stac + nano",
        ratio=path.seconds / peer.seconds,
    )


def run(part: str, cores: int, tile: Path, address: str) -> Part:
    """One part in a process of its own, on the first cores that this one may use."""
    command = [sys.executable, "-m", "benchmarks.pipeline", "--part", part, "--tile", str(tile), "--address", address]
    peak, others_cpu_s = 0.0, dict[int, float]()
    with first_cores(cores), subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            pids = family([process.pid])
            peak = max(peak, sum(set_size_mib(pid) for pid in pids) / 1024)
            others_cpu_s |= {pid: used for pid in pids[1:] if (used := _cpu_s(pid))}
            time.sleep(LOOK_S)
        answer = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise SystemExit(f"the part {part!r} failed")
    own = json.loads(answer.splitlines()[-1])
    cpu_s = own.pop("cpu_s") + sum(others_cpu_s.values())
    return Part(**own, cpu_s=cpu_s, peak_gib=peak)


@contextmanager
def first_cores(count: int) -> Iterator[None]:
    """Only so many cores for this process and those that it starts."""
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(all_of_them)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


def _cpu_s(pid: int) -> float:
    """Processor seconds of a process so far; 0 for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def path(acquisition: Acquisition) -> None:
    """The service's own way, with everything real but the broker."""
    from archive import open_archive  # noqa: PLC0415 - each part loads only what it measures
    from encoders import load  # noqa: PLC0415
    from encoders.assets import Fetcher  # noqa: PLC0415
    from encoders.encode import Encoding  # noqa: PLC0415
    from encoders.settings import EncoderSettings  # noqa: PLC0415
    from schemas.database import connect, migrate  # noqa: PLC0415
    from schemas.settings import Stack  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="tocsin-pipeline-") as folder:
        stack = Stack(data=Path(folder), kafka="", qdrant_url="", database_url="")
        migrate(stack.database)
        engine = connect(stack.database)
        settings = EncoderSettings(scratch=stack.data / "scratch")
        fetcher, encoder = Fetcher(settings), load("nano")
        with open_archive(stack) as archive:
            encoding = Encoding(engine, Unsent(), archive, encoder, settings, fetcher)
            _timed(lambda: encoding.handle(acquisition), lambda: archive.count(release=encoder.release))
        fetcher.close()
        engine.dispose()


class Unsent:
    """Takes the messages of a broker that is not there."""

    def send(self, records: Iterable[object]) -> None:
        """Make them and forget them."""
        for _ in records:
            pass


def decode(acquisition: Acquisition) -> None:
    """Chips, as the encoder would get them, thrown away."""
    from encoders.encode import ahead  # noqa: PLC0415 - as in `path`
    from encoders.reading import read_scene  # noqa: PLC0415
    from encoders.settings import EncoderSettings  # noqa: PLC0415

    cells = 0

    def read() -> None:
        nonlocal cells
        settings = EncoderSettings()
        for block in ahead(read_scene(acquisition, settings), settings.read_ahead):
            cells += len(block.cells)

    _timed(read, lambda: cells)


def encode(acquisition: Acquisition) -> None:
    """The tile's first chips, as often as makes a tile."""
    from encoders import load  # noqa: PLC0415 - as in `path`
    from encoders.reading import read_scene  # noqa: PLC0415
    from encoders.settings import EncoderSettings  # noqa: PLC0415

    encoder = load("nano")
    reading = read_scene(acquisition, EncoderSettings())
    blocks = list(islice(reading, KEPT_BLOCKS))
    reading.close()
    cells = 0

    def embed() -> None:
        nonlocal cells
        for block in cycle(blocks):
            cells += len(encoder.images(block.pixels, "s2", block.present_bands))
            if cells >= TILE_CELLS:
                return

    _timed(embed, lambda: cells)


def peer(acquisition: Acquisition) -> None:
    """What a user of odc-stac would write."""
    from benchmarks.peer_odc import embed_tile  # noqa: PLC0415 - odc-stac is optional
    from encoders import load  # noqa: PLC0415

    encoder = load("nano")
    vectors: list[Vectors] = []
    _timed(lambda: vectors.extend(embed_tile(acquisition, encoder)), lambda: sum(len(part) for part in vectors))


def _timed(work: Callable[[], object], cells: Callable[[], int]) -> None:
    took = elapsed(work)
    print(json.dumps({"seconds": took.wall_s, "cpu_s": took.cpu_s, "cells": cells()}))


PARTS: dict[str, Callable[[Acquisition], None]] = {"path": path, "decode": decode, "encode": encode, "peer": peer}

if __name__ == "__main__":
    main()
