"""The web server of the benchmarks, and the tile that it serves: a figure is only as good as they are."""

from __future__ import annotations

import time
from pathlib import Path

import httpx
import numpy as np
import pytest
import rasterio

from benchmarks import tile
from benchmarks.serving import served
from encoders.bands import SENTINEL_2
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.messages import CellState


def test_files_and_parts_of_them_are_served_after_a_wait(tmp_path: Path) -> None:
    content = bytes(range(256)) * 400
    (tmp_path / "a.bin").write_bytes(content)
    with served(tmp_path, wait_s=0.05) as address:
        started = time.monotonic()
        whole = httpx.get(f"{address}/a.bin")
        assert time.monotonic() - started >= 0.05
        assert (whole.status_code, whole.content) == (200, content)
        part = httpx.get(f"{address}/a.bin", headers={"Range": "bytes=300-999"})
        assert (part.status_code, part.content) == (206, content[300:1000])
        assert part.headers["content-range"] == "bytes 300-999/102400"
        assert httpx.get(f"{address}/a.bin", headers={"Range": "bytes=102000-"}).content == content[102000:]
        assert httpx.head(f"{address}/a.bin?query").headers["content-length"] == "102400"
        assert httpx.get(f"{address}/b.bin").status_code == 404


def test_the_tile_is_one_that_the_service_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small one: same grid, bands of 10, 20 and 60 m."""
    monkeypatch.setattr(tile, "PATCH_PX", 60)
    monkeypatch.setattr(tile, "EDGE_M", 3600)
    files = tile.make_tile(tmp_path)
    made = {name: path.stat().st_mtime_ns for name, path in files.items()}
    assert {name: path.stat().st_mtime_ns for name, path in tile.make_tile(tmp_path).items()} == made
    for band in SENTINEL_2:
        with rasterio.open(files[band.name]) as file:
            assert file.shape == (3600 / band.gsd_m,) * 2 and file.compression.name == "deflate"
    with served(tmp_path) as address:
        blocks = list(read_scene(tile.announce(address, files), EncoderSettings(threads=2)))
    inner = [
        pixels
        for block in blocks
        for pixels, chip in zip(block.pixels, block.chips, strict=True)
        if (chip.state, chip.valid_fraction) == (CellState.SEEN, 1.0)
    ]
    assert len(inner) == 4
    assert np.min(inner) > 0 and np.max(inner) < 0.5
