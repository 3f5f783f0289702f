"""The life of an incident, from its first match to its end, through the real matcher and a real database."""

from __future__ import annotations

import json
import sqlite3
import zlib
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from shapely import contains_xy, get_num_coordinates
from sqlalchemy import Engine, inspect, select, text, update

from alerts import matching, queries
from alerts.answers import judge
from alerts.budgets.calibrate import Calibrator
from alerts.incidents import announce
from alerts.incidents import retract as retracting
from alerts.incidents.announce import outline
from alerts.incidents.listing import show_alert
from alerts.incidents.retract import retract
from alerts.matching import Matcher
from alerts.places import centres
from alerts.settings import MatcherSettings
from schemas import outbox
from schemas.cells import cell_at, cell_of, cells_in
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import NotFound
from schemas.geometry import read_bbox
from schemas.messages import Acquisition, Alert, EmbeddingBatch, IncidentState, stable_id
from schemas.tables import AcquisitionRow, CoverageRow, IncidentRow, LookRow, MatchRow, RecentBatchRow, ThresholdRow

DAY0 = datetime(2026, 3, 1, 10, tzinfo=UTC)
SQUARE = cell_at(14.5, 41.2).square
FIRE, LAND = np.eye(2, 384, dtype=np.float32)
CELLS = [cell_of(f"{SQUARE}{10 + x:02d}10").id for x in range(40)]
"""A row of squares, each east of the one before."""
A, B, C, D = CELLS[:4]
FAR = CELLS[30]
RULES = MatcherSettings(gap_cells=1, window_days=20)
BURNT, CLEAR, ALMOST = 0.9, 0.0, 0.49
OPENED, GROWING, CONFIRMED = IncidentState.OPENED, IncidentState.GROWING, IncidentState.CONFIRMED
RESOLVED, EXPIRED, RETRACTED = IncidentState.RESOLVED, IncidentState.EXPIRED, IncidentState.RETRACTED
MERGED, REOPENED, SPLIT = IncidentState.MERGED, IncidentState.REOPENED, IncidentState.SPLIT


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
        self.alerts: list[Alert] = []

    def send(self, records):
        self.alerts += [Alert.from_bytes(record.value) for record in records]


class Watch:
    """A matcher that watches one sentence."""

    def __init__(self, engine: Engine, surprise=None, **query: object):
        self.engine, self.broker = engine, FakeBroker()
        calibrator = Calibrator(engine, EmptyArchive(), FakeEncoder(), RULES)
        self.day = 300.0
        self.matcher = Matcher(engine, self.broker, calibrator, "fake-1", RULES, clock=self.now, surprise=surprise)
        self.query = queries.add(engine, "burn scar", **{"threshold": 0.5, "mode": "presence", **query}).query

    def now(self) -> datetime:
        return DAY0 + timedelta(days=self.day)

    def see(self, day: float, levels: dict[str, float], sensor: str = "s2", **more) -> Acquisition:
        """One scene, in which each cell looks so much like fire."""
        scene = acquisition(day, sensor, **more)
        self.matcher.handle(batch(scene, levels))
        return scene

    def says(self, answer: str, person: str = "Ada", alert: int = 0, **more) -> None:
        """A person answers to an alert: the one of this message."""
        name = str(self.broker.alerts[alert].alert_id)
        judge(self.engine, name, answer, person=person, rules=RULES, **more)
        outbox.flush(self.engine, self.broker)

    @property
    def kinds(self) -> list[IncidentState]:
        return [alert.kind for alert in self.broker.alerts]

    @property
    def rows(self) -> list[IncidentRow]:
        with reading(self.engine) as session:
            return list(session.scalars(select(IncidentRow).order_by(IncidentRow.first_sensing_at)))


def acquisition(day: float, sensor: str = "s2", version: int = 1, name: str = "", **more) -> Acquisition:
    when = DAY0 + timedelta(days=day)
    name = name or f"{sensor} {day:g}"
    return Acquisition(
        acquisition_id=stable_id(name, version),
        physical_key=name,
        processed_at=when + timedelta(hours=version),
        source="test",
        collection="c",
        item_id=f"{name} v{version}",
        sensor=sensor,
        sensing_at=when,
        published_at=when,
        seen_at=when,
        footprint={},
        assets={},
        allowed_hosts=(),
        **more,
    )


def batch(scene: Acquisition, levels: dict[str, float], number: int = 0, of: int = 1) -> EmbeddingBatch:
    vectors = [level * FIRE + np.sqrt(1 - level * level) * LAND for level in levels.values()]
    return EmbeddingBatch(
        acquisition=scene,
        release="fake-1",
        batch=number,
        batches=of,
        cells=tuple(levels),
        vectors=np.array(vectors, np.float32).reshape(-1, 384),
        baselines=np.array([LAND] * len(levels), np.float32).reshape(-1, 384),
        baseline_counts=(3,) * len(levels),
    )


