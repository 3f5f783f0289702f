"""The way to a tile's vectors that a user of odc-stac would write; a peer of `benchmarks.pipeline`.

Flows in: an acquisition, an encoder. Flows out: vectors. Stops before storing them.

All bands on one 10 m grid, parts of the tile loaded one after another by as many threads as there are cores, windows
by `torch.Tensor.unfold`. Cloud and gaps are not looked at, and cells are those of the tile's own grid.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import odc.stac
import pystac
import torch
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from benchmarks.tile import EDGE_M, EPSG, NORTH_M, WEST_M
from encoders.bands import SENTINEL_2
from encoders.interface import Encoder, Vectors
from schemas.cells import CHIP_PX
from schemas.messages import Acquisition

PART_CELLS = 22
"""Cells along the edge of a part: a fifth of the tile's, 0.9 GB of chips; smaller parts decode more blocks twice."""
CELL_PX, MARGIN_PX = 100, 20
BATCH = 40
"""Chips that are encoded together, as the service does."""


def embed_tile(acquisition: Acquisition, encoder: Encoder) -> Iterator[Vectors]:
    """Vectors of the tile's cells."""
    odc.stac.configure_rio(cloud_defaults=True)
    items = [_item(acquisition)]
    edge = PART_CELLS * CELL_PX
    threads = len(os.sched_getaffinity(0))
    for top in range(0, EDGE_M // 10, edge):
        for left in range(0, EDGE_M // 10, edge):
            corner = Affine(10, 0, WEST_M + 10 * left, 0, -10, NORTH_M - 10 * top)
            place = GeoBox((edge + MARGIN_PX, edge + MARGIN_PX), corner, f"EPSG:{EPSG}")
            part = odc.stac.load(items, bands=_BANDS, geobox=place, pool=threads).isel(time=0)
            yield from _embed(np.stack([part[band].to_numpy() for band in _BANDS]), encoder)


def _embed(numbers: NDArray[np.uint16], encoder: Encoder) -> Iterator[Vectors]:
    """Vectors of one part: its numbers as in the files, uint16, (bands, h, w)."""
    reflectance = torch.from_numpy(numbers.astype(np.float32)) * 1e-4
    windows = reflectance.unfold(1, CHIP_PX, CELL_PX).unfold(2, CHIP_PX, CELL_PX)
    chips = windows.permute(1, 2, 0, 3, 4).reshape(-1, len(_BANDS), CHIP_PX, CHIP_PX).numpy()
    for start in range(0, len(chips), BATCH):
        yield encoder.images(chips[start : start + BATCH], "s2")


def _item(acquisition: Acquisition) -> pystac.Item:
    """The STAC item of the files, with the projection extension, so that nothing need be opened to place them."""
    item = pystac.Item(acquisition.item_id, acquisition.footprint, None, acquisition.sensing_at, {"proj:epsg": EPSG})
    item.stac_extensions.append("https://stac-extensions.github.io/projection/v1.1.0/schema.json")
    for band in SENTINEL_2:
        gsd = int(band.gsd_m)
        place = {"proj:shape": [EDGE_M // gsd] * 2, "proj:transform": [gsd, 0, WEST_M, 0, -gsd, NORTH_M]}
        href = acquisition.assets[band.name].href
        item.add_asset(
            band.name, pystac.Asset(href, media_type=pystac.MediaType.COG, roles=["data"], extra_fields=place)
        )
    return item


_BANDS = [band.name for band in SENTINEL_2]
