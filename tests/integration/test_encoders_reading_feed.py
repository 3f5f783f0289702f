"""Reading real pixels: all of the feed, and each of its items that lie or are broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import structlog

from encoders.bands import BANDS
from encoders.reading import read_scene
from encoders.settings import EncoderSettings
from schemas.errors import UnreadableAsset
from schemas.messages import Acquisition, Asset, CellState, Chip, stable_id

if TYPE_CHECKING:
    from tests.conftest import FileServer

SETTINGS = EncoderSettings(threads=2)
BANDS_OF_ASSETS = {
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "cirrus": "B10",
    "swir16": "B11",
    "swir22": "B12",
    "vv": "VV",
    "vh": "VH",
}
"""The feed's asset keys: those of Earth Search and the Planetary Computer. Ingest tests its own table."""

Item = dict[str, Any]
Chips = dict[str, tuple[np.ndarray, Chip]]


def announce(item: Item, folder: Path, files: FileServer) -> Acquisition:
    """The message about an item of the feed, hrefs made absolute against its folder."""
    assets = {}
    for key, asset in item["assets"].items():
        declared = asset.get("raster:bands", [{}])[0]
        assets[BANDS_OF_ASSETS[key]] = Asset(
            href=files.url((folder / asset["href"]).resolve()),
            scale=declared.get("scale", 1.0),
            offset=declared.get("offset", 0.0),
            nodata=declared.get("nodata"),
        )
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Acquisition(
        acquisition_id=stable_id(item["id"]),
        physical_key=item["id"],
        processed_at=moment,
        source="feed",
        collection=item["collection"],
        item_id=item["id"],
        sensor="s1" if item["collection"].startswith("sentinel-1") else "s2",
        sensing_at=moment,
        published_at=moment,
        seen_at=moment,
        footprint=item["geometry"],
        assets=assets,
        allowed_hosts=(files.host,),
    )


def items(files: FileServer) -> Iterator[tuple[Item, Path]]:
    for path in sorted(files.folder.glob("items/*/*.json")):
        yield json.loads(path.read_text()), path.parent


def read(item: Item, folder: Path, files: FileServer) -> Chips:
    found = {}
    for block in read_scene(announce(item, folder, files), SETTINGS):
        for pixels, chip in zip(block.pixels, block.chips, strict=True):
            found[chip.cell] = (pixels, chip)
    return found


@pytest.fixture(scope="module")
def nasty(feed_server: FileServer) -> dict[str, Item]:
    """Hostile items by case."""
    features = json.loads((feed_server.folder / "nasty.json").read_text())["features"]
    return {item["properties"]["tocsin:nasty"]: item for item in features}


def honest(item: Item, files: FileServer) -> Chips:
    """The chips of the item that a hostile one was made from."""
    wanted = item["properties"]["tocsin:nasty_of"]
    original, folder = next(pair for pair in items(files) if pair[0]["id"] == wanted)
    return read(original, folder, files)


def assert_same(found: Chips, expected: Chips, rtol: float = 0.0, atol: float = 2e-7) -> None:
    assert found.keys() == expected.keys() and found
    for cell, (pixels, chip) in found.items():
        np.testing.assert_allclose(pixels, expected[cell][0], rtol=rtol, atol=atol)
        assert chip == expected[cell][1]


@pytest.mark.parametrize("case", ["offset_declared", "offset_lie_undeclared", "offset_lie_overdeclared"])
def test_reflectance_equals_the_honest_items(nasty: dict[str, Item], feed_server: FileServer, case: str) -> None:
    assert_same(read(nasty[case], feed_server.folder, feed_server), honest(nasty[case], feed_server))


def test_decibels_equal_the_honest_power(nasty: dict[str, Item], feed_server: FileServer) -> None:
    item = nasty["s1_in_decibel"]
    with structlog.testing.capture_logs() as logs:
        found = read(item, feed_server.folder, feed_server)
    assert_same(found, honest(item, feed_server), rtol=1e-4)
    assert {log["band"] for log in logs if "decibels" in log["event"]} == {"VV", "VH"}


