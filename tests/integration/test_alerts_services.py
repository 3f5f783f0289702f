"""Matcher and notifier as processes on the embedded broker, killed in the middle: nothing lost, nobody told twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.notices import Finding, Matter, raise_notice
from alerts.telling import receivers
from embedded.broker import running
from schemas.database import connect, migrate, reading, transaction
from schemas.messages import Acquisition, EmbeddingBatch, stable_id
from schemas.notices import NoticeKind
from schemas.publisher import Outgoing, Publisher
from schemas.settings import Stack
from schemas.tables import AlertRow, DeliveryRow, IncidentRow, MatchedBatchRow, OutboxRow
from schemas.topics import EMBEDDINGS

pytest.importorskip("qdrant_edge", reason="needs the embedded archive (tocsin[embedded])")

ROOT = Path(__file__).parents[2]
DAY0 = datetime(2026, 5, 1, 10, tzinfo=UTC)
FIRE, LAND = np.eye(2, 384, dtype=np.float32)
SCENES, BATCHES = 30, 2


def site(number: int) -> list[str]:
    """Four cells; sites are 20 km apart."""
    return [f"33TVF{10 + 20 * number + x}{10 + y}" for x in (0, 1) for y in (0, 1)]


def scene(number: int) -> list[EmbeddingBatch]:
    """One scene in two batches; a site burns from scenes 5, 12 and 20 on, half of it in each batch."""
    when = DAY0 + timedelta(days=number)
    acquisition = Acquisition(
        acquisition_id=stable_id("scene", number),
        physical_key=f"scene {number}",
        processed_at=when,
        source="test",
        collection="c",
        item_id=f"item-{number}",
        sensor="s2",
        sensing_at=when,
        published_at=when,
        seen_at=when,
        footprint={},
        tile="33TVF",
        assets={},
        allowed_hosts=(),
    )
    burning = [each for each, since in enumerate((5, 12, 20)) if number >= since]
    batches = []
    for part in range(BATCHES):
        fire = [cell for each in burning for cell in site(each)[2 * part : 2 * part + 2]]
        calm = [f"33TVF{80 + part}{10 + y}" for y in range(20)]
        vectors = np.array([FIRE] * len(fire) + [LAND] * len(calm), np.float32)
        batches.append(
            EmbeddingBatch(
                acquisition=acquisition,
                release="fake-1",
                batch=part,
                batches=BATCHES,
                cells=(*fire, *calm),
                vectors=vectors,
                baselines=np.array([LAND] * len(vectors), np.float32),
                baseline_counts=(3,) * len(vectors),
            )
        )
    return batches


class Service:
    """One service in its own process, started again by hand."""

    def __init__(self, arguments: list[str], environment: dict[str, str], log: Path):
        self.arguments, self.environment, self.log = arguments, environment, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.arguments], env=os.environ | self.environment, stdout=log, stderr=log, cwd=ROOT
            )

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """Address of a receiver, and the idempotency keys that it got."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            keys.append(self.headers["Idempotency-Key"])
            self.send_response(204)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", keys
    server.shutdown()
    thread.join()
    server.server_close()


def count(engine: Engine, table: type, *where: object) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0


def wait_until(done: Callable[[], bool], services: list[Service], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        if time.monotonic() > deadline:
            pytest.fail("\n".join(f"{each.arguments}: {each.log.read_text()[-3000:]}" for each in services))
        time.sleep(0.1)


def test_killed_services_end_with_the_same_incidents_and_tell_nobody_twice(tmp_path: Path, hook):
    url, keys = hook
    stack = Stack(data=tmp_path)
    migrate(stack.database)
    engine = connect(stack.database)
    queries.add(engine, "burn scar", threshold=0.5)
    receivers.add(engine, "ops", "webhook", url=url, allow_private=True)
    with transaction(engine) as session:
        raise_notice(session, Matter(NoticeKind.BLIND, None, "s1"), Finding("not seen for 21 days"))
    with running(stack) as broker:
        environment = {"TOCSIN_DATA": str(tmp_path), "TOCSIN_KAFKA": broker.bootstrap, "PYTHONPATH": str(ROOT)}
        environment |= {"OMP_NUM_THREADS": "1", "TOCSIN_BUS_PRODUCTION": "false"}
        matcher = Service(["tests/integration/matcher_service.py"], environment, tmp_path / "matcher.log")
        notifier = Service(["-m", "alerts.notifier"], environment, tmp_path / "notifier.log")
        services = [matcher, notifier]
        publisher = Publisher(broker.bootstrap, "test")
        try:
            for service in services:
                service.start()
            for number in range(SCENES):
                publisher.publish([Outgoing(EMBEDDINGS.name, "33TVF", batch) for batch in scene(number)])
                if number in (10, 20):
                    wait_until(lambda at=number: count(engine, MatchedBatchRow) > at, services)
                    for service in services:
                        service.kill()
                        service.start()
            wait_until(lambda: count(engine, MatchedBatchRow) == SCENES * BATCHES, services)
            told = count(engine, AlertRow) + 1  # and the notice
            wait_until(
                lambda: (
                    not count(engine, OutboxRow)
                    and count(engine, DeliveryRow, DeliveryRow.state == "delivered") == told
                ),
                services,
            )
            assert [service.stop() for service in services] == [0, 0]
        finally:
            publisher.close()
            for service in services:
                if service.process is not None and service.process.poll() is None:
                    service.kill()
    with reading(engine) as session:
        incidents = session.scalars(select(IncidentRow).order_by(IncidentRow.first_sensing_at)).all()
    assert [row.first_sensing_at for row in incidents] == [DAY0 + timedelta(days=day) for day in (5, 12, 20)]
    assert [row.sequence for row in incidents] == [3, 3, 3]
    assert told == 10
    assert len(set(keys)) == 10
    assert len(keys) <= 10 + 2  # an attempt that a kill cut off is repeated under its own key
