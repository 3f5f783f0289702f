"""From a scene's appearance in the catalogue to the delivered alert, on the embedded stack: `--json` for lines.

Flows in: simulated scenes of 100 cells, one at a time. Flows out: p50 and p95 of the whole way, and each stage's share.
Stops before load: the machine does nothing else, and one scene is seen through before the next appears.
"""

from __future__ import annotations

import argparse
import statistics
from datetime import UTC, datetime

import numpy as np

from alerts.incidents.stages import STAGES, stages
from benchmarks.report import emit
from benchmarks.stack import ask_for_anything, watched
from commands.services import drain
from schemas.logs import configure

SIZE_KM = 10
WARM_UP = 2
"""Scenes that are not counted: processes start, caches fill."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--scenes", type=int, default=12)
    options = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    whole, parts = measure(WARM_UP + options.scenes)
    p50, p95 = np.percentile(whole, [50, 95])
    emit("alert_latency_p50_s", float(p50), "s")
    emit("alert_latency_p95_s", float(p95), "s")
    total = sum(statistics.mean(values) for values in parts.values())
    for stage, values in parts.items():
        emit(f"alert_latency_share_{stage}", statistics.mean(values) / total, "share of the mean", peer="whole way")


def measure(scenes: int) -> tuple[list[float], dict[str, list[float]]]:
    """Seconds from release to delivery of each counted scene, and seconds of each stage of ours."""
    with watched(SIZE_KM, scenes) as run:
        for number, draft in enumerate(run.drafts):
            ask_for_anything(run.engine, f"anything at all, number {number}")
            drain(run.supervisor, run.engine, datetime.now(UTC), timeout_s=60)
            released = datetime.now(UTC)
            run.catalogue.release(draft, released)
            drain(run.supervisor, run.engine, released, timeout_s=60)
        ways = [way for way in stages(run.engine) if way.sequence == 1]
    ours = ways[WARM_UP:]
    parts = {stage: [way.seconds.get(stage, 0.0) for way in ours] for stage in STAGES if stage != "published"}
    return [sum(values) for values in zip(*parts.values(), strict=True)], parts


if __name__ == "__main__":
    main()
