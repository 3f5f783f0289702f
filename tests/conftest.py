"""What several test files need: the shared folder, a web server that can misbehave, and scenes to put on it."""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from hypothesis import settings
from sqlalchemy import Engine

from schemas.database import transaction
from schemas.messages import Acquisition, Asset, Cause, CellState, Chip, Coverage, Sensor, stable_id
from schemas.tables import CoverageRow

settings.register_profile("same cases", derandomize=True)
settings.load_profile("same cases")
"""Property tests try the same cases on every machine; `make nightly` looks for new ones."""


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


@dataclass
class SceneMaker:
    """Small scenes as COGs on a `FileServer`, with the acquisitions that announce them."""

    files: FileServer

    def band(
        self,
        name: str,
        values: np.ndarray,
        *,
        epsg: int = 32631,
        west: float = 500_000,
        north: float = 5_000_000,
        gsd: float = 10,
        north_up: bool = True,
        **profile: object,
    ) -> Asset:
        """One band: its file is written, its asset comes back. `west`, `north`: outer corner, units of the CRS."""
        import rasterio
        from rasterio.transform import Affine

        path = self.files.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        step = -gsd if north_up else gsd
        top = north if north_up else north - gsd * values.shape[0]
        options = {"nodata": None, "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"} | profile
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=values.shape[0],
            width=values.shape[1],
            count=1,
            dtype=values.dtype.name,
            crs=f"EPSG:{epsg}",
            transform=Affine(gsd, 0, west, 0, step, top),
            **options,
        ) as file:
            file.write(values if north_up else values[::-1], 1)
        return Asset(href=self.files.url(name), gsd_m=gsd)

    def acquisition(self, assets: dict[str, Asset], *, item_id: str = "ITEM", **fields: object) -> Acquisition:
        """The message about some bands; everything not given is plausible."""
        moment = datetime(2026, 6, 1, 10, 30, tzinfo=UTC)
        sensor = "s1" if {"VV", "VH"} & assets.keys() else "s2"
        return Acquisition(
            **{
                "acquisition_id": stable_id("test", item_id),
                "physical_key": item_id,
                "processed_at": moment,
                "source": "test",
                "collection": "scenes",
                "item_id": item_id,
                "sensor": sensor,
                "sensing_at": moment,
                "published_at": moment,
                "seen_at": moment,
                "footprint": {
                    "type": "Polygon",
                    "coordinates": [[[3, 45], [3.1, 45], [3.1, 45.1], [3, 45.1], [3, 45]]],
                },
                "assets": assets,
                "allowed_hosts": (self.files.host,),
                **fields,
            }
        )


@pytest.fixture
def scenes(file_server: FileServer) -> SceneMaker:
    """Makes scenes on `file_server`."""
    return SceneMaker(file_server)


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
    path = Path(os.environ.get("TOCSIN_SHARED", Path(__file__).parent.parent.parent / "shared")).resolve()
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


class WriteLook(Protocol):
    """Writes the raw coverage row of one acquisition; one of that name that is there already is replaced."""

    def __call__(
        self,
        engine: Engine,
        name: str,
        moment: datetime,
        cells: Mapping[str, CellState | Cause],
        sensor: Sensor = "s2",
        *,
        bounds: tuple[float, float, float, float] = (-180, -90, 180, 90),
    ) -> None: ...


@pytest.fixture
def write_look() -> WriteLook:
    """`WriteLook`; the state of a cell may be given by what hid it."""

    def write(engine, name, moment, cells, sensor="s2", *, bounds=(-180, -90, 180, 90)):  # type: ignore[no-untyped-def]
        chips = [
            Chip(
                cell=cell,
                state=CellState.OBSCURED if isinstance(state, Cause) else state,
                valid_fraction=1,
                cloud_fraction=0,
                cause=state if isinstance(state, Cause) else None,
            )
            for cell, state in cells.items()
        ]
        keys = {"acquisition_id": stable_id(name), "physical_key": name, "source": "test", "item_id": name}
        message = Coverage(**keys, sensor=sensor, sensing_at=moment, chips=tuple(chips))
        states = [chip.state for chip in chips]
        row = CoverageRow(
            **keys,
            sensor=sensor,
            sensing_at=moment,
            **dict(zip(("west", "south", "east", "north"), bounds, strict=True)),
            seen=states.count(CellState.SEEN),
            obscured=states.count(CellState.OBSCURED),
            failed=states.count(CellState.FAILED),
            chips=zlib.compress(message.to_bytes()),
        )
        with transaction(engine) as session:
            session.merge(row)

    return write
