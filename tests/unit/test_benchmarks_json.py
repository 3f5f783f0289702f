"""Every benchmark takes `--json` and prints nothing on stdout but figures, one a line, with their documented names.

What is slow is small here, or stands in for what it measures; what prints is the real thing.
"""

from __future__ import annotations

import importlib
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
import structlog
from shapely.affinity import scale

from archive.interface import DIMENSION
from benchmarks import (
    files,
    latency,
    lint,
    memory,
    percolate,
    percolate_store,
    percolate_work,
    pipeline,
    tile,
    verdicts,
)
from benchmarks.years import Happening, Looks, Years
from encoders.nano import Nano
from schemas.cells import cell_at

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    path.stem for path in (ROOT / "benchmarks").glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)
NO_FIGURES = {"serving"}

Rows = dict[str, dict[str, object]]
Run = Callable[..., Rows]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run a script's `main` with `--json` and read every line of its stdout."""

    def start(script: str, *words: str) -> Rows:
        monkeypatch.setattr(sys, "argv", [f"benchmarks/{script}.py", "--json", *words])
        capsys.readouterr()
        importlib.import_module(f"benchmarks.{script}").main()
        structlog.get_logger().error("whatever happens meanwhile")  # by default a log goes to stdout
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for row in rows:
            assert {"name", "value", "unit", "machine"} <= row.keys() <= ROW
            assert isinstance(row["value"], int | float) and np.isfinite(row["value"]), row
        found = {row["name"]: row for row in rows}
        assert len(found) == len(rows), "a name is printed twice"
        assert not documented(script) - found.keys()
        return found

    yield start
    structlog.contextvars.clear_contextvars()
    logging.basicConfig(force=True)  # the script's went to this test's stderr


ROW = {"name", "value", "unit", "peer", "ratio", "floor", "ceiling", "machine"}


def documented(script: str) -> set[str]:
    """Names of figures in its section of docs/benchmarks.md, but for those that need more than a test has."""
    sections = re.split(r"^## ", (ROOT / "docs" / "benchmarks.md").read_text(), flags=re.MULTILINE)
    (section,) = [each for each in sections if f"`benchmarks.{script}`" in each.partition("\n")[0]] or [""]
    names = {name for name in re.findall(r"`([a-z0-9_]+)`", section) if "_" in name}
    return {name for name in names if not re.search(r"_1m_|^q100k_|faiss|odc_stac", name)}


def test_documented_names_are_found() -> None:
    assert "tile_seconds" in documented("pipeline") and "within_interval_share" in documented("budget")


