"""Scenes that are broken, tiny, huge or of unusual numbers: a named error or the right pixels, nothing left open."""

from __future__ import annotations

import gc
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy
from rasterio.transform import Affine

from encoders.assets import Fetcher
from encoders.bands import BANDS_S2
from encoders.encode import ahead
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.errors import UnreadableAsset
from schemas.messages import Acquisition, Asset, CellState

if TYPE_CHECKING:
    from tests.conftest import SceneMaker

FDS = Path("/proc/self/fd")


@dataclass(frozen=True)
class Held:
    """What this process holds, apart from what earlier tests left to the garbage collector."""

    files: int
    threads: int
    scratch: int

    @classmethod
    def now(cls, scratch: Path) -> Held:
        gc.collect()  # of what came since `frozen`: all of it takes a second in a process of many tests
        return cls(len(list(FDS.iterdir())), threading.active_count(), len(list(scratch.iterdir())))


@contextmanager
def nothing_left(scratch: Path) -> Iterator[None]:
    """After the block there are no more open files, threads and scratch folders than before."""
    before = _settled(scratch)
    yield
    after = _settled(scratch)
    assert (after.threads, after.scratch) == (before.threads, before.scratch)
    assert after.files <= before.files


def _settled(scratch: Path) -> Held:
    """Once it stays: the web server of the tests closes its end of a connection a moment after ours."""
    held = None
    while held != (held := Held.now(scratch)):
        time.sleep(0.1)
    return held


@pytest.fixture
def settings(tmp_path: Path) -> EncoderSettings:
    (tmp_path / "scratch").mkdir()
    return EncoderSettings(threads=4, block_cells=8, scratch=tmp_path / "scratch")


