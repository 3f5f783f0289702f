"""The coverage ledger on a real PostgreSQL: several matchers fold at once, and the answers are those of SQLite."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import shapely
from sqlalchemy import Engine, delete, func, select

from alerts import queries
from alerts.coverage.blind import BlindWatch
from alerts.coverage.fold import drop_raw, fold
from alerts.coverage.ground import ground_of
from alerts.coverage.sights import sights
from alerts.coverage.summary import summary
from alerts.coverage.weeks import first_week, weeks
from alerts.settings import CoverageSettings
from schemas.cells import cells_in
from schemas.database import connect, migrate, reading, transaction
from schemas.geometry import to_geojson
from schemas.messages import Cause, CellState, stable_id
from schemas.tables import CoveragePartRow, CoverageRow, CoverageWeekRow, NoticeRow

MONDAY = datetime(2026, 6, 29, tzinfo=UTC)
AREA = shapely.box(14.4, 41.2, 14.5, 41.28)
CELLS = [cell.id for cell in cells_in(AREA)]


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    migrate(postgresql_url)
    engine = connect(postgresql_url)
    yield engine
    engine.dispose()


def count(engine: Engine, table) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def at_once(*works) -> None:
    together, errors = threading.Barrier(len(works)), []

    def run(work) -> None:
        together.wait()
        try:
            work()
        except Exception as error:  # noqa: BLE001  (raised again below)
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_several_matchers_fold_at_once(engine, write_look):
    for day in range(45):
        states = dict.fromkeys(CELLS[day:], CellState.SEEN) | dict.fromkeys(CELLS[:day], Cause.CLOUD)
        write_look(engine, f"{day}", MONDAY + timedelta(days=day, hours=10), states)
    at_once(*[lambda: fold(engine)] * 4)
    assert count(engine, CoveragePartRow) == 45
    (week, *_) = found = weeks(engine, ("s2",), AREA, MONDAY, MONDAY + timedelta(days=45))
    assert (len(found), week.seen, week.not_acquired) == (7, len(CELLS), 0)
    write_look(engine, "0", MONDAY + timedelta(hours=10), {CELLS[0]: CellState.FAILED})
    with transaction(engine) as session:
        session.execute(delete(CoverageRow).where(CoverageRow.acquisition_id == stable_id("1")))
    at_once(*[lambda: fold(engine)] * 3)
    assert count(engine, CoveragePartRow) == 44
    last = (MONDAY + timedelta(days=1)).date()
    states = [
        each.failed[each.mask].max() > 0 and not each.seen[each.mask].any()
        for each in sights(engine, ground_of(AREA), ("s2",), MONDAY.date(), last)
        if each.square == CELLS[0][:5]
    ]
    assert states == [True]


def test_raw_rows_are_dropped_and_the_weeks_stay(engine, write_look):
    for day in (0, 3, 20):
        write_look(engine, f"{day}", MONDAY + timedelta(days=day), dict.fromkeys(CELLS, CellState.SEEN))
    fold(engine)
    later = datetime.now(UTC) + timedelta(days=400)
    at_once(*[lambda: drop_raw(engine, CoverageSettings(), later)] * 2)
    assert (count(engine, CoverageRow), count(engine, CoveragePartRow)) == (0, 0)
    assert first_week(engine) == MONDAY.date()
    assert fold(engine) == 0 and count(engine, CoverageWeekRow) == 2 * len({cell[:5] for cell in CELLS})
    assert summary(engine, "s2", AREA, since=MONDAY, until=later).seen == len(CELLS)


def test_two_matchers_raise_one_notice(engine, write_look):
    query = queries.add(engine, "flooded fields", area=to_geojson(AREA)).query
    write_look(engine, "old", MONDAY, dict.fromkeys(CELLS, CellState.SEEN))
    fold(engine)
    now = query.created_at + timedelta(days=60)
    at_once(*[lambda: BlindWatch(engine, CoverageSettings()).look(now)] * 3)
    assert count(engine, NoticeRow) == 1
