"""Receivers, deliveries, signatures, CAP and GeoJSON: who is told what, once, also when they are down."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import shapely
from lxml import etree
from sqlalchemy import Engine, select

from alerts.incidents.announce import outline
from alerts.settings import NotifierSettings
from alerts.telling import deliveries, receivers
from alerts.telling.addresses import refuse_private
from alerts.telling.cap import Earlier, cap, category
from alerts.telling.geojson import feature
from alerts.telling.kinds.kind import Telling
from alerts.telling.kinds.terminal import write_line
from alerts.telling.notifying import Notifier
from alerts.telling.webhook import retry_after, sign
from schemas.cells import cell_at
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import DeliveryFailed, NotFound, Rejected, UsageError
from schemas.geometry import to_geojson
from schemas.messages import Alert, Incident, IncidentState, Match, Mode, stable_id
from schemas.tables import AlertRow, DeliveryRow, ReceiverRow

NOW = datetime(2026, 7, 1, 10, 30, 15, 250_000, tzinfo=UTC)
CELLS = tuple(sorted(cell_at(14.5 + 0.015 * i, 41.2).id for i in range(3)))
SECRET = "a secret of more than sixteen"


def alert(sequence: int = 1, *, sentence: str = "wildfire burn scar", cells=CELLS, **more) -> Alert:
    query_id, incident_id = stable_id("q"), stable_id("i", more.pop("name", "one"))
    kind = more.pop("kind", IncidentState.OPENED if sequence == 1 else IncidentState.GROWING)
    matches = tuple(
        Match(
            query_id=query_id,
            query_version=1,
            cell=cell,
            acquisition_id=stable_id("a"),
            physical_key="a",
            item_id="item-a",
            sensor="s2",
            sensing_at=NOW - timedelta(hours=5),
            score=0.4 + i / 100,
            presence=0.5,
            threshold=0.3,
            baseline_count=3,
        )
        for i, cell in enumerate(cells)
    )
    incident = Incident(
        incident_id=incident_id,
        query_id=query_id,
        query_version=1,
        state=kind,
        cells=cells,
        sensors=("s2",),
        item_ids=("item-a",),
        first_sensing_at=NOW - timedelta(hours=5),
        last_sensing_at=NOW - timedelta(hours=5),
        opened_at=NOW,
        score=0.42,
    )
    return Alert(
        alert_id=stable_id("alert", incident_id),
        sequence=sequence,
        kind=kind,
        query=sentence,
        mode=Mode.APPEARANCE,
        incident=incident,
        geometry=to_geojson(outline(cells)),
        matches=matches,
        sent_at=NOW + timedelta(minutes=sequence),
        **more,
    )


class Hook:
    """A receiver's server: answers what it is told to, remembers what it got."""

    def __init__(self):
        self.answers: list[object] = []
        self.got: list[tuple[dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((dict(self.headers), body))
                answer = hook.answers.pop(0) if hook.answers else 200
                if callable(answer):
                    return answer(self)
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def hook() -> Iterator[Hook]:
    hook = Hook()
    thread = threading.Thread(target=hook.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield hook
    hook.server.shutdown()
    thread.join()
    hook.server.server_close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def engine(empty: Path, tmp_path: Path) -> Engine:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "db.sqlite"),))
    return connect(f"sqlite:///{tmp_path / 'db.sqlite'}")


def telling(message: Alert, *earlier: Earlier, sender: str = "t@example.org", **more) -> Telling:
    return Telling("ops", "key", (message,), NotifierSettings(cap_sender=sender), earlier=earlier, **more)


def in_cap(message: Alert, *earlier: Earlier) -> bytes:
    return cap(message, earlier, "t@example.org")


def store(engine: Engine, *messages: Alert) -> None:
    with transaction(engine) as session:
        for message in messages:
            session.add(
                AlertRow(
                    alert_id=message.alert_id,
                    sequence=message.sequence,
                    incident_id=message.incident.incident_id,
                    query_id=message.incident.query_id,
                    kind=message.kind.value,
                    message=message.model_dump_json(),
                    sent_at=message.sent_at,
                )
            )


def rows(engine: Engine) -> list[DeliveryRow]:
    with reading(engine) as session:
        return list(session.scalars(select(DeliveryRow).order_by(DeliveryRow.sequence, DeliveryRow.receiver)))


