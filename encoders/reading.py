"""From an acquisition to the pixels of its cells.

In: an acquisition message. Out: blocks of chips, one after another. Stops before encoding.

The order of things: fetch the files, open and check them, sample them to learn what their numbers mean, list the
cells whose centre they cover, then go from north to south, reading whole rows of blocks once and cutting in memory, on
the device of an encoder that has one.
A band whose pixels fit the cells' 10 m grid is cut without resampling; everything else (other zones, other CRS,
Sentinel-1 at other spacings) is warped, bilinear in reflectance or linear power, without touching no data.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import groupby

import numpy as np
from rasterio.enums import Resampling

from encoders import clouds, offsets
from encoders.arrays import empty, library
from encoders.assets import Fetcher
from encoders.bands import BANDS
from encoders.chips import ChipBlock, judge
from encoders.interface import Pixels
from encoders.offsets import Calibration
from encoders.parts import begin
from encoders.rasters import Patch, Raster, opened, opened_in_parts
from encoders.settings import EncoderSettings
from encoders.unfold import unfold
from schemas.cells import CHIP_PX, NORTH_LIMIT_DEG, SOUTH_LIMIT_DEG, Cell, cells_in
from schemas.errors import AssetUnavailable, InvalidArea, UnreadableAsset, UnsupportedPlace
from schemas.messages import Acquisition

SCL = "SCL"
"""Name of the scene classification among an acquisition's assets."""
MAX_CELLS = 250_000
"""Cells of one scene: five times the largest product of either sensor."""
WARP_ROWS = 4
"""Rows of cells warped together: the margins of a single row would be resampled, and read, twice."""


def read_scene(
    acquisition: Acquisition, settings: EncoderSettings, fetcher: Fetcher | None = None, device: str | None = None
) -> Generator[ChipBlock]:
    """All cells of an acquisition, each exactly once, at most `settings.block_cells` at a time.

    Args:
        acquisition: What to read.
        settings: Limits.
        fetcher: Its connections are used; without one, connections of its own are made and closed.
        device: Where the pixels shall be: numbers are moved there as files have them, a sixth of the bytes of chips,
            and are calibrated, cut and judged there; ``None``: in numpy's memory.

    Raises:
        UnreadableAsset: a file is missing, damaged, no such band, or on a host that the source may not use.
        AssetUnavailable: a host is down, slow, or answers 429 or 5xx; or a file changed while it was read.
        UnsupportedPlace: the files lie beyond the cell grid.
    """
    with ExitStack() as stack:
        if fetcher is None:
            fetcher = Fetcher(settings)
            stack.callback(fetcher.close)
        bands = _wanted(acquisition)
        kinds = {band: SCL if band == SCL else acquisition.sensor for band in bands}
        files = stack.enter_context(fetcher.scene(acquisition, bands))
        try:
            rasters = {band: stack.enter_context(opened(file, kinds[band])) for band, file in files.items()}
            # entered last: when one band fails, the others' threads end before their files are closed under them
            pool = stack.enter_context(ThreadPoolExecutor(settings.threads, thread_name_prefix="decode"))
            _calibrate(rasters, acquisition)
            yield from _blocks(rasters, acquisition, settings, pool, device)
        except UnreadableAsset as error:
            for file in files.values():
                if file.label in str(error) and not fetcher.is_unchanged(acquisition, file):
                    raise AssetUnavailable(f"{file.label}: changed while it was read, try again") from error
            raise


