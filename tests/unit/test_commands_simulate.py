"""`tocsin simulate`: what it draws and prints, and how bad requests end."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tocsin

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """One command in this process, as the `tocsin` script runs it: exit status, stdout, stderr."""

    def command(*words: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tocsin", "simulate", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            tocsin.main()
            sys.exit(0)
        code = end.value.code if isinstance(end.value.code, int) else int(end.value.code is not None)
        return code, *capsys.readouterr()

    return command


def test_chips_are_counted_and_timed(run: Run) -> None:
    code, out, _ = run("--chips", "5", "--sensor", "s1", "--seed", "5", "--json")
    document = json.loads(out)
    assert code == 0 and document["chips"] == 5 and document["sensor"] == "s1" and document["file"] is None
    assert document["chips_per_s"] == pytest.approx(5 / document["seconds"], rel=0.05)
    assert sum(document["labels"].values()) >= 5
    code, out, _ = run("--chips", "2", "--sensor", "s1", "--seed", "5")
    assert code == 0 and "2 s1 chips in" in out and "chips/s" in out


def test_chips_are_kept_as_the_seed_draws_them(run: Run, tmp_path: Path) -> None:
    from simulation.chips import make_chips

    code, out, _ = run("--chips", "3", "--sensor", "s1", "--seed", "5", "--out", tmp_path / "chips.npz")
    assert code == 0 and "chips.npz" in out
    expected = make_chips(3, seed=5, sensor="s1")
    with np.load(tmp_path / "chips.npz") as kept:
        assert np.array_equal(kept["pixels"], expected.pixels, equal_nan=True)
        assert list(kept["bands"]) == ["VV", "VH"] and kept["present"].shape == (3, 12)
        names = [{str(kept["labels"][i]) for i in np.flatnonzero(row)} for row in kept["present"]]
        assert names == [set(labels) for labels in expected.labels]
        assert [json.loads(str(text)) for text in kept["attributes"]] == expected.attributes


def test_lookalikes_are_drawn_by_name(run: Run) -> None:
    code, out, _ = run("--chips", "3", "--lookalike", "ploughed", "--json")
    document = json.loads(out)
    assert code == 0 and document["lookalike"] == "ploughed" and "Burned Area" not in document["labels"]


def test_a_sheet_shows_labels_lookalikes_and_series(run: Run, tmp_path: Path) -> None:
    words = ("--columns", "2", "--label", "burned area", "--lookalike", "calm lake", "--series", "tide", "--json")
    code, out, err = run("--gallery", tmp_path / "sheet.png", *words)
    assert code == 0, err
    titles = [row["title"] for row in json.loads(out)["rows"]]
    assert "Burned Area: false colour" in titles
    assert {"calm lake: look-alike, radar", "tide: over time, radar"} <= set(titles)
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.format == "PNG" and image.height > len(titles) * 120


def test_real_chips_stand_beside_simulated_ones(run: Run, tmp_path: Path, shared: Path) -> None:
    words = ("--columns", "2", "--label", "Flooded Area", "--beside", shared / "feed", "--json")
    code, out, err = run("--gallery", tmp_path / "sheet.png", *words)
    assert code == 0, err
    rows = {row["title"]: row["real"] for row in json.loads(out)["rows"]}
    assert rows["Flooded Area: radar"] == 2 and rows["Flooded Area: true colour"] == 2


def test_distances_are_printed_for_programs_and_people(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real pixels are compared in test_training_distributions."""
    from training.distributions import simulated_chips

    (tmp_path / "labels.parquet").touch()
    monkeypatch.setattr("commands.simulate.COMPARED", 6)
    monkeypatch.setattr(
        "training.distributions.real_chips", lambda _folder, sensor: simulated_chips(4, seed=1, sensor=sensor)
    )
    code, out, err = run("--compare", tmp_path, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert {"s1", "s2"} == {one["sensor"] for one in found}
    assert [one["wasserstein"] for one in found] == sorted((one["wasserstein"] for one in found), reverse=True)
    code, out, err = run("--compare", tmp_path)
    assert code == 0, err
    assert "worst first" in out and "everything" in out and "VH" in out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--gallery FILE, --chips N and --compare DIR"),
        (["--chips", "2", "--gallery", "x.png"], "say one of"),
        (["--chips", "0"], "--chips 0: ask for one or more"),
        (["--chips", "-3"], "--chips -3"),
        (["--chips", "2", "--sensor", "s3"], "choose s1 or s2"),
        (["--chips", "2", "--lookalike", "ufo"], "no look-alike of s2 is called 'ufo'"),
        (["--chips", "2", "--lookalike", "wet snow", "--lookalike", "tide"], "give --lookalike once"),
        (["--chips", "2", "--out", "nowhere/chips.npz"], "there is no folder"),
        (["--chips", "2", "--out", "."], "is a folder"),
        (["--gallery", "nowhere/sheet.png"], "there is no folder"),
        (["--gallery", "sheet.png", "--columns", "0"], "1 to 40"),
        (["--gallery", "sheet.png", "--label", "Lava"], "no label is called 'Lava'"),
        (["--gallery", "sheet.png", "--lookalike", "ufo"], "no look-alike is called 'ufo'"),
        (["--gallery", "sheet.png", "--series", "ufo"], "no series of s2 is called 'ufo'"),
        (["--gallery", "sheet.png", "--series", "tide", "--columns", "1"], "1 looks are no series"),
        (["--gallery", "sheet.png", "--label", "Trees", "--beside", "nowhere"], "holds no labels.parquet"),
        (["--compare", "nowhere"], "holds no labels.parquet"),
    ],
)
def test_impossible_requests_are_one_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert code == 2 and not out
    assert says in err and len(err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_no_feed_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "labels.parquet").write_bytes(b"half a download")
    for words in (("--compare", tmp_path), ("--gallery", tmp_path / "x.png", "--label", "Trees", "--beside", tmp_path)):
        code, _, err = run(*words)
        assert code == 2 and "is not in the feed's layout" in err and len(err.strip().splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_line(run: Run) -> None:
    code, _, err = run("--chips", "1", "--sensor", "s1", "--out", "/dev/full")
    assert code == 2 and "/dev/full cannot be written: No space left" in err
