"""`tocsin evaluate` on small made sources: what it prints and writes, and how it ends when something is wrong."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
import rasterio
from pyarrow import parquet
from rasterio.transform import Affine

import tocsin

Run = Callable[..., tuple[int, str, str]]
S2 = ("B02", "B03", "B04", "B08", "B12")
LAKE, FIELD = (500, 600, 400, 150, 60), (600, 900, 800, 3000, 1500)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """One command in this process: its status, stdout and stderr."""

    def command(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tocsin", "evaluate", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            tocsin.main()
            sys.exit(0)
        code = end.value.code
        return (code if isinstance(code, int) else int(code is not None), *capsys.readouterr())

    return command


def write_item(folder: Path, item: str, collection: str, planes: dict[str, np.ndarray]) -> None:
    """An item with a COG for each band."""
    assets = {}
    for name, values in planes.items():
        path = folder / "cogs" / item / f"{name}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {"driver": "COG", "count": 1, "dtype": values.dtype, "nodata": 0, "crs": "EPSG:32630"}
        height, width = values.shape
        size = {"height": height, "width": width, "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}
        with rasterio.open(path, "w", **profile, **size) as file:
            file.write(values, 1)
        scale = 0.0001 if collection.startswith("sentinel-2") else 1.0
        facts = {"scale": scale, "offset": 0, "spatial_resolution": 10}
        assets[name] = {"href": f"../../cogs/{item}/{name}.tif", "bands": [{"name": name}], "raster:bands": [facts]}
    path = folder / "items" / collection / f"{item}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"id": item, "assets": assets}))


@pytest.fixture
def feed(tmp_path: Path) -> Path:
    """Five lakes, five fields, a chip without a valid pixel and one radar chip."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(11):
        item, optical = f"ITEM{number}", LAKE if number < 5 else FIELD if number < 10 else (0,) * 5
        noise = random.normal(1, 0.03, (5, 64, 64))
        planes = {n: (v * noise[i]).astype(np.uint16) for i, (n, v) in enumerate(zip(S2, optical, strict=True))}
        write_item(tmp_path, item, "sentinel-2-c1-l2a", planes)
        rows.append(
            {
                "item_id": item,
                "collection": "sentinel-2-c1-l2a",
                "source": "made",
                "level": "item",
                "window_col_row_width_height": None,
                "labels": ["Water"] if number < 5 else ["Crops"],
                "absent_labels": ["Burned Area"],
                "state": None,
                "fractions": json.dumps({"Water": 0.2 * number} if number < 5 else {"Crops": 1.0}),
                "bbox_lon_lat": [number, 0.0, number + 0.01, 0.01],
            }
        )
    write_item(tmp_path, "RADAR", "sentinel-1-rtc", {b: np.full((64, 64), 0.02, np.float32) for b in ("VV", "VH")})
    rows.append(rows[0] | {"item_id": "RADAR", "collection": "sentinel-1-rtc"})
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "labels.parquet")
    return tmp_path


