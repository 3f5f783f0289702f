"""The matcher as a whole, with short fakes for archive, encoder and broker, and a real database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.budgets.calibrate import Calibrator
from alerts.incidents.announce import republish
from alerts.matching import Matcher
from alerts.settings import MatcherSettings
from schemas.cells import cell_at, cell_of
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import StoreUnavailable
from schemas.messages import Acquisition, Alert, EmbeddingBatch, IncidentState, stable_id
from schemas.tables import (
    AcquisitionRow,
    AlertRow,
    IncidentRow,
    MatchedBatchRow,
    MatchRow,
    OutboxRow,
    QueryRow,
    ThresholdRow,
)

DAY0 = datetime(2026, 7, 1, 10, tzinfo=UTC)
SQUARE = cell_at(14.5, 41.2).square
FIRE, LAND = np.eye(2, 384, dtype=np.float32)


class FakeEncoder:
    release = "fake-1"

    def texts(self, sentences):
        return np.stack([FIRE for _ in sentences])


class EmptyArchive:
    def count(self, **_):
        return 0

    def history(self, **_):
        return [], np.empty((0, 384), np.float32)


class FakeBroker:
    def __init__(self):
        self.records, self.down = [], False

    def send(self, records):
        records = list(records)
        if self.down and records:
            raise StoreUnavailable("down")
        self.records += records

    @property
    def alerts(self):
        return [Alert.from_bytes(record.value) for record in self.records]


class Stack:
    """A matcher with everything around it."""

    def __init__(self, engine: Engine, **settings: float):
        self.engine, self.broker = engine, FakeBroker()
        self.settings = MatcherSettings(**settings)
        self.restart()

    def restart(self):
        calibrator = Calibrator(self.engine, EmptyArchive(), FakeEncoder(), self.settings)
        self.matcher = Matcher(self.engine, self.broker, calibrator, "fake-1", self.settings)

    def rows(self, table) -> int:
        with reading(self.engine) as session:
            return session.scalar(select(func.count()).select_from(table))


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


@pytest.fixture
def stack(engine: Engine) -> Stack:
    return Stack(engine)


def at(column: int, row: int) -> str:
    """The id of a cell so many squares east and north of a corner."""
    easting, northing = 10 + column, 10 + row
    return cell_of(f"{SQUARE}{easting:02d}{northing:02d}").id


def acquisition(name: str, day: float = 0, sensor: str = "s2", **more) -> Acquisition:
    when = DAY0 + timedelta(days=day)
    fields = {"physical_key": name, "published_at": when, "seen_at": when, "sensing_at": when}
    fields["processed_at"] = when + timedelta(hours=more.get("version", 1))
    return Acquisition(
        acquisition_id=stable_id("acquisition", name, more.get("version", 1)),
        source="test",
        collection="c",
        item_id=f"item-{name}",
        sensor=sensor,
        footprint={},
        assets={},
        allowed_hosts=(),
        **{**fields, **{key: value for key, value in more.items() if key != "version"}},
    )


def batch(
    scene: Acquisition, fire: list[str], number: int = 0, of: int = 1, calm: list[str] | None = None, counts: int = 3
):
    cells = (*fire, *(calm or []))
    vectors = np.array([FIRE] * len(fire) + [LAND] * len(calm or []), np.float32).reshape(-1, 384)
    return EmbeddingBatch(
        acquisition=scene,
        release="fake-1",
        batch=number,
        batches=of,
        cells=cells,
        vectors=vectors,
        baselines=np.array([LAND] * len(cells), np.float32).reshape(-1, 384) * (counts > 0),
        baseline_counts=(counts,) * len(cells),
    )


def ledger(engine: Engine, scene: Acquisition, state: str = "encoded", matched_at: datetime | None = None) -> None:
    with transaction(engine) as session:
        session.add(
            AcquisitionRow(
                **scene.model_dump(
                    include={"acquisition_id", "physical_key", "source", "collection", "item_id", "sensor"}
                    | {"processed_at", "sensing_at", "published_at", "seen_at"}
                ),
                state=state,
                message=scene.model_dump_json(),
                topic="acquisitions.v1",
                matched_at=matched_at,
            )
        )


def watch(stack: Stack, **more):
    return queries.add(stack.engine, "burn scar", threshold=0.5, **more).query


def test_one_scene_one_incident_one_alert(stack: Stack):
    query = watch(stack)
    scene = acquisition("a")
    ledger(stack.engine, scene)
    stack.matcher.handle(batch(scene, [at(0, 0), at(1, 1), at(1, 2)], calm=[at(5, 5)]))
    (alert,) = stack.broker.alerts
    assert (alert.sequence, alert.kind, alert.query) == (1, IncidentState.OPENED, "burn scar")
    assert alert.incident.cells == tuple(sorted([at(0, 0), at(1, 1), at(1, 2)]))
    assert alert.incident.item_ids == ("item-a",)
    assert {match.baseline_count for match in alert.matches} == {3}
    assert alert.matches[0].query_id == query.query_id
    assert stack.rows(OutboxRow) == 0
    with reading(stack.engine) as session:
        row = session.get(AcquisitionRow, scene.acquisition_id)
        assert (row.state, row.matched_at is None) == ("matched", False)


def test_a_stratum_has_a_threshold_of_its_own(stack: Stack):
    """Nothing passes in this region's summer; everywhere else and in every other season the common threshold holds."""
    query = watch(stack)
    stack.matcher.prepare()
    with transaction(stack.engine) as session:
        common = session.get_one(ThresholdRow, (query.query_id, "fake-1", "s2", ""))
        row = ThresholdRow(query_id=query.query_id, release="fake-1", sensor="s2", stratum="33T/summer", score=2.0)
        row.vector, row.basis, row.background, row.computed_at = common.vector, "archive", 300, common.computed_at
        session.add(row)
        queries.bump(session, session.get_one(QueryRow, query.query_id))
    stack.matcher.handle(batch(acquisition("July"), [at(0, 0)]))
    assert stack.broker.alerts == []
    stack.matcher.handle(batch(acquisition("November", day=130), [at(0, 0)]))
    assert [alert.incident.item_ids for alert in stack.broker.alerts] == [("item-November",)]


