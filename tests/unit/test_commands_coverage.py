"""`tocsin coverage`: tables, JSON, GeoJSON of cells and the map, and what it refuses."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
import structlog

import tocsin
from alerts import queries
from schemas.cells import cells_in
from schemas.database import connect, migrate
from schemas.geometry import to_geojson
from schemas.messages import Cause, CellState

NOW = datetime.now(UTC)
AREA = shapely.box(14.4, 41.2, 14.5, 41.28)
BBOX = "14.4,41.2,14.5,41.28"
CELLS = [cell.id for cell in cells_in(AREA)]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], write_look
) -> Iterator[Run]:
    """A command on a database with two looks: radar saw all a week ago, optics half of it yesterday."""
    (tmp_path / "data").mkdir()
    url = f"sqlite:///{tmp_path / 'data' / 'tocsin.sqlite'}"
    migrate(url)
    engine = connect(url)
    half = len(CELLS) // 2
    write_look(engine, "radar", NOW - timedelta(days=7), dict.fromkeys(CELLS, CellState.SEEN), "s1")
    optical = dict.fromkeys(CELLS[:half], CellState.SEEN) | dict.fromkeys(CELLS[half:], Cause.CLOUD)
    write_look(engine, "optical", NOW - timedelta(days=1), optical)
    queries.add(engine, "flooded fields", area=to_geojson(AREA), sensors=("s2",))
    engine.dispose()
    monkeypatch.setenv("TOCSIN_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tocsin", "coverage", *words])
        with pytest.raises(SystemExit) as end:
            tocsin.main()
            sys.exit(0)
        code = end.value.code if isinstance(end.value.code, int) else int(end.value.code is not None)
        return (code, *capsys.readouterr())

    yield command
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.basicConfig(force=True)


def query_id(tmp_path: Path) -> str:
    (query,) = queries.list_queries(connect(f"sqlite:///{tmp_path / 'data' / 'tocsin.sqlite'}"))
    return str(query.query_id)[:8]


def test_week_by_week(run: Run):
    code, out, _ = run("--bbox", BBOX, "--by", "week", "--json")
    found = json.loads(out)
    assert (code, found["cells"]) == (0, len(CELLS))
    assert len(found["weeks"]) in (2 * 12, 2 * 13)
    assert sum(week["seen"] for week in found["weeks"] if week["sensor"] == "s1") == len(CELLS)
    assert sum(week["cloud"] for week in found["weeks"]) == len(CELLS) - len(CELLS) // 2
    assert [(tuple(one["sensors"]), one["blind_cells"]) for one in found["sensors"]] == [
        (("s1", "s2"), 0),
        (("s1",), 0),
        (("s2",), len(CELLS) - len(CELLS) // 2),
    ]
    code, out, _ = run("--by", "week")
    assert code == 0 and "not acquired" in out and f"{NOW - timedelta(days=7):%G-W%V}" in out


def test_week_by_week_of_a_query(run: Run, tmp_path: Path):
    _, out, _ = run("--query", query_id(tmp_path), "--by", "week")
    assert "s1 or s2" not in out and "s2: " in out and "cells never seen" in out


def test_cells(run: Run, tmp_path: Path):
    _, out, _ = run("--query", query_id(tmp_path), "--cells")
    found = json.loads(out)
    assert (found["type"], len(found["features"])) == ("FeatureCollection", len(CELLS))
    by_days = {feature["properties"]["days_since_seen"] for feature in found["features"]}
    assert by_days == {1, None}
    assert {f["properties"]["since_then"] for f in found["features"]} == {"cloud", "not acquired"}
    since = (NOW - timedelta(days=3)).isoformat()
    _, out, _ = run("--bbox", BBOX, "--cells", "--since", since)
    assert {f["properties"]["days_since_seen"] for f in json.loads(out)["features"]} == {1, None}


def test_map(run: Run, tmp_path: Path):
    code, out, _ = run("--bbox", BBOX, "--map", "here.png")
    assert code == 0 and "here.png" in out
    assert (tmp_path / "here.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = run("--map", "there.png", "--json")
    assert (code, json.loads(out)["map"]) == (0, "there.png")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--by", "day"), "write --by week"),
        (("--by", "week", "--cells"), "give one of"),
        (("--map", "x.jpg"), "the map is a PNG"),
        (("--by", "week", "--since", "2026-02-01", "--until", "2026-01-01"), "is empty"),
        (("--bbox", BBOX, "--cells"), "too many to list"),
        (("--bbox", "1,2,3"), "four numbers"),
    ],
)
def test_wrong_usage(run: Run, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], says: str):
    monkeypatch.setattr("alerts.coverage.sights.MOST_FEATURES", len(CELLS) - 1)
    code, _, err = run(*words)
    assert code == 2 and says in err
