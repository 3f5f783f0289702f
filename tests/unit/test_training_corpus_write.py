"""Writing the layout: what comes back, one split per place, damaged parts, folders of others."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from encoders.offsets import DN_SCALE
from schemas.cells import Cell, cell_at
from schemas.errors import UnreadableAsset, UsageError
from training.corpus_write import LabelledCell, Scene, begun, is_done, renew_table, split_of, write_corpus
from training.crisislandmark import open_corpus

NOW = datetime(2024, 5, 6, 10, tzinfo=UTC)


def enter(folder: Path) -> None:
    """Make a folder as a build that has begun leaves it."""
    with begun(folder, {}):
        pass


def scene(item: str = "S2A/33TVF", sensor: str = "s2") -> Scene:
    return Scene(item, sensor, NOW, "CC0-1.0", "nobody")


def chip(cell: Cell, bands: int = 13, value: float = 0.1234) -> LabelledCell:
    pixels = np.full((bands, 120, 120), value, np.float32)
    pixels[0, :5] = np.nan
    return LabelledCell(cell, pixels, frozenset({"Trees"}), frozenset({"Water"}), frozenset({"Bare"}), "pre", 0.25)


@pytest.mark.parametrize(("sensor", "bands"), [("s2", 13), ("s1", 2)])
def test_what_is_written_comes_back(tmp_path: Path, sensor: str, bands: int) -> None:
    cell = cell_at(15.1, 41.0)
    enter(tmp_path)
    assert write_corpus(tmp_path, scene(sensor=sensor), [chip(cell, bands)]) == 1
    corpus = open_corpus(tmp_path)
    [sample] = corpus.chips()
    assert corpus.problems == [] and sample.sensor == sensor
    assert (sample.labels, sample.absent, sample.unknown, sample.state) == ({"Trees"}, {"Water"}, {"Bare"}, "pre")
    assert sample.timestamp == NOW and sample.lon_lat == pytest.approx(cell.centre, abs=1e-4)
    tolerance = DN_SCALE if sensor == "s2" else 0.002 * 0.1234
    assert np.nanmax(np.abs(sample.pixels[1] - 0.1234)) < tolerance
    assert np.isnan(sample.pixels[0, :5]).all() and not np.isnan(sample.pixels[0, 5:]).any()


def test_a_scene_without_chips_is_finished(tmp_path: Path) -> None:
    enter(tmp_path)
    assert write_corpus(tmp_path, scene(), []) == 0
    assert is_done(tmp_path, scene()) == 0 and is_done(tmp_path, scene("other")) is None
    assert not list(tmp_path.glob("*.h5"))


def test_a_failing_scene_leaves_nothing_that_counts(tmp_path: Path) -> None:
    def failing():
        yield chip(cell_at(15.1, 41.0))
        raise UnreadableAsset("gone")

    enter(tmp_path)
    with pytest.raises(UnreadableAsset):
        write_corpus(tmp_path, scene(), failing())
    assert is_done(tmp_path, scene()) is None and not list(tmp_path.glob("*.h5"))
    with begun(tmp_path, {}):
        assert not list(tmp_path.rglob("*.partial"))


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    with begun(tmp_path / "a", {"limit": 1}):
        pass
    with begun(tmp_path / "a", {"limit": 1}):
        pass
    with pytest.raises(UsageError, match="other settings"), begun(tmp_path / "a", {"limit": 2}):
        pass
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.tex").write_text("…")
    with pytest.raises(UsageError, match="not empty"), begun(tmp_path / "b", {}):
        pass


def test_one_build_at_a_time(tmp_path: Path) -> None:
    with begun(tmp_path, {}), pytest.raises(UsageError, match="another build is at work"), begun(tmp_path, {}):
        pass


def test_a_damaged_part_says_what_to_delete(tmp_path: Path) -> None:
    enter(tmp_path)
    write_corpus(tmp_path, scene(), [chip(cell_at(15.1, 41.0))])
    [part] = (tmp_path / "parts").glob("*.parquet")
    part.write_bytes(b"PAR1")
    with pytest.raises(UnreadableAsset, match="delete it"):
        renew_table(tmp_path)


def test_splits_are_whole_squares_in_the_stated_shares() -> None:
    assert {split_of(15.01 + x, 41.01 + y) for x in (0, 0.2, 0.48) for y in (0, 0.2, 0.48)} == {split_of(15.01, 41.01)}
    many = [split_of(lon, lat) for lon in np.arange(-179.75, 180, 0.5) for lat in np.arange(-60, 70, 2)]
    shares = {name: many.count(name) / len(many) for name in set(many)}
    assert shares == pytest.approx({"training": 0.70, "validation": 0.15, "corpus": 0.15}, abs=0.01)
