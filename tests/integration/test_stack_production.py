"""The whole stack on production's addresses: Apache Kafka and PostgreSQL, beside the in-process archive.

It begins with a broker without topics and a database without tables, and ends with one person told once.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, inspect, select

from alerts import queries
from alerts.telling import receivers
from archive import ArchiveFilter, open_archive
from commands.services import drain, keep, running
from embedded.services import services
from encoders import load
from ingest.sources import add_source
from schemas.database import Base, connect, reading
from schemas.settings import Stack
from schemas.tables import AcquisitionRow, CoverageRow, DeadLetterRow, DeliveryRow, IncidentRow, MatchRow, OutboxRow
from schemas.topics import TOPICS
from simulation.catalogue import SimulatedCatalogue
from simulation.scenario import demo_scenario
from simulation.server import serve

pytest.importorskip("qdrant_edge", reason="the embedded archive: pip install 'tocsin[embedded]'")

PARTITIONS = 3
"""Not the default: the services must ask for what they are told."""
Got = list[tuple[dict[str, str], bytes]]


@pytest.fixture
def hook() -> Iterator[tuple[str, Got]]:
    """Address of a webhook receiver, and what it gets."""
    got: Got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hook", got
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def stack(empty_kafka: str, postgresql_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("TOCSIN_INGEST_INTERVAL_S", "0.5")
    monkeypatch.setenv("TOCSIN_BUS_PRODUCTION", "false")  # the short session: nobody waits half a minute for a test
    data = tmp_path / "data"
    data.mkdir()
    return Stack(data=data, kafka=empty_kafka, database_url=postgresql_url, qdrant_url="", partitions=PARTITIONS)


def test_from_catalogue_to_webhook(stack: Stack, hook: tuple[str, Got], tmp_path: Path) -> None:
    assert [one.name for one in services(stack)] == ["archive", "notifier", "matcher", "encoder", "poller"]
    address_of_hook, got = hook
    engine = connect(stack.database)
    folder = tmp_path / "catalogue"
    scenario = demo_scenario(size_km=2)
    clear = next(one for one in scenario.passes if one.sensor == "s2" and one.sky.cloud_share == 0)
    with serve(folder) as address:
        catalogue = SimulatedCatalogue(folder, address)
        catalogue.create()
        draft = catalogue.prepare(scenario, clear)
        with running(stack) as supervisor:
            # Nobody has made tables or topics: the services do, all of them at once.
            keep(supervisor, lambda: tables(engine) >= set(Base.metadata.tables))
            add_source(
                engine,
                "valley",
                f"{address}/catalog.json",
                collections=[draft.collection],
                since=datetime.now(UTC) - timedelta(minutes=1),
            )
            query = queries.add(engine, "green fields", mode="presence", sensors=["s2"], threshold=-1.0).query
            secret = receivers.add(engine, "duty", "webhook", url=address_of_hook, allow_private=True).secret
            released = datetime.now(UTC)
            catalogue.release(draft)
            drain(supervisor, engine, released, timeout_s=120)
            restarts = {one.service.name: one.restarts for one in supervisor.running if one.restarts}
    assert restarts == {}

    # Topics have the partitions that were asked for.
    made = partitions(stack.kafka)
    assert {name: made.get(name) for topic in TOPICS for name in topic.all_names} == {
        name: PARTITIONS for topic in TOPICS for name in topic.all_names
    }

    # PostgreSQL knows the scene from end to end, nothing waits and nothing has failed.
    cells = set(scenario.world.cells())
    with reading(engine) as session:
        row = session.scalars(select(AcquisitionRow)).one()
        assert (row.state, row.item_id) == ("matched", draft.id)
        assert released <= row.seen_at <= row.queued_at <= row.encoded_at <= row.matched_at
        coverage = session.scalars(select(CoverageRow)).one()
        assert (coverage.seen, coverage.obscured, coverage.failed) == (len(cells), 0, 0)
        assert {match.cell for match in session.scalars(select(MatchRow))} == cells
        delivery = session.scalars(select(DeliveryRow)).one()
        assert (delivery.receiver, delivery.state, delivery.attempts) == ("duty", "delivered", 1)
        for table, rows in ((IncidentRow, 1), (OutboxRow, 0), (DeadLetterRow, 0)):
            assert session.scalar(select(func.count()).select_from(table)) == rows
    engine.dispose()

    # The webhook got one message, signed.
    assert len(got) == 1
    headers, body = got[0]
    signed = hmac.new(secret.encode(), f"{headers['Tocsin-Timestamp']}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Tocsin-Signature"] == f"v1={signed}"
    assert headers["Idempotency-Key"] == str(delivery.delivery_id)
    told = json.loads(body)["properties"]
    assert (told["query"], told["item_ids"], set(told["cells"])) == (query.sentence, [draft.id], cells)

    # The archive is the in-process one, in the data folder.
    with open_archive(stack) as archive:
        assert archive.count(release=load("nano").release, filter=ArchiveFilter(sensors=("s2",))) == len(cells)


def tables(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(inspect(connection).get_table_names())


def partitions(bootstrap: str) -> dict[str, int]:
    """Number of partitions of each topic."""
    from kafka import KafkaConsumer

    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        return {name: len(consumer.partitions_for_topic(name) or ()) for name in consumer.topics()}
    finally:
        consumer.close()
