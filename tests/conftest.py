"""What several test files need: the shared folder, and a web server that can misbehave."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest


@dataclass
class FileServer:
    """Files of a folder over HTTP on the loopback, with ranges, faults by path, and a record of requests.

    Attributes:
        folder: What is served; put files there at any time.
        port: On 127.0.0.1.
        status: Path -> answer this status instead (one number, or a list that is used up one by one).
        redirect: Path -> answer 302 to this URL.
        replies: Path -> body of a 200 answer, bytes or a function of the query string.
        cut: Path -> promise the whole length but hang up after so many bytes.
        requests: "METHOD path?query" of every request.
    """

    folder: Path
    port: int = 0
    status: dict[str, int | list[int]] = field(default_factory=dict)
    redirect: dict[str, str] = field(default_factory=dict)
    replies: dict[str, object] = field(default_factory=dict)
    cut: dict[str, int] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, path: str | Path) -> str:
        """URL of a file, given absolute or relative to the folder."""
        path = Path(path)
        return f"http://{self.host}/{path.relative_to(self.folder) if path.is_absolute() else path}"


def _handler(files: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body_wanted=False)

        def do_GET(self) -> None:
            self._answer(body_wanted=True)

        def _answer(self, body_wanted: bool) -> None:
            files.requests.append(f"{self.command} {self.path}")
            parts = urlsplit(self.path)
            name = unquote(parts.path).lstrip("/")
            fault = files.status.get(name)
            if isinstance(fault, list):
                fault = fault.pop(0) if fault else None
            if fault is not None:
                return self._send(fault, b"fault", body_wanted)
            if name in files.redirect:
                return self._send(302, b"", body_wanted, location=files.redirect[name])
            if name in files.replies:
                reply = files.replies[name]
                body = reply(parts.query) if callable(reply) else reply
                return self._send(200, body, body_wanted)
            path = (files.folder / name).resolve()
            if not path.is_relative_to(files.folder.resolve()) or not path.is_file():
                return self._send(404, b"no such file", body_wanted)
            headers = {"last_modified": formatdate(path.stat().st_mtime, usegmt=True), "accept_ranges": "bytes"}
            return self._send_file(path.read_bytes(), name, body_wanted, headers)

        def _send_file(self, data: bytes, name: str, body_wanted: bool, headers: dict[str, str]) -> None:
            wanted = self.headers.get("Range", "")
            if wanted.startswith("bytes="):
                first, _, last = wanted.removeprefix("bytes=").split(",")[0].partition("-")
                start = int(first) if first else max(len(data) - int(last), 0)
                stop = min(int(last) + 1, len(data)) if first and last else len(data)
                if start >= len(data):
                    return self._send(416, b"", body_wanted, content_range=f"bytes */{len(data)}")
                headers["content_range"] = f"bytes {start}-{stop - 1}/{len(data)}"
                return self._send(206, data[start:stop], body_wanted, **headers)
            if name in files.cut:
                self.close_connection = True
                return self._send(200, data[: files.cut[name]], body_wanted, length=len(data), **headers)
            return self._send(200, data, body_wanted, **headers)

        def _send(self, status: int, body: bytes, body_wanted: bool, length: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.send_header("content-length", str(len(body) if length is None else length))
            self.end_headers()
            if body_wanted:
                self.wfile.write(body)

    return Handler


@pytest.fixture
def file_server(tmp_path: Path) -> Iterator[FileServer]:
    """A `FileServer` of an empty folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    yield from _serve(FileServer(folder))


def _serve(files: FileServer) -> Iterator[FileServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(files))
    server.daemon_threads = True
    files.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield files
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data beside the project; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("TOCSIN_SHARED", Path(__file__).parent.parent.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"needs the shared folder ({path} is absent; TOCSIN_SHARED names another place)")
    return path


@pytest.fixture(scope="module")
def feed_server(shared: Path) -> Iterator[FileServer]:
    """The feed's files over HTTP."""
    folder = shared / "feed"
    if not folder.is_dir():
        pytest.skip(f"needs the feed of real pixels ({folder} is absent)")
    yield from _serve(FileServer(folder))
