"""Starts the services, restarts what ends, and stops all of it in reverse order.

Flows in: `services`. Flows out: processes with a log file each. Stops before knowing what they do: a service that
ends, for whatever reason, is started again after a pause that grows.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from embedded.services import Service
from schemas.errors import SettingsError, StoreUnavailable, TocsinError

START_TIMEOUT_S = 30.0
"""How long a broker or an archive may take until others can use it."""
STOP_TIMEOUT_S = 15.0
"""How long a service may finish its message after SIGTERM, before SIGKILL."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""Between the end of a service and its next start; doubles while it keeps ending."""
MANY_RESTARTS = 4
"""A service that has ended more often without settling will not mend itself (`run --until-idle` gives up then)."""
SETTLED_S = 60.0
"""A service that has run this long is well: the next pause is the first one again."""


@dataclass
class Running:
    """A service's process and what became of those before it."""

    service: Service
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restarts: int = 0
    pause_s: float = FIRST_PAUSE_S
    start_after: float = field(default=0.0)


class Supervisor:
    """One process group's parent. Use as a context manager; call `tend` every half second or so."""

    def __init__(self, services: Sequence[Service], data: Path) -> None:
        """Args: services in the order of their start; the data folder, for logs and the supervisor's own file."""
        self.running = [Running(service) for service in services]
        self._logs = data / "logs"
        self._file = data / "run" / "supervisor.json"

    def __enter__(self) -> Self:
        """Start all of them.

        Raises:
            SettingsError: another supervisor runs on this data folder.
            StoreUnavailable: broker or archive did not become ready.
        """
        self._claim()
        try:
            for running in self.running:
                self._start(running)
                self._wait_ready(running)
        except (TocsinError, KeyboardInterrupt):
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.stop()

    def tend(self) -> list[str]:
        """Start again what has ended and rested; returns the names of the services that ended since the last call."""
        ended = []
        now = time.monotonic()
        for running in self.running:
            process = running.process
            if process is not None and process.poll() is not None:
                ended.append(f"{running.service.name} (exit {process.returncode})")
                settled = now - running.started_at > SETTLED_S
                running.pause_s = FIRST_PAUSE_S if settled else min(running.pause_s * 2, LONGEST_PAUSE_S)
                running.process, running.start_after = None, now + running.pause_s
                running.restarts += 1
            elif process is None and now >= running.start_after:
                self._start(running)
        return ended

    def hopeless(self) -> str | None:
        """The service that keeps ending, with the last line of its log; none while all may yet be well."""
        for running in self.running:
            if running.restarts > MANY_RESTARTS and running.pause_s > FIRST_PAUSE_S:
                return f"the {running.service.name} keeps ending: {self._last_line(running.service.name)}"
        return None

    def stop(self) -> None:
        """End all in reverse order: SIGTERM, and SIGKILL to what has not ended in time."""
        for group in (
            [r for r in self.running if not r.service.ready_file],
            [r for r in self.running if r.service.ready_file],
        ):
            alive = [r.process for r in reversed(group) if r.process and r.process.poll() is None]
            for process in alive:
                process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_TIMEOUT_S
            for process in alive:
                try:
                    process.wait(max(deadline - time.monotonic(), 0.1))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self._file.unlink(missing_ok=True)

    def _start(self, running: Running) -> None:
        service = running.service
        if service.ready_file:
            service.ready_file.unlink(missing_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with (self._logs / f"{service.name}.log").open("ab") as log:
            running.process = subprocess.Popen(
                [sys.executable, "-m", "embedded.child", str(os.getpid()), service.module],
                env={**os.environ, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if service.name == "notifier" else log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops them in order
            )
        running.started_at = time.monotonic()
        self._write_file()

    def _wait_ready(self, running: Running) -> None:
        ready, process = running.service.ready_file, running.process
        if ready is None or process is None:
            return
        deadline = time.monotonic() + START_TIMEOUT_S
        while not ready.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                name = running.service.name
                raise StoreUnavailable(f"the {name} did not start: {self._last_line(name)}")
            time.sleep(0.05)

    def _last_line(self, name: str) -> str:
        """The end of a service's log, which says why."""
        path = self._logs / f"{name}.log"
        lines = path.read_text(errors="replace").strip().splitlines()
        return f"{lines[-1][:300] if lines else 'it said nothing'} (see {path})"

    def _claim(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        other = running_supervisor(self._file)
        if other:
            raise SettingsError(
                f"process {other} already runs Tocsin on this data folder: stop it, or use another --data"
            )
        self._write_file()

    def _write_file(self) -> None:
        pids = {r.service.name: r.process.pid for r in self.running if r.process}
        text = json.dumps({"format": 1, "pid": os.getpid(), "services": pids})
        temporary = self._file.with_suffix(".new")
        temporary.write_text(text)
        temporary.replace(self._file)


def running_supervisor(file: Path) -> int | None:
    """The pid of a supervisor that lives, by its run file; none if it has ended."""
    try:
        pid = int(json.loads(file.read_text())["pid"])
        os.kill(pid, 0)
    except (FileNotFoundError, ValueError, KeyError, ProcessLookupError):
        return None
    except PermissionError:
        return pid
    return pid if pid != os.getpid() else None


def service_pids(file: Path) -> dict[str, int]:
    """Pid of each service of a supervisor that lives, else none."""
    if running_supervisor(file) is None:
        return {}
    return {str(name): int(pid) for name, pid in json.loads(file.read_text())["services"].items()}