def test_a_replayed_batch_changes_nothing(stack: Stack):
    watch(stack)
    message = batch(acquisition("a"), [at(0, 0)])
    stack.matcher.handle(message)
    stack.restart()
    stack.matcher.handle(message)
    assert len(stack.broker.alerts) == 1
    assert (stack.rows(MatchRow), stack.rows(IncidentRow), stack.rows(MatchedBatchRow)) == (1, 1, 1)


def test_an_alert_that_could_not_be_sent_goes_out_with_the_next_try(stack: Stack):
    watch(stack)
    message = batch(acquisition("a"), [at(0, 0)])
    stack.broker.down = True
    with pytest.raises(StoreUnavailable):
        stack.matcher.handle(message)
    stack.broker.down = False
    stack.restart()
    stack.matcher.handle(message)
    assert [alert.sequence for alert in stack.broker.alerts] == [1]


def test_far_apart_is_two_incidents_and_a_gap_is_bridged(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0), at(3, 0), at(20, 0)]))
    assert sorted(len(alert.incident.cells) for alert in stack.broker.alerts) == [1, 2]


def test_batches_of_one_scene_make_one_alert_and_at_most_one_update(stack: Stack):
    watch(stack)
    scene = acquisition("a")
    stack.matcher.handle(batch(scene, [at(0, 0)], 0, 3))
    stack.matcher.handle(batch(scene, [at(0, 1), at(1, 1)], 1, 3))
    assert [alert.sequence for alert in stack.broker.alerts] == [1]
    stack.matcher.handle(batch(scene, [at(0, 2)], 2, 3))
    first, second = stack.broker.alerts
    assert first.alert_id == second.alert_id
    assert (second.sequence, second.kind, len(second.incident.cells)) == (2, IncidentState.GROWING, 4)
    assert {match.cell for match in second.matches} == {at(0, 1), at(1, 1), at(0, 2)}


