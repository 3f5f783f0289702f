"""A plain file server with byte ranges on the loopback, enough for a static STAC catalogue and its COGs.

In: a folder. Out: its files over HTTP/1.1 with Range and HEAD, from a process of its own.
Stops at files: no search, no listing, no writing; any static host would do as well.
"""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

TYPES: Final = {".json": "application/json", ".tif": "image/tiff", ".png": "image/png"}
"""Media types by suffix; all else is binary."""
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


class FileServer(ThreadingHTTPServer):
    """Serves one folder on the loopback.

    Attributes:
        folder: What is served; nothing above it is.
        url: Address without a trailing slash.
    """

    daemon_threads = True

    def __init__(self, folder: Path, port: int = 0) -> None:
        """Binds 127.0.0.1.

        Args:
            folder: What to serve.
            port: 0 takes a free one.
        """
        super().__init__(("127.0.0.1", port), _Handler)
        self.folder = folder.resolve()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def serve(folder: Path, port: int = 0) -> Iterator[str]:
    """Serves a folder for as long as the block runs, from a process of its own.

    rasterio holds the interpreter lock while GDAL opens a file, so a server thread in the reading process could never
    answer it. The process ends when the block does, or when its parent dies.

    Args:
        folder: What to serve.
        port: 0 takes a free one.

    Yields:
        The address, without a trailing slash.

    Raises:
        OSError: the server did not start, for example because the port is taken.
    """
    command = [sys.executable, "-m", "simulation.server", str(folder), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise OSError(f"the file server of {folder} did not start on port {port}: is the port taken?")
        try:
            yield url
        finally:
            process.terminate()


def main(arguments: list[str]) -> None:
    """Serves until standard input closes; writes the address as its first line.

    Args:
        arguments: Folder and port.
    """
    # Ctrl-C reaches every process of a terminal: whoever started this one says what it means.
    with suppress(KeyboardInterrupt), FileServer(Path(arguments[0]), int(arguments[1])) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        sys.stdin.read()
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the terminal belongs to the demo."""

    def _answer(self, *, with_body: bool) -> None:
        path = (self.server.folder / unquote(urlsplit(self.path).path).lstrip("/")).resolve()
        if not path.is_relative_to(self.server.folder) or not path.is_file():
            self._finish(HTTPStatus.NOT_FOUND, b"", with_body=with_body)
            return
        content = path.read_bytes()
        wanted = _RANGE.fullmatch(self.headers.get("Range", "").strip())
        kind = TYPES.get(path.suffix, "application/octet-stream")
        if wanted is None or wanted.group(0) == "bytes=-":
            self._finish(HTTPStatus.OK, content, kind=kind, with_body=with_body)
            return
        first, last = _span(wanted, len(content))
        if first > last:
            headers = {"Content-Range": f"bytes */{len(content)}"}
            self._finish(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", headers=headers, with_body=with_body)
            return
        headers = {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        part = content[first : last + 1]
        self._finish(HTTPStatus.PARTIAL_CONTENT, part, kind=kind, headers=headers, with_body=with_body)

    def _finish(
        self,
        status: HTTPStatus,
        body: bytes,
        *,
        with_body: bool,
        kind: str = "text/plain",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Accept-Ranges", "bytes")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)


def _span(wanted: re.Match[str], size: int) -> tuple[int, int]:
    """First and last byte of a range, by RFC 9110 section 14.1.2; first > last where nothing fits."""
    start, end = wanted.groups()
    if not start:
        return max(size - int(end), 0), size - 1
    return int(start), min(int(end), size - 1) if end else size - 1


if __name__ == "__main__":
    main(sys.argv[1:])
