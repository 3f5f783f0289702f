"""Memory of the whole embedded stack while it drains acquisitions: `--json` for lines.

Flows in: 50 simulated scenes at once. Flows out: the highest sum of all processes' proportional set sizes, after ten
scenes and after all of them: it must not grow with their number. Stops before the archive's own growth on disk.
Linux only (/proc).
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.report import emit
from benchmarks.stack import Watched, ask_for_anything, watched
from commands.services import drain
from schemas.database import reading
from schemas.logs import configure
from schemas.tables import AcquisitionRow

SIZE_KM = 5
FIRST = 10
"""By then every process has done everything once."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--scenes", type=int, default=50)
    options = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    with watched(SIZE_KM, options.scenes) as run:
        ask_for_anything(run.engine, "anything at all")
        samples = watch(run)
    first = max(mib for done, mib in samples if done <= FIRST)
    last = max(mib for done, mib in samples if done > FIRST)
    emit("stack_peak_memory_mib_first_10", first, "MiB")
    emit("stack_peak_memory_mib", last, "MiB", peer="first 10 acquisitions", ratio=last / first)


def watch(run: Watched) -> list[tuple[int, float]]:
    """Release all scenes and drain them; (acquisitions matched, MiB of all processes) a few times a second."""
    started = datetime.now(UTC)
    for draft in run.drafts:
        run.catalogue.release(draft)
    samples: list[tuple[int, float]] = []
    while (done := matched(run)) < len(run.drafts):
        run.supervisor.tend()
        pids = [one.process.pid for one in run.supervisor.running if one.process]
        samples.append((done, sum(set_size_mib(pid) for pid in family(pids))))
        time.sleep(0.2)
    drain(run.supervisor, run.engine, started, timeout_s=60)
    return samples


def matched(run: Watched) -> int:
    """Acquisitions that have been seen through."""
    with reading(run.engine) as session:
        wanted = select(func.count()).select_from(AcquisitionRow).where(AcquisitionRow.state == "matched")
        return session.scalar(wanted) or 0


def family(pids: list[int]) -> list[int]:
    """Processes and all their descendants."""
    found = list(pids)
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in _text(children).split()]
    return found


def set_size_mib(pid: int) -> float:
    """Proportional set size, MiB: pages shared with others count in part. 0 for a process that has just ended."""
    for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


if __name__ == "__main__":
    main()
