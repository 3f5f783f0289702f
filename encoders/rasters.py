"""One band's file, opened, checked, and read in whole rows of blocks.

In: a local file. Out: its place on Earth, a sample of it, and any part of it, native or warped.
Stops before cells: which parts are wanted is decided in `reading`.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.warp import reproject
from rasterio.windows import Window
from shapely.geometry.base import BaseGeometry

from encoders.arrays import placed
from encoders.assets import Fetched
from encoders.offsets import Calibration
from encoders.parts import Grid, Parts, complete
from schemas.cells import GSD_M
from schemas.errors import UnreadableAsset
from schemas.geometry import split_antimeridian

DRIVERS = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  ": "JP2OpenJPEG",
    b"\xffO\xffQ": "JP2OpenJPEG",
}
"""First bytes of what Sentinel catalogues serve; GDAL's other drivers could be led to other files and hosts."""
FINEST_M, COARSEST_M = 5.0, 100.0
"""Sampling distances that a band of either sensor is served in, metres."""
SMALLEST_PX, LARGEST_PX = 8, 60_000
"""Edges of a raster that can be a scene or a part of one, pixels."""
LARGEST_BLOCK_BYTES = 256 * 2**20
"""A file whose blocks decode to more is refused: one block is decoded whole, whatever is asked of it."""
SAMPLE_PX = 512
"""Edge of the sample that dark pixels are looked for in."""
DTYPES = {
    "s1": frozenset({"float32", "float64", "int16", "int32"}),
    "s2": frozenset({"uint16", "int16", "uint32", "int32", "float32", "float64"}),
    "SCL": frozenset({"uint8", "int8", "uint16", "int16"}),
}
"""Types of numbers per kind of file: 8 bits are a picture, not a band; complex numbers are not terrain-corrected."""
GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO", "GDAL_CACHEMAX": 256 * 2**20}
"""No looking for files beside a file; 256 MiB of decoded blocks for the whole process: the windows that warped scenes
read overlap, what is cut is kept by us. rasterio gives GDAL bytes, where GDAL's own option would take megabytes."""
_WARNINGS = threading.Lock()
"""rasterio 1.4 silences warnings inside `reproject` through the interpreter's one list of filters: two threads at once
restore each other's. Delete when it no longer does (or where Python keeps that list per thread)."""
_M_PER_DEGREE = 111_320.0

Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Patch:
    """Part of a band on a north-up grid.

    Attributes:
        numbers: (h, w), as its file has them, or float32 where it was warped.
        calibration: What they mean.
        west_m, north_m: Outer corner of its first pixel, in the CRS of the cells that it is for.
        gsd_m: Edge of its pixels, a multiple of 10.
    """

    numbers: NDArray[Any]
    calibration: Calibration
    west_m: float
    north_m: float
    gsd_m: int

    @property
    def values(self) -> Values:
        """Physical values, float32, (h, w), NaN is no data."""
        return self.calibration.values(self.numbers)

    def on(self, device: str | None) -> Self:
        """The same with its numbers on a device; see `encoders.arrays.placed`."""
        return replace(self, numbers=placed(self.numbers, device))