def read_cells(
    acquisition: Acquisition, cells: Sequence[Cell], settings: EncoderSettings, fetcher: Fetcher
) -> ChipBlock:
    """A few cells of an acquisition, as `read_scene` gave them when it was encoded; only their parts are fetched.

    Args:
        acquisition: What to read.
        cells: Which, at least one; where the files do not reach, pixels are NaN and the cell is "not acquired".
        settings: Limits; `deadline_s` holds for each file.
        fetcher: Its connections are used.

    Raises:
        UnreadableAsset, AssetUnavailable: as `read_scene`.
    """
    bands = _wanted(acquisition)
    kinds = [SCL if band == SCL else acquisition.sensor for band in bands]
    with fetcher.folder() as folder, ExitStack() as stack:
        with ThreadPoolExecutor(settings.threads, thread_name_prefix="fetch") as pool:
            heads = pool.map(lambda band: begin(fetcher, acquisition, band, folder / f"{band}.tif", settings), bands)
            parts = list(heads)
        files = [stack.enter_context(opened_in_parts(part, kind)) for part, kind in zip(parts, kinds, strict=True)]
        rasters = dict(zip(bands, files, strict=True))
        pool = stack.enter_context(ThreadPoolExecutor(settings.threads, thread_name_prefix="parts"))  # last, as above
        _calibrate(rasters, acquisition, pool)
        blocks = [_block([cell], rasters, acquisition, settings, pool, None) for cell in cells]
    return ChipBlock(
        tuple(cells),
        np.concatenate([block.pixels for block in blocks]),
        tuple(chip for block in blocks for chip in block.chips),
        blocks[0].present_bands,
    )


def _wanted(acquisition: Acquisition) -> list[str]:
    """Names of the assets that we read, in band order."""
    bands = [band for band in BANDS[acquisition.sensor] if band in acquisition.assets]
    if not bands:
        names = ", ".join(acquisition.assets) or "none"
        raise UnreadableAsset(f"item {acquisition.item_id}: no {acquisition.sensor} band among its assets ({names})")
    return [*bands, SCL] if acquisition.sensor == "s2" and SCL in acquisition.assets else bands


def _calibrate(rasters: Mapping[str, Raster], acquisition: Acquisition, pool: ThreadPoolExecutor | None = None) -> None:
    """Settle once per scene what each file's numbers mean; files are sampled in a pool where that means fetching."""
    zero = 0.0 if acquisition.sensor == "s2" else None
    declared = {}
    for band, raster in rasters.items():
        asset = acquisition.assets[band]
        if band == SCL:
            raster.resampling = Resampling.nearest
            continue
        file_nodata = raster.dataset.nodata
        nodata = asset.nodata if asset.nodata is not None else file_nodata if file_nodata is not None else zero
        declared[band] = Calibration(asset.scale, asset.offset, nodata)
    sample = pool.map if pool is not None else map
    samples = dict(zip(declared, sample(Raster.sample, [rasters[band] for band in declared]), strict=True))
    settle = offsets.reflectance if acquisition.sensor == "s2" else offsets.backscatter
    for band, calibration in settle(samples, declared, acquisition.item_id).items():
        rasters[band].calibration = calibration


def _blocks(
    rasters: Mapping[str, Raster],
    acquisition: Acquisition,
    settings: EncoderSettings,
    pool: ThreadPoolExecutor,
    device: str | None,
) -> Iterator[ChipBlock]:
    finest = min((raster for band, raster in rasters.items() if band != SCL), key=lambda raster: raster.gsd_m)
    cells = _cells(finest, acquisition)
    for epsg, group in groupby(cells, key=lambda cell: cell.epsg):
        zone = list(group)
        cuttable = _fits(finest, acquisition.sensor, epsg)
        for part in _runs(zone, settings.block_cells) if cuttable else _rectangles(zone, settings.block_cells):
            yield _block(part, rasters, acquisition, settings, pool, device)


def _cells(raster: Raster, acquisition: Acquisition) -> list[Cell]:
    """The cells whose centre the file covers; the declared footprint is not asked."""
    footprint = raster.footprint
    _, south, _, north = footprint.bounds
    if south >= NORTH_LIMIT_DEG or north <= SOUTH_LIMIT_DEG:
        raise UnsupportedPlace(
            f"item {acquisition.item_id}: lies between {south:.2f} and {north:.2f} degrees north; "
            "the cell grid reaches from 80° S to 84° N"
        )
    try:
        cells = cells_in(footprint)
    except InvalidArea as error:
        raise UnreadableAsset(f"{raster.fetched.label}: {error}") from error
    if len(cells) > MAX_CELLS:
        raise UnreadableAsset(f"{raster.fetched.label}: covers {len(cells)} cells, no scene does")
    return cells