def test_the_same_cells_again_confirm_once_and_then_are_no_news(stack: Stack):
    watch(stack)
    for day in (0, 5, 10):
        stack.matcher.handle(batch(acquisition(f"day {day}", day=day), [at(0, 0), at(0, 1)]))
    assert [alert.kind for alert in stack.broker.alerts] == [IncidentState.OPENED, IncidentState.CONFIRMED]
    assert {match.item_id for match in stack.broker.alerts[1].matches} == {"item-day 5"}
    assert stack.rows(MatchRow) == 6


def test_the_same_overpass_again_is_no_second_pass(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("tile"), [at(0, 0), at(0, 1)]))
    stack.matcher.handle(batch(acquisition("next tile", day=0.01), [at(0, 0), at(0, 1)]))
    assert len(stack.broker.alerts) == 1
    assert stack.rows(IncidentRow) == 1


def test_little_growth_is_no_news_and_much_is(stack: Stack):
    watch(stack)
    first = [at(x, y) for x in range(5) for y in range(5)]
    stack.matcher.handle(batch(acquisition("a"), first))
    stack.matcher.handle(batch(acquisition("b", day=5), [at(5, y) for y in range(4)]))
    assert len(stack.broker.alerts) == 1
    stack.matcher.handle(batch(acquisition("c", day=10), [at(6, 0)]))
    assert [alert.kind for alert in stack.broker.alerts] == [IncidentState.OPENED, IncidentState.GROWING]


def test_the_other_sensor_confirms_once(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0)]))
    stack.matcher.handle(batch(acquisition("b", day=2, sensor="s1"), [at(0, 0)]))
    stack.matcher.handle(batch(acquisition("c", day=8, sensor="s1"), [at(0, 0)]))
    assert [alert.kind for alert in stack.broker.alerts] == [IncidentState.OPENED, IncidentState.CONFIRMED]
    assert stack.broker.alerts[1].incident.sensors == ("s1", "s2")
    assert stack.broker.alerts[1].incident.state is IncidentState.CONFIRMED


def test_after_the_window_it_is_another_incident(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0)]))
    stack.matcher.handle(batch(acquisition("b", day=46), [at(0, 0)]))
    assert len({alert.alert_id for alert in stack.broker.alerts}) == 2


def test_a_late_scene_fills_in_the_past_in_silence(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("a", day=20), [at(0, 0)]))
    stack.matcher.handle(batch(acquisition("late", day=10), [at(0, y) for y in range(1, 8)]))
    assert [alert.kind for alert in stack.broker.alerts] == [IncidentState.OPENED]
    with reading(stack.engine) as session:
        row = session.scalars(select(IncidentRow)).one()
        assert row.first_sensing_at == DAY0 + timedelta(days=10)
        assert row.last_sensing_at == DAY0 + timedelta(days=20)
        assert row.state == "opened"  # nothing was seen twice, and the first pass has most cells


def test_a_newer_version_of_a_matched_scene_alerts_nobody(stack: Stack):
    watch(stack)
    old, new = acquisition("a"), acquisition("a", version=2)
    ledger(stack.engine, old)
    stack.matcher.handle(batch(old, [at(0, 0)]))
    ledger(stack.engine, new)
    stack.matcher.handle(batch(new, [at(0, 0), at(0, 1), at(30, 30)]))
    assert len(stack.broker.alerts) == 1
    assert stack.rows(MatchRow) == 3  # what only the new version shows is on record, and nobody is told
    with reading(stack.engine) as session:
        assert sorted(session.scalars(select(IncidentRow.sequence))) == [0, 1]


def test_a_newer_version_of_a_scene_that_was_never_matched_alerts(stack: Stack):
    watch(stack)
    ledger(stack.engine, acquisition("a"), state="superseded")
    stack.matcher.handle(batch(acquisition("a", version=2), [at(0, 0)]))
    assert len(stack.broker.alerts) == 1