def test_a_feed_as_json(run: Run, feed: Path) -> None:
    code, out, err = run("--feed", feed, "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    found = document["sources"]["feed"]
    assert document["release"].startswith("nano-")
    water = found["retrieval"]["known"]["s2"]["Water"]
    assert (water["positives"], water["items"]) == (5, 10)
    assert found["retrieval"]["known"]["s1+s2"]["Water"]["positives"] == 6
    assert water["AP"]["value"] > 0.9
    assert water["AP"]["low"] <= water["AP"]["value"] <= water["AP"]["high"]
    assert found["retrieval"]["known"]["s2"]["Water by NDWI"]["AP"]["value"] == 1
    assert found["measures"]["nDCG@10 S2, known"]["Water"] > 0.9
    assert found["measures"]["burn pairs in order"]["pairs"] == 0
    assert 0 <= found["calibration"]["known"]["s2"]["Water"]["ECE"]["value"] <= 1
    assert found["left_out"] == ["ITEM10: not one valid pixel"]


def test_a_feed_as_tables_and_a_report_that_needs_nothing_else(run: Run, feed: Path, tmp_path: Path) -> None:
    report = tmp_path / "out.html"
    code, out, err = run("--feed", feed, "--report", report)
    assert code == 0, err
    assert "feed: Retrieval, known, Sentinel-2" in out
    assert "ITEM10: not one valid pixel" in err
    page = report.read_text()
    sources = re.findall(r'src="([^"]{0,40})', page)
    assert sources
    assert all(source.startswith("data:image/png;base64,iVBOR") for source in sources)
    assert not re.search(r'(src|href)="(https?:)?//|@import|<script|url\(', page)
    for expected in ('class="right"', 'class="wrong"', "“water”", "NDWI", "Reliability curves", "1 left out"):
        assert expected in page
    assert "ITEM3, right" in page


def test_a_few_simulated_chips(run: Run) -> None:
    code, out, err = run("--simulated", "12", "--json")
    assert code == 0, err
    found = json.loads(out)["sources"]["simulated"]
    rules = {f"{name} biomes, {rule}" for name in ("training", "held-out") for rule in ("clear", "strict")}
    assert set(found["retrieval"]) == rules
    assert set(found["pairs"]["simulated"]["s2"]) == {"Burned Area", "Flooded Area", "Earthquake Damage"}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six chips of split test, four of them lakes and two side by side; one of another split, one that is empty."""
    rows = []
    with h5py.File(tmp_path / "crisislandmark.h5", "w") as file:
        for number in range(8):
            key = f"benv2s2_{number}"
            counts = np.interp(np.arange(12), (0, 7, 11), (500, 150, 60) if number < 4 else (600, 3000, 1500))
            image = np.ones((12, 64, 64), np.uint16) * counts.astype(np.uint16)[:, None, None]
            group = file.create_group(key)
            group["image"] = image * (number < 7)
            east, north = np.meshgrid(5e5 + 20_000 * max(number, 1) + 10 * np.arange(64), 4e6 - 10 * np.arange(64))
            group["coords"] = np.stack([east, north])
            group.attrs.update({"crs": "EPSG:32630", "timestamp": "2020-06-01T00:00:00"})
            labels = ["water"] if number < 4 else ["crops"]
            rows.append({"key": key, "labels": labels, "split": "train" if number == 6 else "test"})
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    return tmp_path


def test_a_corpus_is_judged_on_its_test_split_alone(run: Run, corpus: Path) -> None:
    code, out, err = run("--corpus", corpus, "--json")
    assert code == 0, err
    found = json.loads(out)["sources"]["corpus"]
    water = found["retrieval"]["as labelled"]["s2"]["Water"]
    assert (water["positives"], water["items"]) == (4, 6)
    assert water["AP"]["value"] == 1
    assert any("benv2s2_7" in line for line in found["left_out"])
    assert not any("benv2s2_6" in line for line in found["left_out"])


def test_a_corpus_without_test_chips_is_refused(run: Run, corpus: Path) -> None:
    rows = [{"key": "benv2s2_0", "labels": ["water"], "split": "train"}]
    parquet.write_table(pa.Table.from_pylist(rows), corpus / "metadata.parquet")
    code, _, err = run("--corpus", corpus)
    assert code == 2
    assert "no chip of split 'test' (splits there: train)" in err


def one_line(err: str) -> bool:
    return err.startswith("tocsin: ") and err.count("\n") == 1


def test_no_source_and_no_chips(run: Run) -> None:
    assert run()[0] == 2
    for number in ("0", "-5"):
        code, _, err = run("--simulated", number)
        assert code == 2
        assert one_line(err)
        assert "number of chips" in err


def test_an_unknown_encoder(run: Run, feed: Path) -> None:
    code, out, err = run("--feed", feed, "--encoder", "nonesuch")
    assert (code, out) == (1, "")
    assert one_line(err)
    assert "nonesuch" in err


def test_folders_that_are_no_feeds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for folder, words in ((tmp_path / "nowhere", "is no folder"), (tmp_path / "empty", "no labels.parquet")):
        for option in ("--feed", "--corpus"):
            code, _, err = run(option, folder)
            assert code == 2
            assert one_line(err)
            assert words in err or (option == "--corpus" and "no metadata.parquet" in err)


def test_a_table_that_is_damaged_empty_or_another(run: Run, feed: Path) -> None:
    table = feed / "labels.parquet"
    whole = table.read_bytes()
    table.write_bytes(whole[: len(whole) // 2])
    assert "not a whole parquet file" in run("--feed", feed)[2]
    parquet.write_table(pa.table({"item_id": pa.array([], pa.string())}), table)
    code, _, err = run("--feed", feed)
    assert (code, "has no rows" in err) == (2, True)
    parquet.write_table(pa.table({"item_id": ["A"]}), table)
    code, _, err = run("--feed", feed)
    assert (code, "no column absent_labels" in err) == (1, True)


def test_a_missing_or_damaged_item(run: Run, feed: Path) -> None:
    item = feed / "items" / "sentinel-2-c1-l2a" / "ITEM3.json"
    item.write_text("{")
    code, _, err = run("--feed", feed)
    assert (code, one_line(err), "ITEM3.json" in err) == (1, True, True)
    item.unlink()
    code, _, err = run("--feed", feed)
    assert (code, one_line(err), "ITEM3.json is missing" in err) == (1, True, True)


@pytest.mark.parametrize("fault", ["missing", "corrupt", "truncated"])
def test_a_bad_cog_is_named(run: Run, feed: Path, fault: str) -> None:
    cog = feed / "cogs" / "ITEM4" / "B08.tif"
    whole = cog.read_bytes()
    if fault == "missing":
        cog.unlink()
    else:
        cog.write_bytes(b"\x00" * 500 if fault == "corrupt" else whole[: len(whole) // 2])
    code, out, err = run("--feed", feed, "--json")
    assert (code, out) == (1, "")
    assert one_line(err)
    assert "ITEM4/B08.tif" in err
    assert "fetch the feed again" in err


def test_a_report_that_cannot_be_written_is_said_before_the_work(run: Run, feed: Path, tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "no" / "a.html", "there is no folder"),
        (tmp_path, "is a folder"),
        (tmp_path / ("a" * 300), "too long"),
    ):
        code, _, err = run("--feed", feed, "--report", path)
        assert code == 2
        assert one_line(err)
        assert words in err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_others(run: Run, feed: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    code, _, err = run("--feed", feed, "--report", locked / "a.html")
    assert (code, "cannot be written" in err) == (2, True)


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_report_without_its_packages(
    run: Run, feed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    real = importlib.import_module

    def missing(name: str, within: str | None = None) -> object:
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, within)

    monkeypatch.setattr(importlib, "import_module", missing)
    code, _, err = run("--feed", feed, "--report", tmp_path / "a.html")
    assert code == 2
    assert f"a report needs {package}" in err
    assert "pip install 'tocsin[training]'" in err
