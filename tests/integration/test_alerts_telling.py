"""Several notifiers on one database, killed while they tell: nobody is left out, and a repeat carries the same key."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import func, select

from alerts.telling import deliveries, receivers, routes
from schemas.cells import cell_at
from schemas.database import connect, migrate, reading, transaction
from schemas.geometry import to_geojson
from schemas.messages import Alert, Incident, IncidentState, Mode, stable_id
from schemas.tables import AlertRow, DeliveryRow

ROOT = Path(__file__).parents[2]
CELL = cell_at(14.5, 41.2)
NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
ALERTS = 30


class Hook:
    """A receiver's server; while `closed`, requests hang."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.open = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                hook.keys.append(self.headers["Idempotency-Key"])
                hook.open.wait(30)
                try:
                    self.send_response(204)
                    self.end_headers()
                except OSError:  # who asked has been killed
                    pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.open.set()
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def alert(number: int) -> Alert:
    incident = Incident(
        incident_id=stable_id("incident", number),
        query_id=stable_id("query"),
        query_version=1,
        state=IncidentState.OPENED,
        cells=(CELL.id,),
        sensors=("s2",),
        item_ids=("item-a",),
        first_sensing_at=NOW,
        last_sensing_at=NOW,
        opened_at=NOW,
        score=0.4,
    )
    return Alert(
        alert_id=stable_id("alert", number),
        sequence=1,
        kind=IncidentState.OPENED,
        query="burn scar",
        mode=Mode.APPEARANCE,
        incident=incident,
        geometry=to_geojson(CELL.polygon),
        matches=(),
        sent_at=NOW,
    )


def wait_until(done: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + 90
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(log.read_text()[-3000:])
        time.sleep(0.05)


def test_notifiers_killed_while_they_tell_lose_nothing_and_repeat_only_what_they_had_in_hand(
    tmp_path: Path, hook: Hook
) -> None:
    url, log = f"sqlite:///{tmp_path / 'db.sqlite'}", tmp_path / "log"
    migrate(url)
    engine = connect(url)
    receivers.add(engine, "ops", "webhook", url=hook.url, allow_private=True)
    routes.add(engine, routes.checked(engine, tmp_path, {"name": "all", "receivers": ("ops",), "wait_s": 1}))
    for number in range(ALERTS):
        message = alert(number)
        with transaction(engine) as session:
            session.add(
                AlertRow(
                    alert_id=message.alert_id,
                    sequence=1,
                    incident_id=message.incident.incident_id,
                    query_id=message.incident.query_id,
                    kind="opened",
                    message=message.model_dump_json(),
                    sent_at=NOW,
                )
            )
        deliveries.plan(engine, message, [], datetime.now(UTC) - timedelta(seconds=5))
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        words = [sys.executable, str(ROOT / "tests/integration/notifier_service.py"), url, str(tmp_path)]
        with log.open("ab") as file:
            environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            running.append(subprocess.Popen(words, env=environment, stdout=file, stderr=file))
        return running[-1]

    def told() -> int:
        with reading(engine) as session:
            wanted = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state == "delivered")
            return session.scalar(wanted) or 0

    try:
        first, _second = start(), start()
        wait_until(lambda: len(hook.keys) == 2, log)  # each has one in hand, and no two the same
        assert len(set(hook.keys)) == 2
        first.kill()
        first.wait()
        hook.open.set()
        start()  # due at once: who held it is dead; what the other one holds is left to it
        wait_until(lambda: told() == ALERTS, log)
    finally:
        for process in running:
            process.kill()
            process.wait()
        engine.dispose()
    counted = Counter(hook.keys)
    assert len(counted) == ALERTS
    assert sorted(counted.values())[-2:] == [1, 2]  # one was in hand when its notifier was killed
