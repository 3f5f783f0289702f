"""Chips of small scenes: which cells, which pixels, in which place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyproj import Transformer

from encoders.bands import BANDS_S1, BANDS_S2
from encoders.chips import ChipBlock
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.cells import Cell, cell_at, cell_of
from schemas.errors import UnsupportedPlace
from schemas.messages import Acquisition, Cause, CellState, Chip

if TYPE_CHECKING:
    from tests.conftest import SceneMaker

SETTINGS = EncoderSettings(threads=2)


def read(acquisition: Acquisition, settings: EncoderSettings = SETTINGS) -> dict[str, tuple[Cell, np.ndarray, Chip]]:
    """All chips of a scene by cell; no cell comes twice."""
    found = {}
    for block in read_scene(acquisition, settings):
        assert len(block.cells) == len(block.chips) == len(block.pixels) <= settings.block_cells
        for cell, pixels, chip in zip(block.cells, block.pixels, block.chips, strict=True):
            assert cell.id == chip.cell and cell.id not in found
            found[cell.id] = (cell, pixels, chip)
    return found


def ramp(height: int, width: int, dtype: str = "uint16") -> np.ndarray:
    """Values that name their place: 2000 + 50 row + column, whole numbers."""
    rows, cols = np.mgrid[:height, :width]
    return (2000 + 50 * rows + cols).astype(dtype)


def plane(pixels: np.ndarray, band: str) -> np.ndarray:
    return pixels[BANDS_S2.index(band)]


def test_aligned_pixels_are_cut_exactly(scenes: SceneMaker) -> None:
    """West 500 000, north 5 000 000: cell 1 km in from both edges begins 90 pixels in, margin included."""
    asset = scenes.band("b.tif", ramp(400, 500))
    found = read(scenes.acquisition({"B02": asset.model_copy(update={"scale": 1e-4})}))
    assert len(found) == 20
    cell = cell_at(*Transformer.from_crs(32631, 4326, always_xy=True).transform(501_500, 4_998_500))
    _, pixels, chip = found[cell.id]
    np.testing.assert_allclose(plane(pixels, "B02"), ramp(400, 500)[90:210, 90:210] * 1e-4, rtol=1e-6)
    assert (chip.state, chip.valid_fraction, chip.cloud_fraction) == (CellState.SEEN, 1.0, 0.0)
    assert np.isnan(plane(pixels, "B03")).all()


def test_pixels_beyond_the_file_are_no_data(scenes: SceneMaker) -> None:
    asset = scenes.band("b.tif", ramp(100, 100))
    ((_, pixels, chip),) = read(scenes.acquisition({"B02": asset})).values()
    inside = plane(pixels, "B02")
    assert np.isnan(inside[:10]).all() and np.isnan(inside[:, 110:]).all()
    np.testing.assert_allclose(inside[10:110, 10:110], ramp(100, 100) * 1e-4, rtol=1e-6)
    assert chip.valid_fraction == pytest.approx(1 / 1.44, abs=1e-4)


@pytest.mark.parametrize("gsd", [20, 60])
@pytest.mark.parametrize("shift", [0, 10, -30])
def test_coarse_pixels_are_repeated_in_place(scenes: SceneMaker, gsd: int, shift: int) -> None:
    """Whatever multiple of 10 m a coarse band begins at, each 10 m pixel shows the coarse pixel that it lies in."""
    fine = scenes.band("fine.tif", ramp(300, 300))
    coarse = ramp(3300 // gsd, 3300 // gsd)
    asset = scenes.band("coarse.tif", coarse, gsd=gsd, west=500_000 + shift, north=5_000_000 - shift)
    for cell, pixels, _ in read(scenes.acquisition({"B02": fine, "B11": asset})).values():
        west, _, _, north = cell.window
        centre = np.arange(120) * 10 + 5
        rows = np.floor((5_000_000 - shift - north + centre) / gsd).astype(int)
        cols = np.floor((west + centre - 500_000 - shift) / gsd).astype(int)
        inside = np.ix_(rows >= 0, cols >= 0)
        expected = np.full((120, 120), np.nan)
        expected[inside] = coarse[np.ix_(rows[rows >= 0], cols[cols >= 0])] * 1e-4
        np.testing.assert_allclose(plane(pixels, "B11"), expected, rtol=1e-6)


def test_small_blocks_of_cells_and_rows_give_the_same_chips(scenes: SceneMaker) -> None:
    values = np.random.default_rng(1).integers(1, 9000, (700, 900)).astype(np.uint16)
    assets = {
        "B02": scenes.band("tiled.tif", values, blockxsize=64, blockysize=64),
        "B03": scenes.band("stripped.tif", values, tiled=False, blockysize=7, blockxsize=900),
        "B04": scenes.band("whole.tif", values, blockxsize=1024, blockysize=1024),
    }
    many, few = (read(scenes.acquisition(assets), EncoderSettings(block_cells=n)) for n in (64, 3))
    assert many.keys() == few.keys() and len(many) == 63
    for cell, pixels, _ in many.values():
        np.testing.assert_array_equal(pixels, few[cell.id][1])
        np.testing.assert_array_equal(plane(pixels, "B02"), plane(pixels, "B03"))
        np.testing.assert_array_equal(plane(pixels, "B02"), plane(pixels, "B04"))


def test_jpeg_2000_gives_the_same_chips(scenes: SceneMaker) -> None:
    """In several tiles, and large enough to be sampled from one of its resolutions."""
    from rasterio.shutil import copy

    asset = scenes.band("b.tif", ramp(400, 1100))
    jp2 = scenes.files.folder / "b.jp2"
    lossless = {"QUALITY": 100, "REVERSIBLE": "YES", "BLOCKXSIZE": 256, "BLOCKYSIZE": 256}
    copy(scenes.files.folder / "b.tif", jp2, driver="JP2OpenJPEG", **lossless)
    plain = read(scenes.acquisition({"B02": asset}))
    packed = read(scenes.acquisition({"B02": asset.model_copy(update={"href": scenes.files.url("b.jp2")})}))
    assert plain.keys() == packed.keys()
    for cell_id, (_, pixels, chip) in plain.items():
        np.testing.assert_array_equal(packed[cell_id][1], pixels)
        assert packed[cell_id][2] == chip


def smooth_in_lon_lat(epsg: int, west: float, north: float, gsd: float, shape: tuple[int, int]) -> np.ndarray:
    """Power that depends on the place on Earth only, so that any grid must show the same there."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    x, y = west + (cols + 0.5) * gsd, north - (rows + 0.5) * gsd
    lon, lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
    return power_at(lon, lat).astype(np.float32)


