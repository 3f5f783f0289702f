"""Requests to catalogues that are slow, busy, huge or somewhere else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ingest.fetch import CatalogueIO, CatalogueRefused, Patience
from schemas.errors import CatalogueUnavailable


class Script:
    """What the server answers, one after the other: status, headers, body."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        self.seen: list[tuple[str, str, bytes]] = []
        self.port = 0

    def url(self, path: str = "/x") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@pytest.fixture
def script() -> Iterator[Script]:
    played = Script()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_args: object) -> None:
            pass

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            played.seen.append((self.command, self.path, body))
            status, headers, answer = played.answers.pop(0)
            self.send_response(status)
            for name, value in {"content-length": str(len(answer)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        def do_POST(self) -> None:
            self.do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    played.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield played
    server.shutdown()
    thread.join()
    server.server_close()


def io(script: Script, waits: list[float] | None = None, attempts: int = 3) -> CatalogueIO:
    noted = waits if waits is not None else []
    return CatalogueIO((f"127.0.0.1:{script.port}",), Patience(attempts=attempts, sleep=noted.append))


def test_overload_is_waited_out_and_retry_after_is_kept(script: Script) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    script.answers = [(429, {"retry-after": "5"}, b""), (503, {"retry-after": later}, b""), (200, {}, b"{}")]
    waits: list[float] = []
    assert io(script, waits).request(script.url()) == "{}"
    assert waits[0] == 5
    assert 15 < waits[1] <= 20


def test_pause_that_is_too_long_ends_the_poll_at_once(script: Script) -> None:
    script.answers = [(429, {"retry-after": "3600"}, b"")]
    waits: list[float] = []
    with pytest.raises(CatalogueUnavailable, match="tried 1 times"):
        io(script, waits).request(script.url())
    assert waits == []


def test_overload_that_does_not_end_is_given_up(script: Script) -> None:
    script.answers = [(503, {}, b"")] * 3
    waits: list[float] = []
    with pytest.raises(CatalogueUnavailable, match="HTTP 503; tried 3 times"):
        io(script, waits).request(script.url())
    assert waits == [1, 2]


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_refusals_are_not_repeated(status: int, script: Script) -> None:
    script.answers = [(status, {}, b"no such thing")]
    with pytest.raises(CatalogueRefused, match="no such thing") as caught:
        io(script).request(script.url())
    assert caught.value.status == status
    assert len(script.seen) == 1


def test_nobody_there(script: Script) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quick = CatalogueIO((f"127.0.0.1:{port}",), Patience(attempts=2, sleep=lambda _: None))
    with pytest.raises(CatalogueUnavailable, match="does not answer"):
        quick.request(f"http://127.0.0.1:{port}/")


def test_silence_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.fetch.READ_TIMEOUT_S", 0.05)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        port = mute.getsockname()[1]
        quick = CatalogueIO((f"127.0.0.1:{port}",), Patience(attempts=1, sleep=lambda _: None))
        with pytest.raises(CatalogueUnavailable, match="ReadTimeout"):
            quick.request(f"http://127.0.0.1:{port}/")


def test_answer_without_end_is_cut(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.fetch.MAX_BODY_BYTES", 1000)
    script.answers = [(200, {}, b"x" * 200_000)]
    with pytest.raises(CatalogueUnavailable, match="not a page"):
        io(script).request(script.url())


def test_answer_that_ends_early_is_asked_for_again(script: Script) -> None:
    script.answers = [(200, {"content-length": "10"}, b"half"), (200, {}, b"{}")]
    assert io(script).request(script.url()) == "{}"


def test_answer_that_is_no_text_or_json_is_refused(script: Script) -> None:
    script.answers = [(200, {}, b"\xff\xfe")]
    with pytest.raises(CatalogueUnavailable, match="UTF-8"):
        io(script).request(script.url())
    for text in ("", "<html>", "[1, 2]", "[" * 100_000):
        with pytest.raises(CatalogueUnavailable, match="JSON"):
            io(script).json_loads(text)


def test_redirects_stay_where_the_source_may_go(script: Script) -> None:
    script.answers = [(307, {"location": "/y"}, b""), (200, {}, b"{}")]
    assert io(script).request(script.url(), method="POST", parameters={"a": 1}) == "{}"
    assert [(verb, path, body) for verb, path, body in script.seen] == [
        ("POST", "/x", b'{"a": 1}'),
        ("POST", "/y", b'{"a": 1}'),
    ]
    script.answers = [(302, {"location": "http://169.254.169.254/latest"}, b"")]
    with pytest.raises(CatalogueUnavailable, match=r"169\.254"):
        io(script).request(script.url())


def test_redirects_without_end_are_given_up(script: Script) -> None:
    script.answers = [(302, {"location": "/x"}, b"")] * 6
    with pytest.raises(CatalogueUnavailable, match="redirects"):
        io(script).request(script.url())


@pytest.mark.parametrize("href", ["file:///etc/passwd", "ftp://127.0.0.1/", "http://evil.example/", "/etc/passwd"])
def test_other_schemes_and_hosts_are_never_asked(href: str, script: Script) -> None:
    with pytest.raises(CatalogueUnavailable, match="may not go"):
        io(script).request(href)