def make_due(engine: Engine) -> None:
    with transaction(engine) as session:
        for row in session.scalars(select(DeliveryRow).where(DeliveryRow.state == "pending")):
            row.next_attempt_at = NOW


class Patient(Notifier):
    """Returns when all that it has begun is over."""

    def handle(self, told) -> None:
        super().handle(told)
        self.wait()

    def deliver_due(self) -> None:
        super().deliver_due()
        self.wait()


def notifier(engine: Engine, tmp_path: Path, **settings) -> Notifier:
    return Patient(engine, tmp_path, NotifierSettings(**{"timeout_s": 2, **settings}))


def test_with_nothing_configured_the_terminal_and_two_folders_are_told_once(engine, tmp_path, capsys):
    message = alert()
    store(engine, message)
    for _ in range(2):
        notifier(engine, tmp_path).handle(message)
    assert [(row.receiver, row.state, row.attempts) for row in rows(engine)] == [
        ("cap", "delivered", 1),
        ("geojson", "delivered", 1),
        ("terminal", "delivered", 1),
    ]
    shown = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ALERT")]
    assert len(shown) == 1
    assert "wildfire burn scar: opened, 3 km2" in shown[0]
    files = sorted(path.name for path in (tmp_path / "alerts").iterdir())
    stem = f"20260701T103115Z-{message.alert_id}-1"
    assert files == [f"{stem}.cap.xml", f"{stem}.geojson"]
    (found,) = json.loads((tmp_path / "alerts" / files[1]).read_text())["features"]
    assert found["properties"]["cells"] == list(CELLS)
    assert shapely.from_geojson(json.dumps(found["geometry"])).is_valid
    with reading(engine) as session:
        assert session.get(AlertRow, (message.alert_id, 1)).notified_at is not None