@pytest.fixture(scope="module", autouse=True)
def frozen() -> Iterator[None]:
    """What earlier tests left is collected once, and then left alone."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def scratch(settings: EncoderSettings, scenes: SceneMaker) -> Path:
    """Empty; what is opened once for all (PROJ's database) is open already."""
    if not FDS.is_dir():
        pytest.skip("counts open files in /proc")
    list(read_scene(scenes.acquisition({"B02": scenes.band("first.tif", field(100))}), settings))
    assert settings.scratch is not None
    return settings.scratch


def field(edge: int, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(7).integers(100, 3000, (edge, edge)).astype(dtype)


def several(scenes: SceneMaker, edge: int = 1500) -> Acquisition:
    """Four bands, 225 cells, 30 blocks."""
    return scenes.acquisition({band: scenes.band(f"{band}.tif", field(edge)) for band in ("B02", "B03", "B04", "B08")})


def test_a_block_that_is_damaged_in_the_middle_is_named_after_what_was_sound(
    scenes: SceneMaker, settings: EncoderSettings, scratch: Path
) -> None:
    acquisition = several(scenes)
    path = scenes.files.folder / "B04.tif"
    plain = path.rename(path.with_name("plain.tif"))
    copy(plain, path, driver="COG", compress="deflate", blocksize=256)
    content = bytearray(path.read_bytes())
    middle = len(content) * 5 // 8  # overviews come first, and are what is sampled
    content[middle : middle + 60_000] = b"\xff" * 60_000
    path.write_bytes(content)
    blocks = 0
    with nothing_left(scratch), pytest.raises(UnreadableAsset, match=r"item ITEM: asset B04 .*cannot be read"):
        for _ in read_scene(acquisition, settings):
            blocks += 1
    assert blocks > 4


@pytest.mark.parametrize(
    ("values", "profile", "reason"),
    [
        (field(1), {}, "1 x 1 pixels"),
        (field(200, "complex64"), {}, "numbers of type complex64"),
        (field(200, "complex128"), {}, "numbers of type complex128"),
        (field(200), {"dtype": "complex_int16"}, "numbers of type complex_int16"),
    ],
    ids=["one pixel", "complex64", "complex128", "complex_int16"],
)
def test_what_can_be_no_band_is_refused_by_name(
    scenes: SceneMaker, settings: EncoderSettings, scratch: Path, values: np.ndarray, profile: dict, reason: str
) -> None:
    sound = scenes.band("sound.tif", field(200))
    bad = write(scenes, "bad.tif", values, **profile)
    with nothing_left(scratch), pytest.raises(UnreadableAsset, match=rf"item ITEM: asset B03 .*bad.tif.*{reason}"):
        list(read_scene(scenes.acquisition({"B02": sound, "B03": bad}), settings))


@pytest.mark.parametrize("dtype", ["int16", "float64", "float32", "int32"])
def test_other_types_of_numbers_give_the_same_pixels(
    scenes: SceneMaker, settings: EncoderSettings, scratch: Path, dtype: str
) -> None:
    def pixels(kind: str) -> np.ndarray:
        asset = scenes.band(f"{kind}.tif", field(300, kind)).model_copy(update={"scale": 1e-4})
        return np.concatenate([b.pixels for b in read_scene(scenes.acquisition({"B02": asset}), settings)])

    with nothing_left(scratch):
        np.testing.assert_array_equal(pixels(dtype), pixels("uint16"))


def test_float64_nodata_below_what_float32_holds(scenes: SceneMaker, settings: EncoderSettings, scratch: Path) -> None:
    values = field(300, "float64") / 1e4
    values[:, 150:] = -1.7976931348623157e308
    asset = scenes.band("far.tif", values, nodata=-1.7976931348623157e308)
    with nothing_left(scratch):
        blocks = list(read_scene(scenes.acquisition({"B02": asset}), settings))
    blue = np.concatenate([block.pixels[:, BANDS_S2.index("B02")] for block in blocks])
    assert np.nanmin(blue) > 0 and np.nanmax(blue) <= 0.3
    assert {chip.state for block in blocks for chip in block.chips} == {CellState.SEEN, CellState.NOT_ACQUIRED}


def test_a_scene_of_one_band_is_read_and_says_so(scenes: SceneMaker, settings: EncoderSettings, scratch: Path) -> None:
    with nothing_left(scratch):
        blocks = list(read_scene(scenes.acquisition({"B11": scenes.band("b.tif", field(300), gsd=20)}), settings))
    assert {block.present_bands for block in blocks} == {("B11",)}
    assert sum(len(block.seen) for block in blocks) == 36


def test_thirty_thousand_pixels_each_way_take_no_more_memory(
    scenes: SceneMaker, settings: EncoderSettings, scratch: Path
) -> None:
    """A sparse file of 3 MB: whole rows of blocks are kept, and a few blocks of cells, however long it is."""
    asset = sparse(scenes, 30_000, gsd=10)
    tracemalloc.start()
    with nothing_left(scratch), closing(read_scene(scenes.acquisition({"B02": asset}), settings)) as blocks:
        for block in islice(blocks, 60):
            assert not block.seen
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200 * 2**20


def test_more_cells_than_any_scene_has_are_refused(
    scenes: SceneMaker, settings: EncoderSettings, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("encoders.reading.MAX_CELLS", 5000)
    asset = sparse(scenes, 4000, gsd=20)
    with nothing_left(scratch), pytest.raises(UnreadableAsset, match=r"asset B02 .*cells, no scene does"):
        list(read_scene(scenes.acquisition({"B02": asset}), settings))


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_giving_up_half_way_leaves_nothing(
    scenes: SceneMaker, settings: EncoderSettings, scratch: Path, taken: int
) -> None:
    """Whether or not a thread reads ahead."""
    acquisition = several(scenes)
    for read in (read_scene, lambda *given: ahead(read_scene(*given), 2)):
        with (
            nothing_left(scratch),
            closing(Fetcher(settings)) as fetcher,
            closing(read(acquisition, settings, fetcher)) as blocks,
        ):
            assert len(list(islice(blocks, taken))) == taken


def write(scenes: SceneMaker, name: str, values: np.ndarray, **profile: object) -> Asset:
    """As `SceneMaker.band`, of types that have no numpy name as well."""
    options = {"dtype": values.dtype.name} | profile
    place = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    shape = {"height": values.shape[0], "width": values.shape[1], "count": 1}
    path = scenes.files.folder / name
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32631", transform=place, **shape, **options) as file:
        file.write(values, 1)
    return Asset(href=scenes.files.url(name), gsd_m=10)


def sparse(scenes: SceneMaker, edge: int, gsd: int) -> Asset:
    """A file of which no block was ever written."""
    options = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True, "dtype": "uint16", "count": 1}
    place = Affine(gsd, 0, 300_000, 0, -gsd, 5_000_000)
    path = scenes.files.folder / "sparse.tif"
    with rasterio.open(
        path, "w", driver="GTiff", crs="EPSG:32631", transform=place, height=edge, width=edge, **options
    ):
        pass
    return Asset(href=scenes.files.url("sparse.tif"), gsd_m=gsd)
