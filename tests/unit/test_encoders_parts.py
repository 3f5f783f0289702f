"""A few cells read again: the same pixels as of the whole scene, with a fraction of its bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

from encoders import parts
from encoders.assets import Fetcher
from encoders.parts import merged
from encoders.reading import read_cells, read_scene
from encoders.settings import EncoderSettings
from schemas.cells import cell_of
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.messages import Acquisition, CellState

if TYPE_CHECKING:
    from tests.conftest import FileServer, SceneMaker

SETTINGS = EncoderSettings(threads=2)
NOISE = np.random.default_rng(5).integers(1, 9000, (1500, 1800)).astype(np.uint16)


@pytest.fixture(autouse=True)
def small_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of these tests are small: their heads must not be all of them."""
    monkeypatch.setattr(parts, "HEAD_BYTES", 1 << 14)


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    with closing(Fetcher(SETTINGS)) as one:
        yield one


def cog(scenes: SceneMaker, name: str, values: np.ndarray = NOISE, **profile: object):
    """A cloud-optimised band: directories first, overviews."""
    asset = scenes.band(f"plain-{name}", values, **profile)
    plain = scenes.files.folder / f"plain-{name}"
    with rasterio.open(plain, "r+") as file:
        file.build_overviews([2, 4], Resampling.nearest)
    options = {"blocksize": 256, "overview_resampling": "nearest", "compress": "deflate"}
    rasterio.shutil.copy(str(plain), str(scenes.files.folder / name), driver="COG", **options)
    return asset.model_copy(update={"href": scenes.files.url(name)})


def whole(acquisition: Acquisition) -> dict[str, np.ndarray]:
    return {
        cell.id: pixels
        for block in read_scene(acquisition, SETTINGS)
        for cell, pixels in zip(block.cells, block.pixels, strict=True)
    }


def some(acquisition: Acquisition, fetcher: Fetcher, *cells: str):
    return read_cells(acquisition, [cell_of(cell) for cell in cells], SETTINGS, fetcher)


def got(files: FileServer, name: str) -> int:
    return sum(request == f"GET /{name}" for request in files.requests)


def test_two_cells_are_as_in_the_whole_scene(scenes: SceneMaker, fetcher: Fetcher) -> None:
    scene = scenes.acquisition(
        {
            "B02": cog(scenes, "b2.tif"),
            "B11": cog(scenes, "b11.tif", NOISE[:750, :900], gsd=20),
            "SCL": cog(scenes, "scl.tif", np.where(NOISE[:750, :900] > 8000, 9, 4).astype(np.uint8), gsd=20),
        }
    )
    expected = whole(scene)
    cells = sorted(expected)[3:200:90]
    scenes.files.requests.clear()
    block = some(scene, fetcher, *cells)
    assert [cell.id for cell in block.cells] == cells and block.present_bands == ("B02", "B11")
    for cell, pixels in zip(cells, block.pixels, strict=True):
        np.testing.assert_array_equal(pixels, expected[cell])
    assert all(chip.state is CellState.SEEN and chip.cloud_fraction > 0 for chip in block.chips)


