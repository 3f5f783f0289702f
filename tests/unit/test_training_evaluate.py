"""The whole evaluation on small made folders: figures, report, and bad input at the door."""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pyarrow as pa
import pytest
import rasterio
from pyarrow import parquet
from rasterio.transform import Affine

import encoders
import tocsin
from schemas.errors import NotFound, SettingsError, UnreadableAsset, UsageError
from simulation.chips import Chips, make_chips
from training import report, simulated
from training.evaluate import evaluate, evaluate_feed
from training.feed import LabelledChip
from training.feed_measures import FIRES, judged_windows
from training.judged import Gallery, has_value, together
from training.phrases import LABELS

SIDE = 40
COLLECTION = "sentinel-2-c1-l2a"
Feed = Callable[..., Path]


class Reddish:
    """An encoder of two numbers: bright in B12 means burnt, else water; so do sentences about fire, and all others."""

    release = "fake-1"
    sensors: tuple[str, ...] = ("s2",)

    def images(self, pixels: np.ndarray, sensor: str, present_bands: object = None) -> np.ndarray:
        short = np.nan_to_num(np.nanmean(pixels[:, 12 if sensor == "s2" else 1], axis=(1, 2)))
        vectors = np.zeros((len(pixels), 384), np.float32)
        vectors[:, 0], vectors[:, 1] = short, 1 - short
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def texts(self, sentences: list[str]) -> np.ndarray:
        vectors = np.zeros((len(sentences), 384), np.float32)
        for row, sentence in enumerate(sentences):
            burnt = any(word in sentence for word in ("burn", "charred"))
            vectors[row, 0 if burnt else 1] = 1
        return vectors


def write_cog(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": "uint16",
        "nodata": 0,
        "crs": "EPSG:32630",
        "compress": "deflate",
    }
    size = {"height": SIDE, "width": SIDE, "transform": Affine(10, 0, 5e5, 0, -10, 4e6)}
    noise = np.random.default_rng(value).integers(0, 40, (SIDE, SIDE)) if value else 0
    with rasterio.open(path, "w", **profile, **size) as file:
        file.write(
            np.full((SIDE, SIDE), value, np.uint16) + np.uint16(1) * noise.astype(np.uint16)
            if value
            else np.zeros((SIDE, SIDE), np.uint16),
            1,
        )


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    """Makes a folder of items, half of them burnt."""

    def make(count: int = 16, empty: tuple[int, ...] = ()) -> Path:
        folder = tmp_path / "feed"
        rows = []
        for number in range(count):
            burnt = number % 2 == 0
            assets = {}
            for band, value in {"B03": 900, "B04": 800, "B02": 700, "B08": 1500, "B12": 4000 if burnt else 900}.items():
                path = folder / "cogs" / f"{number}" / f"{band}.tif"
                write_cog(path, 0 if number in empty else value + 10 * number)
                facts = {"scale": 0.0001, "offset": 0.0, "spatial_resolution": 10}
                assets[band] = {
                    "href": f"../../cogs/{number}/{band}.tif",
                    "bands": [{"name": band}],
                    "raster:bands": [facts],
                }
            west = float(number)
            item = {"id": f"I{number}", "bbox": [west, 10.0, west + 0.01, 10.01], "assets": assets}
            path = folder / "items" / COLLECTION / f"I{number}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(item))
            names = ["Burned Area"] if burnt else ["Water"]
            absent = ["Water"] if burnt else ["Burned Area"]
            known = {"labels": names, "absent_labels": absent, "state": None, "fractions": json.dumps({names[0]: 0.9})}
            place = {"source": "made", "level": "item", "window_col_row_width_height": [0, 0, SIDE, SIDE]}
            rows.append({"item_id": f"I{number}", "collection": COLLECTION, **place, **known})
        parquet.write_table(pa.Table.from_pylist(rows), folder / "labels.parquet")
        return folder

    return make