def ledger_row(scene: Acquisition, **more: object) -> AcquisitionRow:
    """As poller and encoder have it."""
    return AcquisitionRow(
        acquisition_id=scene.acquisition_id,
        physical_key=scene.physical_key,
        source=scene.source,
        collection=scene.collection,
        item_id=scene.item_id,
        sensor=scene.sensor,
        processed_at=scene.processed_at,
        sensing_at=scene.sensing_at,
        message=scene.model_dump_json(),
        topic="acquisitions.v1",
        published_at=scene.published_at,
        seen_at=scene.seen_at,
        **more,
    )


def covered(engine: Engine, scene: Acquisition, states: dict[str, str]) -> None:
    """As the encoder says what a scene showed."""
    chips = [{"cell": cell, "state": state} for cell, state in states.items()]
    with transaction(engine) as session:
        session.add(
            CoverageRow(
                acquisition_id=scene.acquisition_id,
                physical_key=scene.physical_key,
                source=scene.source,
                item_id=scene.item_id,
                sensor=scene.sensor,
                sensing_at=scene.sensing_at,
                west=14,
                south=41,
                east=15,
                north=42,
                seen=0,
                obscured=len(chips),
                failed=0,
                chips=zlib.compress(json.dumps({"chips": chips}).encode()),
            )
        )


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
def watch(engine: Engine) -> Watch:
    return Watch(engine)


def test_seen_clear_twice_it_is_resolved(watch: Watch):
    watch.see(0, {A: BURNT, B: BURNT})
    watch.see(5, {A: CLEAR, B: CLEAR})
    assert watch.kinds == [OPENED]
    watch.see(10, {A: CLEAR, B: CLEAR})
    assert watch.kinds == [OPENED, RESOLVED]
    last = watch.broker.alerts[-1]
    assert (last.incident.state, last.incident.closed_at) == (RESOLVED, DAY0 + timedelta(days=10))
    assert (last.matches, last.incident.cells) == ((), tuple(sorted((A, B))))
    watch.see(15, {A: CLEAR, B: CLEAR})
    assert watch.kinds == [OPENED, RESOLVED]


def test_flicker_below_the_threshold_is_neither_match_nor_clear(watch: Watch):
    watch.see(0, {A: BURNT})
    for day in (3, 6, 9, 12):
        watch.see(day, {A: ALMOST})
    assert watch.kinds == [OPENED]
    with reading(watch.engine) as session:
        assert {look.presence < look.level for look in session.scalars(select(LookRow))} == {False}


def test_one_clear_look_between_matches_ends_nothing(watch: Watch):
    for day, level in ((0, BURNT), (3, CLEAR), (6, BURNT), (9, CLEAR), (12, BURNT)):
        watch.see(day, {A: level})
    assert watch.kinds == [OPENED, CONFIRMED]


