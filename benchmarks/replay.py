"""In: a made-up year of embedding batches. Out: whether three replays, each killed and started again, end alike.

Stops at the matcher: batches come from `replay_year`, not from Kafka, in another order in each run, none later than
the allowed lateness. The matcher runs in a process of its own; SIGKILL ends it in the middle of each run, and its
successor gets the last batches once more, as a broker would hand them out.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.budgets.calibrate import Calibrator
from alerts.matching import Matcher
from alerts.settings import MatcherSettings
from benchmarks.replay_year import DAY0, FIRE, RELEASE, WATER, Year
from benchmarks.report import emit
from schemas.database import connect, migrate, reading
from schemas.logs import configure
from schemas.publisher import Record
from schemas.tables import AlertRow, IncidentRow, MatchedBatchRow, MatchRow, RecentBatchRow

RULES = MatcherSettings(late_days=3)
"""Batches may be three days late, so that several passes overtake each other."""
AGAIN = 40
"""Batches that a restarted matcher gets once more."""
SWEEP_EVERY = 100
WATCHED = (("fire", FIRE, "appearance", 0.45), ("water", WATER, "appearance", 0.45), ("water", WATER, "presence", 0.5))
"""Sentence, its direction, mode, threshold."""


@dataclass(frozen=True)
class Outcome:
    """What a run left behind.

    Attributes:
        digest: Of all incidents: cells, times, sensors, states, scores; not of their names.
        incidents: How many have matches.
        states: How many of each state.
        matches, alerts: Rows.
        recent: Batches that are kept for late ones at the end.
        seconds: Both processes together.
    """

    digest: str
    incidents: int
    states: dict[str, int]
    matches: int
    alerts: int
    recent: int
    seconds: float


class _Words:
    """An encoder that knows the directions of the watched sentences."""

    release = RELEASE

    def __init__(self, year: Year) -> None:
        self._basis = year.basis

    def texts(self, sentences: Iterable[str]) -> NDArray[np.float32]:
        directions = {sentence: direction for sentence, direction, _, _ in WATCHED}
        return self._basis[[directions[each] for each in sentences]].astype(np.float32)


class _Nothing:
    """An archive without history: thresholds are given by hand."""

    def count(self, **_: object) -> int:
        return 0

    def history(self, **_: object) -> tuple[list[object], NDArray[np.float32]]:
        return [], np.empty((0, 384), np.float32)


class _Nowhere:
    """A broker that takes everything."""

    def send(self, records: Iterable[Record]) -> None:
        list(records)


def prepare(url: str) -> None:
    """A database with the watched sentences."""
    migrate(url)
    engine = connect(url)
    for sentence, _, mode, threshold in WATCHED:
        queries.add(engine, sentence, mode=mode, threshold=threshold)
    engine.dispose()


def work(url: str, year: Year, order: int) -> None:
    """The matcher's process: all batches from where the last one stopped, and a few of those before once more."""
    configure("warning", "replay")
    engine = connect(url)
    calibrator = Calibrator(engine, _Nothing(), _Words(year), RULES)  # type: ignore[arg-type]  # all it asks of them
    end = DAY0 + timedelta(days=year.days + 400)
    matcher = Matcher(engine, _Nowhere(), calibrator, RELEASE, RULES, clock=lambda: end)
    arrivals = year.arrivals(order, RULES.late_days)
    matcher.prepare()
    for n, planned in enumerate(arrivals[max(0, resumed_at(engine, year, order) - AGAIN) :]):
        matcher.handle(year.batch(planned))
        if n % SWEEP_EVERY == 0:
            matcher.sweep()
    matcher.sweep()
    engine.dispose()


def resumed_at(engine: Engine, year: Year, order: int) -> int:
    """How many arrivals in a row have been settled."""
    with reading(engine) as session:
        rows = session.execute(select(MatchedBatchRow.acquisition_id, MatchedBatchRow.batch))
        done = {(acquisition_id, number) for acquisition_id, number in rows}
    arrivals = year.arrivals(order, RULES.late_days)
    return next((n for n, one in enumerate(arrivals) if year.name(one) not in done), len(arrivals))