def _fits(raster: Raster, sensor: str, epsg: int) -> bool:
    """Whether a band's pixels are cut, not warped, for cells of a zone; Sentinel-1 only at 10 m."""
    gsd = raster.aligned_gsd_m
    return gsd is not None and raster.epsg == epsg and (gsd == 10 or sensor == "s2")


def _runs(cells: list[Cell], most: int) -> Iterator[list[Cell]]:
    """Parts of rows, north to south."""
    for _, group in groupby(cells, key=lambda cell: cell.northing_m):
        row = list(group)
        count = -(-len(row) // most)
        for part in np.array_split(np.arange(len(row)), count):
            yield [row[i] for i in part]


def _rectangles(cells: list[Cell], most: int) -> Iterator[list[Cell]]:
    """Rectangles of the grid, row by row of rectangles."""
    rows = min(WARP_ROWS, most)
    columns = most // rows

    def place(cell: Cell) -> tuple[int, int]:
        return (-(cell.northing_m // (1000 * rows)), cell.easting_m // (1000 * columns))

    for _, group in groupby(sorted(cells, key=place), key=place):
        yield list(group)


def _block(
    cells: list[Cell],
    rasters: Mapping[str, Raster],
    acquisition: Acquisition,
    settings: EncoderSettings,
    pool: ThreadPoolExecutor,
    device: str | None,
) -> ChipBlock:
    sensor = acquisition.sensor
    windows = [cell.window for cell in cells]
    box = (*np.min(windows, axis=0)[:2], *np.max(windows, axis=0)[2:])
    epsg = cells[0].epsg
    names = BANDS[sensor]
    pixels = empty((len(cells), len(names), CHIP_PX, CHIP_PX), device)
    scl = empty((len(cells), CHIP_PX, CHIP_PX), device) if SCL in rasters else None

    def cut(band: str) -> None:
        plane = pixels[:, names.index(band)] if scl is None or band != SCL else scl
        unfold(_patch(rasters[band], sensor, epsg, box).on(device), windows, plane)

    for _ in pool.map(cut, rasters):  # raises what a thread raised
        pass
    present = tuple(band for band in names if band in rasters)
    for index in (names.index(band) for band in names if band not in present):
        pixels[:, index] = np.nan
    hidden = _hidden(pixels, scl, sensor, present)
    return ChipBlock(tuple(cells), pixels, judge(cells, _valid(pixels, present, names), hidden, settings), present)


def _valid(pixels: Pixels, present: tuple[str, ...], names: tuple[str, ...]) -> clouds.Mask:
    """Pixels with data in at least one band, bool, (n, 120, 120)."""
    xp = library(pixels)
    valid: clouds.Mask = ~xp.isnan(pixels[:, names.index(present[0])])
    for band in present[1:]:
        if valid.all():
            break
        valid |= ~xp.isnan(pixels[:, names.index(band)])
    return valid


def _patch(raster: Raster, sensor: str, epsg: int, box: tuple[float, float, float, float]) -> Patch:
    kind = "s2" if raster.fetched.band == SCL else sensor
    return raster.cut(*box) if _fits(raster, kind, epsg) else raster.warp(epsg, *box)


def _hidden(pixels: Pixels, scl: Pixels | None, sensor: str, present: tuple[str, ...]) -> clouds.Hidden:
    """What hides each pixel; pixels that the classification calls defective lose their values."""
    if sensor == "s1":
        return clouds.Hidden(library(pixels).zeros_like(pixels[:, 0], dtype=bool))
    if scl is None:
        return clouds.Hidden(clouds.spectral(pixels, present))
    hidden, no_data = clouds.classified(scl)
    if no_data.any():
        library(pixels).moveaxis(pixels, 1, -1)[no_data] = np.nan
    return hidden
