"""Chat through Apprise: what arrives, what its process may not do, and what a server can do to it."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from alerts.settings import NotifierSettings
from alerts.telling import chat
from alerts.telling.chat_process import guard
from alerts.telling.kinds.chat import Chat, mood, recipient, text
from alerts.telling.kinds.kind import OneAttempt, Telling
from alerts.telling.kinds.registry import made, restored
from alerts.telling.notify import trial_alert
from schemas.errors import DeliveryFailed, SettingsError, UsageError
from schemas.messages import Alert, IncidentState, stable_id
from schemas.notices import Notice, NoticeKind

pytest.importorskip("apprise", reason="needs the [chat] extra")
NOW = datetime(2026, 7, 1, 10, 30, 15, tzinfo=UTC)


class Room:
    """A chat's server on the loopback."""

    def __init__(self) -> None:
        self.answers: list[int | Callable[[BaseHTTPRequestHandler], None]] = []
        self.got: list[dict[str, object]] = []
        room = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_POST(self):
                room.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = room.answers.pop(0) if room.answers else 200
                if callable(answer):
                    with suppress(OSError):
                        answer(self)
                    return
                self.send_response(answer)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def url(self, path: str = "room") -> str:
        return f"json://127.0.0.1:{self.server.server_port}/{path}"


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    thread = threading.Thread(target=room.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield room
    room.server.shutdown()
    thread.join()
    room.server.server_close()


def alert(**more) -> Alert:
    one = trial_alert("one", NOW)
    incident = one.incident.model_copy(update={"state": more.get("kind", one.kind)})
    update = {"query": "wildfire burn scar", "simulated": False, "incident": incident}
    return one.model_copy(update=update | more)


def telling(*messages: Alert | Notice, timeout_s: float = 5, **more) -> Telling:
    return Telling("team", "key", messages or (alert(),), NotifierSettings(timeout_s=timeout_s), **more)


def receiver(*urls: str) -> Chat:
    found = made("apprise", {"urls": urls, "allow_private": True})
    assert isinstance(found, Chat)
    return found


def test_a_message_arrives_with_the_most_important_first(room):
    receiver(room.url()).tell(telling())
    (got,) = room.got
    assert got["title"] == "wildfire burn scar: opened, 1 km2 around 0.303N 0.202E (cell 31NAA8833)"
    assert got["message"].startswith("Opened: these cells match")
    assert "scenes: test-item" in got["message"]
    assert got["type"] == "warning"


def test_who_was_told_is_not_told_again(room):
    told = telling(recipients=OneAttempt())
    both = receiver(room.url("a"), room.url("b"))
    room.answers = [200, 500]
    with pytest.raises(DeliveryFailed, match=r"json://… .*500"):
        both.tell(told)
    both.tell(told)
    assert len(room.got) == 3
    assert set(told.recipients.settled()) == {recipient(room.url("a")), recipient(room.url("b"))}
    both.tell(told)
    assert len(room.got) == 3


def test_what_a_service_says_of_its_address_is_not_repeated(room):
    room.answers = [403]
    with pytest.raises(DeliveryFailed) as failure:
        receiver(f"json://user:hunter2@127.0.0.1:{room.server.server_port}/very/secret-token?+X-Key=topsecret").tell(
            telling()
        )
    for secret in ("hunter2", "secret-token", "topsecret"):
        assert secret not in str(failure.value)


def test_addresses_are_stored_and_not_shown():
    found = receiver("json://user:hunter2@127.0.0.1:1/secret-token")
    assert found.shown() == {"urls": ["json://…"], "allow_private": True}
    assert "hunter2" not in repr(found) + recipient(found.urls[0])
    assert restored("apprise", found.stored()) == found


def redirect(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def drip(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for _ in range(600):
        handler.wfile.write(b"X-Slow: yes\r\n")
        time.sleep(0.05)


def flood(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(4000):
        handler.wfile.write(b"x" * 1_000_000)


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(redirect, "302"), (drip, "took more than"), (flood, "memory|took more than|MemoryError|raised an exception")],
)
def test_hostile_servers_cost_one_attempt(room, monkeypatch, behaviour, reason):
    found = receiver(room.url())
    monkeypatch.setattr(chat, "START_S", 2.0)
    room.answers = [behaviour]
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match=reason):
        found.tell(telling(timeout_s=3))
    assert time.monotonic() - started < 60
    assert len(room.got) == 1


def test_a_private_address_is_refused_when_added_and_again_when_told(room, monkeypatch):
    with pytest.raises(UsageError, match=r"127\.0\.0\.1.*private"):
        made("apprise", {"urls": (room.url(),)})
    heard = chat.tell([room.url()], title="t", body="b", mood="info", allow_private=False, timeout_s=5)
    assert heard[0].error
    assert room.got == []


def test_the_environment_stays_here(room, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    receiver(room.url()).tell(telling())
    assert len(room.got) == 1


@pytest.mark.parametrize(
    ("urls", "reason"),
    [
        ((), "1 to 20"),
        (tuple(f"json://127.0.0.1/{n}" for n in range(21)), "1 to 20"),
        (("nosuch://x",), "does not understand"),
        (("not an address",), "does not understand"),
        (("syslog://",), "this machine only"),
        (("dbus://",), "this machine only"),
        (("macosx://",), "this machine only"),
        (("file:///etc/passwd",), "this machine only"),
        (("slack://too/few",), "does not understand"),
    ],
)
def test_addresses_that_are_refused(urls, reason):
    with pytest.raises(UsageError, match=reason):
        made("apprise", {"urls": urls, "allow_private": True})


def test_without_apprise_it_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "apprise.py").write_text("raise ImportError('not here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SettingsError, match=r"tocsin\[chat\]"):
        made("apprise", {"urls": ("json://example.org",)})
    with pytest.raises(DeliveryFailed, match=r"tocsin\[chat\]"):
        Chat(urls=("json://example.org",)).tell(telling())


def test_the_guard_lets_only_telling_pass(tmp_path):
    hook = guard(False, (f"{tmp_path}/",))
    (tmp_path / "inside").write_text("")
    hook("socket.connect", (None, ("93.184.216.34", 443)))
    hook("open", (str(tmp_path / "inside"), "r", os.O_RDONLY | os.O_CLOEXEC))
    hook("open", (3, "r", os.O_RDONLY))
    hook("import", ("anything",))
    for event, args in (
        ("socket.connect", (None, ("127.0.0.1", 80))),
        ("socket.connect", (None, ("::ffff:10.0.0.1", 80, 0, 0))),
        ("socket.connect", (None, ("fe80::1%eth0", 80, 0, 2))),
        ("socket.connect", (None, ("localhost", 80))),
        ("socket.connect", (None, "/run/dbus/system_bus_socket")),
        ("socket.sendto", (None, ("192.168.0.1", 514))),
        ("subprocess.Popen", ("sh", ["sh"], None, None)),
        ("os.system", (b"sh",)),
        ("open", ("/etc/passwd", "r", os.O_RDONLY)),
        ("open", (str(tmp_path / ".." / "outside"), "r", os.O_RDONLY)),
        ("open", (str(tmp_path / "inside"), "w", os.O_WRONLY | os.O_TRUNC)),
    ):
        with pytest.raises(PermissionError):
            hook(event, args)
    guard(True, ())("socket.connect", (None, ("127.0.0.1", 80)))
    with pytest.raises(PermissionError):
        guard(True, ())("socket.connect", (None, "/run/socket"))


def test_the_guard_holds_in_the_process_itself():
    """A service of Apprise that reads a file which its address names; one that is read is "invalid JSON"."""
    url = "workflows://127.0.0.1:9/WorkflowID/Signature/?template=/etc/passwd"
    (heard,) = chat.tell([url], title="t", body="b", mood="info", allow_private=True, timeout_s=5)
    assert "could not be read" in heard.error


def test_several_messages_are_one(room):
    other = trial_alert("two", NOW).model_copy(update={"query": "flooded fields", "simulated": False})
    receiver(room.url()).tell(telling(alert(), other))
    (got,) = room.got
    assert got["title"] == "2 alerts: wildfire burn scar, flooded fields"
    assert len(got["message"].strip().splitlines()) == 2


def test_colours():
    notice = Notice(
        notice_id=stable_id("n"),
        sequence=2,
        kind=NoticeKind.DRIFT,
        subject="s2",
        text="Too many.",
        sent_at=NOW,
        cleared=True,
    )
    assert mood(telling()) == "warning"
    assert mood(telling(alert(kind=IncidentState.RESOLVED))) == "success"
    assert mood(telling(alert(kind=IncidentState.RETRACTED))) == "info"
    assert mood(telling(notice)) == "success"
    assert mood(telling(notice, alert())) == "warning"
    assert mood(telling(is_test=True)) == "info"
    assert text(telling(notice)).startswith("This is over. Too many.")
