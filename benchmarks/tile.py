"""A whole Sentinel-2 tile that nobody took: files for benchmarks, and the acquisition that announces them.

Flows in: an empty folder. Flows out: 13 bands of 10, 20 and 60 m and a scene classification, 10980 x 10980 pixels of
10 m, cloud-optimised, about 0.8 GB. Stops before serving them. What is in a folder already is not made again.

Its texture is fractal, with a sensor's noise, so that deflate makes half of it, as of real scenes; one patch of
18 km is repeated, which deflate cannot know: it looks back 32 KB.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine

from encoders.bands import SENTINEL_2
from schemas.messages import Acquisition, Asset, stable_id

EDGE_M = 109_800
"""Edge of a tile. Source: Sentinel-2 Products Specification, tiling."""
WEST_M, NORTH_M, EPSG = 399_960, 5_000_040, 32633
"""Outer corner of tile 33TVL."""
PATCH_PX = 1830
"""Edge of the patch that is repeated: 6 times at 10 m, 3 times at 20 m, once at 60 m."""
ROUGHNESS = 1.4
"""Exponent of the amplitude spectrum's fall: between fields and mountains."""
CONTRAST_DN, NOISE_DN = 150, 8
"""Standard deviations of the ground and of the sensor, counts of 1/10000."""
LAND = (4, 5, 6)
"""Classes of the scene classification: vegetation, bare ground, water."""
COG = {"driver": "COG", "compress": "deflate", "blocksize": 512, "num_threads": "all_cpus"}

BAND_LEVELS = {band.name: 400 + 150 * number for number, band in enumerate(SENTINEL_2)}
"""Mean count of each band: dark enough in blue that nobody suspects the +1000."""


def make_tile(folder: Path) -> dict[str, Path]:
    """Files of the tile by asset name; the missing ones are made, half a minute for all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{name}.tif" for name in (*BAND_LEVELS, "SCL")}
    missing = [name for name, path in files.items() if not path.exists()]
    if missing:
        random = np.random.default_rng(0)
        ground = _ground(random)
        for name in missing:
            patch = _classes(ground) if name == "SCL" else _band(ground, BAND_LEVELS[name], random)
            _write(files[name], patch, _GSD_M[name], predictor=1 if name == "SCL" else 2)
    return files


def announce(address: str, files: dict[str, Path]) -> Acquisition:
    """The message about files of one folder that a server offers at `address`."""
    moment = datetime(2026, 6, 1, 10, 0, tzinfo=UTC)
    assets = {
        name: Asset(href=f"{address}/{path.name}", scale=1.0 if name == "SCL" else 1e-4) for name, path in files.items()
    }
    return Acquisition(
        acquisition_id=stable_id("benchmark", "tile"),
        physical_key="T33TVL",
        processed_at=moment,
        source="benchmark",
        collection="sentinel-2-l2a",
        item_id="T33TVL",
        sensor="s2",
        sensing_at=moment,
        published_at=moment,
        seen_at=moment,
        footprint={
            "type": "Polygon",
            "coordinates": [[[13.7, 44.2], [15.1, 44.2], [15.1, 45.2], [13.7, 45.2], [13.7, 44.2]]],
        },
        assets=assets,
        allowed_hosts=(address.removeprefix("http://"),),
    )


def _ground(random: np.random.Generator) -> NDArray[np.float32]:
    """Fractal texture of unit standard deviation, float32, (PATCH_PX, PATCH_PX); its edges meet."""
    waves = np.fft.rfft2(random.standard_normal((PATCH_PX, PATCH_PX)))
    frequency = np.hypot(np.fft.fftfreq(PATCH_PX)[:, None], np.fft.rfftfreq(PATCH_PX)[None])
    frequency[0, 0] = np.inf
    ground = np.fft.irfft2(waves * frequency**-ROUGHNESS, s=(PATCH_PX, PATCH_PX))
    return np.asarray(ground / ground.std(), np.float32)


def _band(ground: NDArray[np.float32], level: int, random: np.random.Generator) -> NDArray[np.uint16]:
    noise = random.standard_normal(ground.shape, dtype=np.float32)
    return np.asarray(np.maximum(level + CONTRAST_DN * ground + NOISE_DN * noise, 1), np.uint16)


def _classes(ground: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.choose(np.digitize(ground, (-0.5, 1.5)), LAND), np.uint8)


_GSD_M = {band.name: int(band.gsd_m) for band in SENTINEL_2} | {"SCL": 20}


def _write(path: Path, patch: NDArray[np.uint8] | NDArray[np.uint16], gsd_m: int, **options: object) -> None:
    times = EDGE_M // gsd_m // PATCH_PX
    unfinished = path.with_suffix(f".{os.getpid()}")
    with rasterio.open(
        unfinished,
        "w",
        count=1,
        dtype=patch.dtype.name,
        height=times * PATCH_PX,
        width=times * PATCH_PX,
        crs=f"EPSG:{EPSG}",
        transform=Affine(gsd_m, 0, WEST_M, 0, -gsd_m, NORTH_M),
        **COG,
        **options,
    ) as file:
        file.write(np.tile(patch, (times, times)), 1)
    unfinished.rename(path)
