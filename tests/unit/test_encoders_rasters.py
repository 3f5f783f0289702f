"""Rasters: what GDAL is told."""

import time
from pathlib import Path

import numpy as np

from encoders.assets import Fetched, Version
from encoders.rasters import opened
from simulation.cogs import Raster, write_cog


def test_a_resampled_read_decodes_each_block_once(tmp_path: Path) -> None:
    """Without a block cache this wide strip is decoded anew for every row of the sample: hundreds of times."""
    path = tmp_path / "strip.tif"
    ground = np.random.default_rng(0).integers(1300, 1400, (402, 3990)).astype(np.uint16)
    write_cog(path, Raster("red", "B04", ground, 0, ("data",)), 32631, (500_000, 5_000_000, 10))
    with opened(Fetched("B04", "strip", path, Version(None, None, None)), "s2") as raster:
        start = time.process_time()
        raster.dataset.read(1)
        once = time.process_time() - start
        start = time.process_time()
        raster.sample()
        assert time.process_time() - start < 10 * once + 0.1
