"""How a scene's files come here, and what JPEG 2000 costs: `python -m benchmarks.files [--json]`.

Flows in: the four 10 m bands of the tile that `benchmarks.tile` makes, from a server of this machine that answers at
once, and from one that waits before every answer as a distant host does. Flows out: seconds from nothing to all pixels
decoded, by our own whole-file fetching and by ranged reads of GDAL (`/vsicurl`) and of async-tiff on obstore (left out
where they are not installed, `tocsin[peers]`); and how fast one part of a band is decoded from JPEG 2000 and from a
COG. Stops before cells.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks.report import emit
from benchmarks.serving import served
from benchmarks.tile import announce, make_tile
from encoders.assets import Fetcher
from encoders.rasters import GDAL_OPTIONS
from encoders.settings import EncoderSettings
from schemas.logs import configure
from schemas.messages import Acquisition

BANDS = ["B02", "B03", "B04", "B08"]
WAIT_S = 0.03
"""What a host on the same continent takes to its first byte."""
CURL = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_HTTP_MULTIPLEX": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": 32768,
    "GDAL_CACHEMAX": 256,
    "CPL_VSIL_CURL_CACHE_SIZE": 128 * 2**20,
}
"""What GDAL's and odc-stac's documentation advise for COGs."""
PART_PX = 4096
"""Edge of the part that is decoded from JPEG 2000: 16 of ESA's tiles."""
PART = Window(0, 0, PART_PX, PART_PX)
ESA_JP2 = {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 1024, "BLOCKYSIZE": 1024}
"""Lossless, in tiles of 1024 pixels. Source: Sentinel-2 Products Specification, image data format."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--tile", type=Path, default=Path(tempfile.gettempdir()) / "tocsin-tile", help="its folder")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each figure; the median counts")
    options = parser.parse_args()
    configure("warning", "benchmark")  # to stderr: stdout is for figures
    files = make_tile(options.tile)
    for wait_s in (0.0, WAIT_S):
        with served(options.tile, wait_s) as address:
            report_ways(announce(address, files), round(wait_s * 1000), options.rounds)
    report_jp2(files[BANDS[0]], options.tile / "part.jp2", options.rounds)


def report_ways(acquisition: Acquisition, wait_ms: int, rounds: int) -> None:
    """Seconds of each way, beside ours."""
    ways: dict[str, Callable[[Acquisition], int]] = {"whole_files": whole_files, "vsicurl": vsicurl}
    if find_spec("async_tiff") and find_spec("obstore"):
        ways["async_tiff"] = async_tiff
    else:
        print("async-tiff or obstore is not installed: its figures are left out", file=sys.stderr)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            way(acquisition)
            taken[name].append(time.perf_counter() - started)
    ours = statistics.median(taken["whole_files"])
    for name, seconds in taken.items():
        took = statistics.median(seconds)
        emit(f"{name}_wait_{wait_ms}_ms_seconds", took, "s", peer="whole files", ratio=took / ours)


def whole_files(acquisition: Acquisition) -> int:
    """Our own way."""
    settings = EncoderSettings()
    with closing(Fetcher(settings)) as fetcher, fetcher.scene(acquisition, BANDS) as files:
        return _decode([str(file.path) for file in files.values()], GDAL_OPTIONS)


def vsicurl(acquisition: Acquisition) -> int:
    """GDAL's network layer; a query that is new each time keeps its cache out of it."""
    new = time.monotonic_ns()
    return _decode([f"/vsicurl/{acquisition.assets[band].href}?{new}" for band in BANDS], CURL)


def async_tiff(acquisition: Acquisition) -> int:
    """Tiles of a row of blocks fetched together by obstore, decoded by async-tiff's threads, the files side by side."""
    from async_tiff import TIFF  # noqa: PLC0415 - optional
    from obstore.store import HTTPStore  # noqa: PLC0415

    async def decode(href: str) -> int:
        host, _, name = href.rpartition("/")
        tiff = await TIFF.open(name, store=HTTPStore(host, client_options={"allow_http": True}))
        columns = -(-tiff.ifds[0].image_width // tiff.ifds[0].tile_width)
        pixels = 0
        for row in range(-(-tiff.ifds[0].image_height // tiff.ifds[0].tile_height)):
            tiles = await tiff.fetch_tiles([(column, row) for column in range(columns)], 0)
            pixels += sum(np.asarray(each).size for each in await asyncio.gather(*[tile.decode() for tile in tiles]))
        return pixels

    async def decode_all() -> int:
        return sum(await asyncio.gather(*[decode(acquisition.assets[band].href) for band in BANDS]))

    return asyncio.run(decode_all())


def report_jp2(cog: Path, jp2: Path, rounds: int) -> None:
    """Decoding rates of one part of a band in both formats."""
    with rasterio.open(cog) as file:
        part = file.read(1, window=PART)
        profile = {"height": PART_PX, "width": PART_PX, "count": 1, "dtype": part.dtype.name, "crs": file.crs}
        with rasterio.open(jp2, "w", **profile, **ESA_JP2, transform=file.transform) as copy:
            copy.write(part, 1)
    ways: dict[str, Callable[[], int]] = {
        "cog": lambda: _part(cog),
        "jp2": lambda: _part(jp2, GDAL_NUM_THREADS=1),  # by default it takes all cores
        "jp2_two_gdal_threads": lambda: _part(jp2, GDAL_NUM_THREADS=2),
        "jp2_two_at_once": lambda: _twice(jp2),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            pixels = way()
            rates[name].append(pixels / 1e6 / (time.perf_counter() - started))
    cog_rate = statistics.median(rates["cog"])
    for name, each in rates.items():
        rate = statistics.median(each)
        emit(f"{name}_decoded_mpx_per_s", rate, "Mpx/s", peer="COG", ratio=rate / cog_rate)


def _decode(paths: list[str], options: Mapping[str, object]) -> int:
    """All pixels of some files by rows of blocks, as many files at once as the service decodes."""

    def read(path: str) -> int:
        with rasterio.Env(**options), rasterio.open(path) as file:
            step = file.block_shapes[0][0]
            rows = range(0, file.height, step)
            return sum(file.read(1, window=Window(0, row, file.width, step)).size for row in rows)

    with ThreadPoolExecutor(EncoderSettings().threads) as pool:
        return sum(pool.map(read, paths))


def _part(path: Path, **options: int) -> int:
    """The same part of a COG as the whole of a JPEG 2000 file."""
    with rasterio.Env(**options), rasterio.open(path) as file:
        return int(file.read(1, window=PART).size)


def _twice(path: Path) -> int:
    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(_part, [path, path]))


if __name__ == "__main__":
    main()
