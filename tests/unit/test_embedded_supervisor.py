"""The supervisor restarts what ends, stops all of it, and refuses a second one."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from embedded.services import Service
from embedded.supervisor import Supervisor, running_supervisor, service_pids
from schemas.errors import SettingsError, StoreUnavailable

WORKER = """
import os, pathlib, signal, sys, time
folder = pathlib.Path(os.environ["WORK"])
(folder / f"start-{os.getpid()}").touch()
if ready := os.environ.get("READY"):
    pathlib.Path(ready).write_text("{}")
def stop(*_):
    (folder / "stopped").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
while True:
    time.sleep(0.05)
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tocsin_test_worker.py").write_text(WORKER)
    (tmp_path / "tocsin_test_failing.py").write_text("raise SystemExit('no address left')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return tmp_path


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def starts(folder: Path) -> int:
    return len(list(folder.glob("start-*")))


def test_what_ends_is_started_again_and_all_of_it_stops(worker: Path) -> None:
    service = Service("worker", "tocsin_test_worker", environment={"WORK": str(worker)})
    with Supervisor([service], worker) as supervisor:
        wait_for(lambda: starts(worker) == 1)
        os.kill(service_pids_of(supervisor)["worker"], signal.SIGKILL)
        ended: list[str] = []
        wait_for(lambda: ended.extend(supervisor.tend()) or starts(worker) == 2)
        assert ended == ["worker (exit -9)"]
        time.sleep(0.2)
    assert (worker / "stopped").exists()
    assert not (worker / "run" / "supervisor.json").exists()


def service_pids_of(supervisor: Supervisor) -> dict[str, int]:
    return {r.service.name: r.process.pid for r in supervisor.running if r.process}


def test_others_wait_until_a_store_is_ready(worker: Path) -> None:
    ready = worker / "run" / "store.json"
    environment = {"WORK": str(worker), "READY": str(ready)}
    with Supervisor([Service("store", "tocsin_test_worker", ready, environment)], worker):
        assert ready.exists()


def test_a_store_that_cannot_start_says_why(worker: Path) -> None:
    store = Service("store", "tocsin_test_failing", worker / "run" / "never.json")
    with pytest.raises(StoreUnavailable, match="no address left"), Supervisor([store], worker):
        pass


def test_a_second_supervisor_on_one_folder_is_refused(worker: Path) -> None:
    service = Service("worker", "tocsin_test_worker", environment={"WORK": str(worker)})
    file = worker / "run" / "supervisor.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"format": 1, "pid": os.getppid(), "services": {"worker": 7}}))
    assert running_supervisor(file) == os.getppid()
    assert service_pids(file) == {"worker": 7}
    with pytest.raises(SettingsError, match="already runs Tocsin"), Supervisor([service], worker):
        pass


def test_the_file_of_a_dead_supervisor_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "supervisor.json"
    file.write_text('{"format": 1, "pid": 999999999, "services": {}}')
    assert running_supervisor(file) is None
    file.write_text("half a fi")
    assert running_supervisor(file) is None
    assert service_pids(file) == {}