def test_a_webhook_gets_a_signed_request_that_can_be_verified(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    message = alert()
    store(engine, message)
    notifier(engine, tmp_path).handle(message)
    ((headers, body),) = hook.got
    digest = hmac.new(SECRET.encode(), headers["Tocsin-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["Tocsin-Signature"] == f"v1={digest}"
    assert abs(int(headers["Tocsin-Timestamp"]) - time.time()) < 60
    assert headers["Idempotency-Key"] == str(stable_id("delivery", message.alert_id, 1, "ops"))
    assert headers["Host"] == hook.url.split("/")[2]
    assert json.loads(body)["properties"]["matches"][0]["threshold"] == 0.3


def test_a_stored_message_that_cannot_be_read_holds_up_nothing(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    broken, sound = alert(name="one"), alert(name="other")
    store(engine, broken, sound)
    deliveries.plan(engine, broken, ["ops"])
    deliveries.plan(engine, sound, ["ops"])
    with transaction(engine) as session:
        row = session.get_one(AlertRow, (broken.alert_id, 1))
        kept, row.message = row.message, '{"schema_version": 99}'
    notifier(engine, tmp_path).deliver_due()
    ends = {row.alert_id: (row.state, row.error) for row in rows(engine)}
    assert ends[sound.alert_id] == ("delivered", None)
    assert ends[broken.alert_id][0] == "failed"
    assert "cannot read the stored alert" in ends[broken.alert_id][1]
    with transaction(engine) as session:
        session.get_one(AlertRow, (broken.alert_id, 1)).message = kept
    assert deliveries.redeliver(engine) == 1
    notifier(engine, tmp_path).deliver_due()
    assert {row.state for row in rows(engine)} == {"delivered"}
    assert len(hook.got) == 2


def test_a_receiver_that_is_down_loses_nothing_and_gets_the_same_key(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    first, second = alert(1), alert(2)
    store(engine, first, second)
    working = notifier(engine, tmp_path)
    hook.answers = [500, 503]
    working.handle(first)
    working.handle(second)
    assert [(row.sequence, row.state) for row in rows(engine)] == [(1, "pending"), (2, "pending")]
    assert "answered 500" in rows(engine)[0].error
    make_due(engine)
    working.deliver_due()
    make_due(engine)
    working.deliver_due()
    assert [row.state for row in rows(engine)] == ["delivered", "delivered"]
    keys = [headers["Idempotency-Key"] for headers, _ in hook.got]
    assert len(set(keys[:3])) == 1
    assert [json.loads(body)["properties"]["sequence"] for _, body in hook.got] == [1, 1, 1, 2]
    assert len({body for _, body in hook.got[:3]}) == 1


def test_one_failing_receiver_is_tried_once_a_round(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    messages = [alert(name=str(n)) for n in range(5)]
    store(engine, *messages)
    for message in messages:
        deliveries.plan(engine, message, ["ops"])
    hook.answers = [500] * 5
    notifier(engine, tmp_path).deliver_due()
    assert len(hook.got) == 1
    assert {(row.state, row.attempts) for row in rows(engine)} == {("pending", 1)}


def test_after_the_last_attempt_it_is_failed_visible_and_can_be_redelivered(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    message = alert()
    store(engine, message)
    hook.answers = [500] * 3
    working = notifier(engine, tmp_path, max_attempts=3)
    working.handle(message)
    for _ in range(2):
        make_due(engine)
        working.deliver_due()
    (row,) = rows(engine)
    assert (row.state, row.attempts, row.next_attempt_at) == ("failed", 3, None)
    working.deliver_due()
    assert len(hook.got) == 3
    assert deliveries.redeliver(engine, receiver="elsewhere") == 0
    assert deliveries.redeliver(engine, delivery_ids=[row.delivery_id]) == 1
    working.deliver_due()
    assert rows(engine)[0].state == "delivered"


def test_retry_after_is_kept(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    message = alert()
    store(engine, message)
    hook.answers = [(429, {"Retry-After": "3600"})]
    notifier(engine, tmp_path).handle(message)
    assert rows(engine)[0].next_attempt_at - datetime.now(UTC) > timedelta(minutes=50)


def test_retry_after_is_read_as_the_standard_says():
    assert retry_after("120", NOW) == timedelta(seconds=120)
    assert retry_after("Wed, 01 Jul 2026 11:30:15 GMT", NOW.replace(microsecond=0)) == timedelta(hours=1)
    assert retry_after("Wed, 01 Jul 2020 11:30:15 GMT", NOW) == timedelta(0)
    assert retry_after("9" * 40, NOW) == timedelta(days=1)
    assert retry_after("9" * 5000, NOW) == timedelta(days=1)  # more digits than Python turns into a number
    assert retry_after("Wed, 01 Jul 2026 11:30:15 +" + "9" * 30, NOW) is None
    assert retry_after("Wed, " + "9" * 30 + " Jul 2026 11:30:15 GMT", NOW) is None
    assert retry_after("soon", NOW) is None
    assert retry_after("", NOW) is None


def redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def drip(handler):
    """Headers, a byte at a time, for ever."""
    try:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(100):
            handler.wfile.write(b"a")
            time.sleep(0.05)
    except OSError:
        pass


def flood(handler):
    """An error page without end."""
    try:
        handler.wfile.write(b"HTTP/1.1 500 No\r\n\r\n")
        for _ in range(2000):
            handler.wfile.write(b"\x1b[31mx" * 10_000)
    except OSError:
        pass


def much_later(handler):
    """A time to come again that is no number any more."""
    handler.send_response(503)
    handler.send_header("Retry-After", "9" * 5000)
    handler.end_headers()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (redirect, "redirects are not followed"),
        (drip, "took more than"),
        (flood, "answered 500"),
        (much_later, "answered 503"),
    ],
)
def test_hostile_receivers_cost_one_short_attempt(engine, tmp_path, hook, answer, reason):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    message = alert()
    store(engine, message)
    hook.answers = [answer]
    notifier(engine, tmp_path, timeout_s=0.6).handle(message)
    (row,) = rows(engine)
    assert row.state == "pending"
    assert reason in row.error
    assert row.error.isprintable()
    assert len(row.error) < 300
    assert len(hook.got) == 1


def test_a_receiver_that_refuses_connections_fails_the_attempt(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url="http://127.0.0.1:9/", secret=SECRET, allow_private=True)
    message = alert()
    store(engine, message)
    notifier(engine, tmp_path).handle(message)
    assert "ConnectError" in rows(engine)[0].error


def test_what_a_killed_notifier_was_sending_is_due_at_the_next_start(engine, tmp_path):
    message = alert()
    store(engine, message)
    deliveries.plan(engine, message, ["terminal"])
    due = deliveries.claim(engine, timedelta(seconds=60))
    assert due.attempt == 1
    assert deliveries.claim(engine, timedelta(seconds=60)) is None
    assert deliveries.resume(engine) == 1
    assert deliveries.claim(engine, timedelta(seconds=60)).delivery_id == due.delivery_id


def test_a_later_message_waits_for_the_earlier_one(engine):
    store(engine, alert(1), alert(2))
    deliveries.plan(engine, alert(1), ["a", "b"])
    first = deliveries.claim(engine, timedelta(seconds=60))
    deliveries.failed(engine, first, "down", timedelta(hours=1), 10)
    deliveries.plan(engine, alert(2), ["a", "b"])
    claimed = []
    while (due := deliveries.claim(engine, timedelta(seconds=60))) is not None:
        deliveries.delivered(engine, due)
        claimed.append((due.receiver, due.alert.sequence))
    other = "b" if first.receiver == "a" else "a"
    assert claimed == [(other, 1), (other, 2)]


def test_an_alert_of_another_database_is_rejected(engine, tmp_path):
    with pytest.raises(Rejected, match="not in this database"):
        notifier(engine, tmp_path).handle(alert())


def test_a_removed_receiver_is_told_nothing_more(engine, tmp_path, hook):
    receivers.add(engine, "ops", "webhook", url=hook.url, secret=SECRET, allow_private=True)
    receivers.add(engine, "screen", "terminal")
    message = alert()
    store(engine, message)
    deliveries.plan(engine, message, ["ops", "screen"])
    receivers.remove(engine, "ops")
    notifier(engine, tmp_path).deliver_due()
    assert {row.receiver: row.state for row in rows(engine)} == {"ops": "failed", "screen": "delivered"}
    assert hook.got == []
    with pytest.raises(NotFound):
        receivers.remove(engine, "ops")


def test_secrets_are_made_kept_and_masked(engine, tmp_path):
    made = receivers.add(engine, "ops", "webhook", url="http://127.0.0.1:1/", allow_private=True)
    assert len(made.secret) > 40
    (listed,) = receivers.list_receivers(engine, tmp_path)
    assert listed.secret == made.secret
    assert made.secret not in json.dumps(listed.shown())
    assert made.secret not in repr(listed)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "http://127.0.0.1/x"}, "not encrypted"),
        ({"url": "https://127.0.0.1/x"}, "private"),
        ({"url": "https://[::1]/x"}, "private"),
        ({"url": "https://[::ffff:10.0.0.1]/x"}, "private"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, "private"),
        ({"url": "https://10.1.2.3/x"}, "private"),
        ({"url": "https://localhost/x"}, "private"),
        ({"url": "ftp://example.com/x"}, "https://"),
        ({"url": "https://user:pw@example.com/x"}, "user name"),
        ({"url": ""}, "https://"),
        ({"url": "https://example.com/a\0b"}, "non-printable"),
        ({"url": "https://example.com/" + "x" * 70_000}, "too long"),
        ({"url": "http://127.0.0.1:99999/", "allow_private": True}, "99999"),
        ({"url": "http://127.0.0.1/", "allow_private": True, "secret": "short"}, "16"),
    ],
)
def test_webhooks_that_are_refused(engine, settings, reason):
    with pytest.raises(UsageError, match=reason):
        receivers.add(engine, "ops", "webhook", **settings)


def test_an_address_that_was_stored_unchecked_fails_its_attempts_only(engine, tmp_path):
    with transaction(engine) as session:
        settings = {"url": "https://example.com/a\0b", "secret": SECRET}
        session.add(ReceiverRow(name="ops", kind="webhook", settings=settings, added_at=NOW))
    message = alert()
    store(engine, message)
    notifier(engine, tmp_path).handle(message)
    assert "its address cannot be used" in rows(engine)[0].error


def test_receivers_that_are_refused(engine, tmp_path):
    with pytest.raises(UsageError, match="pigeon"):
        receivers.add(engine, "ops", "pigeon")
    with pytest.raises(UsageError, match="name"):
        receivers.add(engine, "Ops Room", "terminal")
    with pytest.raises(UsageError, match="folder"):
        receivers.add(engine, "ops", "cap")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        receivers.add(engine, "ops", "cap", folder=tmp_path / "file" / "below")
    receivers.add(engine, "ops", "geojson", folder=tmp_path / "below")
    with pytest.raises(UsageError, match="already"):
        receivers.add(engine, "ops", "terminal")


def test_a_name_that_leads_home_later_is_refused_when_it_is_used(engine, tmp_path, hook, monkeypatch):
    """The name was public when the receiver was added; now it answers with an address of ours."""
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("93.184.216.34", 443))])
    receivers.add(engine, "ops", "webhook", url=f"https://example.com:{hook.server.server_port}/", secret=SECRET)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 443))])
    message = alert()
    store(engine, message)
    notifier(engine, tmp_path).handle(message)
    assert "private" in rows(engine)[0].error
    assert hook.got == []


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    both = [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("192.168.1.1", 443))]
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: both)
    with pytest.raises(DeliveryFailed, match=r"192\.168\.1\.1"):
        refuse_private("example.com", 443, allow_private=False)
    assert refuse_private("example.com", 443, allow_private=True) == "93.184.216.34"


