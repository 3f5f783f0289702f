"""What the other sensor has seen since, and when it comes again, from the passes in the ledger."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from sqlalchemy import Engine

from alerts.incidents.cadence import Pass, next_expected, over, passes
from alerts.incidents.lifecycle import Evidence, Place
from alerts.incidents.other_sensor import OtherSensors, sentence
from alerts.telling.geojson import feature
from schemas.cells import cell_at, cell_of
from schemas.database import connect, migrate, reading, transaction
from schemas.messages import (
    Acquisition,
    Alert,
    CellState,
    Chip,
    Coverage,
    Incident,
    IncidentState,
    Mode,
    OtherSensor,
    StandingQuery,
    stable_id,
)
from schemas.tables import AcquisitionRow, CoverageRow, IncidentRow, MatchRow

DAY0 = datetime(2026, 3, 1, 10, tzinfo=UTC)
CELL = cell_at(14.5, 41.2)
NEXT = cell_of(f"{CELL.square}{int(CELL.id[5:7]) + 1:02d}{CELL.id[7:9]}")
LON, LAT = CELL.centre
HERE = shapely.box(LON - 0.5, LAT - 0.5, LON + 0.5, LAT + 0.5)
BESIDE = shapely.box(LON + 0.1, LAT - 0.5, LON + 0.5, LAT + 0.5)
BOTH = StandingQuery(query_id=stable_id("q"), version=1, sentence="x", created_at=DAY0)
INCIDENT = stable_id("incident")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def engine(empty: Path, tmp_path: Path) -> Engine:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", (str(tmp_path / "db.sqlite"),))
    return connect(f"sqlite:///{tmp_path / 'db.sqlite'}")


def day(number: float) -> datetime:
    return DAY0 + timedelta(days=number)


def passed(number: float, orbit: int | None = 1, footprint=HERE) -> Pass:
    return Pass(stable_id(number, orbit), f"item {number:g}", f"scene {number:g}", day(number), orbit, footprint)


def acquired(
    engine: Engine,
    number: float,
    orbit: int | None,
    state: CellState = CellState.SEEN,
    sensor: str = "s1",
    footprint: object = HERE,
    cell: str = CELL.id,
) -> str:
    """Ledger and coverage of a scene; its physical key."""
    name = f"{sensor} {number:g}"
    outline = {} if footprint is None else shapely.geometry.mapping(footprint)
    said = Acquisition(
        acquisition_id=stable_id(name),
        physical_key=name,
        processed_at=day(number),
        source="test",
        collection="c",
        item_id=f"item {name}",
        sensor=sensor,
        sensing_at=day(number),
        published_at=day(number),
        seen_at=day(number),
        footprint=outline,
        relative_orbit=orbit,
        assets={},
        allowed_hosts=(),
    )
    names = {"acquisition_id", "physical_key", "source", "item_id", "sensor", "sensing_at"}
    chips = (Chip(cell=cell, state=state, valid_fraction=1, cloud_fraction=0),)
    coverage = Coverage(**said.model_dump(include=names), chips=chips)
    west, south, east, north = HERE.bounds
    with transaction(engine) as session:
        more = {"collection", "processed_at", "published_at", "seen_at"}
        row = AcquisitionRow(**said.model_dump(include=names | more), state="matched", topic="t")
        row.message = said.model_dump_json()
        session.add(row)
        bounds = {"west": west, "south": south, "east": east, "north": north}
        counts = {"seen": 1, "obscured": 0, "failed": 0}
        packed = zlib.compress(coverage.to_bytes())
        session.add(CoverageRow(**said.model_dump(include=names), **bounds, **counts, chips=packed))
    return name


def evidence(first: float = 0, sensor: str = "s2") -> Evidence:
    return Evidence((Place(CELL.id, sensor, day(first), day(first), 0.5, 0.2, late=False, told=False),))


def asked(engine: Engine, now: float, query: StandingQuery = BOTH, **more) -> OtherSensor | None:
    """What it says when scenes have been sensed until a day; the machine's clock is months ahead, as in a replay."""
    acquired(engine, now, 99, sensor="s2", cell=NEXT.id, state=CellState.OBSCURED)
    with reading(engine) as session:
        return OtherSensors(session, day(500)).of(INCIDENT, query, evidence(**more))


def test_the_next_pass_follows_the_rhythm_of_its_orbit():
    found = next_expected([passed(0), passed(12), passed(24), passed(30)], day(31))
    assert (found.at, found.every, found.passes, found.relative_orbit) == (day(42), timedelta(days=12), 4, 1)


def test_of_several_orbits_the_earliest_comes_first():
    times = [passed(0, 1), passed(3, 2), passed(6, 1), passed(9, 2), passed(12, 1)]
    assert next_expected(times, day(13)).relative_orbit == 2
    assert next_expected(times, day(16)).at == day(18)


def test_slices_of_one_overpass_count_once():
    found = next_expected([passed(0), passed(0.0003), passed(6), passed(6.0003)], day(7))
    assert (found.at, found.passes) == (day(12), 2)


def test_one_pass_is_no_rhythm_and_a_missed_pass_is_skipped():
    assert next_expected([], day(1)) is None
    assert next_expected([passed(0, 1), passed(1, 2)], day(2)) is None
    assert next_expected([passed(0), passed(6)], day(13)).at == day(18)


def test_an_orbit_that_has_stopped_is_not_expected():
    assert next_expected([passed(0), passed(6)], day(6 + 3 * 6 + 0.1)) is None


