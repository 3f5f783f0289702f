"""Files over HTTP with byte ranges, from a process of its own: `python -m benchmarks.serving FOLDER [--wait-s S]`.

Flows in: a folder, how long every answer waits. Flows out: its files, straight from the kernel's cache to the socket,
so that what a benchmark measures is the reader. Stops before directories.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the files of one folder."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, folder: Path, wait_s: float, *arguments: object) -> None:
        self.folder, self.wait_s = folder, wait_s
        super().__init__(*arguments)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        """Length and kind of a file."""
        self._answer()

    def do_GET(self) -> None:
        """A file or a part of it."""
        self._answer()

    def log_message(self, *_arguments: object) -> None:
        """Keep the terminal for figures."""

    def _answer(self) -> None:
        time.sleep(self.wait_s)
        path = self.folder / Path(self.path.partition("?")[0]).name
        if not path.is_file():
            self.send_response(HTTPStatus.NOT_FOUND)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
            start, stop = (int(wanted[1]), min(int(wanted[2] or size) + 1, size)) if wanted else (0, size)
            self.send_response(HTTPStatus.PARTIAL_CONTENT if wanted else HTTPStatus.OK)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
            self.send_header("Content-Length", str(stop - start))
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Last-Modified", formatdate(path.stat().st_mtime, usegmt=True))
            self.end_headers()
            while self.command == "GET" and start < stop:
                start += os.sendfile(self.connection.fileno(), file.fileno(), start, stop - start)


@contextmanager
def served(folder: Path, wait_s: float = 0.0) -> Iterator[str]:
    """The address of a server of a folder, until the block ends."""
    command = [sys.executable, "-m", "benchmarks.serving", str(folder), "--wait-s", str(wait_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip() if process.stdout else ""
        finally:
            process.terminate()


def main() -> None:
    """Serve until terminated; the first line says where."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--wait-s", type=float, default=0.0, help="before every answer, as a distant host does")
    options = parser.parse_args()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, options.folder, options.wait_s)) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