def test_it_fetches_a_fraction_of_the_file(
    scenes: SceneMaker, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    fetched: list[int] = []
    piece = Fetcher.piece

    def counted(self: Fetcher, acquisition: Acquisition, band: str, start: int, stop: int, until: float):
        found = piece(self, acquisition, band, start, stop, until)
        fetched.append(len(found.content))
        return found

    monkeypatch.setattr(Fetcher, "piece", counted)
    cell = sorted(whole(scene))[0]
    some(scene, fetcher, cell)
    assert sum(fetched) < 0.5 * (scenes.files.folder / "b2.tif").stat().st_size


def test_warped_cells_are_as_in_the_whole_scene(scenes: SceneMaker, fetcher: Fetcher) -> None:
    """Another zone's cells: the grid that is resampled onto is the cell's own, so values agree to rounding."""
    power = (NOISE / 9000).astype(np.float32)
    scene = scenes.acquisition(
        {"VV": cog(scenes, "vv.tif", power, gsd=20), "VH": cog(scenes, "vh.tif", power / 5, gsd=20)}
    )
    expected = whole(scene)
    cell = sorted(expected)[len(expected) // 2]
    (pixels,) = some(scene, fetcher, cell).pixels
    np.testing.assert_allclose(pixels[:, 2:-2, 2:-2], expected[cell][:, 2:-2, 2:-2], rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize(
    "profile", [{"compress": None}, {"tiled": False, "blockysize": 8, "blockxsize": 1800}, {"sparse_ok": True}]
)
def test_files_of_other_layouts_are_read_as_well(scenes: SceneMaker, fetcher: Fetcher, profile: dict) -> None:
    """Without compression a hole could not be told from black, and with directories at the end there is no head."""
    scene = scenes.acquisition({"B02": scenes.band("b2.tif", NOISE, **profile)})
    expected = whole(scene)
    cell = sorted(expected)[7]
    np.testing.assert_array_equal(some(scene, fetcher, cell).pixels[0], expected[cell])


def test_a_host_without_ranges_gives_the_whole_file(
    scenes: SceneMaker, fetcher: Fetcher, file_server: FileServer
) -> None:
    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    expected = whole(scene)
    file_server.replies["b2.tif"] = (file_server.folder / "b2.tif").read_bytes()
    cell = sorted(expected)[0]
    np.testing.assert_array_equal(some(scene, fetcher, cell).pixels[0], expected[cell])


def test_a_cell_beyond_the_file_was_not_acquired(scenes: SceneMaker, fetcher: Fetcher) -> None:
    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    block = some(scene, fetcher, "31TEL5050")
    assert block.chips[0].state is CellState.NOT_ACQUIRED and np.isnan(block.pixels).all()


@pytest.mark.parametrize(("status", "error"), [(404, UnreadableAsset), (410, UnreadableAsset), (503, AssetUnavailable)])
def test_gone_files_are_said(
    scenes: SceneMaker, fetcher: Fetcher, file_server: FileServer, status: int, error: type[Exception]
) -> None:
    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    file_server.status["b2.tif"] = status
    with pytest.raises(error, match=rf"item ITEM: asset B02 \(http.*HTTP {status}"):
        some(scene, fetcher, "31TEL0199")


def test_a_truncated_file_is_said(scenes: SceneMaker, fetcher: Fetcher, file_server: FileServer) -> None:
    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    cells = sorted(whole(scene))
    path: Path = file_server.folder / "b2.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(UnreadableAsset, match=r"ITEM: asset B02 .*cannot be read"):
        some(scene, fetcher, cells[0])


def test_a_file_that_changes_meanwhile_is_worth_another_try(
    scenes: SceneMaker, fetcher: Fetcher, file_server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    piece = Fetcher.piece

    def then_touched(self: Fetcher, acquisition: Acquisition, band: str, start: int, stop: int, until: float):
        found = piece(self, acquisition, band, start, stop, until)
        os.utime(file_server.folder / "b2.tif", (1, 1))
        return found

    monkeypatch.setattr(Fetcher, "piece", then_touched)
    with pytest.raises(AssetUnavailable, match="changed while it was read"):
        some(scene, fetcher, "31TEL0199")


def test_time_that_is_up_ends_it(scenes: SceneMaker) -> None:
    hasty = SETTINGS.model_copy(update={"deadline_s": -1.0})
    scene = scenes.acquisition({"B02": cog(scenes, "b2.tif")})
    with closing(Fetcher(hasty)) as fetcher, pytest.raises(AssetUnavailable, match="time is up"):
        read_cells(scene, [cell_of("31TEL0199")], hasty, fetcher)


def test_neighbouring_spans_are_one_request() -> None:
    assert list(merged([(900_000, 910_000), (0, 100), (50_000, 60_000), (60_000, 70_000)])) == [
        (0, 70_000),
        (900_000, 910_000),
    ]
