"""Reading a labelled feed: scale, offset, gaps, windows, and the figures over it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import rasterio
from pyarrow import parquet
from rasterio.transform import Affine

from schemas.errors import Rejected
from training.feed import LabelledChip, place_at, read_feed
from training.feed_measures import FIRES, embedded, place_of
from training.indices import minus_nbr, minus_nbr_on_land, minus_vh, ndwi


class Counting:
    """An encoder that says how many bands it was given."""

    release = "fake"
    sensors = ("s2", "s1")

    def images(self, pixels: np.ndarray, sensor: str, present_bands: list[str]) -> np.ndarray:
        return np.full((len(pixels), 384), len(present_bands), np.float32)

    def texts(self, sentences: list[str]) -> np.ndarray:
        return np.ones((len(sentences), 384), np.float32)


def write_band(path: Path, values: np.ndarray, gsd_m: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "nodata": 0, "crs": "EPSG:32630"}
    transform = Affine(gsd_m, 0, 5e5, 0, -gsd_m, 4e6)
    shape = {"height": values.shape[0], "width": values.shape[1], "transform": transform}
    with rasterio.open(path, "w", **profile, **shape) as file:
        file.write(values.astype(np.uint16), 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assets = {}
    for name, gsd_m, value in (("B08", 10, 3000), ("B12", 20, 2000)):
        values = np.full((int(400 / gsd_m), int(400 / gsd_m)), value)
        if name == "B08":
            values[0, 0] = 0
        write_band(tmp_path / "cogs" / f"{name}.tif", values, gsd_m)
        facts = {"scale": 0.0001, "offset": -0.1, "spatial_resolution": gsd_m}
        assets[name] = {"href": f"../../cogs/{name}.tif", "bands": [{"name": name}], "raster:bands": [facts]}
    place = tmp_path / "items" / "sentinel-2-c1-l2a" / "A.json"
    place.parent.mkdir(parents=True)
    place.write_text(json.dumps({"id": "A", "assets": assets}))
    row = {"item_id": "A", "collection": "sentinel-2-c1-l2a", "source": "x", "absent_labels": ["Built"], "state": None}
    item = row | {"level": "item", "window_col_row_width_height": None, "labels": ["Bare"]}
    window = row | {"level": "window", "window_col_row_width_height": [8, 4, 16, 12], "labels": []}
    parquet.write_table(pa.Table.from_pylist([item, window]), tmp_path / "labels.parquet")
    return tmp_path


def test_scale_offset_gaps_and_spacing_are_applied(folder: Path) -> None:
    item, window = read_feed(folder)
    assert item.pixels.shape == (13, 40, 40)
    assert item.present == ("B08", "B12")
    assert np.isnan(item.pixels[7, 0, 0])
    np.testing.assert_allclose(item.pixels[7, 1:], 0.2, rtol=1e-5)
    np.testing.assert_allclose(item.pixels[12], 0.1, rtol=1e-5)
    assert window.pixels.shape == (13, 12, 16)
    assert window.offset == (8, 4)
    assert (item.labels, item.absent) == ({"Bare"}, {"Built"})


def test_bands_are_reduced_before_embedding(folder: Path) -> None:
    assert embedded(Counting(), read_feed(folder), ("B12",)).vectors[0, 0] == 1  # type: ignore[arg-type]
    assert embedded(Counting(), read_feed(folder)).vectors[0, 0] == 2  # type: ignore[arg-type]


def test_chips_without_those_bands_are_left_out(folder: Path) -> None:
    assert embedded(Counting(), read_feed(folder), ("B01",)).chips == []  # type: ignore[arg-type]


def chip(sensor: str, **planes: float) -> LabelledChip:
    order = ("VV", "VH") if sensor == "s1" else ("B01", "B02", "B03", *("-",) * 4, "B08", *("-",) * 4, "B12")
    pixels = np.stack([np.full((4, 4), planes.get(name, 0.1), np.float32) for name in order])
    nothing: frozenset[str] = frozenset()
    return LabelledChip("A_2024", "item", "x", sensor, pixels, order, nothing, nothing, "", (0, 0))


def test_indices_rank_as_they_should() -> None:
    burnt, green, lake = chip("s2", B08=0.1, B12=0.25), chip("s2", B08=0.4, B12=0.1), chip("s2", B03=0.1, B08=0.02)
    assert minus_nbr(burnt.pixels) > minus_nbr(green.pixels)
    assert minus_nbr_on_land(lake.pixels) == -1
    assert ndwi(lake.pixels) > ndwi(green.pixels)
    assert minus_vh(chip("s1", VH=0.001).pixels) == pytest.approx(30)


def test_places_are_fires_boxes_of_the_map_or_else_items() -> None:
    unplaced = chip("s2")
    assert place_of(unplaced) == "A_2024"
    assert place_of(replace(unplaced, place="3:4")) == "3:4"
    assert place_of(replace(unplaced, place="3:4", source=FIRES)) == "A"
    assert place_at(10.01, -0.01) == place_at(10.04, -0.04) != place_at(10.06, -0.01)


def test_a_chip_that_the_encoder_refuses_is_named() -> None:
    class Refusing(Counting):
        def images(self, pixels: np.ndarray, sensor: str, present_bands: list[str]) -> np.ndarray:
            raise Rejected("wrong units")

    with pytest.raises(Rejected, match=r"A_2024, item at \(0, 0\): wrong units"):
        embedded(Refusing(), [replace(chip("s1"), present=("VV",))])  # type: ignore[arg-type]