def test_backfill_never_alerts(stack: Stack):
    watch(stack)
    scene = acquisition("a", backfill=True)
    stack.matcher.handle(batch(scene, [at(0, 0)]))
    assert stack.rows(MatchRow) == 0
    assert stack.rows(MatchedBatchRow) == 1


def test_a_change_of_queries_is_in_force_for_the_next_batch(stack: Stack):
    name = str(watch(stack).query_id)
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0)]))
    queries.pause(stack.engine, name)
    stack.matcher.handle(batch(acquisition("b"), [at(30, 0)]))
    queries.resume(stack.engine, name)
    stack.matcher.handle(batch(acquisition("c"), [at(0, 30)]))
    queries.change(stack.engine, name, threshold=1.9)
    stack.matcher.handle(batch(acquisition("d"), [at(30, 30)]))
    queries.remove(stack.engine, name)
    stack.matcher.handle(batch(acquisition("e"), [at(60, 30)]))
    assert [alert.incident.item_ids for alert in stack.broker.alerts] == [("item-a",), ("item-c",)]


def test_area_sensor_and_history_are_asked_for(stack: Stack):
    lon, lat = cell_of(at(0, 0)).centre
    west, south, east, north = lon - 0.02, lat - 0.02, lon + 0.02, lat + 0.5
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    watch(stack, area={"type": "Polygon", "coordinates": [ring]}, sensors=["s2"])
    stack.matcher.handle(batch(acquisition("a", sensor="s1"), [at(0, 0)]))
    stack.matcher.handle(batch(acquisition("b"), [at(0, 0)], counts=0))
    assert stack.broker.alerts == []
    stack.matcher.handle(batch(acquisition("c"), [at(0, 0), at(9, 0)]))
    assert stack.broker.alerts[0].incident.cells == (at(0, 0),)


def test_without_history_nothing_fires_and_it_is_on_record(stack: Stack):
    query = queries.add(stack.engine, "burn scar").query
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0)]))
    assert stack.broker.alerts == []
    assert [(row.score, row.basis) for row in queries.thresholds(stack.engine, query.query_id)] == [(None, "none")] * 2


def test_a_stored_alert_that_cannot_be_read_stays_where_it_is(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0)]))
    with transaction(stack.engine) as session:
        session.scalars(select(AlertRow)).one().message = '{"schema_version": 99}'
    assert republish(stack.engine, stack.broker) == 0
    with reading(stack.engine) as session:
        assert session.scalars(select(AlertRow)).one().notified_at is None


def test_alerts_that_no_notifier_took_are_sent_again(stack: Stack):
    watch(stack)
    stack.matcher.handle(batch(acquisition("a"), [at(0, 0)]))
    assert republish(stack.engine, stack.broker) == 1
    with transaction(stack.engine) as session:
        session.scalars(select(AlertRow)).one().notified_at = DAY0
    assert republish(stack.engine, stack.broker) == 0
    assert len(stack.broker.alerts) == 2


def test_incident_ids_follow_from_query_place_and_scene(stack: Stack):
    query = watch(stack)
    stack.matcher.handle(batch(acquisition("a"), [at(1, 0), at(0, 0)]))
    (alert,) = stack.broker.alerts
    first = min(at(0, 0), at(1, 0))
    assert alert.incident.incident_id == stable_id("incident", query.query_id, 1, first, "a")
    assert alert.alert_id == stable_id("alert", query.query_id, 1, alert.incident.incident_id)


def test_many_new_queries_get_their_thresholds_round_by_round(engine: Engine):
    stack = Stack(engine, thresholds_per_round=3)
    names = [watch(stack).query_id for _ in range(4)]
    for done in (2, 4, 6, 8, 8):  # a query has two, which share its budget
        stack.matcher.prepare()
        assert sum(len(queries.thresholds(engine, name)) for name in names) == done
