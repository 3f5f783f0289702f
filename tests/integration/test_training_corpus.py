"""A corpus from a catalogue over HTTP: labels against the simulation's truth, interruption, what breaks."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
import rasterio
import shapely
import structlog
from affine import Affine
from pyproj import Transformer
from rasterio.features import shapes
from shapely.geometry import shape
from typer.testing import CliRunner, Result

from schemas.errors import TocsinError
from simulation.catalogue import SimulatedCatalogue
from simulation.labels import Cover
from simulation.scenario import Scenario, demo_scenario
from simulation.server import serve
from tocsin import app
from training.crisislandmark import Sample, open_corpus

ROOT = Path(__file__).parent.parent.parent
CODES = {
    Cover.WATER: 80,
    Cover.TREES: 10,
    Cover.GRASS: 30,
    Cover.FLOODED_VEGETATION: 90,
    Cover.CROPS: 40,
    Cover.SHRUB: 20,
    Cover.BUILT: 50,
    Cover.BARE: 60,
    Cover.SNOW: 70,
}
NAMES = {
    80: "Water",
    10: "Trees",
    30: "Grass",
    90: "Flooded Vegetation",
    40: "Crops",
    20: "Shrub and Scrub",
    50: "Built",
}
NAMES |= {60: "Bare", 70: "Snow and Ice"}
S2, S1 = "sentinel-2-c1-l2a", "sentinel-1-rtc"


@dataclass
class Valley:
    """A served catalogue with two scenes of each sensor, one before both events and one after them.

    Attributes:
        folder: Of the catalogue; maps and perimeters lie there too.
        url: Of the catalogue.
        scenario: Its truth.
        bbox: For --bbox.
    """

    folder: Path
    url: str
    scenario: Scenario
    bbox: str

    def classes(self) -> np.ndarray:
        place = self.scenario.world.landscape.place
        codes = np.zeros(9, np.uint8)
        for cover, code in CODES.items():
            codes[cover] = code
        return codes[place.label][place.regions]

    def burnt(self) -> np.ndarray:
        return self.scenario.world.fires[0].severity > 0.25

    def flooded(self) -> np.ndarray:
        flood = self.scenario.world.floods[0]
        water = flood.water(flood.started)
        assert water is not None
        return water > 0.3

    def windows(self) -> dict[str, tuple[slice, slice]]:
        """Each cell's 120 px chip in the world's arrays."""
        grown = {}
        for name, (rows, columns) in self.scenario.world.cells().items():
            grown[name] = (slice(rows.start - 10, rows.stop + 10), slice(columns.start - 10, columns.stop + 10))
        return grown

    def options(self, *more: str, collection: str = S2) -> list[str]:
        span = ["--since", "2026-05-01", "--until", "2026-07-20"]
        return ["--catalogue", self.url, "--collection", collection, "--bbox", self.bbox, *span, *more]


@pytest.fixture(scope="module")
def valley(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valley]:
    folder = tmp_path_factory.mktemp("valley")
    scenario = demo_scenario(seed=4, size_km=3)
    catalogue = SimulatedCatalogue(folder)
    catalogue.create()
    for sensor in ("s2", "s1"):
        clear = [one for one in scenario.passes if one.sensor == sensor and one.sky.cloud_share < 0.04]
        for planned in (clear[0], clear[-1]):
            catalogue.release(catalogue.prepare(scenario, planned))
    west, south, east, north = scenario.world.bounds
    degrees = Transformer.from_crs(scenario.world.site.epsg, 4326, always_xy=True)
    bounds = degrees.transform_bounds(west, south, east, north)
    with serve(folder) as address:
        made = Valley(folder, f"{address}/catalog.json", scenario, ",".join(f"{x:.6f}" for x in bounds))
        write_map(folder / "worldcover.tif", made)
        write_events(folder / "fires.gpkg", made, made.burnt(), scenario.world.fires[0].started.isoformat(), 3857)
        write_events(folder / "floods.shp", made, made.flooded(), "2026-07-03", 4326)
        yield made


def write_map(path: Path, valley: Valley) -> None:
    """A map in degrees, pixels of 1/12000 degree, as WorldCover is."""
    classes, (west, south, east, north) = valley.classes(), valley.scenario.world.bounds
    to_degrees = Transformer.from_crs(valley.scenario.world.site.epsg, 4326, always_xy=True)
    left, bottom, right, top = to_degrees.transform_bounds(west, south, east, north)
    step = 1 / 12_000
    lon, lat = np.meshgrid(np.arange(left, right, step) + step / 2, np.arange(top, bottom, -step) - step / 2)
    x, y = to_degrees.transform(lon, lat, direction="INVERSE")
    column, row = ((x - west) // 10).astype(int), ((north - y) // 10).astype(int)
    inside = (column >= 0) & (row >= 0) & (column < classes.shape[1]) & (row < classes.shape[0])
    out = np.zeros(lon.shape, np.uint8)
    out[inside] = classes[row[inside], column[inside]]
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 0, "crs": "EPSG:4326"}
    grid = Affine(step, 0, left, 0, -step, top)
    with rasterio.open(path, "w", height=out.shape[0], width=out.shape[1], transform=grid, **profile) as file:
        file.write(out, 1)


def write_events(path: Path, valley: Valley, mask: np.ndarray, date: str, epsg: int) -> None:
    west, _, _, north = valley.scenario.world.bounds
    found = shapes(mask.astype(np.uint8), mask, transform=Affine(10, 0, west, 0, -10, north))
    outline = shapely.MultiPolygon([shape(geometry) for geometry, _ in found])
    move = Transformer.from_crs(valley.scenario.world.site.epsg, epsg, always_xy=True)
    moved = shapely.transform(outline, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))
    write_vector(path, [moved], {"day": [date]}, f"EPSG:{epsg}")


def write_vector(path: Path, geometries: list, columns: dict[str, list], crs: str | None) -> None:
    pyogrio.raw.write(
        path,
        np.array([shapely.to_wkb(one) for one in geometries], object),
        [np.array(values, object) for values in columns.values()],
        list(columns),
        geometry_type="Unknown" if path.suffix != ".shp" else "MultiPolygon",
        crs=crs,
    )


def tocsin(*words: str | Path) -> Result:
    """Run a command; one of our errors becomes the line that `tocsin` prints."""
    try:
        result = CliRunner().invoke(app, [str(word) for word in words])
    finally:  # the runner's stderr is closed now, and logs went there
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
        logging.basicConfig(force=True)
    if result.exception and not isinstance(result.exception, (SystemExit, TocsinError)):
        raise result.exception
    return result


def refusal(*words: str | Path) -> str:
    result = tocsin(*words)
    assert isinstance(result.exception, TocsinError), result.output
    text = str(result.exception)
    assert "\n" not in text
    return text


def samples(folder: Path) -> dict[str, list[Sample]]:
    corpus = open_corpus(folder)
    found: dict[str, list[Sample]] = {}
    for sample in corpus.chips():
        found.setdefault(sample.key.rpartition("_")[2], []).append(sample)
    assert corpus.problems == []
    return {name: sorted(chips, key=lambda s: str(s.timestamp)) for name, chips in found.items()}


@pytest.fixture(scope="module")
def built(valley: Valley, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "corpus"
    more = ["--land-cover", f"{valley.folder}/worldcover.tif", "--events", f"{valley.folder}/fires.gpkg"]
    more += ["--event-label", "Burned Area", "--event-date-column", "day", "--json"]
    result = tocsin("corpus", "build", out, *valley.options(*more))
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["scenes"] == 2 and document["problems"] == []
    assert document["chips"] == 18
    return out


def test_labels_are_the_simulations_truth(valley: Valley, built: Path) -> None:
    chips, burnt, classes = samples(built), valley.burnt(), valley.classes()
    states = set()
    assert chips.keys() == valley.windows().keys()
    for name, window in valley.windows().items():
        before, after = chips[name]
        share = float(burnt[window].mean())
        assert before.timestamp is not None and before.timestamp < valley.scenario.world.fires[0].started
        assert "Burned Area" in before.absent and "Burned Area" not in before.labels
        if abs(share - 0.4) > 0.01:
            assert ("Burned Area" in after.labels) == (share >= 0.4), (name, share)
        assert ("Burned Area" in after.absent) == (share == 0), (name, share)
        states.add((before.state, after.state))
        for code, label in NAMES.items():
            there = float((classes[window] == code).mean())
            if abs(there - 0.1) > 0.02:
                assert (label in before.labels) == (there > 0.1), (name, label, there)
                assert (label in before.absent) == (there < 0.1), (name, label, there)
            unburnt = float(((classes[window] == code) & ~burnt[window]).mean())
            if min(abs(there - 0.1), abs(unburnt - 0.1)) > 0.02:
                assert (label in after.labels) == (unburnt > 0.1), (name, label)
                assert (label in after.unknown) == (there > 0.1 > unburnt), (name, label)
    assert ("pre", "post") in states, states
    assert ("pre", "ambiguous") in states, states


def test_pixels_are_those_of_the_scene(valley: Valley, built: Path) -> None:
    name, window = next(iter(valley.windows().items()))
    clear = [one for one in valley.scenario.passes if one.sensor == "s2" and one.sky.cloud_share < 0.04]
    truth = (valley.scenario.acquire(clear[0]).bands["B04"][window].astype(float) - 1000) / 10_000
    sample = samples(built)[name][0]
    assert sample.sensor == "s2" and sample.crs == "EPSG:32633" and len(sample.present) == 12
    np.testing.assert_allclose(sample.pixels[3], np.maximum(truth, 0), atol=2e-4)
    assert np.isnan(sample.pixels[10]).all()
    assert sample.lon_lat is not None
    x, y = Transformer.from_crs(4326, 32633, always_xy=True).transform(*sample.lon_lat)
    west, south, east, north = valley.scenario.world.bounds
    assert west < x < east and south < y < north


def test_one_place_is_in_one_split_and_terms_are_in_the_table(built: Path) -> None:
    from pyarrow import parquet

    rows = parquet.read_table(built / "metadata.parquet").to_pylist()
    assert all(len({row["split"] for row in rows if row["cell"] == cell}) == 1 for cell in {r["cell"] for r in rows})
    assert {row["licence"] for row in rows} == {"Apache-2.0"}
    assert all("WorldCover" in row["attribution"] for row in rows)
    assert {row["format_version"] for row in rows} == {1}


def test_show_and_check_count_the_same(built: Path, tmp_path: Path) -> None:
    shown, checked = tocsin("corpus", "show", built, "--json"), tocsin("corpus", "check", built, "--json")
    assert shown.exit_code == checked.exit_code == 0
    assert json.loads(shown.stdout) == json.loads(checked.stdout)
    assert json.loads(shown.stdout)["sources"] == {"tocsins2": 18}
    assert "Burned Area" in tocsin("corpus", "show", built).stdout
    broken = tmp_path / "broken"
    shutil.copytree(built, broken)
    victim = sorted(broken.glob("*.h5"))[0]
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    result = tocsin("corpus", "check", broken, "--json")
    document = json.loads(result.stdout)
    assert result.exit_code == 1 and document["chips"] == 9
    assert any(victim.name in problem and "not a whole HDF5 file" in problem for problem in document["problems"])


def test_floods_in_sentinel_1_from_a_shapefile_of_days(valley: Valley, tmp_path: Path) -> None:
    more = ["--events", f"{valley.folder}/floods.shp", "--event-label", "Flooded Area", "--event-date-column", "day"]
    result = tocsin("corpus", "build", tmp_path / "c", *valley.options(*more, "--json", collection=S1))
    assert result.exit_code == 0, result.output
    flooded = valley.flooded()
    chips = samples(tmp_path / "c")
    for name, window in valley.windows().items():
        share = float(flooded[window].mean())
        if share == 0:  # without land cover nothing is known of it, unless the polygon's edge grazes the window
            assert all(sample.state == "pre" for sample in chips.get(name, []))
            continue
        assert (chips[name][0].state, chips[name][0].labels) == ("pre", frozenset())
        if abs(share - 0.2) > 0.01:
            assert len(chips[name]) == (2 if share > 0.2 else 1), (name, share)
    after = [sample for both in chips.values() for sample in both if sample.state == "post"]
    assert after and all(sample.labels == {"Flooded Area"} and sample.sensor == "s1" for sample in after)
    assert all(1e-5 < float(np.nanmedian(sample.pixels[0])) < 1 for sample in after)


def test_events_gone_by_are_left_out(valley: Valley, tmp_path: Path) -> None:
    more = ["--events", f"{valley.folder}/fires.gpkg", "--event-label", "Burned Area", "--event-date-column", "day"]
    more += ["--event-days", "1", "--land-cover", f"{valley.url.rsplit('/', 1)[0]}/worldcover.tif", "--json"]
    document = json.loads(tocsin("corpus", "build", tmp_path / "c", *valley.options(*more)).stdout)
    touched = sum(bool(valley.burnt()[window].any()) for window in valley.windows().values())
    assert document["left_out"] == {"event too old": touched}
    assert document["chips"] == 18 - touched


def test_limit_and_going_on(valley: Valley, tmp_path: Path) -> None:
    words = valley.options("--land-cover", f"{valley.folder}/worldcover.tif", "--limit", "11", "--json")
    first = json.loads(tocsin("corpus", "build", tmp_path / "c", *words).stdout)
    again = json.loads(tocsin("corpus", "build", tmp_path / "c", *words).stdout)
    assert (first["chips"], first["resumed"]) == (11, 0)
    assert (again["chips"], again["resumed"]) == (11, 2)
    other = valley.options("--land-cover", f"{valley.folder}/worldcover.tif", "--limit", "12")
    assert "other settings" in refusal("corpus", "build", tmp_path / "c", *other)


def test_a_killed_build_goes_on(valley: Valley, built: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    more = ["--land-cover", f"{valley.folder}/worldcover.tif", "--events", f"{valley.folder}/fires.gpkg"]
    words = valley.options(*more, "--event-label", "Burned Area", "--event-date-column", "day", "--json")
    command = [sys.executable, "-m", "tocsin", "corpus", "build", str(out), *words]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not list(out.glob("parts/*.parquet")) and time.monotonic() < until:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (out / "tocsins2_half.h5.partial").write_bytes(b"half")
    finished = len(list(out.glob("parts/*.parquet")))
    assert finished >= 1
    document = json.loads(tocsin("corpus", "build", out, *words).stdout)
    assert document["resumed"] == finished and document["chips"] == 18
    assert not list(out.rglob("*.partial"))
    mine, whole = samples(out), samples(built)
    for name, chips in whole.items():
        for one, other in zip(chips, mine[name], strict=True):
            assert (one.key, one.labels, one.split) == (other.key, other.labels, other.split)
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_a_stac_collection_of_maps(broken: Valley, tmp_path: Path) -> None:
    west, south, east, north = (float(x) for x in broken.bbox.split(","))
    item = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "ESA_WorldCover_10m_2021_v200_N39E015",
        "collection": "maps",
        "geometry": shapely.geometry.mapping(shapely.box(west - 0.1, south - 0.1, east + 0.1, north + 0.1)),
        "bbox": [west, south, east, north],
        "properties": {"datetime": "2021-01-01T00:00:00Z"},
        "assets": {"input_quality": {"href": "../quality.tif"}, "map": {"href": "../worldcover.tif"}},
        "links": [],
    }
    folder = broken.folder / "maps"
    folder.mkdir()
    (folder / "tile.json").write_text(json.dumps(item))
    links = [{"rel": "item", "href": "./tile.json"}]
    document = {"type": "Collection", "stac_version": "1.1.0", "id": "maps", "license": "CC-BY-4.0", "links": links}
    (folder / "collection.json").write_text(json.dumps(document))
    root = json.loads((broken.folder / "catalog.json").read_text())
    root["links"].append({"rel": "child", "href": "./maps/collection.json"})
    (broken.folder / "catalog.json").write_text(json.dumps(root))
    same = []
    for number, href in enumerate(["maps", f"{broken.url}#maps", f"{broken.folder}/worldcover.tif"]):
        out = tmp_path / str(number)
        assert tocsin("corpus", "build", out, *broken.options("--land-cover", href, "--json")).exit_code == 0
        same.append({s.key: s.labels for chips in samples(out).values() for s in chips})
    assert same[0] == same[1] == same[2] and len(same[0]) == 18


def test_a_map_of_another_kind_or_that_is_missing(valley: Valley, tmp_path: Path) -> None:
    red = sorted(valley.folder.glob(f"{S2}/assets/*/red.tif"))[0]
    for number, (href, says) in enumerate(
        [(str(red), "is it another map?"), (f"{valley.url.rsplit('/', 1)[0]}/no.tif", "HTTP 404")]
    ):
        words = valley.options("--land-cover", href, "--json")
        result = tocsin("corpus", "build", tmp_path / str(number), *words)
        document = json.loads(result.stdout)
        assert result.exit_code == 1 and document["chips"] == 0
        assert all(says in problem for problem in document["problems"]) and document["problems"]


@pytest.fixture
def broken(valley: Valley, tmp_path: Path) -> Iterator[Valley]:
    """A copy of the valley whose files may be damaged."""
    folder = tmp_path / "copy"
    shutil.copytree(valley.folder, folder)
    with serve(folder) as address:
        yield Valley(folder, f"{address}/catalog.json", valley.scenario, valley.bbox)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_damaged_scene_is_told_and_read_again(broken: Valley, tmp_path: Path, damage: str) -> None:
    asset = sorted(broken.folder.glob(f"{S2}/assets/*/red.tif"))[0]
    content = asset.read_bytes()
    asset.unlink() if damage == "missing" else asset.write_bytes(content[: len(content) // 2])
    words = broken.options("--land-cover", f"{broken.folder}/worldcover.tif", "--json")
    result = tocsin("corpus", "build", tmp_path / "c", *words)
    document = json.loads(result.stdout)
    assert result.exit_code == 1 and document["chips"] == 9
    [problem] = document["problems"]
    assert "red.tif" in problem and "\n" not in problem
    assert ("HTTP 404" in problem) == (damage == "missing")
    asset.write_bytes(content)
    again = tocsin("corpus", "build", tmp_path / "c", *words)
    assert again.exit_code == 0 and json.loads(again.stdout)["chips"] == 18


def test_pixels_of_an_unknown_licence_are_not_written(broken: Valley, tmp_path: Path) -> None:
    collection = broken.folder / S2 / "collection.json"
    document = json.loads(collection.read_text())
    collection.write_text(json.dumps(document | {"license": "proprietary"}))
    words = broken.options("--land-cover", f"{broken.folder}/worldcover.tif", "--json")
    assert "--licence" in refusal("corpus", "build", tmp_path / "c", *words)
    assert not (tmp_path / "c").exists()
    said = tocsin("corpus", "build", tmp_path / "c", *words, "--licence", "Copernicus Sentinel terms")
    assert said.exit_code == 0
    link = {"rel": "license", "href": "https://example.com/terms"}
    collection.write_text(json.dumps(document | {"license": "other", "links": [*document["links"], link]}))
    assert tocsin("corpus", "build", tmp_path / "d", *words).exit_code == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "nothing says what the chips show"),
        (["--land-cover", "no.tif"], "no such file"),
        (["--land-cover", "esa-worldcover"], "has no item in the area"),
        (["--events", "no.gpkg", "--event-label", "Burned Area"], "no such file"),
        (["--event-label", "Burned Area"], "give it with --events"),
        (["--events", "FOLDER/fires.gpkg", "--event-label", "Burned Area"], "--event-date-column (it has day)"),
        (["--events", "FOLDER/fires.gpkg", "--event-preset", "effis"], "no date column FIREDATE"),
        (["--events", "FOLDER/fires.gpkg", "--event-label", "Landslide"], "say one of Burned Area"),
        (["--events", "FOLDER/fires.gpkg", "--event-preset", "nasa"], "no event preset"),
        (["--events", "FOLDER/catalog.json", "--event-label", "Burned Area"], "no vector file"),
    ],
)
def test_wrong_options(valley: Valley, tmp_path: Path, words: list[str], says: str) -> None:
    given = [word.replace("FOLDER", str(valley.folder)) for word in words]
    assert says in refusal("corpus", "build", tmp_path / "c", *valley.options(*given))


def test_nothing_found(valley: Valley, tmp_path: Path) -> None:
    words = ["--catalogue", valley.url, "--bbox", "100,10,101,11", "--since", "2026-05-01", "--until", "2026-07-20"]
    words += ["--land-cover", f"{valley.folder}/worldcover.tif"]
    assert "no usable scene" in refusal("corpus", "build", tmp_path / "c", *words, "--collection", S2)
    assert "it offers" in refusal("corpus", "build", tmp_path / "c", *words, "--collection", "landsat")