def test_what_is_told_apart_is_found(feed: Feed) -> None:
    (section,) = evaluate(Reddish(), feed=feed())
    tables = {table.title: table.rows for table in section.tables}
    known = tables["retrieval, items, S2, known"]
    assert known["burned area"]["AP"] == known["burned area"]["nDCG@10"] == 1
    assert known["burned area"]["right"] == 8
    assert known["burned area: -NBR"]["AP"] == 1
    assert known["mean"]["queries"] == 2
    assert tables["other words, items, S2, known"]["Burned Area"]["largest loss"] == 0
    assert tables["retrieval, items, S2, unknown as negative"]["burned area"]["chips"] == 16
    first = next(sheet for sheet in section.sheets if sheet.query == "burned area")
    assert [tile.verdict for tile in first.tiles] == ["right"] * 8 + ["wrong"] * 4
    assert first.tiles[0].score > first.tiles[8].score


def test_one_query_ranks_both_sensors() -> None:
    optical = Gallery("items", "s2", *parts([0.9, 0.1]), places=["a", "b"], indices={"-NBR": np.zeros(2, np.float32)})
    radar = Gallery("items", "s1", *parts([0.5]), places=["a"], indices={})
    both = together([optical, radar])
    assert (both.sensor, both.places, both.indices) == ("s2+s1", ["a", "b", "a"], {})
    np.testing.assert_array_equal(both.vectors[:, 0], np.array([0.9, 0.1, 0.5], np.float32))
    assert both.gains.shape == both.known.shape == (3, 12)


