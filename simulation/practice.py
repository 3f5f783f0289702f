"""A scene to measure a machine with: the strip of ground that one row of a Sentinel-2 tile's blocks covers.

In: nothing. Out: the message that announces it, its files served from this machine while the block runs.
Stops at pixels: they compress and reflect like ground, and show nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from encoders.bands import SENTINEL_2
from schemas.messages import Acquisition, Asset, stable_id
from simulation.cogs import S2_ASSETS, Raster, write_cog
from simulation.server import serve
from simulation.world import OFFSET_DN, QUANTIFICATION

EAST_M: Final = 39_900
"""Length of the strip: 40 cells, as many as are encoded together, and whole pixels of 60 m."""
SOUTH_M: Final = 4_020
"""Its width: four blocks one after another, so that there is something to read ahead."""
EPSG: Final = 32631
"""UTM zone 31 N."""
WEST_NORTH_M: Final = (500_000.0, 5_000_000.0)
"""The strip's upper left corner."""
OUTLINE: Final = [[3.0, 45.116], [3.508, 45.116], [3.508, 45.152], [3.0, 45.152], [3.0, 45.116]]
"""Where that is, lon/lat degrees."""
TEXTURE_PX: Final = 4
"""Neighbouring pixels share most of their value, as on the ground."""


@contextmanager
def practice_scene() -> Iterator[Acquisition]:
    """A Sentinel-2 acquisition of 160 cells whose files can be fetched as long as the block runs."""
    with TemporaryDirectory(prefix="tocsin-practice-") as folder, serve(Path(folder)) as url:
        yield _announced({name: _write(Path(folder), name, gsd_m, url) for name, gsd_m in _bands()})


def _bands() -> Iterator[tuple[str, int]]:
    """Those of a Level-2A product, with their sampling in metres."""
    return ((band.name, int(band.gsd_m)) for band in SENTINEL_2 if band.name in S2_ASSETS)


def _write(folder: Path, name: str, gsd_m: int, url: str) -> Asset:
    key = S2_ASSETS[name]
    raster = Raster(key, name, _ground(name, SOUTH_M // gsd_m, EAST_M // gsd_m), 0, ("data",))
    write_cog(folder / f"{key}.tif", raster, EPSG, (*WEST_NORTH_M, gsd_m))
    return Asset(href=f"{url}/{key}.tif", gsd_m=gsd_m, scale=1 / QUANTIFICATION, offset=-OFFSET_DN / QUANTIFICATION)


def _ground(name: str, rows: int, columns: int) -> NDArray[np.uint16]:
    """Digital numbers of 1300 to 4100, offset included: reflectance 0.03-0.31."""
    random = np.random.default_rng(list(name.encode()))
    coarse = random.integers(1300, 4000, (-(-rows // TEXTURE_PX), -(-columns // TEXTURE_PX)))
    grown = coarse.repeat(TEXTURE_PX, axis=0).repeat(TEXTURE_PX, axis=1)[:rows, :columns]
    return (grown + random.integers(0, 100, grown.shape)).astype(np.uint16)


def _announced(assets: dict[str, Asset]) -> Acquisition:
    now = datetime.now(UTC)
    return Acquisition(
        acquisition_id=stable_id("practice"),
        physical_key="practice",
        processed_at=now,
        source="practice",
        collection="practice",
        item_id="practice",
        sensor="s2",
        sensing_at=now,
        published_at=now,
        seen_at=now,
        footprint={"type": "Polygon", "coordinates": [OUTLINE]},
        assets=assets,
        allowed_hosts=("127.0.0.1:*",),
        simulated=True,
    )
