"""The published layout: order, units, labels, splits, and every way in which files of it are known to be bad."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from encoders.bands import BANDS_S2
from schemas.errors import NotFound, SettingsError, UnreadableAsset
from training.corpus_facts import CORINE_LABELS, L2A, facts_of, label_named
from training.crisislandmark import Sample, open_corpus
from training.phrases import LABELS

PX = 120


def s2(counts: float = 2000) -> np.ndarray:
    return np.stack([np.full((PX, PX), counts + index, np.float32) for index in range(12)])


def put(path: Path, key: str, image: np.ndarray | None, **attributes: object) -> None:
    with h5py.File(path, "a") as file:
        group = file.create_group(key)
        if image is not None:
            group["image"] = image
            h, w = image.shape[-2:] if image.ndim > 1 else (PX, PX)
            y, x = np.mgrid[0:h, 0:w]
            group["coords"] = np.stack([500_000.0 + 10 * x, 4_500_000.0 - 10 * y])
        for name, value in ({"crs": "EPSG:32633", "timestamp": "2019-07-01T10:00:21"} | attributes).items():
            group.attrs[name] = value


def table(folder: Path, *rows: tuple[str, object, str], name: str = "metadata.parquet") -> None:
    keys, labels, splits = (list(column) for column in zip(*rows, strict=True))
    columns = {"key": keys, "labels": pa.array(labels, pa.list_(pa.string())), "split": splits}
    parquet.write_table(pa.table(columns), folder / name)


def read(folder: Path, **wanted: str) -> tuple[list[Sample], list[str]]:
    corpus = open_corpus(folder)
    return list(corpus.chips(**wanted)), corpus.problems


def alone(folder: Path, key: str, image: np.ndarray, **attributes: object) -> tuple[list[Sample], list[str]]:
    put(folder / "crisislandmark.h5", key, image, **attributes)
    table(folder, (key, ["Trees"], "training"))
    return read(folder)


def test_a_chip_of_sentinel_2(tmp_path: Path) -> None:
    [chip], problems = alone(tmp_path, "benv2s2/S2A_T33/12", s2())
    assert problems == []
    assert (chip.key, chip.sensor, chip.source, chip.split) == ("benv2s2/S2A_T33/12", "s2", "benv2s2", "train")
    assert chip.pixels.shape == (13, PX, PX) and chip.pixels.dtype == np.float32
    assert chip.present == L2A and np.isnan(chip.pixels[BANDS_S2.index("B10")]).all()
    for index, band in enumerate(L2A):
        assert chip.pixels[BANDS_S2.index(band), 5, 7] == pytest.approx((2000 + index) / 10_000)
    assert chip.timestamp == datetime(2019, 7, 1, 10, 0, 21, tzinfo=UTC) and chip.crs == "EPSG:32633"
    assert chip.lon_lat == pytest.approx((15.0071, 40.6454), abs=1e-3)
    assert chip.labels == {"Trees"} and chip.absent == frozenset()


@pytest.mark.parametrize(
    ("source", "planes", "vv_vh"),
    [
        ("benv2s1", (-17.0, -10.0), (0.1, 0.01995)),
        ("sen1flood", (-17.0, -10.0), (0.1, 0.01995)),
        ("sen1floods11", (0.02, 0.1), (0.1, 0.02)),
        ("mmflood", (0.1, 0.02), (0.1, 0.02)),
        ("quakeset", (9.0, 9.0, 0.1, 0.02), (0.1, 0.02)),
        ("quakeset", (-10.0, -17.0), (0.1, 0.01995)),
    ],
)
def test_planes_and_units_of_sentinel_1(
    tmp_path: Path, source: str, planes: tuple[float, ...], vv_vh: tuple[float, float]
) -> None:
    image = np.stack([np.full((PX, PX), value, np.float32) for value in planes])
    [chip], problems = alone(tmp_path, f"{source}_1", image)
    assert problems == [] and chip.sensor == "s1" and chip.present == ("VV", "VH")
    assert chip.pixels[:, 3, 3] == pytest.approx(vv_vh, rel=1e-3)


def test_declared_units_are_believed(tmp_path: Path) -> None:
    [chip], _ = alone(tmp_path, "mmflood_1", np.full((2, PX, PX), 3.0), units="dB")
    assert chip.pixels[0, 0, 0] == pytest.approx(10**0.3)


def test_reflectance_is_not_divided_again(tmp_path: Path) -> None:
    [chip], _ = alone(tmp_path, "cabuar/1", s2() / 10_000)
    assert chip.pixels[0, 0, 0] == pytest.approx(0.2)


def test_thirteen_planes_with_the_loaders_zero_b10(tmp_path: Path) -> None:
    [chip], _ = alone(tmp_path, "cabuar/1", np.insert(s2(), 10, 0, axis=0))
    assert chip.present == L2A and chip.pixels[12, 0, 0] == pytest.approx(0.2011)


def test_nan_planes_are_absent_and_gaps_stay(tmp_path: Path) -> None:
    image = s2()
    image[1] = np.nan
    image[:, :4] = 0
    image[3, 60, 60] = np.inf
    [chip], problems = alone(tmp_path, "benv2s2_1", image)
    assert problems == [] and "B02" not in chip.present and len(chip.present) == 11
    assert np.isnan(chip.pixels[:, :4]).all() and np.isnan(chip.pixels[3, 60, 60])
    assert chip.pixels[3, 60, 61] > 0.2


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((12, PX, PX), np.uint16), "nothing in it but zeros and NaN"),
        (np.full((12, PX, PX), np.nan), "nothing in it but zeros and NaN"),
        (np.ones((7, PX, PX)), "7 bands, benv2s2 has 12"),
        (np.ones((PX, PX, 12)), "image of shape (120, 120, 12)"),
        (np.ones((PX, PX)), "image of shape (120, 120)"),
        (np.ones((12, 4, 4)), "image of shape (12, 4, 4)"),
        (np.ones((12, PX, PX), complex), "type complex128"),
    ],
)
def test_images_that_are_none(tmp_path: Path, image: np.ndarray, says: str) -> None:
    chips, [problem] = alone(tmp_path, "benv2s2_1", image)
    assert chips == [] and says in problem
    assert problem.startswith("crisislandmark.h5: benv2s2_1: skipped: ")


def test_quakesets_unused_planes_do_not_save_an_empty_chip(tmp_path: Path) -> None:
    image = np.zeros((4, PX, PX), np.float32)
    image[:2] = 0.3
    chips, [problem] = alone(tmp_path, "quakeset_1", image)
    assert chips == [] and "nothing in it" in problem


def test_keys_groups_and_labels_that_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "crisislandmark.h5"
    for name in ("whole", "unlisted", "unlabelled", "null", "strange"):
        put(path, f"benv2s2/{name}", s2())
    put(path, "benv2s2/empty", None)
    put(path, "landsat/1", s2())
    table(
        tmp_path,
        ("benv2s2/whole", ["trees", "Flooded vegetation", "Rice fields"], "corpus"),
        ("benv2s2/whole", ["Water"], "corpus"),
        ("benv2s2/unlabelled", [], "corpus"),
        ("benv2s2/null", None, "corpus"),
        ("benv2s2/strange", ["Trees", "Martian"], "corpus"),
        ("benv2s2/empty", ["Trees"], "corpus"),
        ("benv2s2/nowhere", ["Trees"], "corpus"),
        ("landsat/1", ["Trees"], "corpus"),
    )
    [chip], problems = read(tmp_path)
    assert chip.labels == {"Trees", "Flooded Vegetation"} and chip.split == "test"
    by_key = {line.split(": ")[1]: line for line in problems}
    names = ("whole", "unlisted", "unlabelled", "null", "strange", "empty", "nowhere")
    assert by_key.keys() == {"landsat/1", *(f"benv2s2/{name}" for name in names)}
    assert "listed twice" in by_key["benv2s2/whole"]
    assert "no row of the table" in by_key["benv2s2/unlisted"]
    assert "no labels" in by_key["benv2s2/unlabelled"] and "no labels" in by_key["benv2s2/null"]
    assert "'Martian'" in by_key["benv2s2/strange"]
    assert "damaged" in by_key["benv2s2/empty"]
    assert "no readable file" in by_key["benv2s2/nowhere"]
    assert "source is unknown" in by_key["landsat/1"]


def test_problems_are_told_once_however_often_it_is_read(tmp_path: Path) -> None:
    put(tmp_path / "a.h5", "benv2s2_1", np.zeros((12, PX, PX)))
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"))
    corpus = open_corpus(tmp_path)
    assert [list(corpus.chips()) for _ in range(3)] == [[], [], []]
    assert len(corpus.problems) == 1


def test_two_files_with_the_same_key(tmp_path: Path) -> None:
    put(tmp_path / "a.h5", "benv2s2_1", s2(1000))
    put(tmp_path / "b.h5", "benv2s2_1", s2(3000))
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"))
    [chip], [problem] = read(tmp_path)
    assert chip.pixels[0, 0, 0] == pytest.approx(0.1)
    assert problem.startswith("b.h5: benv2s2_1") and "same key" in problem


def test_the_tables_file_decides_between_two(tmp_path: Path) -> None:
    put(tmp_path / "a.h5", "benv2s2_1", s2(1000))
    put(tmp_path / "b.h5", "benv2s2_1", s2(3000))
    columns = {"key": ["benv2s2_1"], "labels": [["Trees"]], "split": ["test"], "file": ["data/b.h5"]}
    parquet.write_table(pa.table(columns), tmp_path / "metadata.parquet")
    [chip], [problem] = read(tmp_path)
    assert chip.pixels[0, 0, 0] == pytest.approx(0.3) and problem.startswith("a.h5: benv2s2_1")


def test_one_file_of_two_is_cut_short_or_is_none(tmp_path: Path) -> None:
    put(tmp_path / "a.h5", "benv2s2_1", s2())
    put(tmp_path / "b.h5", "benv2s2_2", s2())
    (tmp_path / "c.h5").write_bytes(b"<html>502 Bad Gateway</html>")
    (tmp_path / "d.h5").write_bytes(b"")
    whole = (tmp_path / "b.h5").read_bytes()
    (tmp_path / "b.h5").write_bytes(whole[: len(whole) // 2])
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"), ("benv2s2_2", ["Trees"], "test"))
    [chip], problems = read(tmp_path)
    assert chip.key == "benv2s2_1"
    assert [line.split(":")[0] for line in problems] == ["b.h5", "c.h5", "d.h5", "metadata.parquet"]
    assert all("not a whole HDF5 file" in line for line in problems[:3])


def test_bytes_overwritten_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "crisislandmark.h5"
    with h5py.File(path, "w") as file:
        for name in ("1", "2"):
            noise = np.random.default_rng(int(name)).integers(1, 9000, (12, PX, PX)).astype(np.uint16)
            file.create_dataset(f"benv2s2_{name}/image", data=noise, compression="gzip")
        offset = file["benv2s2_1/image"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset : offset + 2000] = b"\xff" * 2000
    path.write_bytes(content)
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"), ("benv2s2_2", ["Trees"], "test"))
    [chip], [problem] = read(tmp_path)
    assert chip.key == "benv2s2_2" and chip.lon_lat is None and chip.timestamp is None and chip.crs is None
    assert "benv2s2_1" in problem and "damaged" in problem


def test_no_readable_file_at_all(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\nand no more")
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"))
    with pytest.raises(UnreadableAsset, match="none of its 1 h5 files"):
        list(open_corpus(tmp_path).chips())


def test_folders_that_hold_no_corpus(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no folder"):
        open_corpus(tmp_path / "none")
    with pytest.raises(NotFound, match=r"no metadata\.parquet"):
        open_corpus(tmp_path)
    put(tmp_path / "a.h5", "benv2s2_1", s2())
    with pytest.raises(NotFound, match=r"no metadata\.parquet"):
        open_corpus(tmp_path)
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"))
    (tmp_path / "a.h5").unlink()
    with pytest.raises(NotFound, match="no h5 file"):
        open_corpus(tmp_path)


def test_tables_that_are_none(tmp_path: Path) -> None:
    put(tmp_path / "a.h5", "benv2s2_1", s2())
    table(tmp_path, ("benv2s2_1", ["Trees"], "test"))
    path = tmp_path / "metadata.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UnreadableAsset, match="not a whole parquet file"):
        open_corpus(tmp_path)
    parquet.write_table(pa.table({"key": ["benv2s2_1"], "split": ["test"]}), path)
    with pytest.raises(UnreadableAsset, match="no column labels"):
        open_corpus(tmp_path)


def test_the_loaders_own_two_tables(tmp_path: Path) -> None:
    put(tmp_path / "benv2s1.h5", "1", np.full((2, PX, PX), -12.0))
    samples = {"file": ["data/benv2s1.h5"], "key": ["1"], "labels": [["Water"]]}
    parquet.write_table(pa.table(samples), tmp_path / "geocrisis.parquet")
    with pytest.raises(NotFound, match=r"splits\.parquet is missing"):
        open_corpus(tmp_path)
    parquet.write_table(pa.table({"key": ["1"], "split": ["training"]}), tmp_path / "splits.parquet")
    [chip], problems = read(tmp_path)
    assert problems == [] and (chip.source, chip.split, chip.sensor) == ("benv2s1", "train", "s1")


def test_only_what_is_asked_for(tmp_path: Path) -> None:
    put(tmp_path / "a.h5", "benv2s2_1", s2())
    put(tmp_path / "a.h5", "benv2s1_1", np.full((2, PX, PX), -12.0))
    put(tmp_path / "a.h5", "benv2s1_2", np.full((2, PX, PX), -12.0))
    rows = (
        ("benv2s2_1", ["Trees"], "training"),
        ("benv2s1_1", ["Trees"], "training"),
        ("benv2s1_2", ["Trees"], "corpus"),
    )
    table(tmp_path, *rows)
    assert [chip.key for chip in read(tmp_path, split="train")[0]] == ["benv2s1_1", "benv2s2_1"]
    assert read(tmp_path, split="train", sensor="s1")[0][0].key == "benv2s1_1"
    assert [chip.key for chip in read(tmp_path, sensor="s1")[0]] == ["benv2s1_1", "benv2s1_2"]
    assert read(tmp_path, split="test", sensor="s2") == ([], [])


@pytest.mark.parametrize("attributes", [{"crs": "EPSG:999999"}, {"crs": "the moon"}, {"timestamp": "last summer"}])
def test_a_place_or_time_that_is_none_costs_only_itself(tmp_path: Path, attributes: dict[str, str]) -> None:
    [chip], [problem] = alone(tmp_path, "benv2s2_1", s2(), **attributes)
    assert (chip.lon_lat is None) == ("crs" in attributes)
    assert (chip.timestamp is None) == ("timestamp" in attributes)
    assert "unknown" in problem and "skipped" not in problem


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(SettingsError, match=r"pip install 'tocsin\[training\]'"):
        open_corpus(tmp_path)


def test_names() -> None:
    assert len(CORINE_LABELS) == 44 and set(CORINE_LABELS.values()) <= set(LABELS)
    assert label_named(" BURNED area ") == "Burned Area" and label_named("Sea and ocean") == "Water"
    assert label_named("fire") is None
    for key, name in (("sen12flood_3", "sen12flood"), ("sen1floods11_3", "sen1flood"), ("x/cabuar/1", "cabuar")):
        facts = facts_of(key, "crisislandmark.h5")
        assert facts is not None and facts.name == name
    assert facts_of("1", "landsat.h5") is None
