"""An area that has not been seen for too long is told of once, and once more when it is seen again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import shapely
from shapely.geometry import shape
from sqlalchemy import Engine, select, update

from alerts import queries
from alerts.coverage.blind import BlindWatch
from alerts.coverage.blindness import limit_days
from alerts.coverage.fold import fold
from alerts.notices import standing_notices
from alerts.settings import CoverageSettings
from schemas.cells import cells_in
from schemas.database import connect, migrate, reading, transaction
from schemas.geometry import read_bbox, to_geojson
from schemas.messages import Cause, CellState, StandingQuery
from schemas.notices import Notice, NoticeKind
from schemas.tables import AcquisitionRow, CursorRow, NoticeRow, QueryRow, SourceRow

NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
AREA = shapely.box(14.4, 41.2, 14.5, 41.28)
CELLS = [cell.id for cell in cells_in(AREA)]
SEEN, FAILED = CellState.SEEN, CellState.FAILED
TEN_DAYS = CoverageSettings(blind_days=10)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    return connect(url)


def registered(engine: Engine, days_ago: float, *, sensors=("s1", "s2"), area=AREA) -> StandingQuery:
    """A query that has stood for so long."""
    query = queries.add(
        engine, "flooded fields", area=None if area is None else to_geojson(area), sensors=sensors
    ).query
    query = query.model_copy(update={"created_at": NOW - timedelta(days=days_ago)})
    with transaction(engine) as session:
        session.execute(
            update(QueryRow).where(QueryRow.query_id == query.query_id).values(message=query.model_dump_json())
        )
    return query


def look(engine: Engine, settings: CoverageSettings = TEN_DAYS, now: datetime = NOW) -> int:
    fold(engine)
    return BlindWatch(engine, settings).look(now)


def told(engine: Engine) -> list[Notice]:
    with reading(engine) as session:
        rows = session.scalars(select(NoticeRow).order_by(NoticeRow.sent_at, NoticeRow.sequence))
        return [Notice.from_bytes(row.message.encode()) for row in rows]


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def test_raised_once_and_cleared_once(engine, write_look):
    registered(engine, 60, sensors=("s2",))
    write_look(engine, "last sight", ago(20), dict.fromkeys(CELLS, SEEN))
    write_look(engine, "cloudy", ago(4), dict.fromkeys(CELLS, Cause.CLOUD))
    assert [look(engine) for _ in range(3)] == [1, 0, 0]
    (notice,) = standing_notices(engine, NoticeKind.BLIND)
    assert (notice.kind, notice.subject, notice.cleared) == (NoticeKind.BLIND, "s2", False)
    assert notice.details["blind_cells"] == notice.details["cells"] == notice.details["cloud"] == len(CELLS)
    assert (notice.details["since"], notice.details["longest_days"]) == ("2026-06-11", 20)
    assert "seen nothing of 100% of its area" in notice.text and "cloud 100%" in notice.text
    assert "No alert from there means nothing" in notice.text
    assert shape(notice.geometry).intersection(AREA).area > 0.9 * AREA.area
    write_look(engine, "clear", ago(1), dict.fromkeys(CELLS, SEEN))
    assert [look(engine) for _ in range(3)] == [1, 0, 0]
    assert standing_notices(engine) == []
    assert [(each.sequence, each.cleared) for each in told(engine)] == [(1, False), (2, True)]


def test_only_the_blind_part_is_shown_and_only_from_a_share_on(engine, write_look):
    registered(engine, 60)
    half = len(CELLS) // 2
    write_look(engine, "old", ago(30), dict.fromkeys(CELLS, SEEN))
    write_look(engine, "new", ago(2), dict.fromkeys(CELLS[half:], SEEN))
    assert look(engine, CoverageSettings(blind_days=10, blind_share=0.6)) == 0
    assert look(engine, CoverageSettings(blind_days=10, blind_share=0.4)) == 1
    (notice,) = standing_notices(engine)
    assert notice.details["blind_cells"] == half
    drawn = shape(notice.geometry)
    assert 0.3 * AREA.area < drawn.area < 0.7 * AREA.area
    write_look(engine, "some more", ago(1), dict.fromkeys(CELLS[: half // 2], SEEN))
    assert look(engine, CoverageSettings(blind_days=10, blind_share=0.4)) == 0, "a quarter is left: not yet over"
    write_look(engine, "most", ago(1), dict.fromkeys(CELLS[: half - 2], SEEN))
    assert look(engine, CoverageSettings(blind_days=10, blind_share=0.4)) == 1


def test_either_sensor_is_enough_unless_only_one_was_asked_for(engine, write_look):
    registered(engine, 60)
    radar_only, optical_only = (registered(engine, 60, sensors=(sensor,)) for sensor in ("s1", "s2"))
    write_look(engine, "radar", ago(3), dict.fromkeys(CELLS, SEEN), "s1")
    assert look(engine) == 1
    (notice,) = standing_notices(engine)
    assert (notice.query_id, notice.subject) == (optical_only.query_id, "s2")
    assert "not acquired 100%" in notice.text and "tocsin status" in notice.text
    assert radar_only.query_id != optical_only.query_id


def test_a_new_query_without_history_is_not_blind(engine, write_look):
    registered(engine, 1)
    assert look(engine) == 0
    registered(engine, 8)
    assert look(engine) == 0, "nothing was ever seen, but it has not waited for as long as the limit"
    assert look(engine, now=NOW + timedelta(days=4)) == 1
    (notice,) = standing_notices(engine)
    assert (notice.details["since"], notice.details["longest_days"]) == ("2026-06-23", 12)


def test_a_new_query_with_a_blind_past_is_told_after_its_grace(engine, write_look):
    write_look(engine, "long ago", ago(40), dict.fromkeys(CELLS, SEEN))
    registered(engine, 1)
    assert look(engine) == 0
    assert look(engine, now=NOW + timedelta(days=2)) == 1
    assert standing_notices(engine)[0].details["since"] == "2026-05-22"


def test_failed_scenes_are_named(engine, write_look):
    registered(engine, 60, sensors=("s2",))
    write_look(engine, "broken", ago(5), dict.fromkeys(CELLS, FAILED))
    assert look(engine) == 1
    (notice,) = standing_notices(engine)
    assert notice.details["failed"] == len(CELLS) and "dead-letters" in notice.text


def test_queries_that_cannot_be_blind(engine, write_look):
    """Everywhere, and areas that are too large to list: nobody knows what was not acquired there."""
    registered(engine, 60, area=None)
    registered(engine, 60, area=shapely.segmentize(read_bbox([-180, -80, 179.9, 80]), 60))
    paused = registered(engine, 60)
    queries.pause(engine, str(paused.query_id))
    assert look(engine) == 0


def test_a_query_that_is_gone_leaves_no_notice(engine):
    query = registered(engine, 60)
    assert look(engine) == 1
    queries.remove(engine, str(query.query_id))
    assert [look(engine), look(engine)] == [1, 0]
    assert standing_notices(engine) == []
    assert "no longer watched" in told(engine)[-1].text


def test_other_sensors_are_another_matter(engine):
    query = registered(engine, 60)
    assert look(engine) == 1
    queries.change(engine, str(query.query_id), sensors=("s2",))
    assert look(engine) == 2
    assert [notice.subject for notice in standing_notices(engine)] == ["s2"]


def test_the_limit_follows_the_usual_time_between_sights(engine, write_look):
    rules = CoverageSettings()
    assert limit_days(5, rules) == 20
    assert limit_days(1, rules) == 12
    assert limit_days(30, rules) == 45
    assert limit_days(None, rules) == 45
    assert limit_days(5, CoverageSettings(blind_days=3)) == 3
    registered(engine, 300)
    for day in range(21, 120, 5):
        write_look(engine, f"{day}", ago(day), dict.fromkeys(CELLS, SEEN))
    assert look(engine, rules, ago(1)) == 0
    assert look(engine, rules) == 1
    (notice,) = standing_notices(engine)
    assert (notice.details["revisit_days"], notice.details["limit_days"]) == (5, 20)
    assert "usually every 5 days" in notice.text


def test_nothing_is_said_while_polling_catches_up(engine):
    """After a pause what came in meanwhile is taken in first; a poller that stays away is waited for an hour."""
    registered(engine, 60)
    with transaction(engine) as session:
        session.add(
            SourceRow(name="a", url="https://x", collections=["c"], since=ago(90), allowed_hosts=[], added_at=ago(90))
        )
        session.flush()
        session.add(CursorRow(source="a", collection="c", read_until=ago(30), polled_at=ago(30)))
    start = datetime.now(UTC)
    watch = BlindWatch(engine, TEN_DAYS)
    assert watch.run(start) == 0
    with transaction(engine) as session:
        session.scalars(select(CursorRow)).one().polled_at = start
        session.add(acquisition("queued", start))
    assert watch.run(start + timedelta(minutes=1)) == 0
    with transaction(engine) as session:
        session.scalars(select(AcquisitionRow)).one().state = "matched"
    assert watch.run(start + timedelta(minutes=2)) == 1
    assert BlindWatch(engine, TEN_DAYS).run(start + timedelta(minutes=3)) == 0, "raised once for all matchers"


def test_a_poller_that_stays_away_is_told_of(engine):
    registered(engine, 60)
    watch = BlindWatch(engine, TEN_DAYS)
    start = datetime.now(UTC)
    assert watch.run(start + timedelta(minutes=50)) == 0
    assert watch.run(start + timedelta(minutes=61)) == 1
    assert watch.run(start + timedelta(minutes=62)) == 0


def test_a_look_without_time_goes_on_where_it_ended(engine, monkeypatch):
    for _ in range(3):
        registered(engine, 60)
    monkeypatch.setattr("alerts.coverage.blind.LOOK_FOR_S", -1.0)
    clock = iter(range(1000))
    monkeypatch.setattr("alerts.coverage.blind.time.monotonic", lambda: next(clock) / 2)
    monkeypatch.setattr("alerts.coverage.blind.LOOK_FOR_S", 0.5)
    watch = BlindWatch(engine, TEN_DAYS)
    assert [watch.look(NOW) for _ in range(4)] == [1, 1, 1, 0]


def test_what_was_worked_out_for_a_query_goes_with_it(engine):
    query = registered(engine, 60)
    watch = BlindWatch(engine, TEN_DAYS)
    watch.look(NOW)
    assert len(watch._usual) == 1
    queries.remove(engine, str(query.query_id))
    watch.look(NOW)
    assert not watch._usual


def acquisition(state: str, moment: datetime) -> AcquisitionRow:
    from schemas.messages import stable_id

    times = dict.fromkeys(("processed_at", "sensing_at", "published_at", "seen_at"), moment)
    return AcquisitionRow(
        acquisition_id=stable_id("a"),
        physical_key="a",
        source="a",
        collection="c",
        item_id="a",
        sensor="s2",
        state=state,
        message="",
        topic="acquisitions.v1",
        **times,
    )