def test_an_orbit_that_the_catalogue_does_not_name_has_a_rhythm_too():
    assert next_expected([passed(0, None), passed(5, None)], day(6)).at == day(10)


def test_only_scenes_whose_footprint_holds_the_place_pass_over_it(engine: Engine):
    acquired(engine, 1, 7)
    acquired(engine, 2, 8, footprint=BESIDE)
    acquired(engine, 3, 9, footprint=None)  # no footprint: the bounds of its cells
    acquired(engine, 3.5, 9, sensor="s2")
    acquired(engine, -95, 7)  # too long ago
    with reading(engine) as session:
        found = passes(session, "s1", HERE.bounds, day(4))
        assert [one.relative_orbit for one in over(found, LON, LAT)] == [7, 9]
        assert passes(session, "s1", (0, 0, 1, 1), day(4)) == []
        assert passes(session, "s1", HERE.bounds, day(2.5))[-1].relative_orbit == 8


def test_a_look_without_match_is_said_so_and_the_next_pass_as_well(engine: Engine):
    acquired(engine, -4, 7)
    acquired(engine, 2, 7)
    found = asked(engine, 3)
    assert (found.sensor, found.saw, found.looked_at, found.item_id) == ("s1", "not matched", day(2), "item s1 2")
    assert (found.next_expected_at, found.relative_orbit, found.every_days, found.passes) == (day(8), 7, 6, 2)
    assert sentence(found) == (
        "Sentinel-1 radar looked on 2026-03-03 10:00 UTC and did not match; it is next expected about"
        " 2026-03-09 10:00 UTC on orbit 7 (every 6 days, from 2 passes)."
    )


def test_looks_before_the_incident_say_nothing_about_it(engine: Engine):
    acquired(engine, -4, 7)
    found = asked(engine, 1)
    assert (found.looked_at, found.saw, found.next_expected_at) == (None, None, None)
    assert "has not looked there since; when it comes next is not known" in sentence(found)


def test_an_obscured_look_is_told_only_where_nothing_was_seen(engine: Engine):
    acquired(engine, 1, 7, CellState.OBSCURED)
    assert asked(engine, 9).saw == "obscured"
    acquired(engine, 2, 8, CellState.FAILED)
    found = asked(engine, 9.1)
    assert (found.saw, found.looked_at) == ("failed", day(2))
    acquired(engine, 0.5, 9)
    found = asked(engine, 9.2)
    assert (found.saw, found.looked_at) == ("not matched", day(0.5))
    for saw, words in (("obscured", "obscured"), ("failed", "could not be read")):
        assert words in sentence(OtherSensor(sensor="s2", looked_at=day(1), saw=saw))


def test_other_cells_of_the_scene_do_not_count(engine: Engine):
    acquired(engine, 1, 7, cell=NEXT.id)
    assert asked(engine, 9).saw is None


def test_a_match_of_the_other_sensor_is_told_with_or_without_coverage(engine: Engine):
    with transaction(engine) as session:
        session.add(
            IncidentRow(
                incident_id=INCIDENT,
                query_id=BOTH.query_id,
                query_version=1,
                state="confirmed",
                first_sensing_at=DAY0,
                last_sensing_at=DAY0,
                opened_at=DAY0,
                score=1,
                sequence=0,
            )
        )
        session.flush()
        session.add(
            MatchRow(
                match_id=stable_id("m"),
                incident_id=INCIDENT,
                query_id=BOTH.query_id,
                cell=CELL.id,
                sensor="s1",
                sensing_at=day(2),
                physical_key="s1 2",
                item_id="item s1 2",
                score=1,
                message="",
            )
        )
    found = asked(engine, 9)
    assert (found.saw, found.looked_at) == ("matched", day(2))
    acquired(engine, 2, 7)
    assert "matched as well" in sentence(asked(engine, 9.1))


def test_geojson_says_it_in_fields_and_in_words():
    other = OtherSensor(
        sensor="s1", looked_at=day(1), saw="not matched", item_id="x", next_expected_at=day(7), passes=3
    )
    incident = Incident(
        incident_id=INCIDENT,
        query_id=BOTH.query_id,
        query_version=1,
        state=IncidentState.EXPIRED,
        cells=(CELL.id,),
        sensors=("s2",),
        item_ids=("a",),
        first_sensing_at=DAY0,
        last_sensing_at=DAY0,
        opened_at=DAY0,
        score=0.5,
        closed_at=day(45),
        expected_every_days=63.0,
    )
    alert = Alert(
        alert_id=stable_id("alert"),
        sequence=2,
        kind=IncidentState.EXPIRED,
        query="x",
        mode=Mode.PRESENCE,
        incident=incident,
        geometry=shapely.geometry.mapping(CELL.polygon),
        matches=(),
        sent_at=day(46),
        other_sensor=other,
    )
    said = feature(Alert.from_bytes(alert.to_bytes()))["properties"]
    assert (said["closed"], said["expected_every_days"]) == ("2026-04-15T10:00:00.000Z", 63.0)
    assert {said[name] for name in ("why", "merged_into", "split_from")} == {None}
    assert said["other_sensor"]["next_expected"] == "2026-03-08T10:00:00.000Z"
    assert said["other_sensor"]["text"] == sentence(other)
    assert feature(alert.model_copy(update={"other_sensor": None}))["properties"]["other_sensor"] is None


def test_a_query_that_watches_with_one_sensor_asks_no_other(engine: Engine):
    one = BOTH.model_copy(update={"sensors": ("s2",)})
    assert asked(engine, 9, one) is None
    assert asked(engine, 9.1, sensor="s1").sensor == "s2"
