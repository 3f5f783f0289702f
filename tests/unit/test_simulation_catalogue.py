"""The static catalogue: keys that real catalogues carry, valid COGs, atomic release."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from simulation.catalogue import COLLECTIONS, Draft, SimulatedCatalogue
from simulation.scenario import Scenario, demo_scenario

RELEASED = datetime(2026, 7, 9, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return demo_scenario(seed=5, size_km=2)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("catalogue")


@pytest.fixture(scope="module")
def catalogue(root: Path) -> SimulatedCatalogue:
    made = SimulatedCatalogue(root)
    made.create()
    return made


@pytest.fixture(scope="module")
def drafts(catalogue: SimulatedCatalogue, scenario: Scenario) -> dict[str, Draft]:
    firsts = {sensor: next(p for p in scenario.passes if p.sensor == sensor) for sensor in ("s1", "s2")}
    return {sensor: catalogue.prepare(scenario, planned) for sensor, planned in firsts.items()}


def _links(root: Path, collection: str) -> list[str]:
    document = json.loads((root / collection / "collection.json").read_text())
    return [link["href"] for link in document["links"] if link["rel"] == "item"]


def test_nothing_is_linked_before_release(root: Path, drafts: dict[str, Draft]) -> None:
    fresh = SimulatedCatalogue(root / "fresh")
    fresh.create()
    children = [
        x["href"] for x in json.loads((root / "fresh/catalog.json").read_text())["links"] if x["rel"] == "child"
    ]
    assert children == [f"./{name}/collection.json" for name in COLLECTIONS.values()]
    assert not any(_links(root / "fresh", name) for name in COLLECTIONS.values())


def test_release_links_the_item_once_and_renews_its_time(
    root: Path, catalogue: SimulatedCatalogue, drafts: dict[str, Draft]
) -> None:
    draft = drafts["s1"]
    first = catalogue.release(draft, RELEASED)
    again = catalogue.release(draft, RELEASED.replace(hour=13))
    assert first["properties"]["created"] == "2026-07-09T12:00:00.000Z"
    assert again["properties"]["updated"] == "2026-07-09T13:00:00.000Z"
    assert _links(root, draft.collection) == [f"./items/{draft.id}.json"]
    assert catalogue.released().count(draft.id) == 1
    assert not list(root.rglob("*.partial"))
    assert "created" not in draft.item["properties"]


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_items_carry_the_keys_of_real_ones(
    root: Path, catalogue: SimulatedCatalogue, drafts: dict[str, Draft], sensor: str
) -> None:
    item = catalogue.release(drafts[sensor], RELEASED)
    written = json.loads((root / drafts[sensor].collection / "items" / f"{drafts[sensor].id}.json").read_text())
    assert written == item
    assert item["type"] == "Feature" and item["stac_version"] == "1.1.0"
    properties = item["properties"]
    assert properties["tocsin:simulated"] is True
    for name in ("datetime", "created", "updated", "platform", "proj:code", "grid:code", "sat:relative_orbit"):
        assert properties[name], name
    ring = item["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1] and len(ring) == 5
    west, south, east, north = item["bbox"]
    assert west < 15.0 < east + 0.1 and 40 < south < north < 42
    if sensor == "s2":
        assert properties["s2:processing_baseline"] == "05.11" and properties["s2:datatake_id"].startswith("GS2C_")
        assert 0 <= properties["eo:cloud_cover"] <= 100
        assert set(item["assets"]) >= {"coastal", "red", "nir", "nir08", "swir22", "scl"} and len(item["assets"]) == 13
    else:
        assert properties["sar:polarizations"] == ["VV", "VH"] and set(item["assets"]) == {"vv", "vh"}


def test_reflectance_comes_back_through_scale_and_offset(
    root: Path, catalogue: SimulatedCatalogue, drafts: dict[str, Draft], scenario: Scenario
) -> None:
    draft = drafts["s2"]
    item = catalogue.release(draft, RELEASED)
    asset = item["assets"]["nir"]
    path = (root / draft.collection / "items" / asset["href"]).resolve()
    with rasterio.open(path) as source:
        plane = source.read(1)
        assert source.crs.to_epsg() == scenario.world.site.epsg and source.nodata == 0
        assert list(source.shape) == asset["proj:shape"]
        assert [source.transform[i] for i in range(6)] == asset["proj:transform"]
    details = asset["raster:bands"][0]
    reflectance = plane * details["scale"] + details["offset"]
    assert 0 < np.median(reflectance) < 0.5 and reflectance.min() >= 0


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_files_are_cloud_optimised(root: Path, drafts: dict[str, Draft], sensor: str) -> None:
    draft = drafts[sensor]
    for path in (root / draft.collection / "assets" / draft.id).glob("*.tif"):
        with rasterio.open(path) as source:
            assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG", path
            assert source.block_shapes[0] == (256, 256) or max(source.shape) < 256, path
            assert bool(source.overviews(1)) == (max(source.shape) > 256), path


def test_hrefs_are_absolute_when_the_address_is_known(tmp_path: Path, scenario: Scenario) -> None:
    made = SimulatedCatalogue(tmp_path, "http://127.0.0.1:1")
    made.create()
    draft = made.prepare(scenario, scenario.passes[0])
    assert draft.item["assets"]["vv"]["href"] == f"http://127.0.0.1:1/sentinel-1-rtc/assets/{draft.id}/vv.tif"