def parts(scores: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    vectors = np.zeros((len(scores), 384), np.float32)
    vectors[:, 0] = scores
    return vectors, np.zeros((len(scores), 12), np.float32), np.ones((len(scores), 12), np.bool_)


def test_windows_are_judged_on_crises_alone() -> None:
    pixels, nothing = np.full((13, 40, 40), 0.1, np.float32), frozenset[str]()
    there, gone = frozenset({"Burned Area"}), frozenset({"Burned Area", "Flooded Area"})
    chips = [
        LabelledChip("F_PRE", "window", FIRES, "s2", pixels, ("B02",), there, nothing, "positive", (0, 0)),
        LabelledChip("F_PRE", "window", FIRES, "s2", pixels, ("B02",), nothing, nothing, "ambiguous", (120, 0)),
        LabelledChip("F_PRE", "item", FIRES, "s2", pixels, ("B02",), there, nothing, "positive", (0, 0)),
        LabelledChip("LAKE", "item", "made", "s2", pixels, ("B02",), frozenset({"Water"}), gone, "", (0, 0)),
        LabelledChip("LAKE_S1", "item", "made", "s1", pixels[:2], ("VV",), frozenset({"Water"}), gone, "", (0, 0)),
    ]
    fire, lake = judged_windows(chips, "s2")
    assert (fire.name, fire.place, lake.name) == ("F_PRE (0, 0)", "F_PRE", "LAKE")
    assert [LABELS[i] for i in np.flatnonzero(fire.known)] == ["Burned Area"]
    assert [LABELS[i] for i in np.flatnonzero(lake.known)] == ["Flooded Area", "Burned Area"]
    assert (fire.gains[LABELS.index("Burned Area")], lake.gains[LABELS.index("Burned Area")]) == (1, 0)


def test_measures_alone_are_those_of_the_whole_evaluation(feed: Feed) -> None:
    folder = feed()
    (section,) = evaluate(Reddish(), feed=folder)
    found = evaluate_feed(Reddish(), folder)
    assert found == section.measures
    assert found["nDCG@10 S2, known"]["Burned Area"] == 1


def test_chips_without_a_value_are_named_and_left_out(feed: Feed) -> None:
    (section,) = evaluate(Reddish(), feed=feed(empty=(3,)))
    assert section.left_out == ["I3: not one valid value"]
    rows = next(t.rows for t in section.tables if t.title == "retrieval, items, S2, known")
    assert rows["burned area"]["chips"] == 15


def test_black_is_a_value_and_nothing_is_not() -> None:
    black = np.zeros((13, 8, 8), np.float32)
    assert has_value(black, "s2", ("B02",))
    assert not has_value(np.full_like(black, np.nan), "s2", ("B02",))


def test_a_folder_of_nothing_but_gaps_is_refused(feed: Feed) -> None:
    with pytest.raises(UsageError, match="not one valid value"):
        evaluate(Reddish(), feed=feed(4, empty=(0, 1, 2, 3)))


def break_table(folder: Path) -> None:
    (folder / "labels.parquet").unlink()


def cut_table(folder: Path) -> None:
    (folder / "labels.parquet").write_bytes((folder / "labels.parquet").read_bytes()[:100])


def lose_item(folder: Path) -> None:
    (folder / "items" / COLLECTION / "I1.json").unlink()


def spoil_item(folder: Path) -> None:
    (folder / "items" / COLLECTION / "I1.json").write_text("{")


def lose_cog(folder: Path) -> None:
    (folder / "cogs" / "1" / "B12.tif").unlink()


def cut_cog(folder: Path) -> None:
    path = folder / "cogs" / "1" / "B12.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_cog(folder: Path) -> None:
    (folder / "cogs" / "1" / "B12.tif").write_bytes(b"no raster")


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (break_table, NotFound, "no labels.parquet"),
        (cut_table, UnreadableAsset, "labels.parquet: not a whole parquet"),
        (lose_item, NotFound, "I1.json is missing"),
        (spoil_item, UnreadableAsset, "I1.json is no JSON"),
        (lose_cog, NotFound, "B12.tif is missing"),
        (cut_cog, UnreadableAsset, "B12.tif: corrupt or cut short"),
        (spoil_cog, UnreadableAsset, "B12.tif: corrupt or cut short"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_damage_is_named(feed: Feed, damage: Callable[[Path], None], error: type[Exception], words: str) -> None:
    folder = feed(2)
    damage(folder)
    with pytest.raises(error, match=words):
        evaluate(Reddish(), feed=folder)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`tocsin evaluate` with an encoder that needs no weights."""

    def command(*words: str, real: bool = False) -> tuple[int, str, str]:
        if not real:
            monkeypatch.setattr(encoders, "load", lambda _name: Reddish())
        monkeypatch.setattr(sys, "argv", ["tocsin", "evaluate", *words])
        with pytest.raises(SystemExit) as end:
            tocsin.main()
            sys.exit(0)
        return int(end.value.code or 0), *capsys.readouterr()

    return command


def test_one_document_and_one_report(feed: Feed, run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    code, out, _ = run("--feed", str(feed()), "--json", "--report", str(page))
    document = json.loads(out)
    assert code == 0
    assert document["release"] == "fake-1"
    assert document["sources"]["feed"]["tables"]["retrieval, items, S2, known"]["burned area"]["AP"] == 1
    text = page.read_text("utf-8")
    assert "fake-1" in text
    assert "burned area: -NBR" in text
    assert text.count('<figure class="right">') == 2 * 8
    # A land-cover map that says water settles the eight other covers: eight wrong finds on each of their sheets.
    assert text.count('<figure class="wrong">') == 2 * 4 + 8 * 8
    assert '<figure class="unknown">' in text
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text), "the report must need nothing beside it"
    pictures = re.findall(r"data:image/png;base64,([^\"]+)", text)
    assert all(base64.b64decode(p).startswith(b"\x89PNG") for p in pictures)


def test_a_table_is_printed(feed: Feed, run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = run("--feed", str(feed()))
    assert code == 0
    assert "feed: retrieval, items, S2, known" in out


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((), 2, "nothing to measure on"),
        (("--simulated", "0"), 2, "say how many"),
        (("--simulated", "-3"), 2, "say how many"),
        (("--feed", "EMPTY"), 2, "no labels.parquet"),
        (("--feed", "EMPTY/absent"), 2, "no labels.parquet"),
        (("--corpus", "EMPTY"), 2, "no metadata.parquet"),
        (("--simulated", "4", "--report", "EMPTY"), 2, "is a folder"),
        (("--simulated", "4", "--report", "EMPTY/no/where.html"), 2, "cannot be written"),
    ],
)
def test_bad_usage_is_one_line(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, words: tuple[str, ...], code: int, says: str
) -> None:
    ended, out, complaint = run(*(word.replace("EMPTY", str(tmp_path)) for word in words))
    assert ended == code
    assert out == ""
    assert says in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize(("damage", "code"), [(cut_cog, 1), (spoil_item, 1), (lose_cog, 2), (lose_item, 2)])
def test_a_damaged_feed_ends_in_one_line(
    feed: Feed, run: Callable[..., tuple[int, str, str]], damage: Callable[[Path], None], code: int
) -> None:
    folder = feed(2)
    damage(folder)
    ended, out, complaint = run("--feed", str(folder), "--json")
    assert (ended, out, complaint.count("\n")) == (code, "", 1)
    assert "fetch" in complaint


def test_an_unknown_encoder_is_one_line(run: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    ended, _, complaint = run("--feed", str(tmp_path), "--encoder", "nobody", real=True)
    assert ended == 1
    assert "no encoder release nobody" in complaint


def test_what_draws_the_report_may_be_absent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(SettingsError, match=r"tocsin\[training\]"):
        report.check_writable(tmp_path / "r.html")


def test_asking_whether_it_can_be_written_leaves_no_file(tmp_path: Path) -> None:
    report.check_writable(tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def fake_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-alikes and series made of ordinary chips, where burns are bright in B12 at the last look."""

    def like(n: int, *, seed: int, sensor: str, kind: str, biomes: object = None) -> Chips:
        chips = make_chips(n, seed=7, sensor="s2")
        chips.pixels[:] = 0.1
        return chips

    def series(n: int, *, seed: int, sensor: str, kind: str, looks: int = 6, biomes: object = None) -> list[Chips]:
        made = [like(n, seed=seed, sensor=sensor, kind=kind) for _ in range(looks)]
        if kind == "burn":
            made[-1].pixels[:, 12] = 0.6
            made[-1].labels[:] = [frozenset({"Burned Area"})] * n
        return made

    kinds = {"Burned Area": ("soil",)}
    monkeypatch.setattr("training.crises.make_lookalikes", like)
    monkeypatch.setattr("training.crises.kinds_for", lambda label, _: kinds.get(label, ()))
    monkeypatch.setattr("training.appearance.make_series", series)
    monkeypatch.setattr("training.appearance.kinds_of", lambda _: ("burn", "none", "harvest"))


def test_simulated_places_fill_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_events(monkeypatch)
    monkeypatch.setattr(simulated, "CRISIS_RANGE", (4, 4))
    (section,) = evaluate(Reddish(), chips=30)
    titles = {table.title: table.rows for table in section.tables}
    hold_out = titles["hold-out, held-out biomes, S2"]
    assert 0 < hold_out["mean"]["AP strict"] <= 1
    assert hold_out["mean"]["AP low"] < hold_out["mean"]["AP"] < hold_out["mean"]["AP high"]
    assert section.measures["simulated mAP S2"]["held-out biomes low"] == hold_out["mean"]["AP low"]
    assert hold_out["Trees"]["of (AP)"] <= hold_out["Trees"]["of (AP strict)"] <= 30
    series = titles["appearance, simulated, S2"]
    assert series["Burned Area"]["AP"] == series["Burned Area / harvest"]["AP"] == 1
    assert series["Burned Area"]["median rank"] == 1
    alike = titles["look-alikes, simulated, S2"]
    assert {"Burned Area / soil", "Burned Area / soil: -NBR", "Burned Area / soil: -NBR on land"} == set(alike)
    assert alike["Burned Area / soil: -NBR"]["AP"] > 0.5
    assert "Burned Area: -NBR" in hold_out
    assert titles["pairs, simulated, S2"]["Burned Area"]["pairs"] <= 4
    assert set(simulated.SETS) <= set(section.measures["simulated mAP S2"])
    assert len(section.sheets) == len(LABELS)


def test_only_the_test_split_of_a_corpus_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def chips(split: str | None = None, sensor: str | None = None) -> list[SimpleNamespace]:
        asked.append((split, sensor))
        made = []
        for number in range(24):
            pixels = np.full((13, 32, 32), 0.1, np.float32)
            pixels[12] = 0.5 if number % 2 else 0.05
            labels = frozenset({"Burned Area" if number % 2 else "Water"})
            lon_lat = (float(number // 4), 1.0) if number else None
            made.append(
                SimpleNamespace(
                    key=f"k{number}", sensor="s2", pixels=pixels, present=("B12",), labels=labels, lon_lat=lon_lat
                )
            )
        return made

    fake = SimpleNamespace(chips=chips, problems=["a.h5: k: skipped: damaged"], folder=Path("here"))
    monkeypatch.setattr("training.evaluate.open_corpus", lambda _: fake)
    (section,) = evaluate(Reddish(), corpus=Path("here"))
    assert asked == [("test", "s2")]
    assert section.left_out == ["a.h5: k: skipped: damaged"]
    rows = next(t.rows for t in section.tables if t.title == "retrieval, test split, S2, known")
    assert (rows["burned area"]["chips"], rows["burned area"]["right"], rows["burned area"]["AP"]) == (24, 12, 1)


def test_todays_figures_of_the_real_feed_stand(shared: Path) -> None:
    if not (shared / "feed").is_dir():
        pytest.skip(f"needs the feed of real pixels ({shared / 'feed'} is absent)")
    (section,) = evaluate(Reddish(), feed=shared / "feed")
    assert section.measures["burn S2, five bands"]["-NBR on land"] == pytest.approx(0.8702, abs=5e-4)
    assert section.measures["burn S2, five bands"]["-NBR"] == pytest.approx(0.7405, abs=5e-4)
    assert section.measures["burn pairs in order"]["pairs"] == 7
    assert section.measures["flood S2"]["NDWI"] == pytest.approx(0.5439, abs=5e-4)


def test_files_in_the_published_layout_are_measured(tmp_path: Path) -> None:
    """The real reader, a damaged file beside a whole one, and chips of the other splits that would spoil the figure."""
    rows = []
    with h5py.File(tmp_path / "crisislandmark.h5", "w") as file:
        for number in range(24):
            burnt = number % 2 == 0
            key, split = f"cabuar/{number}", "test" if number < 16 else "train"
            image = np.full((12, 64, 64), 1000, np.float32)
            image[11] = 5000 if burnt else 500
            group = file.create_group(key)
            group["image"] = image
            y, x = np.mgrid[0:64, 0:64]
            group["coords"] = np.stack([500_000.0 + 10_000 * (number // 4) + 10 * x, 4_500_000.0 - 10 * y])
            group.attrs["crs"], group.attrs["timestamp"] = "EPSG:32633", "2019-07-01T10:00:21"
            rows.append({"key": key, "labels": ["Burned Area" if burnt else "Water"], "split": split})
    (tmp_path / "half.h5").write_bytes(b"\x89HDF\r\n\x1a\n cut")
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "metadata.parquet")
    (section,) = evaluate(Reddish(), corpus=tmp_path)
    found = next(t.rows for t in section.tables if t.title == "retrieval, test split, S2, known")["burned area"]
    assert (found["chips"], found["right"], found["AP"]) == (16, 8, 1)
    assert [line for line in section.left_out if line.startswith("half.h5: skipped: not a whole HDF5 file")]


def test_a_corpus_without_a_test_split_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        group = file.create_group("cabuar/1")
        group["image"] = np.full((12, 64, 64), 1000, np.float32)
    row = {"key": "cabuar/1", "labels": ["Water"], "split": "train"}
    parquet.write_table(pa.Table.from_pylist([row]), tmp_path / "metadata.parquet")
    with pytest.raises(UsageError, match="not one usable chip of the test split"):
        evaluate(Reddish(), corpus=tmp_path)
