"""What people read afterwards: alerts, coverage, stages."""

from __future__ import annotations

import sqlite3
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from sqlalchemy import Engine

from alerts.coverage.summary import coverage_of, summary
from alerts.incidents.announce import outline
from alerts.incidents.listing import list_alerts, show_alert
from alerts.incidents.stages import STAGES, stages
from schemas.cells import cell_at, cells_in
from schemas.database import connect, migrate, transaction
from schemas.errors import NotFound
from schemas.geometry import to_geojson
from schemas.messages import (
    Alert,
    CellState,
    Chip,
    Coverage,
    Incident,
    IncidentState,
    Match,
    Mode,
    StandingQuery,
    stable_id,
)
from schemas.tables import AcquisitionRow, AlertRow, CoverageRow, DeliveryRow

NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
AREA = shapely.box(14.4, 41.2, 14.5, 41.28)
CELLS = [cell.id for cell in cells_in(AREA)]
OUTSIDE = cell_at(14.7, 41.2).id


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


def alert(sequence: int, name: str = "one") -> Alert:
    query_id, incident_id = stable_id("q", name), stable_id("i", name)
    incident = Incident(
        incident_id=incident_id,
        query_id=query_id,
        query_version=1,
        state=IncidentState.OPENED,
        cells=tuple(CELLS[:sequence]),
        sensors=("s2",),
        item_ids=("item-a",),
        first_sensing_at=NOW,
        last_sensing_at=NOW,
        opened_at=NOW,
        score=0.4,
    )
    match = Match(
        query_id=query_id,
        query_version=1,
        cell=CELLS[0],
        acquisition_id=stable_id("a"),
        physical_key="a",
        item_id="item-a",
        sensor="s2",
        sensing_at=NOW,
        score=0.4,
        presence=0.5,
        threshold=0.3,
        baseline_count=3,
    )
    return Alert(
        alert_id=stable_id("alert", name),
        sequence=sequence,
        kind=IncidentState.OPENED if sequence == 1 else IncidentState.GROWING,
        query="burn scar",
        mode=Mode.APPEARANCE,
        incident=incident,
        geometry=to_geojson(outline(incident.cells)),
        matches=(match,),
        sent_at=NOW + timedelta(hours=3, seconds=sequence),
    )


def store(engine: Engine, *messages: Alert) -> None:
    with transaction(engine) as session:
        for each in messages:
            session.add(
                AlertRow(
                    alert_id=each.alert_id,
                    sequence=each.sequence,
                    incident_id=each.incident.incident_id,
                    query_id=each.incident.query_id,
                    kind=each.kind.value,
                    message=each.model_dump_json(),
                    sent_at=each.sent_at,
                )
            )
            session.add(
                DeliveryRow(
                    delivery_id=stable_id(each.alert_id, each.sequence),
                    alert_id=each.alert_id,
                    sequence=each.sequence,
                    receiver="ops",
                    state="delivered",
                    attempts=1,
                    delivered_at=each.sent_at + timedelta(seconds=2),
                )
            )


def scene(engine: Engine, name: str, day: float, states: dict[str, CellState], sensor: str = "s2") -> None:
    chips = tuple(Chip(cell=cell, state=state, valid_fraction=1, cloud_fraction=0) for cell, state in states.items())
    message = Coverage(
        acquisition_id=stable_id(name),
        physical_key=name,
        source="test",
        item_id=name,
        sensor=sensor,
        sensing_at=NOW + timedelta(days=day),
        chips=chips,
    )
    west, south, east, north = AREA.bounds
    with transaction(engine) as session:
        session.add(
            CoverageRow(
                **message.model_dump(
                    include={"acquisition_id", "physical_key", "source", "item_id", "sensor", "sensing_at"}
                ),
                west=west,
                south=south,
                east=east,
                north=north,
                seen=sum(state is CellState.SEEN for state in states.values()),
                obscured=0,
                failed=0,
                chips=zlib.compress(message.to_bytes()),
            )
        )