def test_the_documented_signature_is_the_one_we_make():
    assert sign("whsec_example", 1767225600, b'{"type":"Feature"}') == (
        "v1=" + hmac.new(b"whsec_example", b'1767225600.{"type":"Feature"}', hashlib.sha256).hexdigest()
    )
    documented = Path(__file__).parents[2] / "docs" / "webhooks.md"
    assert sign("whsec_example", 1767225600, b'{"type":"Feature"}') in documented.read_text()


def test_the_line_on_the_terminal_carries_no_control_characters():
    stream = io.StringIO()
    write_line(telling(alert(sentence="fire \x1b[2Jsale\nALERT fake", simulated=True)), stream)
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
    assert stream.getvalue().startswith("SIMULATED ALERT")
    stream.close()
    with pytest.raises(DeliveryFailed):
        write_line(telling(alert()), stream)


def cap_rules() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(Path(__file__).parent / "data" / "cap12.rng"))


def values(document: etree._Element, name: str) -> list[str]:
    return [element.text for element in document.iter(f"{{urn:oasis:names:tc:emergency:cap:1.2}}{name}")]


def test_cap_follows_the_specification():
    document = etree.fromstring(in_cap(alert()))
    cap_rules().assertValid(document)
    assert values(document, "msgType") == ["Alert"]
    assert values(document, "status") == ["Actual"]
    assert values(document, "category") == ["Fire"]
    assert values(document, "sent") == ["2026-07-01T10:31:15-00:00"]
    assert values(document, "references") == []
    assert [code for code in values(document, "value") if code in CELLS] == list(CELLS)
    lat, lon = map(float, values(document, "polygon")[0].split()[0].split(","))
    assert (round(lat), round(lon)) == (41, 15) or (round(lat), round(lon)) == (41, 14)