def power_at(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    return 0.2 + 0.1 * np.sin(np.deg2rad(lon) * 8000) * np.cos(np.deg2rad(lat) * 6000)


def pixel_lon_lat(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    west, _, _, north = cell.window
    rows, cols = np.mgrid[:120, :120]
    return Transformer.from_crs(cell.epsg, 4326, always_xy=True).transform(west + cols * 10 + 5, north - rows * 10 - 5)


@pytest.mark.parametrize(
    "epsg, west, north, gsd",
    [
        (32631, 500_003, 5_000_007, 10),
        (32631, 500_000, 5_000_000, 30),
        (4326, 3.0, 45.0, 0.0001),
        (32754, 380_000, 6_200_000, 20),
        (3857, 300_000, 5_600_000, 12),
    ],
    ids=["off the grid", "30 m", "degrees", "southern hemisphere", "mercator"],
)
def test_radar_is_warped_onto_the_grid_in_place(
    scenes: SceneMaker, epsg: int, west: float, north: float, gsd: float
) -> None:
    shape = (330, 310)
    values = smooth_in_lon_lat(epsg, west, north, gsd, shape)
    asset = scenes.band("vv.tif", values, epsg=epsg, west=west, north=north, gsd=gsd)
    found = read(scenes.acquisition({"VV": asset}))
    assert len(found) >= 6
    for cell, pixels, chip in found.values():
        vv = pixels[BANDS_S1.index("VV")]
        known = ~np.isnan(vv)
        np.testing.assert_allclose(vv[known], power_at(*pixel_lon_lat(cell))[known], atol=0.01)
        assert known.mean() == pytest.approx(chip.valid_fraction, abs=1e-3)
        assert np.isnan(pixels[BANDS_S1.index("VH")]).all()


def test_radar_gaps_stay_gaps_and_do_not_bleed(scenes: SceneMaker) -> None:
    values = np.full((150, 150), 0.1, np.float32)
    values[:, 60:] = -32768
    asset = scenes.band("vv.tif", values, gsd=30, nodata=-32768)
    found = read(scenes.acquisition({"VV": asset}))
    seen = np.concatenate([pixels[0][~np.isnan(pixels[0])] for _, pixels, _ in found.values()])
    np.testing.assert_allclose(seen, 0.1, rtol=1e-4)
    states = {chip.state for _, _, chip in found.values()}
    assert states == {CellState.SEEN, CellState.NOT_ACQUIRED}


def test_single_polarisation_says_so(scenes: SceneMaker) -> None:
    asset = scenes.band("vv.tif", np.full((200, 200), 0.1, np.float32))
    blocks = list(read_scene(scenes.acquisition({"VV": asset}), SETTINGS))
    assert {block.present_bands for block in blocks} == {("VV",)}


def test_cells_of_the_neighbouring_zone_are_warped_into_it(scenes: SceneMaker) -> None:
    """A tile of zone 31 across 6° E: every place has its one cell, half of them in zone 32."""
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(6.0, 45.0)
    west, north = round(x, -1) - 3000, round(y, -1) + 2000
    values = (smooth_in_lon_lat(32631, west, north, 10, (400, 600)) * 1e4).astype(np.uint16)
    found = read(scenes.acquisition({"B02": scenes.band("b.tif", values, west=west, north=north)}))
    zones = [cell.epsg for cell, _, _ in found.values()]
    assert min(zones.count(32631), zones.count(32632)) >= 8
    for cell, pixels, _ in found.values():
        blue = plane(pixels, "B02")
        known = ~np.isnan(blue)
        np.testing.assert_allclose(blue[known], power_at(*pixel_lon_lat(cell))[known], atol=0.01)


@pytest.mark.parametrize("epsg, west, north, gsd", [(32660, 708_360, 5_675_820, 10), (4326, 179.98, 51.2, 0.0001)])
def test_scene_across_the_antimeridian(scenes: SceneMaker, epsg: int, west: float, north: float, gsd: float) -> None:
    values = np.full((300, 450), 0.1, np.float32)
    asset = scenes.band("vv.tif", values, epsg=epsg, west=west, north=north, gsd=gsd)
    found = read(scenes.acquisition({"VV": asset}))
    zones = {cell.epsg for cell, _, _ in found.values()}
    assert zones == {32601, 32660}
    for zone in zones:
        assert any(c.epsg == zone and chip.state is CellState.SEEN for c, _, chip in found.values())


def test_southern_hemisphere_is_cut_exactly(scenes: SceneMaker) -> None:
    asset = scenes.band("b.tif", ramp(220, 220), epsg=32733, west=400_000, north=7_000_000)
    found = read(scenes.acquisition({"B02": asset}))
    cell = min((cell for cell, _, _ in found.values()), key=lambda c: (c.easting_m, -c.northing_m))
    assert (cell.epsg, cell.easting_m, cell.northing_m) == (32733, 400_000, 6_999_000)
    np.testing.assert_allclose(plane(found[cell.id][1], "B02")[10:, 10:], ramp(220, 220)[:110, :110] * 1e-4, rtol=1e-6)


def test_south_up_file_is_turned(scenes: SceneMaker) -> None:
    values = np.random.default_rng(2).integers(1, 9000, (300, 300)).astype(np.uint16)
    upright = read(scenes.acquisition({"B02": scenes.band("up.tif", values)}))
    turned = read(scenes.acquisition({"B02": scenes.band("down.tif", values, north_up=False)}))
    assert upright.keys() == turned.keys()
    for cell_id, (_, pixels, _) in upright.items():
        inner = np.s_[1, 20:100, 20:100]
        np.testing.assert_allclose(turned[cell_id][1][inner], pixels[inner], atol=2e-5)


def test_polar_scene_is_refused(scenes: SceneMaker) -> None:
    asset = scenes.band("b.tif", ramp(300, 300), epsg=32631, west=500_000, north=9_500_000)
    with pytest.raises(UnsupportedPlace, match=r"ITEM.*84° N"):
        read(scenes.acquisition({"B02": asset}))


def test_scene_without_any_cell_centre_has_no_chips(scenes: SceneMaker) -> None:
    asset = scenes.band("b.tif", ramp(40, 40), west=500_000, north=5_000_000)
    assert read(scenes.acquisition({"B02": asset})) == {}


def test_declared_footprint_is_not_believed(scenes: SceneMaker) -> None:
    elsewhere = {"type": "Polygon", "coordinates": [[[100, 10], [101, 10], [101, 11], [100, 11], [100, 10]]]}
    asset = scenes.band("b.tif", ramp(200, 200))
    found = read(scenes.acquisition({"B02": asset}, footprint=elsewhere))
    assert {cell_id[:3] for cell_id in found} == {"31T"}


def test_classification_hides_cloud_and_empties_defective_pixels(scenes: SceneMaker) -> None:
    """Cloud, its shadow, defects and the swath's end: four reasons why nothing could be said, kept apart."""
    scl = np.full((150, 600), 4, np.uint8)
    scl[:, 100:200] = 9  # cloud, at 20 m
    scl[:, 200:300] = 3
    scl[:, 300:400] = 1
    scl[:, 500:] = 0
    assets = {
        "B02": scenes.band("b.tif", np.full((300, 1200), 500, np.uint16)),
        "SCL": scenes.band("scl.tif", scl, gsd=20),
    }
    found = read(scenes.acquisition(assets))
    by_column: dict[int, set[tuple[CellState, Cause | None]]] = {}
    for cell, _, chip in found.values():
        by_column.setdefault((cell.easting_m - 500_000) // 1000, set()).add((chip.state, chip.cause))
    clear, gone = {(CellState.SEEN, None)}, {(CellState.NOT_ACQUIRED, None)}
    cloud, shadow, defect = ({(CellState.OBSCURED, cause)} for cause in Cause)
    assert [by_column[i] for i in range(12)] == [
        *(clear, clear, cloud, cloud, shadow, shadow, defect, defect, clear, clear, gone, gone)
    ]


def test_mostly_empty_cells_are_not_acquired(scenes: SceneMaker) -> None:
    values = np.full((300, 300), 700, np.uint16)
    values[:, 100:] = 0
    found = read(scenes.acquisition({"B02": scenes.band("b.tif", values)}))
    states = {(cell.easting_m, chip.state) for cell, _, chip in found.values()}
    assert states == {
        (500_000, CellState.SEEN),
        (501_000, CellState.NOT_ACQUIRED),
        (502_000, CellState.NOT_ACQUIRED),
    }


def test_every_block_of_a_file_is_decoded_once(scenes: SceneMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    from encoders.rasters import Raster

    values = np.random.default_rng(3).integers(1, 9000, (1300, 900)).astype(np.uint16)
    assets = {"B02": scenes.band("b.tif", values), "B11": scenes.band("c.tif", values[:650, :450], gsd=20)}
    rows_read: dict[str, list[int]] = {"B02": [], "B11": []}
    read_window = Raster._read

    def counting(raster: Raster, window: object) -> np.ndarray:
        start, height = int(window.row_off), int(window.height)  # type: ignore[attr-defined]
        rows_read[raster.fetched.band] += range(start, start + height)
        return read_window(raster, window)

    monkeypatch.setattr(Raster, "sample", lambda raster: np.array([500], np.uint16))
    monkeypatch.setattr(Raster, "_read", counting)
    assert len(read(scenes.acquisition(assets), EncoderSettings(block_cells=8))) == 13 * 9
    assert rows_read == {"B02": list(range(1300)), "B11": list(range(650))}


def test_sample_of_a_large_file_is_its_overview(scenes: SceneMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether whoever wrote it rounded an overview's odd size down (GDAL's COG) or up, no full pixels are read."""
    import rasterio
    from rasterio.shutil import copy

    from encoders.assets import Fetched, Version
    from encoders.rasters import opened

    scenes.band("plain.tif", ramp(1101, 1301))
    plain, cog = scenes.files.folder / "plain.tif", scenes.files.folder / "cog.tif"
    copy(plain, cog, driver="COG", compress="deflate")
    with rasterio.open(plain, "r+") as file:
        file.build_overviews([2])
    monkeypatch.setattr("encoders.rasters.Raster._read", None)
    for path, size in ((cog, 550 * 650), (plain, 551 * 651)):
        with opened(Fetched("B02", "item", path, Version(None, None, None)), "s2") as raster:
            sample = raster.sample()
        assert sample.shape == (size,) and np.isin(sample, ramp(1101, 1301)).all()


def test_block_knows_which_rows_may_be_encoded() -> None:
    cells = tuple(cell_of(name) for name in ("31TEK0000", "31TEK0100", "31TEK0200"))
    states = (CellState.OBSCURED, CellState.SEEN, CellState.NOT_ACQUIRED)
    chips = tuple(
        Chip(cell=c.id, state=s, valid_fraction=1, cloud_fraction=0) for c, s in zip(cells, states, strict=True)
    )
    assert ChipBlock(cells, np.zeros((3, 13, 120, 120), np.float32), chips, ("B02",)).seen == [1]
