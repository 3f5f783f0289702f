"""Items of every known catalogue, and the faults that items have."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.item import Item, moment, read_item
from ingest.presets import collection_preset, page_limit, preset_for, presets, required_bands, time_fields
from ingest.translate import Origin, Reading, announcement_id, translate
from schemas.errors import MalformedItem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SQUARE = {"type": "Polygon", "coordinates": [[[10, 50], [10.5, 50], [10.5, 50.5], [10, 50.5], [10, 50]]]}
S2_KEYS = ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "nir09", "swir16",
           "swir22", "scl")  # fmt: skip
S2_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "SCL")


def read(item: dict[str, Any], *, preset: str | None = None, hosts: tuple[str, ...] = ("data.example",)) -> Reading:
    return translate(read_item(item, item["collection"]), Origin("src", preset, hosts), NOW)


def item(name: str, collection: str, assets: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "id": name,
        "collection": collection,
        "geometry": SQUARE,
        "properties": {"datetime": "2025-06-01T10:20:30.500Z", "updated": "2025-06-01T16:00:00Z", **properties},
        "assets": {k: a if isinstance(a, dict) else {"href": f"https://data.example/{a}"} for k, a in assets.items()},
    }


def earth_search(**changes: Any) -> dict[str, Any]:
    raster = [{"nodata": 0, "scale": 0.0001, "offset": -0.1, "spatial_resolution": 10}]
    assets = {key: {"href": f"https://data.example/{key}.tif", "raster:bands": raster} for key in S2_KEYS}
    assets |= {f"{key}-jp2": {"href": f"s3://elsewhere/{key}.jp2"} for key in S2_KEYS}
    assets |= {"visual": {"href": "https://other.example/tci.tif", "eo:bands": [{"name": "red"}] * 3}}
    return item("S2C_T32TQM_20250601T101811_L2A", "sentinel-2-c1-l2a", assets, **{
        "constellation": "sentinel-2", "platform": "sentinel-2c", "grid:code": "MGRS-32TQM", "eo:cloud_cover": 12.5,
        "s2:datatake_id": "GS2C_20250601T101041_003851_N05.11", "s2:processing_baseline": "05.11",
        "s2:generation_time": "2025-06-01T14:00:00Z", "proj:epsg": 32632, "sat:relative_orbit": 22,
        "sat:orbit_state": "descending", "earthsearch:boa_offset_applied": False} | changes)  # fmt: skip


def radar(name: str = "S1A_IW_GRDH_1SDV_20250601T052000_20250601T052025_059470_0761FF_rtc", **changes: Any) -> Any:
    bands = changes.pop("bands", ("vv", "vh"))
    properties = {"constellation": "Sentinel-1", "platform": "SENTINEL-1A", "sar:polarizations": ["VV", "VH"],
                  "sar:product_type": "RTC", "sat:relative_orbit": 88, "sat:orbit_state": "ASCENDING"}  # fmt: skip
    return item(name, "sentinel-1-rtc", {band: f"{band}.tif" for band in bands}, **properties | changes)


# --- known catalogues ---------------------------------------------------------------------------------------------


def test_earth_search_item() -> None:
    reading = read(earth_search(), preset="earth-search")
    got = reading.acquisition
    assert reading.missing == ()
    assert tuple(got.assets) == tuple(sorted(S2_BANDS, key=list(got.assets).index))
    assert set(got.assets) == set(S2_BANDS)
    assert got.physical_key == "s2/sentinel-2c/20250601T101041/32TQM/20250601T102030"
    assert got.platform == "sentinel-2c"
    assert (got.tile, got.epsg, got.relative_orbit) == ("32TQM", 32632, 22)
    assert got.processed_at == datetime(2025, 6, 1, 14, tzinfo=UTC)
    assert got.published_at == datetime(2025, 6, 1, 16, tzinfo=UTC)
    assert (got.cloud_cover_percent, got.processing_baseline, got.orbit_state) == (12.5, "05.11", "descending")
    assert got.assets["B02"].href == "https://data.example/blue.tif"
    assert (got.assets["B02"].scale, got.assets["B02"].offset, got.assets["B02"].nodata) == (1e-4, -0.1, 0)
    assert (got.assets["SCL"].scale, got.assets["SCL"].offset) == (1.0, 0.0)
    assert not got.simulated


def test_offset_that_was_taken_out_already_is_not_declared_again() -> None:
    got = read(earth_search(**{"earthsearch:boa_offset_applied": True}), preset="earth-search").acquisition
    assert {asset.offset for asset in got.assets.values()} == {0.0}


def test_jp2_serves_only_where_the_cog_is_missing() -> None:
    one = earth_search()
    del one["assets"]["blue"]
    got = read(one, preset="earth-search", hosts=("data.example", "s3://elsewhere")).acquisition
    assert got.assets["B02"].href == "s3://elsewhere/blue.jp2"
    assert got.assets["B03"].href == "https://data.example/green.tif"


def test_planetary_computer_sentinel_2_item() -> None:
    keys = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "SCL", "AOT", "visual")
    one = item("S2B_MSIL2A_20250601T102021_R065_T32TQM_20250601T151515", "sentinel-2-l2a",
               {key: f"{key}.tif" for key in keys}, **{
        "constellation": "Sentinel 2", "platform": "Sentinel-2B", "s2:mgrs_tile": "32TQM",
        "s2:datatake_id": "GS2B_20250601T102021_043000_N05.11", "s2:processing_baseline": "05.11",
        "s2:generation_time": "2025-06-01T15:15:15.000000Z", "proj:code": "EPSG:32632",
        "datetime": "2025-06-01T10:20:21.024000Z"})  # fmt: skip
    del one["properties"]["updated"]
    reading = read(one, preset="planetary-computer")
    got = reading.acquisition
    assert reading.missing == ()
    assert not reading.dated
    assert set(got.assets) == set(S2_BANDS)
    assert got.physical_key == "s2/sentinel-2b/20250601T102021/32TQM/20250601T102021"
    assert got.signing_url == "https://planetarycomputer.microsoft.com/api/sas/v1/sign"
    assert got.assets["B02"].offset == -0.1  # undeclared: baseline 04.00 and later add 1000
    assert got.published_at == got.processed_at


def test_undeclared_offset_of_an_old_baseline_is_none() -> None:
    one = item("S2A_X", "sentinel-2-l2a", {"B02": "b.tif"}, **{"s2:processing_baseline": "02.14"})
    assert read(one).acquisition.assets["B02"].offset == 0.0


def test_cdse_item_in_stac_1_1() -> None:
    keys = ("B01_60m", "B01_20m", "B02_10m", "B02_20m", "B03_10m", "B04_10m", "B05_20m", "B06_20m", "B07_20m",
            "B08_10m", "B8A_20m", "B09_60m", "B11_20m", "B12_20m", "SCL_20m", "TCI_10m")  # fmt: skip
    assets = {key: {"href": f"s3://eodata/{key}.jp2", "bands": [{"name": key[:3]}], "raster:scale": 0.0001,
                    "raster:offset": -0.1, "nodata": 0, "gsd": int(key[4:6])} for key in keys}  # fmt: skip
    one = item("S2C_MSIL2A_20250601T102041_N0511_R065_T05QKB_20250601T151515", "sentinel-2-l2a", assets, **{
        "constellation": "sentinel-2", "platform": "sentinel-2c", "grid:code": "MGRS-5QKB",
        "eopf:datatake_id": "GS2C_20250601T102041_003851_N05.11", "processing:datetime": "2025-06-01T15:15:15Z",
        "processing:version": "05.11", "published": "2025-06-01T16:40:00Z"})  # fmt: skip
    reading = read(one, preset="cdse", hosts=("s3://eodata",))
    got = reading.acquisition
    assert reading.missing == ()
    assert (got.tile, got.processing_baseline) == ("05QKB", "05.11")
    assert got.published_at == datetime(2025, 6, 1, 16, 40, tzinfo=UTC)
    assert got.assets["B02"].href.endswith("B02_10m.jp2")
    assert got.assets["B01"].href.endswith("B01_60m.jp2")
    assert (got.assets["B05"].scale, got.assets["B05"].offset, got.assets["B05"].gsd_m) == (1e-4, -0.1, 20)


def test_unknown_catalogue_is_read_by_the_names_of_bands() -> None:
    named = {"fancy_one": "B02", "two": "B03", "three": "B04", "four": "B08", "five": "B12"}
    assets = {
        key: {"href": f"https://data.example/{key}.tif", "bands": [{"name": band}]} for key, band in named.items()
    }
    assets["preview"] = {"href": "https://data.example/p.png", "bands": [{"name": "B02"}], "roles": ["thumbnail"]}
    reading = read(item("S2A_X", "my-sentinel-2", assets))
    assert {band: asset.href[21:-4] for band, asset in reading.acquisition.assets.items()} == {
        band: key for key, band in named.items()
    }
    assert reading.missing == ()


def test_relative_hrefs_start_where_the_item_lies() -> None:
    one = item("S2A_X", "sentinel-2-l2a", {"B02": {"href": "../b02.tif"}})
    read_one = read_item(one, "sentinel-2-l2a", "https://data.example/a/items/x.json")
    got = translate(read_one, Origin("src", None, ("data.example",)), NOW).acquisition
    assert got.assets["B02"].href == "https://data.example/a/b02.tif"


def test_simulated_items_say_so() -> None:
    assert read(earth_search(**{"tocsin:simulated": True})).acquisition.simulated


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://earth-search.aws.element84.com/v1", "earth-search"),
        ("https://planetarycomputer.microsoft.com/api/stac/v1/", "planetary-computer"),
        ("https://stac.dataspace.copernicus.eu/v1/", "cdse"),
        ("https://earth-search.aws.element84.com.evil.example/v1", None),
        ("http://127.0.0.1:8085/", None),
    ],
)
def test_catalogues_are_recognised_by_their_host(url: str, name: str | None) -> None:
    assert preset_for(url) == name


def test_presets_name_only_bands_and_hosts_that_exist() -> None:
    assert set(presets()) == {"earth-search", "planetary-computer", "cdse"}
    for name, preset in presets().items():
        assert page_limit(name) <= 200
        for collection, known in preset.collections.items():
            assert time_fields(name, collection)
            assert set(required_bands(name, collection, known.sensor)) <= {*S2_BANDS, "B10", "VV", "VH"}
            assert collection_preset(name, collection) == known


# --- nasty cases, by name -----------------------------------------------------------------------------------------


def test_datetime_null_takes_the_end_of_the_range() -> None:
    one = earth_search(datetime=None, start_datetime="2025-05-01T00:00:00Z", end_datetime="2025-05-31T00:00:00Z")
    assert read(one).acquisition.sensing_at == datetime(2025, 5, 31, tzinfo=UTC)


def test_s1_reprocessed_with_another_crc_is_the_same_scene() -> None:
    base = "S1A_IW_GRDH_1SDV_20250601T052000_20250601T052025_059470_0761FF"
    same = {read(radar(f"{base}{end}")).acquisition.physical_key for end in ("_rtc", "_A1B2_rtc", "_rtc_C3D4", "")}
    assert same == {"s1/S1A/IW/20250601T052000/20250601T052025/059470/0761FF"}


def test_crops_of_one_s1_product_are_scenes_of_their_own() -> None:
    base = "S1A_IW_GRDH_1SDV_20250601T052000_20250601T052025_059470_0761FF_rtc"
    keys = [read(radar(base + end)).acquisition.physical_key for end in ("_CUT1-2", "_CUT1-3", "_CUT1-2_A1B2")]
    assert keys[0] == keys[2] != keys[1]


def test_bursts_processed_again_are_the_same_scene() -> None:
    first = radar("OPERA_L2_RTC-S1_T137-292319-IW2_20211119T015858Z_20211120T120333Z_S1A_30_v1.0")
    second = radar("OPERA_L2_RTC-S1_T137-292319-IW2_20211119T015858Z_20250830T120333Z_S1A_30_v1.0")
    assert read(first).acquisition.physical_key == read(second).acquisition.physical_key == (
        "s1/S1A/T137-292319-IW2/20211119T015858"
    )  # fmt: skip


def test_s1_single_polarisation_is_complete_when_it_was_sensed_so() -> None:
    assert read(radar(bands=("vv",), **{"sar:polarizations": ["VV"]})).missing == ()


def test_s1_without_its_declared_second_polarisation_waits() -> None:
    assert read(radar(bands=("vv",))).missing == ("VH",)


def test_s1_that_declares_nothing_follows_the_products_name() -> None:
    assert read(radar(bands=("vv",), **{"sar:polarizations": None})).missing == ("VH",)
    single = "S1A_IW_GRDH_1SSV_20250601T052000_20250601T052025_059470_0761FF_rtc"
    assert read(radar(single, bands=("vv",), **{"sar:polarizations": None})).missing == ()


def test_s1_in_radar_geometry_is_refused() -> None:
    with pytest.raises(MalformedItem, match="not terrain-corrected"):
        read(radar(**{"sar:product_type": "GRD"}))


def test_incomplete_assets_name_what_is_missing() -> None:
    one = item("S2A_X", "sentinel-2-c1-l2a", {"blue": "b.tif", "green": "g.tif", "red": "r.tif"})
    assert read(one).missing == ("B08", "B12")


def test_composite_of_five_bands_is_complete_unless_the_catalogue_promises_all() -> None:
    keys = ("blue", "green", "red", "nir", "swir22")
    one = item("S2A_X", "sentinel-2-c1-l2a", {key: f"{key}.tif" for key in keys})
    assert read(one).missing == ()
    assert set(read(one, preset="earth-search").missing) == set(S2_BANDS) - {"B02", "B03", "B04", "B08", "B12"}


def test_antimeridian_outline_is_split() -> None:
    one = earth_search()
    one["geometry"] = {"type": "Polygon", "coordinates": [
        [[179.9, 51], [-179.9, 51], [-179.9, 51.2], [179.9, 51.2], [179.9, 51]]]}  # fmt: skip
    west, _, east, _ = read(one).footprint.bounds
    assert (west, east) == (-180, 180)
    assert read(one).footprint.area == pytest.approx(0.04, rel=1e-6)


def test_box_across_the_antimeridian_serves_where_there_is_no_geometry() -> None:
    one = earth_search()
    one["geometry"], one["bbox"] = None, [179.9, 51, -179.9, 51.2]
    assert read(one).footprint.area == pytest.approx(0.04, rel=1e-6)


# --- lies ---------------------------------------------------------------------------------------------------------


def test_processing_time_of_the_future_is_not_believed() -> None:
    got = read(earth_search(**{"s2:generation_time": "2099-01-01T00:00:00Z"})).acquisition
    assert got.processed_at == datetime(2025, 6, 1, 16, tzinfo=UTC)


def test_processing_before_sensing_is_not_believed() -> None:
    got = read(earth_search(**{"s2:generation_time": "2020-01-01T00:00:00Z"})).acquisition
    assert got.processed_at == datetime(2025, 6, 1, 16, tzinfo=UTC)


def test_publication_of_the_future_is_not_believed() -> None:
    got = read(earth_search(updated="2099-01-01T00:00:00Z", created="2025-06-01T15:00:00Z")).acquisition
    assert got.published_at == datetime(2025, 6, 1, 15, tzinfo=UTC)


@pytest.mark.parametrize("value", [None, "", 7, "twelve", [], {}, float("nan"), True])
def test_numbers_that_are_none_are_left_out(value: Any) -> None:
    got = read(earth_search(**{"sat:relative_orbit": "x", "proj:epsg": value, "eo:cloud_cover": value})).acquisition
    assert (got.relative_orbit, got.epsg if value != 7 else None) == (None, None)
    assert got.cloud_cover_percent == (7 if value == 7 else None)


@pytest.mark.parametrize(
    ("said", "meant"),
    [("Sentinel-2C", "sentinel-2c"), ("S2C", "sentinel-2c"), ("SENTINEL-2D", "sentinel-2d"), ("nova-7", "nova-7")],
)
def test_platforms_are_names_not_a_list(said: str, meant: str) -> None:
    assert read(earth_search(platform=said)).acquisition.platform == meant


def test_item_of_another_collection_is_refused() -> None:
    with pytest.raises(MalformedItem, match="belongs to 'landsat'"):
        read_item({"id": "x", "collection": "landsat"}, "sentinel-2-l2a")


def test_item_of_another_mission_is_refused() -> None:
    with pytest.raises(MalformedItem, match="neither Sentinel-1 nor Sentinel-2"):
        read(item("LC08_X", "landsat-c2-l2", {"blue": "b.tif"}, constellation="landsat-8", platform="landsat-8"))


@pytest.mark.parametrize(
    "said",
    ["2025-06-01T16:00:00Z", "2025-06-01T16:00:00.000Z", "2025-06-01T16:00:00+00:00", "2025-06-01T18:00:00+02:00"],
)
def test_one_announcement_has_one_id_however_its_time_is_written(said: str) -> None:
    first = Item("x", "c", {"properties": {"updated": "2025-06-01T16:00:00Z"}})
    assert announcement_id(Item("x", "c", {"properties": {"updated": said}}), NOW) == announcement_id(first, NOW)


def test_times_without_a_zone_are_utc_and_nonsense_is_none() -> None:
    assert moment("2025-06-01T16:00:00") == datetime(2025, 6, 1, 16, tzinfo=UTC)
    assert [moment(value) for value in ("", "x", None, 5, "2025-13-01", "0001-01-01T00:00:00+14:00")] == [None] * 6