def test_single_polarisation_is_read(nasty: dict[str, Item], feed_server: FileServer) -> None:
    item = nasty["s1_single_polarisation"]
    blocks = list(read_scene(announce(item, feed_server.folder, feed_server), SETTINGS))
    assert {block.present_bands for block in blocks} == {("VV",)}
    expected = honest(item, feed_server)
    for block in blocks:
        for pixels, chip in zip(block.pixels, block.chips, strict=True):
            np.testing.assert_array_equal(pixels[0], expected[chip.cell][0][0])
            assert np.isnan(pixels[1]).all()


def test_cloud_is_obscured_not_empty_ground(nasty: dict[str, Item], feed_server: FileServer) -> None:
    chips = [chip for _, chip in read(nasty["full_cloud"], feed_server.folder, feed_server).values()]
    states = [chip.state for chip in chips]
    assert CellState.SEEN not in states and states.count(CellState.OBSCURED) == 15
    assert min(chip.cloud_fraction for chip in chips if chip.state is CellState.OBSCURED) > 0.9


def test_scene_across_the_antimeridian_is_seen_on_both_sides(nasty: dict[str, Item], feed_server: FileServer) -> None:
    found = read(nasty["antimeridian"], feed_server.folder, feed_server)
    assert {cell[:2] for cell, (_, chip) in found.items() if chip.state is CellState.SEEN} == {"01", "60"}


@pytest.mark.parametrize(
    "case, band, why", [("asset_404", "B04", "HTTP 404"), ("truncated_cog", "B08", "cannot be read")]
)
def test_broken_assets_are_named(
    nasty: dict[str, Item], feed_server: FileServer, case: str, band: str, why: str
) -> None:
    with pytest.raises(UnreadableAsset, match=rf"item {nasty[case]['id']}: asset {band} \(http.*{why}"):
        read(nasty[case], feed_server.folder, feed_server)


@pytest.fixture(scope="module")
def sweep(feed_server: FileServer) -> tuple[dict[str, Chips], list[dict[str, Any]]]:
    """All honest items, and what was logged about them."""
    with structlog.testing.capture_logs() as logs:
        return {item["id"]: read(item, folder, feed_server) for item, folder in items(feed_server)}, logs


@pytest.mark.slow
def test_no_honest_item_is_corrected(sweep: tuple[dict[str, Chips], list[dict[str, Any]]]) -> None:
    found, logs = sweep
    assert len(found) == 141 and logs == []


@pytest.mark.slow
def test_physical_values_are_plausible(sweep: tuple[dict[str, Chips], list[dict[str, Any]]]) -> None:
    for item_id, chips in sweep[0].items():
        for pixels, chip in chips.values():
            assert len(pixels) in {len(names) for names in BANDS.values()}
            known = pixels[~np.isnan(pixels)]
            assert known.size > 0 or chip.state is CellState.NOT_ACQUIRED
            if known.size:
                assert known.min() >= 0 and np.median(known) < 1.2, item_id


@pytest.mark.slow
def test_clear_ground_is_hardly_called_cloud(sweep: tuple[dict[str, Chips], list[dict[str, Any]]]) -> None:
    """Known cloudy: three winter dates at Boadella, one satclip chip. Everything else must stay visible."""
    cloudy = {"S2_EOTDL_BOADELLA_20200118_L2A", "S2_EOTDL_BOADELLA_20200123_L2A", "S2_SATCLIP_511198_L2A"}
    states = [
        chip.state
        for item_id, chips in sweep[0].items()
        if item_id.startswith("S2") and item_id not in cloudy
        for _, chip in chips.values()
    ]
    assert states.count(CellState.OBSCURED) <= 0.03 * len(states)
    assert states.count(CellState.SEEN) > 500