@dataclass
class Raster:
    """One open band. Only one thread may use it at a time."""

    fetched: Fetched
    dataset: Any
    crs: CRS
    calibration: Calibration = field(default_factory=Calibration)
    resampling: Resampling = Resampling.bilinear
    _rows: tuple[int, NDArray[Any]] | None = None
    """First row and rows of the last whole blocks read."""
    parts: Parts | None = None
    """Where only some of the file is here: brings what is read."""

    @cached_property
    def transform(self) -> Affine:
        """Pixel (column, row) to x, y of the CRS."""
        return Affine(*self.dataset.transform[:6])

    @cached_property
    def epsg(self) -> int | None:
        """Code of its CRS, if it has one."""
        code = self.dataset.crs.to_epsg()
        return int(code) if code is not None else None

    @property
    def gsd_m(self) -> float:
        """Edge of a pixel on the ground, metres (north to south for degrees)."""
        size = float(np.hypot(self.transform.b, self.transform.e))
        return size * (_M_PER_DEGREE if self.crs.is_geographic else 1.0)

    @cached_property
    def aligned_gsd_m(self) -> int | None:
        """Edge of a pixel, metres, where its pixels are made of whole 10 m pixels of its UTM zone's grid; else none."""
        t = self.transform
        if t.b or t.d or t.a <= 0 or t.a != -t.e or any(v % GSD_M for v in (t.a, t.c, t.f)):
            return None
        return int(t.a) if self.crs.utm_zone else None

    @property
    def footprint(self) -> BaseGeometry:
        """Outline of the file in lon/lat degrees, split at the antimeridian.

        Raises:
            UnreadableAsset: its CRS cannot be placed on Earth.
        """
        height, width = self.dataset.shape
        steps = np.linspace(0.0, 1.0, 33)[:-1]
        ring = np.concatenate([[(s, 0), (1, s), (1 - s, 1), (0, 1 - s)] for s in steps])
        ring = ring.reshape(-1, 4, 2).transpose(1, 0, 2).reshape(-1, 2)
        x, y = _apply(self.transform, ring[:, 0] * width, ring[:, 1] * height)
        lon, lat = _transform(self.crs, CRS(4326), x, y, self.fetched.label)
        lon = lon[0] + (lon - lon[0] + 180.0) % 360.0 - 180.0  # one piece, beyond ±180 where it crosses
        return split_antimeridian(shapely.Polygon(np.column_stack([lon, lat])))

    def sample(self) -> NDArray[Any]:
        """`SAMPLE_PX`² of its numbers as in the file, or four times as many, from all over it, (n,)."""
        height, width = self.dataset.shape
        if max(height, width) <= 2 * SAMPLE_PX:
            return self._read(Window(0, 0, width, height)).ravel()
        factors = self.dataset.overviews(1)
        level = next((at for at, factor in enumerate(factors) if max(height, width) <= factor * 2 * SAMPLE_PX), None)
        if level is not None:
            return self._overview(level).ravel()
        edge = SAMPLE_PX // 4
        corners = [(int(c), int(r)) for r in np.linspace(0, height - edge, 4) for c in np.linspace(0, width - edge, 4)]
        parts = [self._read(Window(max(c, 0), max(r, 0), min(edge, width), min(edge, height))) for c, r in corners]
        return np.concatenate([part.ravel() for part in parts])

    def _overview(self, level: int) -> NDArray[Any]:
        """All of an overview, opened as such: asked for a smaller shape by itself, GDAL reads the whole file where its
        rounding of an overview's size is not ours."""
        if self.parts is not None:
            self.parts.bring(self.dataset, None, level)
        with _decoding(self.fetched.label):
            whole = rasterio.open(self.fetched.path, driver=self.dataset.driver, overview_level=level)
            with closing(whole):
                return np.asarray(whole.read(1))

    def grids(self) -> dict[int | None, Grid]:
        """Size and blocks of the file (none) and of each of its overviews (their number)."""
        found: dict[int | None, Grid] = {None: (self.dataset.shape, self.dataset.block_shapes[0])}
        for level in range(len(self.dataset.overviews(1))):
            with _decoding(self.fetched.label):
                whole = rasterio.open(self.fetched.path, driver=self.dataset.driver, overview_level=level)
                with closing(whole):
                    found[level] = (whole.shape, whole.block_shapes[0])
        return found

    def cut(self, west_m: float, south_m: float, east_m: float, north_m: float) -> Patch:
        """The part of an aligned file under a box of its own UTM zone; whole blocks are read and kept once.

        Boxes must come from north to south, or blocks are read again.
        """
        gsd = int(self.transform.a)
        left, top = self.transform.c, self.transform.f
        height, width = self.dataset.shape
        c0, c1 = _clip((west_m - left) // gsd, -((left - east_m) // gsd), width)
        r0, r1 = _clip((top - north_m) // gsd, -((south_m - top) // gsd), height)
        if r1 <= r0 or c1 <= c0:
            raw = np.empty((0, 0), self.dataset.dtypes[0])
        elif self.parts is not None:
            raw = self._read(Window(c0, r0, c1 - c0, r1 - r0))
        else:
            raw = self._whole_rows(r0, r1)[:, c0:c1]
        return Patch(raw, self.calibration, left + c0 * gsd, top - r0 * gsd, gsd)

    def warp(self, epsg: int, west_m: float, south_m: float, east_m: float, north_m: float) -> Patch:
        """The part under a box of any UTM zone, resampled onto that zone's 10 m grid."""
        shape = (round((north_m - south_m) / GSD_M), round((east_m - west_m) / GSD_M))
        out = np.full(shape, np.nan, np.float32)
        grid = Affine(GSD_M, 0, west_m, 0, -GSD_M, north_m)
        window = self._window_under(epsg, grid, shape)
        if window is not None:
            values = self.calibration.values(self._read(window))
            with _decoding(self.fetched.label), _WARNINGS:
                reproject(
                    values,
                    out,
                    src_transform=_moved(self.transform, window),
                    src_crs=self.dataset.crs,
                    src_nodata=np.nan,
                    dst_transform=grid,
                    dst_crs=f"EPSG:{epsg}",
                    dst_nodata=np.nan,
                    resampling=self.resampling,
                )
        return Patch(out, Calibration(), west_m, north_m, int(GSD_M))

    def _window_under(self, epsg: int, grid: Affine, shape: tuple[int, int]) -> Window | None:
        rows, cols = (np.linspace(0, edge, 22) for edge in shape)
        row, col = (axis.ravel() for axis in np.meshgrid(rows, cols))
        x, y = _transform(CRS(epsg), self.crs, *_apply(grid, col, row), self.fetched.label)
        height, width = self.dataset.shape
        if self.crs.is_geographic:  # the same turn of the circle as the file
            centre = _apply(self.transform, width / 2, height / 2)[0]
            x = centre + (x - centre + 180.0) % 360.0 - 180.0
        col, row = _apply(~self.transform, x, y)
        c0, c1 = _clip(np.floor(col.min()) - 3, np.ceil(col.max()) + 3, width)
        r0, r1 = _clip(np.floor(row.min()) - 3, np.ceil(row.max()) + 3, height)
        return Window(c0, r0, c1 - c0, r1 - r0) if c1 > c0 and r1 > r0 else None

    def _whole_rows(self, start: int, stop: int) -> NDArray[Any]:
        """Rows start:stop of the full width."""
        first, kept = self._rows or (0, np.empty((0, self.dataset.width), self.dataset.dtypes[0]))
        if not first <= start <= first + len(kept):
            first, kept = start, kept[:0]
        have = first + len(kept)
        if stop > have:
            block = self.dataset.block_shapes[0][0]
            until = min(-(-stop // block) * block, self.dataset.height)
            fresh = self._read(Window(0, have, self.dataset.width, until - have))
            kept = np.concatenate([kept[start - first :], fresh]) if start < have else fresh
            first = start if start < have else have
        self._rows = (first, kept)
        return kept[start - first : stop - first]

    def _read(self, window: Window) -> NDArray[Any]:
        if self.parts is None:
            with _decoding(self.fetched.label):
                return np.asarray(self.dataset.read(1, window=window))
        self.parts.bring(self.dataset, window)
        with _decoding(self.fetched.label):  # opened again: what is open has buffered holes that are none any more
            fresh = rasterio.open(self.fetched.path, driver=self.dataset.driver)
            with closing(fresh):
                return np.asarray(fresh.read(1, window=window))


@contextmanager
def opened_in_parts(parts: Parts, kind: str) -> Iterator[Raster]:
    """A file as one band, of which only what is read is fetched; all of it where that cannot be.

    Raises:
        UnreadableAsset, AssetUnavailable: as `opened`, and as `encoders.assets.Fetcher.scene`.
    """
    with ExitStack() as stack:
        try:
            raster = stack.enter_context(opened(parts.fetched, kind))
            readable = parts.whole or parts.index(raster.dataset, raster.grids())
        except UnreadableAsset:  # its directory may lie at its end
            if parts.whole:
                raise
            readable = False
        if not readable:
            stack.pop_all().close()
            parts = complete(parts)
            raster = stack.enter_context(opened(parts.fetched, kind))
        raster.parts = parts
        yield raster


@contextmanager
def opened(fetched: Fetched, kind: str) -> Iterator[Raster]:
    """A file as one band.

    Args:
        fetched: The file.
        kind: Key of `DTYPES`.

    Raises:
        UnreadableAsset: not a raster, or none that can be such a band.
    """
    label = fetched.label
    with fetched.path.open("rb") as file:
        start = file.read(16)
    driver = next((name for magic, name in DRIVERS.items() if start.startswith(magic)), None)
    if driver is None:
        raise UnreadableAsset(f"{label}: neither TIFF nor JPEG 2000, it starts with {start!r}")
    with _decoding(label), _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # _check says it better
        dataset = rasterio.open(fetched.path, driver=driver)
    with closing(dataset):  # its own context would bind GDAL's options to the thread that opens, and we change threads
        _check(dataset, kind, label)
        raster = Raster(fetched, dataset, CRS.from_wkt(dataset.crs.to_wkt()))
        if not FINEST_M <= raster.gsd_m <= COARSEST_M:
            raise UnreadableAsset(f"{label}: pixels of {raster.gsd_m:.1f} m, which no {kind} band has")
        yield raster


def _check(dataset: Any, kind: str, label: str) -> None:
    height, width = dataset.shape
    if dataset.count != 1:
        problem = f"{dataset.count} bands where one is expected"
    elif dataset.dtypes[0] not in DTYPES[kind]:
        problem = f"numbers of type {dataset.dtypes[0]}, which no {kind} band has"
    elif min(height, width) < SMALLEST_PX or max(height, width) > LARGEST_PX:
        problem = f"{width} x {height} pixels"
    elif dataset.crs is None or dataset.transform.is_identity or dataset.transform.is_degenerate:
        problem = "no place on Earth (CRS or transform missing): only terrain-corrected scenes can be used"
    elif np.prod(dataset.block_shapes[0]) * np.dtype(dataset.dtypes[0]).itemsize > LARGEST_BLOCK_BYTES:
        problem = f"blocks of {dataset.block_shapes[0]} pixels: it cannot be read in parts"
    else:
        return
    raise UnreadableAsset(f"{label}: {problem}")


@contextmanager
def _decoding(label: str) -> Iterator[None]:
    """Around every call of GDAL: its options are kept per thread."""
    try:
        with rasterio.Env(**GDAL_OPTIONS):
            yield
    except RasterioError as error:
        cause = error.__cause__ or error
        raise UnreadableAsset(f"{label}: cannot be read: {cause}") from error


def _transform(source: CRS, target: CRS, x: Any, y: Any, label: str) -> tuple[Values, Values]:
    try:
        moved = Transformer.from_crs(source, target, always_xy=True).transform(x, y)
    except ProjError as error:
        raise UnreadableAsset(f"{label}: its CRS cannot be used: {error}") from error
    if not np.all(np.isfinite(moved)):
        raise UnreadableAsset(f"{label}: lies where its CRS is not defined")
    return np.asarray(moved[0]), np.asarray(moved[1])


def _apply(transform: Affine, col: Any, row: Any) -> tuple[Any, Any]:
    """Of arrays too, on every version of affine."""
    t = transform
    return (t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f)


def _moved(transform: Affine, window: Window) -> Affine:
    """The transform of a window."""
    x, y = _apply(transform, window.col_off, window.row_off)
    return Affine(transform.a, transform.b, x, transform.d, transform.e, y)


def _clip(start: float, stop: float, size: int) -> tuple[int, int]:
    return (int(np.clip(start, 0, size)), int(np.clip(stop, 0, size)))