def test_each_alert_is_listed_once_as_it_was_last_told(engine: Engine):
    store(engine, alert(1), alert(2), alert(1, "two"))
    found = list_alerts(engine)
    assert found["type"] == "FeatureCollection"
    assert [(f["properties"]["sequence"], len(f["properties"]["cells"])) for f in found["features"]] == [(2, 2), (1, 1)]
    first = found["features"][0]["properties"]
    assert {"query", "item_ids", "cells", "state", "opened", "score"} <= set(first)
    assert [(d["receiver"], d["sequence"], d["state"]) for d in first["deliveries"]] == [
        ("ops", 1, "delivered"),
        ("ops", 2, "delivered"),
    ]
    assert len(list_alerts(engine, query_id=stable_id("q", "two"))["features"]) == 1
    assert list_alerts(engine, since=NOW + timedelta(days=1))["features"] == []
    assert len(list_alerts(engine, limit=1)["features"]) == 1


def test_one_alert_is_shown_with_its_matches(engine: Engine):
    store(engine, alert(1))
    shown = show_alert(engine, str(alert(1).alert_id)[:8])
    assert shown["properties"]["matches"][0]["cell"] == CELLS[0]
    for name in ("", "ffffffffff"):
        with pytest.raises(NotFound):
            show_alert(engine, name)


def test_stages_tell_upstream_time_from_ours(engine: Engine):
    store(engine, alert(1))
    with transaction(engine) as session:
        session.add(
            AcquisitionRow(
                acquisition_id=stable_id("a"),
                physical_key="a",
                source="test",
                collection="c",
                item_id="item-a",
                sensor="s2",
                processed_at=NOW,
                sensing_at=NOW,
                state="matched",
                message="",
                topic="acquisitions.v1",
                published_at=NOW + timedelta(hours=2),
                seen_at=NOW + timedelta(hours=3, seconds=-9),
                queued_at=NOW + timedelta(hours=3, seconds=-8),
                encoded_at=NOW + timedelta(hours=3, seconds=-1),
            )
        )
    (found,) = stages(engine)
    assert list(found.seconds) == list(STAGES)
    assert found.seconds == {
        "published": 7200,
        "seen": 3591,
        "queued": 1,
        "encoded": 7,
        "matched": 2,
        "delivered": 2,
    }
    assert found.ours_s == 12


def test_an_alert_whose_scene_is_not_in_the_ledger_has_no_stages(engine: Engine):
    store(engine, alert(1))
    assert stages(engine) == []


def test_a_cell_counts_as_seen_when_one_scene_saw_it(engine: Engine):
    assert len(CELLS) > 6
    scene(engine, "cloudy", 1, dict.fromkeys(CELLS[:4], CellState.OBSCURED) | {OUTSIDE: CellState.SEEN})
    scene(engine, "clear", 2, {CELLS[0]: CellState.SEEN, CELLS[4]: CellState.FAILED, CELLS[5]: CellState.NOT_ACQUIRED})
    scene(engine, "cloudy again", 3, {CELLS[0]: CellState.OBSCURED})
    scene(engine, "radar", 3, dict.fromkeys(CELLS, CellState.SEEN), sensor="s1")
    scene(engine, "before", -9, dict.fromkeys(CELLS, CellState.SEEN))
    found = summary(engine, "s2", AREA, since=NOW, until=NOW + timedelta(days=7))
    assert (found.seen, found.obscured, found.failed, found.not_acquired) == (1, 3, 1, len(CELLS) - 5)
    assert (found.cells, found.acquisitions) == (len(CELLS), 3)
    assert found.last_seen_at == NOW + timedelta(days=2)


def test_coverage_of_a_query_is_by_its_sensors_and_area(engine: Engine):
    scene(engine, "radar", 3, {CELLS[0]: CellState.SEEN, OUTSIDE: CellState.SEEN}, sensor="s1")
    query = StandingQuery(query_id=stable_id("q"), version=1, sentence="x", area=to_geojson(AREA), created_at=NOW)
    period = {"since": NOW, "until": NOW + timedelta(days=7)}
    radar, optical = coverage_of(engine, query, **period)
    assert (radar.sensor, radar.seen, radar.not_acquired) == ("s1", 1, len(CELLS) - 1)
    assert (optical.sensor, optical.seen, optical.not_acquired, optical.last_seen_at) == ("s2", 0, len(CELLS), None)
    (everywhere,) = coverage_of(engine, query.model_copy(update={"area": None, "sensors": ("s1",)}), **period)
    assert (everywhere.seen, everywhere.cells, everywhere.not_acquired) == (2, None, None)
