"""The map of days since an area was last seen: the right colours in the right places."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from sqlalchemy import Engine

from alerts.coverage.fold import fold
from alerts.coverage.ground import ground_of
from alerts.coverage.picture import CLASSES, INCIDENT, NEVER, Panel, draw
from alerts.coverage.sights import Sights, sights
from schemas.cells import cells_in
from schemas.database import connect, migrate
from schemas.errors import UsageError
from schemas.geometry import read_bbox
from schemas.messages import CellState

MONDAY = datetime(2026, 6, 29, 10, tzinfo=UTC)
FIRST, TODAY = MONDAY.date(), (MONDAY + timedelta(days=25)).date()
AREA = shapely.box(14.3, 41.1, 14.6, 41.3)
FRESH, OLD = CLASSES[0][1], CLASSES[5][1]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    return connect(url)


def half_seen(engine: Engine, write_look, area: shapely.Geometry) -> list[Sights]:
    """The western half was seen today, a quarter 25 days ago, a quarter never."""
    cells = sorted(cells_in(area), key=lambda cell: cell.centre[0] % 360)
    n = len(cells)
    write_look(engine, "old", MONDAY, dict.fromkeys((cell.id for cell in cells[: 3 * n // 4]), CellState.SEEN))
    write_look(
        engine, "new", MONDAY + timedelta(days=25), dict.fromkeys((cell.id for cell in cells[: n // 2]), CellState.SEEN)
    )
    fold(engine)
    return list(sights(engine, ground_of(area), ("s2",), FIRST, TODAY))


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image.convert("RGB"))


def shares(path: Path) -> dict[str, float]:
    """Share of pixels of each colour of the map, above the legend."""
    pixels = picture(path)[:-110]
    colours = {colour: tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5)) for colour in (FRESH, OLD, NEVER, INCIDENT)}
    counts = {name: int((pixels == np.array(rgb)).all(axis=-1).sum()) for name, rgb in colours.items()}
    return {name: count / (sum(counts.values()) or 1) for name, count in counts.items()}


def test_halves_and_quarters_have_their_colours(engine, write_look, tmp_path):
    found, path = half_seen(engine, write_look, AREA), tmp_path / "map.png"
    draw(path, [Panel("s2", found)], title="x", today=TODAY, first=FIRST, area=AREA)
    got = shares(path)
    assert got[FRESH] == pytest.approx(0.5, abs=0.06)
    assert got[OLD] == pytest.approx(0.25, abs=0.05)
    assert got[NEVER] == pytest.approx(0.25, abs=0.08)
    assert got[INCIDENT] == 0
    rows = picture(path).astype(int)
    fresh, old = (
        np.argwhere((rows[:-110] == [int(c[i : i + 2], 16) for i in (1, 3, 5)]).all(-1)) for c in (FRESH, OLD)
    )
    assert fresh[:, 1].mean() < old[:, 1].mean(), "west is left"


def test_incidents_are_outlined(engine, write_look, tmp_path):
    found, path = half_seen(engine, write_look, AREA), tmp_path / "map.png"
    incident = shapely.box(14.4, 41.15, 14.45, 41.2)
    draw(path, [Panel("s2", found)], title="x", today=TODAY, first=FIRST, area=AREA, incidents=[incident])
    assert 0 < shares(path)[INCIDENT] < 0.05


def test_an_area_across_the_antimeridian_is_one_piece(engine, write_look, tmp_path):
    area = read_bbox([179.8, -17.2, -179.8, -16.9])
    found, path = half_seen(engine, write_look, area), tmp_path / "map.png"
    draw(path, [Panel("s2", found)], title="x", today=TODAY, first=FIRST, area=area)
    got = shares(path)
    assert got[FRESH] == pytest.approx(0.5, abs=0.07)
    assert picture(path).shape[1] < 1200


def test_small_cells_are_dots_of_the_same_colours(engine, write_look, tmp_path, monkeypatch):
    monkeypatch.setattr("alerts.coverage.picture.PANEL_PX", 200)
    area = shapely.box(13.5, 49.0, 14.9, 50.0)
    found, path = half_seen(engine, write_look, area), tmp_path / "map.png"
    panels = [Panel(name, found) for name in ("any", "radar", "optical")]
    draw(path, panels, title="Überschwemmung в поле " * 9, today=TODAY, first=FIRST, area=area)
    got = shares(path)
    assert got[FRESH] == pytest.approx(0.5, abs=0.05)
    assert got[NEVER] == pytest.approx(0.25, abs=0.05)


def test_without_an_area_only_what_was_looked_at_is_drawn(engine, write_look, tmp_path):
    half_seen(engine, write_look, AREA)
    found, path = list(sights(engine, ground_of(None), ("s2",), FIRST, TODAY)), tmp_path / "map.png"
    draw(path, [Panel("s2", found)], title="everywhere", today=TODAY, first=FIRST)
    got = shares(path)
    assert got[FRESH] == pytest.approx(2 / 3, abs=0.06) and got[NEVER] == 0


@pytest.mark.parametrize(
    ("name", "area", "says"),
    [
        ("map.jpg", AREA, "the map is a PNG"),
        ("map.png", None, "nothing is known"),
        ("no/such/folder/map.png", AREA, "cannot be written"),
        ("map.png", shapely.box(14, 40.9, 14.7, 41.4), "too many for one picture"),
    ],
)
def test_what_cannot_be_drawn_is_said(engine, tmp_path, monkeypatch, name, area, says):
    monkeypatch.setattr("alerts.coverage.picture.MOST_CELLS", 1000)
    found = list(sights(engine, ground_of(area), ("s2",), FIRST, TODAY))
    with pytest.raises(UsageError, match=says):
        draw(tmp_path / name, [Panel("s2", found)], title="x", today=TODAY, first=FIRST, area=area)
