"""Simulated arrays as cloud-optimised GeoTIFFs, as the real catalogues serve them.

In: an acquisition and where its world lies. Out: one COG per asset, and what a STAC item says of each.
Stops at files: items and collections are written by `simulation.catalogue`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio import Affine

from simulation.world import OFFSET_DN, QUANTIFICATION, Acquisition, World

S2_ASSETS: Final = {
    "B01": "coastal",
    "B02": "blue",
    "B03": "green",
    "B04": "red",
    "B05": "rededge1",
    "B06": "rededge2",
    "B07": "rededge3",
    "B08": "nir",
    "B8A": "nir08",
    "B09": "nir09",
    "B11": "swir16",
    "B12": "swir22",
}
"""Asset keys of Earth Search's `sentinel-2-c1-l2a` by band."""
BLOCK_PX: Final = 256
"""Side of an internal tile, as the catalogues' own files have it or smaller."""
S1_NODATA: Final = -32768.0
"""No data of Planetary Computer's `sentinel-1-rtc`."""
COG_TYPE: Final = "image/tiff; application=geotiff; profile=cloud-optimized"
"""Media type of a COG. Source: OGC 21-026, annex A."""

Json = dict[str, object]
Plane = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]


@dataclass(frozen=True)
class Raster:
    """One file to write.

    Attributes:
        key: Asset key.
        band: Band name, or `SCL`.
        plane: The pixels, (rows, columns).
        nodata: Value of no data.
        roles: STAC roles.
    """

    key: str
    band: str
    plane: Plane
    nodata: float
    roles: tuple[str, ...]


def rasters(acquisition: Acquisition) -> list[Raster]:
    """The files that an acquisition consists of."""
    if acquisition.sensor == "s1":
        return [Raster(name.lower(), name, plane, S1_NODATA, ("data",)) for name, plane in acquisition.bands.items()]
    bands = [
        Raster(S2_ASSETS[name], name, plane, 0, ("data", "reflectance")) for name, plane in acquisition.bands.items()
    ]
    return bands if acquisition.scl is None else [*bands, Raster("scl", "SCL", acquisition.scl, 0, ("data",))]


def write_cogs(acquisition: Acquisition, world: World, folder: Path) -> dict[str, Json]:
    """Writes an acquisition's files.

    Args:
        acquisition: The arrays.
        world: Where they lie.
        folder: Where to write `KEY.tif`; made if missing.

    Returns:
        Assets by key, without `href`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    west, _, east, north = world.bounds
    assets: dict[str, Json] = {}
    for raster in rasters(acquisition):
        gsd = (east - west) / raster.plane.shape[1]
        write_cog(folder / f"{raster.key}.tif", raster, world.site.epsg, (west, north, gsd))
        assets[raster.key] = describe(raster, (west, north, gsd))
    return assets


def write_cog(path: Path, raster: Raster, epsg: int, west_north_gsd: tuple[float, float, float]) -> None:
    """Writes one COG with overviews.

    Args:
        path: File to write.
        raster: Pixels and their meaning.
        epsg: UTM zone.
        west_north_gsd: Upper left corner and pixel size in metres.
    """
    west, north, gsd = west_north_gsd
    profile: Mapping[str, object] = {
        "driver": "COG",
        "height": raster.plane.shape[0],
        "width": raster.plane.shape[1],
        "count": 1,
        "dtype": raster.plane.dtype.name,
        "nodata": raster.nodata,
        "crs": f"EPSG:{epsg}",
        "transform": Affine(gsd, 0.0, west, 0.0, -gsd, north),
        "compress": "DEFLATE",
        "level": 1,
        "predictor": "YES",
        "blocksize": BLOCK_PX,
        "overview_resampling": "nearest" if raster.band == "SCL" else "average",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.write(raster.plane, 1)


def describe(raster: Raster, west_north_gsd: tuple[float, float, float]) -> Json:
    """What a STAC item says of one file, without `href`."""
    west, north, gsd = west_north_gsd
    details: Json = {"nodata": raster.nodata, "data_type": raster.plane.dtype.name, "spatial_resolution": gsd}
    if raster.plane.dtype == np.uint16:
        details |= {"scale": 1 / QUANTIFICATION, "offset": -OFFSET_DN / QUANTIFICATION}
    return {
        "type": COG_TYPE,
        "title": f"{raster.key} ({raster.band}) - {gsd:.0f}m",
        "bands": [{"name": raster.band}],
        "gsd": gsd,
        "data_type": raster.plane.dtype.name,
        "nodata": raster.nodata,
        "proj:shape": list(raster.plane.shape),
        "proj:transform": [gsd, 0, west, 0, -gsd, north],
        "raster:bands": [details],
        "roles": list(raster.roles),
    }
