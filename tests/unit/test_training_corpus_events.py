"""Perimeters: formats, dates, projections, mending, and what they say about a chip before, during and after."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyogrio.raw
import pytest
import shapely
from pyproj import Transformer

from schemas.cells import cell_at
from schemas.errors import SettingsError, UsageError
from training.corpus_events import Events, Trace, read_events

CELL = cell_at(15.5, 41.0)
DAY = datetime(2023, 8, 20, tzinfo=UTC)


def part(share: float) -> shapely.Polygon:
    """West part of the cell's chip, in its zone."""
    west, south, east, north = CELL.window
    return shapely.box(west, south, west + share * (east - west), north)


def moved(polygon: shapely.Geometry, epsg: int) -> shapely.Geometry:
    move = Transformer.from_crs(CELL.epsg, epsg, always_xy=True)
    return shapely.transform(polygon, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))


def write(path: Path, geometries: list, crs: str = "EPSG:4326", **columns: list) -> Path:
    pyogrio.raw.write(
        path,
        np.array([None if one is None else shapely.to_wkb(one) for one in geometries], object),
        [
            np.array(values) if isinstance(values[0], np.datetime64) else np.array(values, object)
            for values in columns.values()
        ],
        list(columns),
        geometry_type="Polygon",
        crs=crs,
    )
    return path


def fire(share: float, day: str = "2023-08-20", **more: object) -> Events:
    begin = datetime.fromisoformat(day).replace(tzinfo=UTC)
    return Events("Burned Area", [moved(part(share), 4326)], [begin], [begin + timedelta(days=1)], 60, [], **more)


@pytest.mark.parametrize(
    ("share", "days", "trace"),
    [
        (0.9, -3, Trace.BEFORE),
        (0.1, -3, Trace.BEFORE),
        (0.9, 0.4, Trace.AMBIGUOUS),
        (0.9, 3, Trace.SHOWN),
        (0.41, 3, Trace.SHOWN),
        (0.39, 3, Trace.AMBIGUOUS),
        (0.01, 3, Trace.AMBIGUOUS),
        (0.9, 61, Trace.AFTERMATH),
        (0.01, 61, Trace.AFTERMATH),
    ],
)
def test_a_chip_before_during_and_after(share: float, days: float, trace: Trace) -> None:
    assert fire(share).find(CELL, DAY + timedelta(days=days)).trace is trace


def test_shares_are_those_of_the_chip() -> None:
    finding = fire(0.5).find(CELL, DAY + timedelta(days=2))
    assert finding.share == pytest.approx(0.5, abs=0.001) and finding.under is not None
    assert fire(0.5).find(cell_at(15.6, 41.0), DAY).trace is Trace.UNTOUCHED


def test_two_events_overlap_and_count_once() -> None:
    outlines = [moved(part(0.3), 4326), moved(part(0.45), 4326)]
    both = Events("Burned Area", outlines, [DAY, DAY], [DAY, DAY], 60, [])
    assert both.find(CELL, DAY + timedelta(days=1)).share == pytest.approx(0.45, abs=0.001)
    later = Events("Burned Area", outlines, [DAY - timedelta(days=90), DAY], [DAY, DAY], 60, [])
    assert later.find(CELL, DAY + timedelta(days=1)).trace is Trace.AFTERMATH


@pytest.mark.parametrize(("name", "epsg"), [("a.geojson", 4326), ("a.gpkg", 3857), ("a.shp", 3035), ("a.fgb", 32633)])
def test_formats_and_projections(tmp_path: Path, name: str, epsg: int) -> None:
    path = write(tmp_path / name, [moved(part(0.5), epsg)], f"EPSG:{epsg}", when=["2023-08-20"])
    events = read_events(path, label="Burned Area", date_column="when")
    assert events.problems == [] and events.days == 60
    finding = events.find(CELL, DAY + timedelta(days=5))
    assert finding.trace is Trace.SHOWN and finding.share == pytest.approx(0.5, abs=0.002)


@pytest.mark.parametrize(
    ("value", "begin", "begun"),
    [
        ("2023-08-20", DAY, DAY + timedelta(days=1)),
        ("2023/08/20", DAY, DAY + timedelta(days=1)),
        ("20230820", DAY, DAY + timedelta(days=1)),
        ("2023-08-20T14:30:00Z", DAY.replace(hour=14, minute=30), DAY.replace(hour=14, minute=30)),
        ("2023-08-20 16:30:00+02:00", DAY.replace(hour=14, minute=30), DAY.replace(hour=14, minute=30)),
        (1692541800000, DAY.replace(hour=14, minute=30), DAY.replace(hour=14, minute=30)),
        (np.datetime64("2023-08-20T00:00:00", "ms"), DAY, DAY + timedelta(days=1)),
    ],
)
def test_dates(tmp_path: Path, value: object, begin: datetime, begun: datetime) -> None:
    path = write(tmp_path / "a.gpkg", [moved(part(0.5), 4326)], when=[value])
    events = read_events(path, label="Burned Area", date_column="when")
    assert (events.begin, events.begun) == ([begin], [begun])