def test_cap_updates_refer_to_what_came_before():
    first, second = alert(1), alert(2)
    earlier = [Earlier(1, first.sent_at), Earlier(2, second.sent_at)]
    document = etree.fromstring(in_cap(alert(3), *earlier))
    cap_rules().assertValid(document)
    assert values(document, "msgType") == ["Update"]
    told = values(etree.fromstring(in_cap(first)), "identifier")[0]
    assert values(document, "references")[0].split()[0] == f"t@example.org,{told},2026-07-01T10:31:15-00:00"


@pytest.mark.parametrize("sentence", ["a & b < c", "fire \x00\x1b\x0b end", "Überschwemmung 洪水 \U0001f30a", "]]>"])
def test_cap_takes_any_sentence_and_says_what_is_simulated(sentence):
    document = etree.fromstring(in_cap(alert(sentence=sentence, simulated=True)))
    cap_rules().assertValid(document)
    assert values(document, "status") == ["Exercise"]


def test_cap_category_by_words():
    assert [category(text) for text in ("Flooded fields", "earthquake damage", "new road", "penguins")] == [
        "Met",
        "Geo",
        "Infra",
        "Other",
    ]


def test_outlines_stay_small_and_within_the_map():
    many = [cell_at(14 + 0.03 * x, 41 + 0.03 * y).id for x in range(40) for y in range(40)]
    assert shapely.get_num_coordinates(outline(many)) <= 5000
    edge = outline([cell_at(179.99, -17.0).id, cell_at(-179.99, -17.0).id])
    assert edge.bounds[0] >= -180
    assert edge.bounds[2] <= 180
    assert edge.area < 0.001


def test_a_feature_says_what_the_command_line_promises():
    properties = feature(alert())["properties"]
    assert {"query", "item_ids", "cells", "state", "opened", "score"} <= set(properties)
    assert properties["opened"] == "2026-07-01T10:30:15.250Z"
