"""The catalogue over HTTP: a third-party STAC reader and GDAL see what is released, by ranges."""

import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pystac
import pytest
import rasterio

from simulation.catalogue import SimulatedCatalogue
from simulation.scenario import demo_scenario
from simulation.server import serve

GDAL = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_HTTP_MAX_RETRY": "0"}


def _ids(url: str) -> list[str]:
    return sorted(item.id for item in pystac.Catalog.from_file(f"{url}/catalog.json").get_items(recursive=True))


def test_a_static_reader_walks_what_is_released_and_gdal_reads_it(tmp_path: Path) -> None:
    scenario = demo_scenario(size_km=2)
    with serve(tmp_path) as url:
        catalogue = SimulatedCatalogue(tmp_path, url)
        catalogue.create()
        drafts = [catalogue.prepare(scenario, planned) for planned in scenario.passes[-2:]]
        assert _ids(url) == []
        for number, draft in enumerate(drafts, start=1):
            catalogue.release(draft)
            assert _ids(url) == sorted(d.id for d in drafts[:number])
        item = next(pystac.Catalog.from_file(f"{url}/catalog.json").get_items(recursive=True))
        href = next(iter(item.assets.values())).href
        with rasterio.Env(**GDAL), rasterio.open(f"/vsicurl/{href}") as source:
            assert source.read(1).mean() > 0


@pytest.fixture
def file_url(tmp_path: Path):
    (tmp_path / "ten.bin").write_bytes(b"0123456789")
    with serve(tmp_path) as url:
        yield f"{url}/ten.bin"


@pytest.mark.parametrize(
    ("wanted", "status", "body"),
    [
        ("bytes=2-4", 206, b"234"),
        ("bytes=7-", 206, b"789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=5-99", 206, b"56789"),
        ("bytes=10-12", 416, b""),
        ("lines=1-2", 200, b"0123456789"),
    ],
)
def test_ranges_are_answered_by_the_book(file_url: str, wanted: str, status: int, body: bytes) -> None:
    answer = httpx.get(file_url, headers={"Range": wanted})
    assert (answer.status_code, answer.content) == (status, body)


def test_head_tells_the_length_without_a_body(file_url: str) -> None:
    answer = httpx.head(file_url)
    assert answer.headers["content-length"] == "10" and answer.content == b""


@pytest.mark.parametrize("path", ["", "missing.bin", "../secret", "%2e%2e/secret"])
def test_nothing_else_is_served(file_url: str, path: str) -> None:
    assert httpx.get(file_url.removesuffix("ten.bin") + path).status_code == 404


def test_a_taken_port_is_said(file_url: str, tmp_path: Path) -> None:
    port = httpx.URL(file_url).port
    with pytest.raises(OSError, match="is the port taken"), serve(tmp_path, int(port or 0)):
        pass


def test_ctrl_c_ends_it_without_a_word(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "simulation.server", str(tmp_path), "0"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().startswith("http")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ""
        assert process.returncode == 0