def test_presets_know_the_columns(tmp_path: Path) -> None:
    square = moved(part(0.5), 4326)
    mtbs = read_events(write(tmp_path / "m.shp", [square], Ig_Date=["2023-08-20"]), label=None, preset="mtbs")
    effis = read_events(write(tmp_path / "e.shp", [square], FIREDATE=["2023-08-20"]), label=None, preset="effis")
    assert (mtbs.label, mtbs.begin) == (effis.label, effis.begin) == ("Burned Area", [DAY])
    assert "MTBS" in mtbs.attribution and "EFFIS" in effis.attribution
    ems = write(tmp_path / "observedEventA.shp", [square], notation=["Flooded area"])
    with pytest.raises(UsageError, match="say one of"):
        read_events(ems, label=None, preset="ems")
    with pytest.raises(UsageError, match="--event-date"):
        read_events(ems, label="Flooded Area", preset="ems")
    events = read_events(ems, label="Flooded Area", preset="ems", date=DAY)
    assert (events.label, events.days, events.begun) == ("Flooded Area", 7, [DAY + timedelta(days=1)])


def test_polygons_that_cross_themselves_are_mended(tmp_path: Path) -> None:
    west, south, east, north = CELL.window
    bow = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    assert not bow.is_valid
    path = write(tmp_path / "a.gpkg", [moved(bow, 4326)], when=["2023-08-20"])
    finding = read_events(path, label="Burned Area", date_column="when").find(CELL, DAY + timedelta(days=2))
    assert finding.share == pytest.approx(0.5, abs=0.002)


def test_features_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    square = moved(part(0.5), 4326)
    outlines = [square, None, square, shapely.box(500_000, 4e6, 510_000, 4.1e6)]
    path = write(tmp_path / "a.gpkg", outlines, when=["2023-08-20", "2023-08-20", "soon", "2023-08-20"])
    events = read_events(path, label="Burned Area", date_column="when")
    assert len(events.outlines) == 1
    assert [line.split(": ")[1] for line in events.problems] == ["feature 2", "feature 3", "feature 4"]
    assert "no polygon on Earth" in events.problems[0] and "date cannot be read" in events.problems[1]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    square = moved(part(0.5), 4326)

    def refused(path: Path, column: str | None = "when") -> str:
        with pytest.raises(UsageError) as caught:
            read_events(path, label="Burned Area", date_column=column)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    write(tmp_path / "nocrs.shp", [square], when=["2023-08-20"])
    (tmp_path / "nocrs.prj").unlink()
    assert "names no CRS" in refused(tmp_path / "nocrs.shp")
    assert "none of its 1 features" in refused(write(tmp_path / "nodate.gpkg", [square], when=["soon"]))
    projected = shapely.box(500_000, 4e6, 510_000, 4.1e6)
    assert "none of its 1 features" in refused(write(tmp_path / "metres.gpkg", [projected], when=["2023-08-20"]))
    assert "it has when" in refused(write(tmp_path / "column.gpkg", [square], when=["2023-08-20"]), "date")
    (tmp_path / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    assert "no feature in it" in refused(tmp_path / "empty.geojson")
    (tmp_path / "html.gpkg").write_text("<html>404</html>")
    assert "no vector file" in refused(tmp_path / "html.gpkg")
    whole = write(tmp_path / "whole.gpkg", [square], when=["2023-08-20"]).read_bytes()
    (tmp_path / "cut.gpkg").write_bytes(whole[:2000])
    assert "no vector file" in refused(tmp_path / "cut.gpkg")
    (tmp_path / "table.csv").write_text("when\n2023-08-20\n")
    assert "no feature in it" in refused(tmp_path / "table.csv")


def test_only_events_of_the_area_are_kept(tmp_path: Path) -> None:
    outlines = [moved(part(0.5), 4326), shapely.box(100, 10, 100.1, 10.1)]
    path = write(tmp_path / "a.gpkg", outlines, when=["2023-08-20", "2023-08-21"])
    lon, lat = CELL.centre
    events = read_events(path, label="Burned Area", date_column="when", area=shapely.Point(lon, lat).buffer(0.001))
    assert events.begin == [DAY] and events.problems == []
    with pytest.raises(UsageError, match=r"none of its 2 polygons touches the area: is their CRS \(EPSG:4326\) right"):
        read_events(path, label="Burned Area", date_column="when", area=shapely.box(0, 0, 1, 1))


def test_without_pyogrio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    with pytest.raises(SettingsError, match=r"pip install 'tocsin\[training\]'"):
        read_events(tmp_path / "a.gpkg", label="Burned Area")