@pytest.mark.parametrize("script", SCRIPTS)
def test_options_are_parsed(script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    main = importlib.import_module(f"benchmarks.{script}").main
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert ("--json" in capsys.readouterr().out) == (script not in NO_FIGURES)
    monkeypatch.setattr(sys, "argv", [script, "--no-such-option"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2


def unit(rng: np.random.Generator, like: np.ndarray, spread: float) -> np.ndarray:
    vectors = like + spread * rng.standard_normal(like.shape) / np.sqrt(DIMENSION)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def made_up() -> Years:
    """Two years of 14 places, seen every ten days; crises of each half look as they are called."""
    rng, encoder = np.random.default_rng(0), Nano(threads=1)
    grounds = ("none",) * 8 + ("permanent water", "permanent water", "bare soil", "bare soil", "conifers", "tide")
    sentences = encoder.texts(["wildfire burn scar", "flooded area", "earthquake damage"])
    kinds = ("burn", "flood", "quake")
    crises = tuple(Happening(i, kinds[i % 3], 120 + 365 * (i // 3), 200 + 365 * (i // 3)) for i in range(6))
    day = np.arange(0, 730, 10.0)
    place = np.repeat(np.arange(len(grounds)), len(day))
    days = np.tile(day, len(grounds))
    base = unit(rng, np.zeros((len(grounds), DIMENSION)), 1)[place]
    shows = np.zeros((len(place), 3), np.bool_)
    for crisis in crises:
        shows[(place == crisis.place) & (days >= crisis.day) & (days <= crisis.until), kinds.index(crisis.kind)] = True
    plain = np.where(shows.any(axis=1)[:, None], shows.astype(float) @ sentences, base)
    looks = {
        sensor: Looks(place, days + offset, unit(rng, plain, 0.3), shows) for sensor, offset in (("s1", 1), ("s2", 0))
    }
    cells = tuple(cell_at(10 + 0.1 * i, 50).id for i in range(len(grounds)))
    return Years(encoder.release, cells, grounds, 730.0, looks, crises)


def test_appearance(run: Run, made_up: Years, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.appearance.simulated_years", lambda places, years, cache, seed: made_up)
    found = run("appearance", "--places", "14", "--years", "2", "--seeds", "1", "2")
    assert (found["flood_crises"]["value"], found["burn_crises"]["value"]) == (4, 4)
    assert found["flood_presence_false_alarms_at_recall_50"]["value"] == 0
    assert found["appearance_fewer_false_alarms_at_recall_50"]["peer"] == "presence"


def test_budget(run: Run, made_up: Years, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import budget

    kept = {
        next(name for name, of in budget.SENTENCES.items() if of == kind): kind for kind in ("burn", "flood", "quake")
    }
    monkeypatch.setattr(budget, "SENTENCES", kept)
    monkeypatch.setattr(budget, "BUDGETS", {"1/week": budget.BUDGETS["1/week"]})
    monkeypatch.setattr(budget, "simulated_years", lambda places, years, cache, seed: made_up)
    found = run("budget")
    assert found["budget_cases"]["value"] == 6
    assert 0 <= found["within_interval_share"]["value"] <= 1
    assert found["fixed_cosine_budget_kept_share"]["peer"] == "one cosine for all"


def test_percolate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(percolate, "QUERIES", {1: "q1", 300: "q1k", 10_000: "q10k"})
    monkeypatch.setattr(percolate, "CELLS", (32, 64))
    monkeypatch.setattr(percolate, "HELD", 300)
    monkeypatch.setattr(percolate, "SEARCHES", 5)
    monkeypatch.setattr(percolate_work, "_PRODUCTS", ((64, 64, 64),))
    monkeypatch.setattr(percolate_store, "in_a_process", percolate_store.started)
    found = run("percolate", "--quick", "--seconds", "0.01")
    for name in ("q1", "q1k", "q10k", "q100k_often"):
        assert found[f"pairs_per_s_per_core_{name}"]["value"] > 0
        assert found[f"share_of_peak_{name}_b4096".replace("4096", "64")]["peer"] == "peak"
    assert found["queries_per_s_b4096"]["ratio"] > 0
    assert found["memory_100k_gib"]["ceiling"] == 4


def test_archive(run: Run) -> None:
    found = run("archive", "--cells", "60", "--passes", "2")
    assert found["archive_record_points_per_s"]["value"] > 0
    assert found["archive_bytes_per_point"]["value"] > 4 * DIMENSION


def test_lint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for table in ("STRANGE", "UNSEEN"):
        monkeypatch.setattr(lint, table, {name: some[:2] for name, some in getattr(lint, table).items()})
    monkeypatch.setattr(lint, "measuring", lambda: ["burnt forest", "flooded fields"])
    found = run("lint")
    assert found["lint_good_sentences"]["value"] == 2 and found["lint_strange_caught_share"]["floor"] == 0.8


def test_verdicts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "ANSWERS", (2, 4))
    monkeypatch.setattr(verdicts, "DRAWS", 1)
    rng = np.random.default_rng(0)

    def ground(*_: object) -> verdicts.Ground:
        kinds = {kind for _, event, others in verdicts.QUERIES for kind in (event, *others)}
        chips = {kind: unit(rng, np.zeros((10, DIMENSION)), 1) for kind in (*sorted(kinds), "none")}
        return verdicts.Ground(chips, chips["none"])

    monkeypatch.setattr(verdicts, "grounds", ground)
    found = run("verdicts")
    assert found["verdicts_4_ap"]["peer"] == "bare sentence"
    assert 0 < found["verdicts_2_false_at_recall_90_mean_of_examples"]["value"] < 1


def test_coverage(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import coverage

    monkeypatch.setattr(coverage, "GERMANY", shapely.box(10.0, 50.9, 10.5, 51.1))
    for name, small in {"WEEKS": 8, "QUERIES": 1, "SAMPLE": 1, "FIELD_KM": 256}.items():
        monkeypatch.setattr(coverage, name, small)
    whole = coverage.scenes
    monkeypatch.setattr(
        coverage, "scenes", lambda day: ((orbit, name, scale(box, 0.2, 0.2)) for orbit, name, box in whole(day))
    )
    found = run("coverage", "--repeats", "1")
    assert found["coverage_ledger_germany_5_years"]["ceiling"] == 1000
    assert found["coverage_raw_to_ledger"]["value"] > 1


def test_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile, "PATCH_PX", 60)
    monkeypatch.setattr(tile, "EDGE_M", 3600)
    monkeypatch.setattr(files, "PART_PX", 240)
    monkeypatch.setattr(files, "PART", files.Window(0, 0, 240, 240))
    found = run("files", "--tile", str(tmp_path), "--rounds", "1")
    assert found["vsicurl_wait_30_ms_seconds"]["peer"] == "whole files"


def test_pipeline(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def served(_folder: Path):
        yield "http://127.0.0.1:1"

    monkeypatch.setattr(pipeline, "make_tile", lambda folder: {})
    monkeypatch.setattr(pipeline, "served", served)
    monkeypatch.setattr(pipeline, "find_spec", lambda name: name)
    seconds = {"path": 20.0, "decode": 8.0, "encode": 10.0, "peer": 40.0}
    monkeypatch.setattr(
        pipeline, "run", lambda part, cores, *_: pipeline.Part(seconds[part] / cores, 12_100, 15.0, 1.0)
    )
    found = run("pipeline", "--tile", str(tmp_path))
    assert found["tile_over_slower_stage"]["value"] == 2 and found["tile_over_odc_stac"]["ratio"] == 0.5


def test_encode(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import encode

    class Towers:
        engines = ("fp32", "bf16", "int8")

        def __init__(self, _threads: int) -> None:
            pass

        def agreement(self, arithmetic: str, _feed: Path | None) -> dict[str, float]:
            return {"cosine": 0.9997, "least_cosine": 0.9994}

    names = [*(f"closp {each}" for each in Towers.engines), "onnxruntime", "eager", "eager 1", "nano s2", "nano s1"]
    rates = {name: encode.Figures([2.0], [2.0]) for name in (*names, "nano text", "gemm numpy", "gemm openvino")}
    monkeypatch.setattr("benchmarks.towers.Towers", Towers)
    monkeypatch.setattr(encode, "limit_threads", lambda threads: None)
    monkeypatch.setattr(encode, "measure", lambda towers, threads, rounds: rates)
    found = run("encode")
    assert found["closp_rn_int8_cosine"]["floor"] == encode.COSINE_FLOOR
    assert found["closp_rn_int8_over_fp32"]["value"] == 1


def test_latency(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "measure", lambda scenes: ([1.0] * scenes, {"matched": [1.0], "delivered": [3.0]}))
    found = run("latency", "--scenes", "2")
    assert found["alert_latency_p95_s"]["value"] == 1 and found["alert_latency_share_delivered"]["value"] == 0.75


def test_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def watched(size_km: int, scenes: int):
        yield SimpleNamespace(engine=None)

    monkeypatch.setattr(memory, "watched", watched)
    monkeypatch.setattr(memory, "ask_for_anything", lambda engine, sentence: None)
    monkeypatch.setattr(memory, "watch", lambda stack: [(0, 300.0), (10, 400.0), (11, 390.0), (49, 500.0)])
    found = run("memory")
    assert found["stack_peak_memory_mib"]["ratio"] == 1.25


def test_feed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import feed

    monkeypatch.setattr(feed, "watch_feed", lambda url, data: feed.Counts(5, 6, 0, 0, 1, 3))
    assert run("feed", "--url", "http://127.0.0.1:1")["feed_fires_alerted"]["ratio"] == pytest.approx(5 / 6)


def test_replay(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import replay

    outcome = replay.Outcome("same", 3, {"expired": 2, "resolved": 1}, 9, 4, 0, 2.0)
    monkeypatch.setattr(replay, "run", lambda year, arguments, order, folder: outcome)
    found = run("replay", "--size-km", "2", "--days", "20")
    assert found["replay_identical"]["value"] == 1 and found["replay_incidents_expired"]["value"] == 2
    different = iter("abc")
    monkeypatch.setattr(replay, "run", lambda *_: replay.Outcome(next(different), 3, {}, 9, 4, 0, 2.0))
    with pytest.raises(SystemExit, match="the runs differ"):
        run("replay", "--size-km", "2", "--days", "20")


def test_every_script_that_prints_figures_is_run_here_or_where_it_is_tested() -> None:
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    elsewhere = {"gpu": "test_benchmarks_gpu.py", "planet": "test_benchmarks_planet.py"}
    assert set(SCRIPTS) - NO_FIGURES - elsewhere.keys() <= here
    for file in elsewhere.values():
        assert '"--json"' in (Path(__file__).parent / file).read_text()
