"""Fetching an acquisition's files: every fault told apart, nothing left behind."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import structlog

from encoders.assets import Fetcher, sweep_scratch
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.messages import Acquisition

if TYPE_CHECKING:
    from tests.conftest import FileServer, SceneMaker


@pytest.fixture
def settings(tmp_path: Path) -> EncoderSettings:
    return EncoderSettings(threads=2, scratch=tmp_path / "scratch", timeout_s=5)


@pytest.fixture
def scene(scenes: SceneMaker) -> Acquisition:
    """9 cells in two bands, `b02.tif` and `b03.tif`."""
    values = np.random.default_rng(0).integers(100, 3000, (300, 300)).astype(np.uint16)
    return scenes.acquisition({name: scenes.band(f"{name.lower()}.tif", values) for name in ("B02", "B03")})


def count(acquisition: Acquisition, settings: EncoderSettings) -> int:
    return sum(len(block.cells) for block in read_scene(acquisition, settings))


def leftovers(settings: EncoderSettings) -> list[Path]:
    return list(settings.scratch.iterdir()) if settings.scratch and settings.scratch.is_dir() else []


def with_href(acquisition: Acquisition, href: str, **fields: object) -> Acquisition:
    assets = acquisition.assets | {"B02": acquisition.assets["B02"].model_copy(update={"href": href})}
    return acquisition.model_copy(update={"assets": assets, **fields})


def test_each_file_is_fetched_once(scene: Acquisition, settings: EncoderSettings, file_server: FileServer) -> None:
    assert count(scene, settings) == 9
    assert sorted(file_server.requests) == ["GET /b02.tif", "GET /b03.tif"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_refusal_is_final(scene: Acquisition, settings: EncoderSettings, file_server: FileServer, status: int) -> None:
    file_server.status["b02.tif"] = status
    with pytest.raises(UnreadableAsset, match=rf"item ITEM: asset B02 \(http.*b02.tif\): HTTP {status}"):
        count(scene, settings)
    assert not leftovers(settings)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_trouble_of_the_host_is_worth_another_try(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer, status: int
) -> None:
    file_server.status["b02.tif"] = [status]
    with pytest.raises(AssetUnavailable, match=rf"ITEM: asset B02 .*HTTP {status}"):
        count(scene, settings)
    assert not leftovers(settings)
    assert count(scene, settings) == 9


def test_host_that_is_down_is_worth_another_try(scene: Acquisition, settings: EncoderSettings) -> None:
    with pytest.raises(AssetUnavailable, match="ConnectError"):
        count(with_href(scene, "http://127.0.0.1:9/b.tif", allowed_hosts=("127.0.0.1:*",)), settings)


def test_body_cut_short_on_the_way_is_worth_another_try(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer
) -> None:
    file_server.cut["b02.tif"] = 1000
    with pytest.raises(AssetUnavailable, match="ITEM: asset B02"):
        count(scene, settings)
    file_server.cut.clear()
    assert count(scene, settings) == 9


def test_file_that_is_truncated_at_its_host_is_final(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer
) -> None:
    """It opens; reading its blocks fails; and the host still has the same file: no try can help."""
    path = file_server.folder / "b02.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(UnreadableAsset, match=r"ITEM: asset B02 .*b02.tif.*cannot be read"):
        count(scene, settings)
    assert file_server.requests.count("GET /b02.tif") == 2
    assert not leftovers(settings)


def test_truncated_file_that_is_whole_meanwhile_is_worth_another_try(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer
) -> None:
    path = file_server.folder / "b02.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 6 // 10])
    fetcher = Fetcher(settings)
    fetch = fetcher.fetch

    def fetch_and_repair(acquisition: Acquisition, band: str, target: Path) -> object:
        fetched = fetch(acquisition, band, target)
        if band == "B02":
            path.write_bytes(whole)
        return fetched

    fetcher.fetch = fetch_and_repair  # type: ignore[method-assign, assignment]
    with closing(fetcher), pytest.raises(AssetUnavailable, match=r"ITEM: asset B02 .*changed"):
        list(read_scene(scene, settings, fetcher))
    assert count(scene, settings) == 9


@pytest.mark.parametrize(
    "href",
    [
        "http://example.com/b.tif",
        "file:///etc/passwd",
        "/etc/passwd",
        "/vsicurl/http://example.com/b.tif",
        "ftp://127.0.0.1/b.tif",
        "http://127.0.0.1@example.com/b.tif",
        "s3://somebody-elses/b.tif",
    ],
)
def test_hrefs_lead_nowhere_else(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer, href: str
) -> None:
    with pytest.raises(UnreadableAsset, match="not among the source's hosts"):
        count(with_href(scene, href), settings)
    assert "GET /b02.tif" not in file_server.requests


def test_redirects_stay_on_allowed_hosts(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer
) -> None:
    file_server.redirect["moved.tif"] = "/b02.tif"
    assert count(with_href(scene, file_server.url("moved.tif")), settings) == 9
    file_server.redirect["moved.tif"] = "http://127.0.0.1:9/secret?token=abc"
    with pytest.raises(UnreadableAsset, match=r"leads to http://127.0.0.1:9/secret, which is not among") as caught:
        count(with_href(scene, file_server.url("moved.tif")), settings)
    assert "token" not in str(caught.value)


def test_redirects_end(scene: Acquisition, settings: EncoderSettings, file_server: FileServer) -> None:
    file_server.redirect["round.tif"] = "/round.tif"
    with pytest.raises(UnreadableAsset, match="more than 3 redirects"):
        count(with_href(scene, file_server.url("round.tif")), settings)


def test_files_larger_than_allowed_are_refused(scene: Acquisition, settings: EncoderSettings) -> None:
    with pytest.raises(UnreadableAsset, match="bytes, more than 1000"):
        count(scene, settings.model_copy(update={"max_asset_bytes": 1000}))


def test_host_that_drips_is_given_up_for_now(scene: Acquisition, settings: EncoderSettings) -> None:
    with pytest.raises(AssetUnavailable, match="not complete after 0 s"):
        count(scene, settings.model_copy(update={"deadline_s": 1e-9}))


@pytest.mark.parametrize(
    "body, what",
    [(b"<html>login</html>", "neither TIFF nor JPEG 2000"), (b"", "neither TIFF"), (b"II*\0garbage", "cannot be read")],
)
def test_what_is_no_raster_is_refused(
    scene: Acquisition, settings: EncoderSettings, file_server: FileServer, body: bytes, what: str
) -> None:
    file_server.replies["b02.tif"] = body
    with pytest.raises(UnreadableAsset, match=f"ITEM: asset B02 .*{what}"):
        count(scene, settings)


@pytest.mark.parametrize(
    "values, profile, what",
    [
        (np.ones((300, 300), np.complex64), {}, "type complex64"),
        (np.ones((300, 300), np.uint8), {}, "type uint8"),
        (np.ones((1, 1), np.uint16), {}, "1 x 1 pixels"),
        (np.ones((30, 30), np.uint16), {"gsd": 5000}, "pixels of 5000.0 m"),
        (np.ones((300, 300), np.uint16), {"gsd": 0.5}, "pixels of 0.5 m"),
    ],
    ids=["complex", "picture", "one pixel", "coarse", "fine"],
)
def test_what_is_no_band_is_refused(
    scenes: SceneMaker, settings: EncoderSettings, values: np.ndarray, profile: dict[str, float], what: str
) -> None:
    asset = scenes.band("b.tif", values, tiled=False, **profile)
    with pytest.raises(UnreadableAsset, match=f"ITEM: asset B02 .*{what}"):
        count(scenes.acquisition({"B02": asset}), settings)


def test_scene_without_a_place_is_refused(
    scenes: SceneMaker, settings: EncoderSettings, file_server: FileServer
) -> None:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with (
        pytest.warns(NotGeoreferencedWarning),
        rasterio.open(file_server.folder / "b.tif", "w", "GTiff", 300, 300, 1, dtype="uint16") as file,
    ):
        file.write(np.ones((300, 300), np.uint16), 1)
    asset = scenes.band("other.tif", np.ones((300, 300), np.uint16))
    with pytest.raises(UnreadableAsset, match="no place on Earth"):
        count(with_href(scenes.acquisition({"B02": asset}), file_server.url("b.tif")), settings)


def test_enormous_scene_is_read_in_strips(scenes: SceneMaker, settings: EncoderSettings) -> None:
    """120 million pixels, almost all of them never written: the first block comes at once and in little memory."""
    import rasterio
    from rasterio.transform import Affine

    options = {"tiled": True, "blockxsize": 512, "blockysize": 512, "sparse_ok": True, "nodata": 0}
    with rasterio.open(
        scenes.files.folder / "huge.tif", "w", "GTiff", 4_000, 30_000, 1, "EPSG:32631",
        Affine(10, 0, 400_000, 0, -10, 5_000_000), "uint16", **options,
    ) as file:  # fmt: skip
        file.write(np.full((512, 512), 900, np.uint16), 1, window=rasterio.windows.Window(0, 0, 512, 512))
    asset = scenes.band("b.tif", np.ones((300, 300), np.uint16))
    reader = read_scene(with_href(scenes.acquisition({"B02": asset}), scenes.files.url("huge.tif")), settings)
    first = next(reader)
    reader.close()
    assert len(first.cells) <= 64 and first.pixels.nbytes < 50e6
    assert not leftovers(settings)


def test_item_without_bands_is_refused(scenes: SceneMaker, settings: EncoderSettings) -> None:
    asset = scenes.band("b.tif", np.ones((300, 300), np.uint16))
    with pytest.raises(UnreadableAsset, match=r"ITEM: no s2 band among its assets \(SCL\)"):
        count(scenes.acquisition({"SCL": asset}), settings)


def test_no_files_and_no_handles_are_left(scene: Acquisition, settings: EncoderSettings) -> None:
    with closing(Fetcher(settings)) as fetcher:
        assert sum(len(block.cells) for block in read_scene(scene, settings, fetcher)) == 9
        before = handles()
        for _ in range(5):
            list(read_scene(scene, settings, fetcher))
            next(reader := read_scene(scene, settings.model_copy(update={"block_cells": 1}), fetcher))
            reader.close()
        assert handles() == before and not leftovers(settings)


def handles() -> list[str]:
    """Files that this process has open, deleted ones included."""
    links = []
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").is_dir() else []:
        with contextlib.suppress(FileNotFoundError):
            links.append(str(entry.readlink()))
    return sorted(link for link in links if link.startswith("/") and not link.startswith("/dev/"))


def test_leftovers_of_the_dead_are_swept(settings: EncoderSettings, tmp_path: Path) -> None:
    code = "import sys, pathlib; from encoders.assets import _own_prefix; import os\n"
    code += "pathlib.Path(sys.argv[1], f'{_own_prefix()}{os.getpid()}-x').mkdir(parents=True)"
    assert settings.scratch is not None
    subprocess.run([sys.executable, "-c", code, str(settings.scratch)], check=True)
    alive = settings.scratch / leftovers(settings)[0].name.replace(
        leftovers(settings)[0].name.rsplit("-", 2)[1], str(os.getppid())
    )
    alive.mkdir()
    other = settings.scratch / "tocsin-scene-elsewhere.example-1-x"
    other.mkdir()
    assert sweep_scratch(settings) == 1
    assert sorted(leftovers(settings)) == sorted([alive, other])
    assert sweep_scratch(EncoderSettings(scratch=tmp_path / "absent")) == 0


def test_reading_says_nothing_unless_there_is_something_to_say(scene: Acquisition, settings: EncoderSettings) -> None:
    with structlog.testing.capture_logs() as logs:
        count(scene, settings)
    assert logs == []
