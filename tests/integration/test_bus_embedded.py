"""The embedded broker comes late, dies, forgets, and nothing is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from embedded.broker import resident_mib
from schemas.database import connect, migrate, transaction
from schemas.messages import Acquisition
from schemas.outbox import write
from schemas.publisher import BrokerWatch, Outgoing, Publisher, Record, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import ACQUISITIONS, EMBEDDINGS

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start_broker() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Starts `python -m embedded.broker` and waits for its announcement."""
    started: list[subprocess.Popen[bytes]] = []

    def start(data: Path) -> subprocess.Popen[bytes]:
        environment = os.environ | {"TOCSIN_DATA": str(data), "TOCSIN_KAFKA": ""}
        (data / "run" / "broker.json").unlink(missing_ok=True)  # as the supervisor does before a start
        process = subprocess.Popen([sys.executable, "-m", "embedded.broker"], env=environment, cwd=ROOT)
        started.append(process)
        while not (data / "run" / "broker.json").exists():
            assert process.poll() is None
            time.sleep(0.05)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def write_to_outbox(stack: Stack, items: list[str]) -> None:
    now = datetime.now(UTC)
    engine = connect(stack.database)
    with transaction(engine) as session:
        for item in items:
            message = Acquisition(
                acquisition_id=uuid4(),
                physical_key=item,
                processed_at=now,
                source="test",
                collection="test",
                item_id=item,
                sensor="s2",
                sensing_at=now,
                published_at=now,
                seen_at=now,
                footprint={"type": "Point", "coordinates": [0, 0]},
                assets={},
                allowed_hosts=(),
            )
            write(session, Outgoing(ACQUISITIONS.name, item, message))
    engine.dispose()


def test_a_broker_that_comes_late_and_one_that_forgets(
    new_echo: Callable[..., Any], start_broker: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    """The service waits for its broker; a broker that was killed is replaced, and the outbox goes to the new one."""
    echo = new_echo(TOCSIN_KAFKA="")
    stack = Stack(data=echo.data, kafka="")
    echo.start()
    echo.wait_until((echo.data / "book.sqlite").exists)
    migrate(stack.database)
    write_to_outbox(stack, ["good-1"])
    broker = start_broker(echo.data)
    first = bootstrap_servers(stack)
    echo.wait_until(lambda: "good-1" in echo.effects())
    assert echo.exits == []

    watch = BrokerWatch(stack)
    broker.send_signal(signal.SIGKILL)
    broker.wait()
    write_to_outbox(stack, [f"good-{n}" for n in range(2, 40)])
    start_broker(echo.data)
    assert watch.changed()
    assert bootstrap_servers(stack) == first, "clients find the new broker where the old one was"
    echo.wait_until(lambda: len(echo.effects()) == 39)
    assert set(echo.exits) == {70}, "a service leaves a broker that has forgotten, and starts anew"


def test_the_broker_withdraws_its_announcement(
    tmp_path: Path, start_broker: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    broker = start_broker(tmp_path)
    said = json.loads((tmp_path / "run" / "broker.json").read_bytes())
    assert said["bootstrap"].startswith("127.0.0.1:")
    broker.send_signal(signal.SIGTERM)
    assert broker.wait(20) == 0
    assert not (tmp_path / "run" / "broker.json").exists()


def fill(bootstrap: str, messages: int) -> None:
    """Half a megabyte each, from a process of its own: a client whose broker is replaced leaves sockets open."""
    lines = (
        "from schemas.publisher import Publisher, Record",
        f"made = [Record({EMBEDDINGS.name!r}, None, bytes(500_000)) for _ in range({messages})]",
        f"Publisher({bootstrap!r}, 'test').send(made)",
    )
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, stderr=subprocess.DEVNULL, check=False)


def test_a_full_broker_is_replaced_by_an_empty_one(
    tmp_path: Path, start_broker: Callable[[Path], subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOCSIN_BROKER_MEMORY_MIB", "128")
    stack = Stack(data=tmp_path, kafka="")
    broker = start_broker(tmp_path)
    bootstrap, watch = bootstrap_servers(stack), BrokerWatch(stack)
    fill(bootstrap, 100)
    assert not watch.changed(), "50 MB of 128 fit"
    fill(bootstrap, 160)
    deadline = time.monotonic() + 20
    while not watch.changed():
        assert broker.poll() is None and time.monotonic() < deadline, "it is not replaced"
        time.sleep(0.05)
    assert bootstrap_servers(stack) == bootstrap, "clients find the new broker where the old one was"
    (tansu,) = Path(f"/proc/{broker.pid}/task/{broker.pid}/children").read_text().split()
    assert 1 < resident_mib(int(tansu)) < 100
    assert resident_mib(2**31 - 1) == 0
    later = Publisher(bootstrap, "test")
    later.send([Record(EMBEDDINGS.name, None, b"after")])
    later.close()


def test_a_killed_broker_leaves_no_process_behind(
    tmp_path: Path, start_broker: Callable[[Path], subprocess.Popen[bytes]]
) -> None:
    import socket

    broker = start_broker(tmp_path)
    host, port = bootstrap_servers(Stack(data=tmp_path, kafka="")).split(":")
    socket.create_connection((host, int(port)), 5).close()
    broker.send_signal(signal.SIGKILL)
    broker.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), 1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.1)
    pytest.fail("Tansu outlived the process that started it")