def test_two_tiles_of_one_overpass_are_one_look(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.see(5, {A: CLEAR}, name="tile")
    watch.see(5.01, {A: CLEAR}, name="next tile")
    assert watch.kinds == [OPENED]


def test_what_was_not_seen_is_not_clear(watch: Watch):
    watch.see(0, {A: BURNT, B: BURNT})
    for day in (5, 10, 15):
        watch.see(day, {C: CLEAR})  # A and B under cloud: their vectors never come
    assert watch.kinds == [OPENED]
    assert watch.rows[0].state == "opened"


def test_the_sensor_that_never_saw_it_cannot_end_it(watch: Watch):
    watch.see(0, {A: BURNT})
    for day in (2, 4, 6):
        watch.see(day, {A: CLEAR}, sensor="s1")
    assert watch.kinds == [OPENED]


def test_most_cells_must_be_gone(watch: Watch):
    scar = dict.fromkeys(CELLS[:10], BURNT)
    watch.see(0, scar)
    for day in (4, 8):
        watch.see(day, dict.fromkeys(CELLS[:7], CLEAR))
    assert watch.kinds == [OPENED]
    for day in (12, 16):
        watch.see(day, {CELLS[7]: CLEAR})
    assert watch.kinds == [OPENED, RESOLVED]


def test_what_was_resolved_and_matches_again_goes_on_under_its_name(watch: Watch):
    for day, level in ((0, BURNT), (3, CLEAR), (6, CLEAR), (9, BURNT), (12, BURNT)):
        watch.see(day, {A: level})
    assert watch.kinds == [OPENED, RESOLVED, REOPENED]
    first, _, third = watch.broker.alerts
    assert (third.alert_id, third.sequence) == (first.alert_id, 3)
    assert (third.incident.state, third.incident.closed_at) == (CONFIRMED, None)


def test_after_the_window_it_expires_and_is_another_one(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.see(20.9, {FAR: CLEAR})
    watch.matcher.sweep()
    assert watch.rows[0].state == "opened"
    watch.see(21.1, {FAR: CLEAR})
    for _ in range(2):
        watch.matcher.sweep()
        watch.matcher.handle(batch(acquisition(21.1), {FAR: CLEAR}))
    assert watch.kinds == [OPENED, EXPIRED]
    assert watch.broker.alerts[1].incident.closed_at == DAY0 + timedelta(days=20)
    watch.see(22, {A: BURNT})
    assert watch.kinds == [OPENED, EXPIRED, OPENED]
    assert len({alert.alert_id for alert in watch.broker.alerts}) == 2


def test_what_ended_long_ago_is_closed_in_silence(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.see(100, {FAR: CLEAR})
    watch.matcher.sweep()
    assert watch.kinds == [OPENED]
    assert watch.rows[0].state == "expired"


def test_a_scene_from_the_future_moves_no_clock(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.see(900, {FAR: CLEAR})
    watch.matcher.sweep()
    assert watch.rows[0].state == "opened"


def test_while_no_scene_comes_nothing_expires(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.day = 3000
    watch.matcher.sweep()
    assert watch.rows[0].state == "opened"


def test_in_appearance_mode_what_stays_is_not_gone_when_the_baseline_has_taken_it_in(engine: Engine):
    watch = Watch(engine, mode="appearance")
    watch.see(0, {A: BURNT})
    for day in (4, 8, 12):
        scene = acquisition(day)
        same = batch(scene, {A: 0.8})
        watch.matcher.handle(same.model_copy(update={"baselines": same.vectors}))  # no change any more
    assert watch.kinds == [OPENED]
    for day in (14, 16):
        watch.see(day, {A: 0.4})  # below halfway between 0 and 0.9
    assert watch.kinds == [OPENED, RESOLVED]


def test_in_appearance_mode_a_presence_floor_decides_where_there_is_one(engine: Engine):
    watch = Watch(engine, mode="appearance")
    recomputed(watch, presence=0.3, clear=0.28)
    watch.see(0, {A: BURNT})
    for day in (4, 8):
        watch.see(day, {A: 0.29})  # clear only below 0.28
    assert watch.kinds == [OPENED]
    for day in (12, 16):
        watch.see(day, {A: 0.27})
    assert watch.kinds == [OPENED, RESOLVED]


def recomputed(watch: Watch, **columns: object) -> None:
    """Thresholds as a calibration leaves them."""
    watch.matcher.prepare()
    with transaction(watch.engine) as session:
        for row in session.scalars(select(ThresholdRow)):
            for name, value in columns.items():
                setattr(row, name, value)


def test_what_is_clear_goes_by_the_thresholds_own_noise(watch: Watch):
    recomputed(watch, clear=0.3)
    watch.see(0, {A: BURNT})
    for day in (3, 6):
        watch.see(day, {A: 0.31})
    assert watch.kinds == [OPENED]
    for day in (9, 12):
        watch.see(day, {A: 0.29})
    assert watch.kinds == [OPENED, RESOLVED]


@pytest.mark.parametrize("mode", ["presence", "appearance"])
def test_a_threshold_that_comes_out_higher_calls_nothing_clear_that_has_not_changed(engine: Engine, mode: str):
    watch = Watch(engine, mode=mode)
    recomputed(watch, presence=0.5, clear=0.4)
    watch.see(0, {A: 0.6})
    recomputed(watch, score=0.8, presence=0.8, clear=0.7)
    for day in (3, 6, 9):
        watch.see(day, {A: 0.6 if mode == "presence" else 0.45})
    assert OPENED in watch.kinds and RESOLVED not in watch.kinds
    for day in (12, 15):
        watch.see(day, {A: 0.39})
    assert watch.kinds[-1] is RESOLVED


def test_a_threshold_that_comes_out_lower_calls_nothing_clear_that_nearly_matches(watch: Watch):
    watch.see(0, {A: BURNT})
    recomputed(watch, score=0.3, clear=0.28)
    for day in (3, 6):
        watch.see(day, {A: 0.29})
    assert watch.kinds == [OPENED]
    for day in (9, 12):
        watch.see(day, {A: 0.27})
    assert watch.kinds == [OPENED, RESOLVED]


def test_more_queries_than_one_statement_can_name(watch: Watch, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("alerts.incidents.looks.IDS_AT_ONCE", 1)
    queries.add(watch.engine, "fire", threshold=0.5, mode="presence")
    for day, level in ((0, BURNT), (4, CLEAR), (8, CLEAR)):
        watch.see(day, {A: level})
    assert watch.kinds == [OPENED, OPENED, RESOLVED, RESOLVED]


@pytest.mark.parametrize(
    ("changed", "kinds"), [({"threshold": 0.55}, [OPENED, RESOLVED]), ({"mode": "appearance"}, [OPENED])]
)
def test_looks_go_by_the_question_not_by_the_version(watch: Watch, changed: dict[str, object], kinds):
    watch.see(0, {A: BURNT})
    queries.change(watch.engine, str(watch.query.query_id), **changed)
    for day in (4, 8):
        watch.see(day, {A: CLEAR})
    assert watch.kinds == kinds


def test_what_other_vectors_have_scored_is_not_compared(watch: Watch):
    """Another release, or a query that has learnt: its cosines may all be higher, and clear is what it calls so."""
    watch.see(0, {A: BURNT})
    learnt = (FIRE + LAND) / np.sqrt(2).astype(np.float32)
    recomputed(watch, score=0.8, clear=0.78, vector=learnt.astype("<f4").tobytes())
    for day in (3, 6):
        watch.see(day, {A: CLEAR})  # 0.71 by the new vectors: far above 0.48 by the old ones
    assert watch.kinds == [OPENED, RESOLVED]


def test_a_newer_version_without_its_matches_retracts_it(watch: Watch):
    watch.see(0, {A: BURNT, B: BURNT}, name="x")
    watch.see(0, {A: CLEAR, B: CLEAR}, name="x", version=2)
    assert watch.kinds == [OPENED, RETRACTED]
    last = watch.broker.alerts[-1]
    assert last.incident.why == "a newer processing version of its scenes does not match"
    assert set(last.incident.cells) == {A, B}
    watch.see(0, {A: BURNT}, name="x")  # the old version once more, from somewhere else
    assert watch.kinds == [OPENED, RETRACTED]


def test_a_newer_version_that_shows_nothing_takes_back_what_an_older_one_showed(watch: Watch):
    watch.see(0, {A: BURNT, B: BURNT}, name="x")
    hidden = acquisition(0, name="x", version=2)
    covered(watch.engine, hidden, {A: "obscured", B: "not acquired"})
    for _ in range(2):  # and once more
        watch.matcher.handle(batch(hidden, {}))
    assert watch.kinds == [OPENED, RETRACTED]
    last = watch.broker.alerts[-1]
    assert last.incident.why == "a newer processing version of its scenes shows nothing there: cloud, or no data"
    assert set(last.incident.cells) == {A, B}
    watch.see(0, {A: BURNT, B: BURNT}, name="x")
    watch.see(0, {A: BURNT, B: BURNT}, name="x", version=3)
    assert watch.kinds == [OPENED, RETRACTED]  # on record, and never told again for the same scene
    watch.see(5, {A: BURNT})
    assert watch.kinds == [OPENED, RETRACTED, REOPENED]


def test_a_version_that_shows_nothing_and_came_first_is_the_one_that_counts(watch: Watch):
    watch.matcher.handle(batch(acquisition(0, name="x", version=2), {}))
    watch.see(0, {A: BURNT}, name="x")
    assert (watch.kinds, watch.rows) == ([], [])


def test_what_another_scene_shows_too_stays_when_one_turns_out_to_be_cloud(watch: Watch):
    watch.see(0, {A: BURNT}, name="x")
    watch.see(5, {A: BURNT}, sensor="s1")
    watch.matcher.handle(batch(acquisition(0, name="x", version=2), {}))
    assert watch.kinds == [OPENED, CONFIRMED]
    assert (watch.rows[0].state, watch.rows[0].first_sensing_at) == ("opened", DAY0 + timedelta(days=5))


def test_clear_looks_of_a_version_that_turns_out_to_be_cloud_end_nothing(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.see(4, {A: CLEAR}, name="x")
    watch.matcher.handle(batch(acquisition(4, name="x", version=2), {}))
    watch.see(8, {A: CLEAR})
    assert watch.kinds == [OPENED]


def test_what_a_version_shows_after_one_of_which_nothing_was_seen_is_news(watch: Watch):
    """The first version gave no batch, and nobody was told anything of its scene."""
    hidden = acquisition(0, name="x")
    with transaction(watch.engine) as session:
        session.add(ledger_row(hidden, state="matched", matched_at=hidden.processed_at, batches=0))
    watch.see(0, {A: BURNT}, name="x", version=2)
    assert watch.kinds == [OPENED]


def test_after_a_back_filled_version_a_newer_one_is_no_news(watch: Watch):
    past = acquisition(0, name="x")
    with transaction(watch.engine) as session:
        session.add(ledger_row(past, state="matched", matched_at=past.processed_at, batches=0, backfill=True))
    watch.see(0, {A: BURNT}, name="x", version=2)
    assert watch.kinds == []


def test_a_newer_version_that_came_first_is_the_one_that_counts(watch: Watch):
    watch.see(0, {A: CLEAR}, name="x", version=2)
    watch.see(0, {A: BURNT}, name="x", version=1)
    assert (watch.kinds, watch.rows) == ([], [])


def test_what_only_a_newer_version_shows_is_told_when_the_next_scene_shows_it(watch: Watch):
    watch.see(0, {A: CLEAR}, name="x")
    watch.see(0, {A: BURNT}, name="x", version=2)
    assert watch.kinds == []
    watch.see(5, {A: BURNT})
    assert watch.kinds == [OPENED]
    assert watch.broker.alerts[0].incident.first_sensing_at == DAY0
    assert watch.broker.alerts[0].incident.state is CONFIRMED


def test_versions_in_batches_leave_only_what_the_newest_shows(watch: Watch):
    old, new = acquisition(0, name="x"), acquisition(0, name="x", version=2)
    watch.matcher.handle(batch(old, {A: BURNT, B: BURNT}, 0, 2))
    watch.matcher.handle(batch(new, {C: CLEAR}, 1, 2))
    watch.matcher.handle(batch(old, {C: BURNT}, 1, 2))
    watch.matcher.handle(batch(new, {A: BURNT, B: CLEAR}, 0, 2))
    with reading(watch.engine) as session:
        found = session.execute(select(MatchRow.cell, MatchRow.item_id)).all()
    assert [tuple(row) for row in found] == [(A, "x v2")]


def test_two_incidents_that_grow_together_are_one_and_the_younger_says_so(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.day = 301
    watch.see(1, {CELLS[4]: BURNT})
    watch.see(6, {CELLS[2]: BURNT})
    assert watch.kinds == [OPENED, OPENED, MERGED, GROWING]
    older, younger, merged, grown = watch.broker.alerts
    assert merged.alert_id == younger.alert_id
    assert (merged.incident.state, merged.incident.merged_into) == (MERGED, older.incident.incident_id)
    assert merged.incident.cells == (CELLS[4],)
    assert grown.alert_id == older.alert_id
    assert set(grown.incident.cells) == {A, CELLS[2], CELLS[4]}


@pytest.mark.parametrize("resolved", [False, True])
def test_what_a_newer_version_joins_is_told_of_under_the_name_that_goes_on(watch: Watch, resolved: bool):
    """Nothing of it is news, but half of it was told under a name that is cancelled now."""
    watch.see(0, {A: BURNT})
    if resolved:
        for day in (3, 6):
            watch.see(day, {A: CLEAR})
    watch.day = 301
    watch.see(9, {CELLS[4]: BURNT, CELLS[2]: CLEAR}, name="x")
    before = len(watch.kinds)
    watch.see(9, {CELLS[4]: BURNT, CELLS[2]: BURNT}, name="x", version=2)
    assert watch.kinds[before:] == [MERGED, REOPENED if resolved else GROWING]
    merged, goes_on = watch.broker.alerts[before:]
    assert merged.incident.merged_into == goes_on.incident.incident_id
    assert set(merged.incident.cells) <= set(goes_on.incident.cells)
    assert {match.cell for match in goes_on.matches} == {CELLS[2], CELLS[4]}


def test_withdrawn_matches_cut_an_incident_and_cells_that_are_gone_do_not(watch: Watch):
    watch.see(0, {A: BURNT, CELLS[4]: BURNT}, name="ends")
    watch.see(1, {CELLS[2]: BURNT}, name="middle")
    assert watch.kinds == [OPENED, OPENED, MERGED, GROWING]
    for day in (4, 8):
        watch.see(day, {CELLS[2]: CLEAR})
    assert len([row for row in watch.rows if row.state != "merged"]) == 1
    watch.see(1, {CELLS[2]: CLEAR}, name="middle", version=2)
    assert watch.kinds[4:] == [SPLIT, SPLIT]
    one, other = watch.broker.alerts[4:]
    assert {one.incident.cells, other.incident.cells} == {(A,), (CELLS[4],)}
    assert other.incident.split_from == one.incident.incident_id
    assert other.alert_id == watch.broker.alerts[2].alert_id  # what was merged has its old name again


def test_of_parts_that_are_over_nobody_hears_that_they_are_parts(watch: Watch):
    watch.see(0, {A: BURNT, CELLS[2]: BURNT, CELLS[4]: BURNT}, name="x")
    for day in (3, 6):
        watch.see(day, {A: CLEAR, CELLS[2]: CLEAR, CELLS[4]: CLEAR})
    assert watch.kinds == [OPENED, RESOLVED]
    watch.see(0, {A: BURNT, CELLS[2]: CLEAR, CELLS[4]: BURNT}, name="x", version=2)
    assert watch.kinds == [OPENED, RESOLVED]
    assert [row.state for row in watch.rows] == ["resolved", "resolved"]


def test_when_a_cut_leaves_a_part_that_is_gone_its_end_is_told(watch: Watch):
    """Four of five cells were not enough; without the fifth, and what connected it, they are."""
    watch.see(0, dict.fromkeys(CELLS[:4], BURNT) | {CELLS[5]: BURNT, CELLS[7]: BURNT}, name="x")
    for day in (3, 6):
        watch.see(day, dict.fromkeys(CELLS[:4], CLEAR))
    assert watch.kinds == [OPENED]
    watch.see(0, dict.fromkeys(CELLS[:4], BURNT) | {CELLS[5]: CLEAR, CELLS[7]: BURNT}, name="x", version=2)
    assert watch.kinds == [OPENED, SPLIT, RESOLVED]
    _, going_on, over = watch.broker.alerts
    assert (going_on.incident.cells, set(over.incident.cells)) == ((CELLS[7],), set(CELLS[:4]))


def test_a_person_retracts_it_for_good(watch: Watch):
    watch.see(0, {A: BURNT})
    for _ in range(2):
        with transaction(watch.engine) as session:
            retract(session, watch.rows[0].incident_id, "false: cloud", clock=watch.now)
    watch.see(5, {A: BURNT, B: BURNT})
    watch.see(7, {A: BURNT, B: BURNT}, sensor="s1")
    assert watch.kinds == [OPENED, RETRACTED]
    assert watch.broker.alerts[1].incident.why == "false: cloud"
    (row,) = watch.rows
    assert (row.state, row.last_sensing_at) == ("retracted", DAY0 + timedelta(days=7))


@pytest.mark.parametrize(
    "answers",
    [
        [("true", "Ada", {})],
        [("true", "Bo", {})],
        [("true", "Bo", {"cells": [A]})],
        [("unsure", "Ada", {})],
        [("false", "Ada", {"cells": [A]})],
        [("unsure", "Bo", {}), ("unsure", "Ada", {})],
    ],
)
def test_when_false_is_not_the_last_word_any_more_it_goes_on(watch: Watch, answers):
    watch.see(0, {A: BURNT})
    watch.says("false", reason="cloud")
    watch.see(5, {A: BURNT, B: BURNT})
    for answer, person, more in answers:
        assert watch.kinds == [OPENED, RETRACTED]
        watch.says(answer, person, **more)
    assert watch.kinds == [OPENED, RETRACTED, REOPENED]
    first, _, last = watch.broker.alerts
    assert (last.alert_id, last.sequence, last.incident.why) == (first.alert_id, 3, None)
    assert (last.incident.state, last.incident.closed_at) == (CONFIRMED, None)
    assert {match.cell for match in last.matches} == {A, B}  # what came meanwhile
    assert show_alert(watch.engine, str(first.alert_id))["properties"]["acknowledged"]["person"] == answers[-1][1]
    watch.see(8, dict.fromkeys(CELLS[:6], BURNT))
    assert watch.kinds[3:] == [GROWING]
    watch.says("false", "Bo")
    assert watch.kinds[4:] == [RETRACTED]


@pytest.mark.parametrize(
    "answers",
    [
        [("unsure", "Bo", {})],
        [("false", "Bo", {"cells": [A]})],
        [("false", "Bo", {}), ("unsure", "Ada", {})],
    ],
)
def test_while_somebody_still_says_false_it_stays_retracted(watch: Watch, answers):
    watch.see(0, {A: BURNT})
    watch.says("false")
    for answer, person, more in answers:
        watch.says(answer, person, **more)
    assert watch.kinds == [OPENED, RETRACTED]
    assert watch.rows[0].state == "retracted"


def test_what_is_over_meanwhile_is_told_as_that(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.says("false")
    for day in (5, 10):
        watch.see(day, {A: CLEAR})
    watch.says("true")
    assert watch.kinds == [OPENED, RETRACTED, RESOLVED]
    assert watch.rows[0].closed_at == DAY0 + timedelta(days=10)


def test_what_was_over_long_ago_goes_on_for_nobody(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.says("false")
    watch.see(80, {FAR: CLEAR})
    watch.says("true")
    assert watch.kinds == [OPENED, RETRACTED]
    assert (watch.rows[0].state, watch.rows[0].told_state) == ("expired", "expired")


def test_what_a_newer_version_has_taken_back_no_answer_brings_back(watch: Watch):
    watch.see(0, {A: BURNT}, name="x")
    watch.says("false")
    watch.see(0, {A: CLEAR}, name="x", version=2)
    watch.says("true")
    assert watch.kinds == [OPENED, RETRACTED]
    assert watch.rows[0].why == "a newer processing version of its scenes does not match"
    watch.see(3, {B: BURNT}, name="y")
    watch.see(3, {B: CLEAR}, name="y", version=2)
    watch.says("true", alert=2)
    assert watch.kinds[2:] == [OPENED, RETRACTED]


def test_parts_that_were_cut_off_meanwhile_go_on_as_well(watch: Watch):
    watch.see(0, {A: BURNT, CELLS[4]: BURNT, CELLS[2]: BURNT}, name="x")
    watch.says("false")
    watch.see(0, {A: BURNT, CELLS[4]: BURNT, CELLS[2]: CLEAR}, name="x", version=2)
    assert {row.state for row in watch.rows} == {"retracted"}
    watch.says("true")
    assert watch.kinds == [OPENED, RETRACTED, REOPENED, SPLIT]
    assert {row.state for row in watch.rows} == {"opened"}
    assert sorted(alert.incident.cells for alert in watch.broker.alerts[2:]) == [(A,), (CELLS[4],)]


def test_a_retraction_reads_what_the_matcher_has_written_meanwhile(watch: Watch):
    """On PostgreSQL another transaction may end between reading an incident and holding the lock."""
    watch.see(0, {A: BURNT})
    with transaction(watch.engine) as session:
        row = session.get_one(IncidentRow, watch.rows[0].incident_id)
        change = update(IncidentRow).values(sequence=2, told_state="growing")
        session.execute(change, execution_options={"synchronize_session": False})
        retract(session, row.incident_id, "false")
        assert row.sequence == 3


def test_what_a_person_has_retracted_is_not_retracted_again_by_a_newer_version(watch: Watch):
    watch.see(0, {A: BURNT}, name="x")
    with transaction(watch.engine) as session:
        retract(session, watch.rows[0].incident_id, "false: cloud", clock=watch.now)
    watch.see(0, {A: CLEAR}, name="x", version=2)
    assert watch.kinds == [OPENED, RETRACTED]
    assert watch.rows[0].why == "false: cloud"


def test_retracting_what_was_merged_retracts_what_took_it_and_an_unknown_one_is_an_error(watch: Watch):
    watch.see(0, {A: BURNT, CELLS[4]: BURNT})
    watch.see(1, {CELLS[2]: BURNT})
    merged = next(row for row in watch.rows if row.state == "merged")
    with transaction(watch.engine) as session:
        retract(session, merged.incident_id, "x" * 9000)
    assert {row.state for row in watch.rows} == {"merged", "retracted"}
    assert len(next(row for row in watch.rows if row.state == "retracted").why) == retracting.LONGEST_WHY
    with pytest.raises(NotFound, match="no incident"), transaction(watch.engine) as session:
        retract(session, stable_id("nothing"), "")


def test_a_late_match_does_not_open_again_what_was_seen_clear_after_it(watch: Watch):
    watch.see(0, {A: BURNT})
    watch.see(9.6, {A: CLEAR})
    watch.see(9.8, {A: CLEAR})
    watch.see(9.5, {A: BURNT})
    assert watch.kinds == [OPENED, RESOLVED]
    assert watch.rows[0].state == "resolved"


def test_looks_that_came_before_a_late_match_count(watch: Watch):
    watch.see(9.6, {A: CLEAR, B: CLEAR})
    watch.see(9.8, {A: CLEAR})
    watch.see(9.5, {A: BURNT})
    assert watch.kinds == [OPENED, RESOLVED]
    assert watch.rows[0].closed_at == DAY0 + timedelta(days=9.8)


def test_a_match_from_long_before_does_not_open_again(watch: Watch):
    for day, level in ((0, BURNT), (5, CLEAR), (10, CLEAR)):
        watch.see(day, {A: level})
    watch.see(2, {A: BURNT, B: BURNT}, name="very late")
    assert watch.kinds == [OPENED, RESOLVED]
    assert watch.rows[0].state == "resolved"


def test_what_was_sensed_before_the_end_reopens_nothing_for_people(watch: Watch):
    for day, level in ((0, BURNT), (9.6, CLEAR), (9.8, CLEAR)):
        watch.see(day, {A: level})
    watch.see(9.7, {B: BURNT})  # beside it, within the allowed lateness
    assert watch.kinds == [OPENED, RESOLVED]
    assert watch.rows[0].state == "growing"
    watch.see(12, {B: BURNT})
    assert watch.kinds == [OPENED, RESOLVED, REOPENED]


def test_vectors_are_kept_only_for_the_allowed_lateness(watch: Watch):
    for day in range(5):
        watch.see(day, {A: CLEAR})
    watch.see(0.5, {A: CLEAR}, name="very late")
    with reading(watch.engine) as session:
        kept = set(session.scalars(select(RecentBatchRow.sensing_at)))
    assert kept == {DAY0 + timedelta(days=3), DAY0 + timedelta(days=4)}


def test_a_query_that_asks_something_else_looks_at_nothing_of_what_it_asked(watch: Watch):
    watch.see(0, {A: BURNT})
    queries.change(watch.engine, str(watch.query.query_id), mode="appearance")
    for day in (4, 8):
        watch.see(day, {A: CLEAR})
    assert watch.kinds == [OPENED]


def test_a_changed_budget_or_threshold_tells_of_nothing_again(watch: Watch):
    watch.see(0, {A: BURNT})
    queries.change(watch.engine, str(watch.query.query_id), threshold=0.6, budget="1/month", sensors=["s2"])
    watch.see(2, {A: BURNT})
    assert len(watch.rows) == 1
    for day in (4, 8):
        watch.see(day, {A: CLEAR})
    assert watch.kinds == [OPENED, CONFIRMED, RESOLVED]


@pytest.mark.parametrize(("stop", "kinds"), [(queries.pause, [OPENED, EXPIRED]), (queries.remove, [OPENED])])
def test_incidents_of_a_paused_query_end_aloud_and_of_a_removed_one_in_silence(watch: Watch, stop, kinds):
    watch.see(0, {A: BURNT})
    stop(watch.engine, str(watch.query.query_id))
    watch.see(22, {A: CLEAR})
    watch.matcher.sweep()
    watch.see(22, {A: CLEAR})  # once more: sends what waits
    assert watch.kinds == kinds
    assert watch.rows[0].state == "expired"


def test_an_alert_says_how_rare_it_is(engine: Engine):
    watch = Watch(engine, surprise=lambda row, score: 100 * score if row.sensor == "s2" else None)
    watch.see(0, {A: BURNT}, sensor="s1")
    watch.see(2, {A: 0.8})
    assert watch.broker.alerts[0].incident.expected_every_days is None
    assert watch.broker.alerts[1].incident.expected_every_days == pytest.approx(80, abs=0.01)


def test_an_outline_that_is_made_coarser_stays_on_the_map():
    chance = np.random.default_rng(0)
    cells = [cell.id for cell in cells_in(read_bbox((179.3, 51.0, -179.3, 51.6))) if chance.random() < 0.5]
    made = outline(cells)
    west, _, east, _ = made.bounds
    assert (west, east) == (-180, 180)
    assert made.is_valid and get_num_coordinates(made) <= announce.MAX_VERTICES
    lon, lat = centres(cells).T
    assert contains_xy(made.buffer(0.01), lon, lat).all()


STEPS = (
    "serialise",
    "seen_in",
    "keep",
    "join",
    "look_back",
    "tell_opened",
    "tell_merged",
    "look",
    "_batches_matched",
    "looked_at_in",
    "withdraw",
    "tell_withdrawn",
    "matched_in",
    "follow",
    "forget_batches",
    "_finish",
)


@pytest.mark.parametrize("step", ["serialise", "withdraw", "tell_withdrawn", "follow", "_finish"])
def test_a_crash_while_a_version_that_shows_nothing_is_settled_changes_nothing(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, step: str
):
    watch.see(0, {A: BURNT}, name="x")
    before, hidden = contents(watch.engine), batch(acquisition(0, name="x", version=2), {})
    real = getattr(matching, step)

    def fail(*arguments, **named):
        real(*arguments, **named)
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(matching, step, fail)
        with pytest.raises(RuntimeError, match="killed"):
            watch.matcher.handle(hidden)
    assert contents(watch.engine) == before
    watch.matcher.handle(hidden)
    assert watch.kinds == [OPENED, RETRACTED]


@pytest.mark.parametrize("step", STEPS)
def test_a_crash_at_any_step_changes_nothing(watch: Watch, monkeypatch: pytest.MonkeyPatch, step: str):
    watch.see(0, {A: BURNT, CELLS[4]: BURNT, FAR: BURNT}, name="x")
    watch.see(0.5, {A: CLEAR})
    before, told = contents(watch.engine), len(watch.kinds)
    again = batch(acquisition(0, name="x", version=2), {A: BURNT, CELLS[2]: BURNT, CELLS[4]: BURNT, FAR: CLEAR})
    if step == "tell_opened":  # never by a newer version
        again = batch(acquisition(0.7), {CELLS[20]: BURNT})
    real, called = getattr(matching, step), []

    def fail(*arguments, **named):
        called.append(real(*arguments, **named))  # it does its work, and then the process dies
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(matching, step, fail)
        with pytest.raises(RuntimeError, match="killed"):
            watch.matcher.handle(again)
    assert called
    assert contents(watch.engine) == before
    watch.matcher.handle(again)
    assert watch.kinds[told:] == ([OPENED] if step == "tell_opened" else [MERGED, GROWING, RETRACTED])


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        return {name: [tuple(row) for row in connection.execute(text(f"SELECT * FROM {name}"))] for name in names}
