"""A replay that is killed and shuffled ends in the same incidents, on both databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.replay import outcome, prepare, work
from benchmarks.replay_year import Year
from schemas.database import connect

ROOT = Path(__file__).parents[2]


def test_a_killed_and_shuffled_replay_ends_in_the_same_incidents() -> None:
    command = [sys.executable, "-m", "benchmarks.replay", "--json", "--size-km", "14", "--days", "60", "--runs", "2"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = {row["name"]: row["value"] for row in map(json.loads, done.stdout.splitlines())}
    assert figures["replay_identical"] == 1
    assert figures["replay_runs"] == 2
    assert figures["replay_incidents"] > 2


def test_postgresql_and_sqlite_hold_the_same_incidents(postgresql_url: str, tmp_path: Path) -> None:
    year = Year(size_km=12, days=40)
    found = []
    for order, url in enumerate((postgresql_url, f"sqlite:///{tmp_path / 'db.sqlite'}")):
        prepare(url)
        work(url, year, order)
        engine = connect(url)
        found.append(outcome(engine, 0.0))
        engine.dispose()
    assert found[0].incidents > 1
    assert found[0].digest == found[1].digest
