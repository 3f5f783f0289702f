"""Receivers of all kinds: stored, masked, tested, given up and sent again; and webhooks that change their secret."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from alerts.settings import NotifierSettings
from alerts.telling import deliveries, receivers
from alerts.telling.kinds import webhook as kind
from alerts.telling.kinds.kind import Telling
from alerts.telling.kinds.registry import KINDS, made, options, restored
from alerts.telling.notify import send_test, trial_alert
from alerts.telling.notifying import Notifier
from alerts.telling.recipients import RecordedRecipients, list_refusals
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import DeliveryFailed, DeliveryRefused, NotFound, UsageError
from schemas.messages import Alert, stable_id
from schemas.tables import AlertRow, DeliveryRow, ReceiverRow

NOW = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)
SECRET = "a secret of more than sixteen"
DOCUMENTED = Path(__file__).parents[2] / "docs" / "webhooks.md"


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    engine = connect(url)
    yield engine
    engine.dispose()


class Raw:
    """A server that does to a connection whatever a test wants, after it has read the request."""

    def __init__(self, behave: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> None:
        self.heads: list[bytes] = []
        self._behave, self._context = behave, context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Raw:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                with connection:
                    self.heads.append(whole(connection))
                    self._behave(connection)


def whole(connection: socket.socket) -> bytes:
    """A request to its end: a connection that is closed before would be reset, and its answer lost."""
    read = b""
    while part := connection.recv(100_000):
        read += part
        length = re.search(rb"content-length: (\d+)", read.lower())
        if b"\r\n\r\n" in read and length and len(read.split(b"\r\n\r\n", 1)[1]) >= int(length[1]):
            break
    return read


def telling(message: Alert | None = None, *, timeout_s: float = 0.8, **more) -> Telling:
    settings = NotifierSettings(timeout_s=timeout_s)
    return Telling("ops", "key", (message or trial_alert("ops", NOW),), settings, **more)


def hook(url: str, **more) -> kind.Webhook:
    found = made("webhook", {"url": url, "secret": SECRET, "allow_private": True} | more)
    assert isinstance(found, kind.Webhook)
    return found


def ok(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def endless_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000_000):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"x" * 1000))


def endless_informational(connection: socket.socket) -> None:
    for _ in range(10_000_000):
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")


def one_endless_line(connection: socket.socket) -> None:
    for _ in range(10_000_000):
        connection.sendall(b"x" * 100_000)


def dripping_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 1000000\r\n\r\n")
    for _ in range(1000):
        connection.sendall(b"x")
        time.sleep(0.05)


def bomb(connection: socket.socket) -> None:
    """Ten thousand million zeros, were anybody to unpack them."""
    connection.sendall(b"HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: 100000000\r\n\r\n\x1f\x8b\x08")
    for _ in range(100):
        connection.sendall(b"\0" * 1_000_000)


def to_private(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 307 T\r\nLocation: http://169.254.169.254/latest/\r\nContent-Length: 0\r\n\r\n")


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"220 smtp.example.org \x1b[31mESMTP\r\n")


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (endless_headers, "RemoteProtocolError|more than"),
        (endless_informational, "took more than"),
        (one_endless_line, "RemoteProtocolError|took more than"),
        (dripping_body, "took more than|answered 500"),
        (bomb, "answered 500"),
        (to_private, "redirects are not followed"),
        (hang_up, "RemoteProtocolError|ReadError"),
        (no_http, "RemoteProtocolError"),
    ],
)
def test_hostile_webhooks_cost_one_short_attempt(behave, reason):
    with Raw(behave) as server:
        started = time.monotonic()
        with pytest.raises(DeliveryFailed, match=reason) as failure:
            hook(f"http://127.0.0.1:{server.port}/").tell(telling())
        assert time.monotonic() - started < 30
    assert len(server.heads) == 1
    assert str(failure.value).isprintable()
    assert len(str(failure.value)) < 500


def test_a_success_with_an_endless_body_is_a_success():
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        one_endless_line(connection)

    with Raw(endless) as server:
        hook(f"http://127.0.0.1:{server.port}/").tell(telling())


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    make = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    subprocess.run([*make.split(), "-keyout", tmp_path / "k", "-out", tmp_path / "c"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    with Raw(ok, context) as server, pytest.raises(DeliveryFailed, match="CERTIFICATE_VERIFY_FAILED"):
        hook(f"https://localhost:{server.port}/").tell(telling(timeout_s=5))
    assert server.heads == []


def verifier() -> Callable[[str, dict[str, str], bytes], bool]:
    """The receiver's side, as docs/webhooks.md has it."""
    code = re.findall(r"```python\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)[0]
    names: dict[str, Callable[[str, dict[str, str], bytes], bool]] = {}
    exec(compile(code, str(DOCUMENTED), "exec"), names)
    return names["verify"]


def test_the_documented_verification_takes_what_is_ours_and_nothing_else(monkeypatch):
    verify, body, now = verifier(), b'{"type":"Feature"}', int(time.time())
    good = {"Tocsin-Timestamp": str(now), "Tocsin-Signature": "v1=" + signed(SECRET, now, body)}
    assert verify(SECRET, good, body)
    assert not verify("another secret altogether", good, body)
    assert not verify(SECRET, good, body + b" ")
    old = now - 3600
    assert not verify(
        SECRET, {"Tocsin-Timestamp": str(old), "Tocsin-Signature": "v1=" + signed(SECRET, old, body)}, body
    )
    assert not verify(SECRET, good | {"Tocsin-Timestamp": str(now + 1)}, body)
    both = f"v1={signed('the other secret', now, body)},v1={signed(SECRET, now, body)}"
    assert verify(SECRET, good | {"Tocsin-Signature": both}, body)
    assert verify("the other secret", good | {"Tocsin-Signature": both}, body)


def signed(secret: str, timestamp: int, body: bytes) -> str:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_a_secret_changes_without_a_request_that_is_refused(engine):
    with Raw(ok) as server:
        url = f"http://127.0.0.1:{server.port}/"
        receivers.add(engine, "ops", "webhook", url=url, secret=SECRET, allow_private=True)
        changed = receivers.rotate(engine, "ops")
        assert changed.secret != SECRET
        (stored,) = receivers.list_receivers(engine, Path())
        stored.way.tell(telling(timeout_s=5))
        with pytest.raises(UsageError, match="under way"):
            receivers.rotate(engine, "ops")
        assert receivers.rotate(engine, "ops", finish=True).secret == changed.secret
        (stored,) = receivers.list_receivers(engine, Path())
        stored.way.tell(telling(timeout_s=5))
    counts = [re.search(rb"Tocsin-Signature: (.*)\r\n", head)[1].count(b"v1=") for head in server.heads]
    assert counts == [2, 1]
    assert SECRET not in json.dumps(stored.way.stored())


def test_a_change_of_secret_can_be_undone_and_has_its_order(engine, tmp_path):
    receivers.add(engine, "ops", "webhook", url="https://192.0.2.1/", secret=SECRET, allow_private=True)
    for step in ({"finish": True}, {"undo": True}):
        with pytest.raises(UsageError, match="no change"):
            receivers.rotate(engine, "ops", **step)
    with pytest.raises(UsageError, match="16"):
        receivers.rotate(engine, "ops", "short")
    receivers.rotate(engine, "ops", "another secret, long enough")
    shown = json.dumps(receivers.list_receivers(engine, tmp_path)[0].shown())
    assert SECRET not in shown
    assert "another secret" not in shown
    assert receivers.rotate(engine, "ops", undo=True).secret == SECRET
    receivers.add(engine, "screen", "terminal")
    with pytest.raises(UsageError, match="signs nothing"):
        receivers.rotate(engine, "screen")
    with pytest.raises(NotFound):
        receivers.rotate(engine, "nobody")


def test_rows_of_earlier_builds_and_of_later_ones(engine, tmp_path):
    rows = {
        "a": ("webhook", {"url": "https://example.org/", "secret": SECRET, "allow_private": False}),
        "b": ("cap", {"folder": str(tmp_path)}),
        "c": ("terminal", {}),
        "d": ("pigeon", {"loft": "roof"}),
        "e": ("atom", {"folder": str(tmp_path), "newest": "many"}),
        "f": ("webhook", {"url": "https://example.org/", "secret": SECRET, "later": 1}),
    }
    with transaction(engine) as session:
        for name, (of_kind, settings) in rows.items():
            session.add(ReceiverRow(name=name, kind=of_kind, settings=settings, added_at=NOW))
    found = {each.name: each for each in receivers.list_receivers(engine, tmp_path)}
    assert [found[name].kind for name in "abcdef"] == ["webhook", "cap", "terminal", "pigeon", "atom", "webhook"]
    assert found["a"].secret == SECRET
    assert found["a"].way.stored() == rows["a"][1]
    for name, reason in (("d", "pigeon"), ("e", "newest")):
        with pytest.raises(DeliveryFailed, match=reason):
            found[name].way.tell(telling())
        assert reason in json.dumps(found[name].shown())


def test_every_kind_says_what_it_is_and_takes_no_settings_of_others():
    assert set(KINDS) == {"terminal", "webhook", "email", "apprise", "cap", "geojson", "atom", "stac"}
    for name, each in KINDS.items():
        assert each.about
        assert not each.target or each.target in options(each)
        with pytest.raises(UsageError, match="no pigeons"):
            made(name, {"pigeons": 2})
        assert restored(name, {}).name == name
    with pytest.raises(UsageError, match="no old-secret"):
        made("webhook", {"url": "https://example.org/", "old_secret": SECRET})


def test_a_taken_name_leaves_no_folder_behind(engine, tmp_path):
    receivers.add(engine, "ops", "terminal")
    with pytest.raises(UsageError, match="already"):
        receivers.add(engine, "ops", "cap", folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_test_message_is_marked_everywhere_and_kept_nowhere(engine, tmp_path, capsys):
    receivers.add(engine, "screen", "terminal")
    receivers.add(engine, "files", "geojson", folder=tmp_path / "files")
    for name in ("screen", "files"):
        send_test(receivers.find(engine, tmp_path, name), NotifierSettings())
    assert capsys.readouterr().out.startswith("TEST SIMULATED ALERT test message, nothing has happened: opened")
    (file,) = (tmp_path / "files").iterdir()
    properties = json.loads(file.read_text())["features"][0]["properties"]
    assert (properties["test"], properties["simulated"]) == (True, True)
    with reading(engine) as session:
        assert session.scalars(select(DeliveryRow)).all() == []
    with pytest.raises(NotFound, match="receiver list"):
        receivers.find(engine, tmp_path, "nobody")


def store(engine: Engine, message: Alert) -> None:
    with transaction(engine) as session:
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


def test_what_a_receiver_refuses_for_good_is_given_up_at_once(engine, tmp_path, monkeypatch):
    receivers.add(engine, "ops", "webhook", url="http://127.0.0.1:9/", secret=SECRET, allow_private=True)
    message = trial_alert("ops", NOW)
    store(engine, message)

    def refuse(self, telling):
        telling.recipients.settle("a@example.org", "550 gone")
        raise DeliveryRefused("refused for good")

    monkeypatch.setattr(kind.Webhook, "tell", refuse)
    working = Notifier(engine, tmp_path, NotifierSettings())
    working.handle(message)
    working.wait()
    (lost,) = deliveries.failures(engine)
    assert (lost.attempts, lost.error) == (1, "refused for good")
    (refusal,) = list_refusals(engine, "ops")
    assert (refusal.receiver, refusal.recipient, refusal.why) == ("ops", "a@example.org", "550 gone")
    assert list_refusals(engine, "others") == []

    def accept(self, telling):
        assert telling.recipients.settled() == {}  # a person asked again: so do we

    monkeypatch.setattr(kind.Webhook, "tell", accept)
    deliveries.redeliver(engine, receiver="ops")
    working.deliver_due()
    working.wait()
    assert deliveries.failures(engine) == list_refusals(engine) == []


def test_recipients_are_on_record_over_attempts(engine):
    record = RecordedRecipients(engine, stable_id("delivery"))
    record.settle("a@example.org")
    record.settle("b@example.org", "550 " + "x" * 1000)
    record.settle("a@example.org")
    again = RecordedRecipients(engine, stable_id("delivery"))
    assert set(again.settled()) == {"a@example.org", "b@example.org"}
    assert RecordedRecipients(engine, stable_id("other")).settled() == {}
    again.ask_again()
    assert record.settled() == {"a@example.org": None}