def run(year: Year, arguments: list[str], order: int, folder: Path) -> Outcome:
    """One replay in two processes, the first of them killed somewhere in its middle."""
    url = f"sqlite:///{folder / f'{order}.sqlite'}"
    prepare(url)
    engine = connect(url)
    kill_at = random.Random(order).uniform(0.3, 0.7) * len(year.planned)
    command = [sys.executable, "-m", "benchmarks.replay", "--work", url, "--order", str(order), *arguments]
    start = time.monotonic()
    with subprocess.Popen(command) as first:
        while count(engine, MatchedBatchRow) < kill_at:
            if first.poll() is not None:
                raise SystemExit(f"the matcher ended by itself, with {first.returncode}: the benchmark is void")
            time.sleep(0.05)
        first.send_signal(signal.SIGKILL)
        first.wait()
    subprocess.run(command, check=True)
    seconds = time.monotonic() - start
    if count(engine, MatchedBatchRow) != len(year.planned):
        raise SystemExit("not every batch was settled: the benchmark is void")
    found = outcome(engine, seconds)
    engine.dispose()
    return found


def count(engine: Engine, table: type[MatchedBatchRow | MatchRow | AlertRow | RecentBatchRow]) -> int:
    """Rows of a table."""
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def outcome(engine: Engine, seconds: float) -> Outcome:
    """All incidents that have matches, without what order of arrival may change."""
    names = {query.query_id: f"{query.sentence} {query.mode}" for query in queries.list_queries(engine)}
    lines = []
    states: dict[str, int] = {}
    with reading(engine) as session:
        for row in session.scalars(select(IncidentRow)):
            match = MatchRow
            wanted = select(match.cell, match.sensor, match.item_id, match.score)
            found = session.execute(wanted.where(match.incident_id == row.incident_id)).all()
            if found:
                states[row.state] = states.get(row.state, 0) + 1
                parts = (names[row.query_id], row.first_sensing_at, row.last_sensing_at, row.state, row.closed_at)
                lines.append(f"{parts} {row.score} {sorted(map(tuple, found))}")
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    matches, alerts, recent = (count(engine, table) for table in (MatchRow, AlertRow, RecentBatchRow))
    return Outcome(digest, len(lines), states, matches, alerts, recent, seconds)


def main() -> None:
    """Replay, compare and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--size-km", type=int, default=48, help="edge of the region, cells")
    parser.add_argument("--days", type=float, default=365, help="how long the made-up time is")
    parser.add_argument("--runs", type=int, default=3, help="replays, each in an order of its own")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--order", type=int, default=0, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    configure("warning", "replay")  # to stderr: stdout is for figures
    year = Year(asked.size_km, asked.days)
    if asked.work:
        work(asked.work, year, asked.order)
        return
    arguments = ["--size-km", str(asked.size_km), "--days", str(asked.days)]
    with tempfile.TemporaryDirectory() as folder:
        found = [run(year, arguments, order, Path(folder)) for order in range(asked.runs)]
    identical = len({one.digest for one in found}) == 1
    seconds = sum(one.seconds for one in found)
    emit("replay_identical", int(identical), "1", floor=1)
    emit("replay_runs", len(found), "runs")
    emit("replay_batches", len(year.planned), "batches")
    emit("replay_incidents", found[0].incidents, "incidents")
    for state, number in sorted(found[0].states.items()):
        emit(f"replay_incidents_{state}", number, "incidents")
    emit("replay_matches", found[0].matches, "matches")
    emit("replay_alerts", found[0].alerts, "messages")
    emit("replay_seconds", seconds, "s")
    emit("replay_batches_per_s", len(found) * len(year.planned) / seconds, "batches/s")
    if not identical:
        raise SystemExit(f"the runs differ: {[(one.incidents, one.states, one.matches) for one in found]}")


if __name__ == "__main__":
    main()
