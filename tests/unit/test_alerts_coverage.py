"""The coverage ledger: what is folded into it, in whatever order and however often, and what it answers."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import shape
from sqlalchemy import Engine, delete, func, select

from alerts.coverage.blocks import CAUSES, CELLS, Block, cell_ids, cell_index, unpack
from alerts.coverage.fold import drop_raw, fold
from alerts.coverage.ground import ground_of
from alerts.coverage.outline import MOST_VERTICES, outline
from alerts.coverage.sights import features, median_gap, sights, spell
from alerts.coverage.summary import summary
from alerts.coverage.weeks import Week, first_week, weeks, weeks_of
from alerts.settings import CoverageSettings
from schemas.cells import cell_at, cells_in
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import UsageError
from schemas.geometry import read_bbox, to_geojson
from schemas.messages import Cause, CellState, StandingQuery, stable_id
from schemas.tables import CoveragePartRow, CoverageRow, CoverageWeekRow

SEEN, FAILED, OBSCURED, ABSENT = CellState.SEEN, CellState.FAILED, CellState.OBSCURED, CellState.NOT_ACQUIRED
MONDAY = datetime(2026, 6, 29, tzinfo=UTC)
"""2026-W27."""
AREA = shapely.box(14.4, 41.2, 14.5, 41.28)
CELLS_IN = [cell.id for cell in cells_in(AREA)]
ELSEWHERE = cell_at(14.7, 41.2).id
RAW_100 = CoverageSettings(raw_days=100)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    return path


def copy_of(empty: Path, path: Path) -> Engine:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    return connect(f"sqlite:///{path}")


@pytest.fixture
def engine(empty: Path, tmp_path: Path) -> Engine:
    return copy_of(empty, tmp_path / "db.sqlite")


def at(day: float, hour: float = 10) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour)


def ledger(engine: Engine) -> dict[tuple[str, str, date], bytes]:
    with reading(engine) as session:
        return {(row.square, row.sensor, row.monday): row.planes for row in session.scalars(select(CoverageWeekRow))}


def one_week(engine: Engine, sensor: str = "s2", area: shapely.Geometry | None = AREA) -> Week:
    (found,) = weeks(engine, (sensor,), area, MONDAY, MONDAY + timedelta(days=7))
    return found


def raw_rows(engine: Engine) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(CoverageRow)) or 0


bits = st.integers(0, 2**32).map(
    lambda seed: np.where(
        np.random.default_rng(seed).random(CELLS) < 0.3, np.random.default_rng(seed).integers(0, 128, CELLS), 0
    )
)


@settings(max_examples=25, deadline=None)
@given(bits, bits, bits, bits)
def test_a_block_is_unpacked_as_it_was_packed(seen, obscured, failed, causes):
    block = Block(*(each.astype(np.uint8) for each in (seen, obscured, failed, causes & 15)))
    again = unpack(block.pack())
    for name in ("seen", "obscured", "failed", "causes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(block, name))


def test_a_block_of_another_build_is_refused():
    import zlib

    with pytest.raises(ValueError, match="format 9"):
        unpack(zlib.compress(b"\x09" + bytes(4)))


def test_an_empty_block_takes_no_space():
    assert len(Block().pack()) < 20


def test_cells_are_numbered_by_their_last_four_digits():
    assert cell_index("33TWN4512") == 1245
    assert cell_ids("33TWN", [1245, 0]) == ["33TWN4512", "33TWN0000"]


def test_the_best_that_can_be_said_of_a_cell_counts_once_a_week(engine, write_look):
    a, b, c, d, e, f = CELLS_IN[:6]
    write_look(engine, "one", at(0), {a: Cause.CLOUD, b: Cause.CLOUD, c: Cause.SHADOW, d: Cause.NO_DATA, e: OBSCURED})
    write_look(engine, "two", at(2), {a: SEEN, b: FAILED, c: Cause.CLOUD, f: FAILED, CELLS_IN[6]: ABSENT})
    write_look(engine, "radar", at(2), {a: SEEN, ELSEWHERE: SEEN}, "s1")
    assert fold(engine) == 3
    found = one_week(engine)
    assert (found.name, found.days, found.cells) == ("2026-W27", 7, len(CELLS_IN))
    assert (found.seen, found.cloud, found.shadow, found.no_data, found.unexplained, found.failed) == (1, 2, 0, 1, 1, 1)
    assert found.not_acquired == len(CELLS_IN) - 6
    assert found.obscured + found.seen + found.failed + found.not_acquired == found.cells
    radar = one_week(engine, "s1")
    assert (radar.seen, radar.not_acquired) == (1, len(CELLS_IN) - 1)


def test_what_comes_again_changes_nothing(engine, write_look):
    for _ in range(2):
        write_look(engine, "one", at(0), {CELLS_IN[0]: SEEN, CELLS_IN[1]: Cause.CLOUD})
        fold(engine)
    before = ledger(engine)
    assert fold(engine) == 0
    assert ledger(engine) == before and one_week(engine).seen == 1
    # the parts were lost, as after a restore of an older table: it is folded once more, onto what is there
    with transaction(engine) as session:
        session.execute(delete(CoveragePartRow))
    assert fold(engine) == 1
    assert ledger(engine) == before


def test_a_newer_version_takes_the_place_of_the_older(engine, write_look):
    """The encoder writes the new row and deletes the old one: what only the old one said is gone from the week."""
    write_look(engine, "v1", at(0), {CELLS_IN[0]: SEEN, CELLS_IN[1]: SEEN, ELSEWHERE: SEEN})
    write_look(engine, "other", at(3), {CELLS_IN[2]: Cause.CLOUD})
    fold(engine)
    write_look(engine, "v2", at(0), {CELLS_IN[0]: SEEN, CELLS_IN[1]: Cause.CLOUD})
    with transaction(engine) as session:
        session.execute(delete(CoverageRow).where(CoverageRow.acquisition_id == stable_id("v1")))
    assert fold(engine) == 2
    found = one_week(engine)
    assert (found.seen, found.cloud) == (1, 2)
    assert one_week(engine, area=None).seen == 1


def test_a_row_that_was_rewritten_is_folded_anew(engine, write_look):
    """Failed, then sent again and read: the failure is not remembered."""
    write_look(engine, "one", at(0), dict.fromkeys(CELLS_IN[:3], FAILED))
    fold(engine)
    assert one_week(engine).failed == 3
    write_look(engine, "one", at(0), {CELLS_IN[0]: SEEN})
    fold(engine)
    found = one_week(engine)
    assert (found.seen, found.failed) == (1, 0)
    with transaction(engine) as session:
        session.execute(delete(CoverageRow))
    fold(engine)
    assert ledger(engine) == {}


def test_order_and_batches_do_not_matter(empty, tmp_path, write_look):
    rng = random.Random(7)
    states = [SEEN, FAILED, OBSCURED, *Cause]
    looks = [
        (
            f"look {i}",
            at(rng.randrange(21), rng.randrange(24)),
            {cell: rng.choice(states) for cell in rng.sample(CELLS_IN, 9)},
        )
        for i in range(30)
    ]
    found = []
    for run in range(3):
        engine = copy_of(empty, tmp_path / f"{run}.sqlite")
        for number, look in enumerate(rng.sample(looks, len(looks))):
            write_look(engine, *look)
            if run and number % (3 * run) == 0:
                fold(engine)
        fold(engine)
        found.append(ledger(engine))
    assert found[0] == found[1] == found[2]
    assert {key[2] for key in found[0]} == {MONDAY.date() + timedelta(weeks=i) for i in range(3)}


def test_weeks_begin_on_monday_in_utc(engine, write_look):
    from datetime import timezone

    sunday = datetime(2026, 7, 6, 1, 30, tzinfo=timezone(timedelta(hours=2)))  # 23:30 on Sunday in UTC
    write_look(engine, "sunday", sunday, {CELLS_IN[0]: SEEN})
    write_look(engine, "monday", datetime(2026, 7, 6, tzinfo=UTC), {CELLS_IN[1]: SEEN})
    write_look(engine, "new year", datetime(2027, 1, 1, tzinfo=UTC), {CELLS_IN[1]: SEEN})
    fold(engine)
    assert sorted(key[2].isoformat() for key in ledger(engine)) == ["2026-06-29", "2026-07-06", "2026-12-28"]
    assert one_week(engine).seen == 1
    (last,) = weeks(engine, ("s2",), AREA, datetime(2027, 1, 1, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC))
    assert (last.name, last.days, last.seen) == ("2026-W53", 3, 1)


def test_weeks_of_a_query_are_those_of_its_area_and_sensors(engine, write_look):
    write_look(engine, "radar", at(0), {CELLS_IN[0]: SEEN, ELSEWHERE: SEEN}, "s1")
    write_look(engine, "optical", at(0), {CELLS_IN[0]: SEEN})
    fold(engine)
    query = StandingQuery(
        query_id=stable_id("q"), version=1, sentence="x", area=to_geojson(AREA), sensors=("s1",), created_at=MONDAY
    )
    (found,) = weeks_of(engine, query, MONDAY, MONDAY + timedelta(days=7))
    assert (found.sensor, found.seen, found.cells) == ("s1", 1, len(CELLS_IN))
    (found,) = weeks_of(engine, query.model_copy(update={"area": None}), MONDAY, MONDAY + timedelta(days=7))
    assert found.seen == 2


def test_days_outside_the_period_do_not_count(engine, write_look):
    write_look(engine, "tuesday", at(1), {CELLS_IN[0]: SEEN})
    write_look(engine, "friday", at(4), {CELLS_IN[1]: SEEN})
    fold(engine)
    (found,) = weeks(engine, ("s2",), AREA, at(2), at(7, 0))
    assert (found.days, found.seen) == (5, 1)
    with pytest.raises(UsageError, match="is empty"):
        weeks(engine, ("s2",), AREA, at(2), at(1))
    with pytest.raises(UsageError, match="too many"):
        weeks(engine, ("s2",), AREA, datetime(1900, 1, 1, tzinfo=UTC), at(1))


def test_weeks_without_any_acquisition_are_listed(engine):
    found = weeks(engine, ("s1", "s2"), AREA, MONDAY, MONDAY + timedelta(weeks=3))
    assert [(week.sensor, week.not_acquired) for week in found] == [(s, len(CELLS_IN)) for s in ("s1", "s2")] * 3
    assert first_week(engine) is None
    assert spell(list(sights(engine, ground_of(AREA), ("s2",), MONDAY.date(), MONDAY.date())), ("s2",)) is not None


def test_old_raw_rows_go_and_their_weeks_stay(engine, write_look):
    for name, day, cell in (("old", 0, 0), ("old too", 3, 1), ("new", 70, 2)):
        write_look(engine, name, at(day), {CELLS_IN[cell]: SEEN})
    now = at(150)
    assert drop_raw(engine, RAW_100, now) == 0, "nothing that is not in the ledger is dropped"
    fold(engine)
    before = ledger(engine)
    assert drop_raw(engine, RAW_100, at(106)) == 0, "its week is not over for so long"
    with transaction(engine) as session:  # as if written when it was sensed
        for row in session.scalars(select(CoverageRow)):
            row.written_at = row.sensing_at
    fold(engine)
    assert drop_raw(engine, RAW_100, now) == 2
    assert raw_rows(engine) == 1
    assert fold(engine) == 0 and ledger(engine) == before
    whole = {"since": MONDAY, "until": now}
    assert summary(engine, "s2", AREA, **whole).seen == 3
    assert summary(engine, "s2", AREA, since=at(3, 0), until=now).seen == 2
    assert drop_raw(engine, RAW_100, now) == 0


def test_what_was_just_written_of_the_past_is_kept_for_a_week(engine, write_look):
    """Back-fill: a newer version of the same scene may still follow."""
    now = datetime.now(UTC)
    write_look(engine, "years ago", now - timedelta(days=900), {CELLS_IN[0]: SEEN})
    fold(engine)
    assert drop_raw(engine, RAW_100, now + timedelta(days=6)) == 0
    assert drop_raw(engine, RAW_100, now + timedelta(days=8)) == 1


def test_a_sealed_week_can_be_added_to(engine, write_look):
    write_look(engine, "one", at(0), {CELLS_IN[0]: SEEN})
    fold(engine)
    with transaction(engine) as session:
        session.scalars(select(CoverageWeekRow)).one().sealed = True
        session.execute(delete(CoverageRow))
        session.execute(delete(CoveragePartRow))
    write_look(engine, "late", at(1), {CELLS_IN[1]: SEEN})
    fold(engine)
    assert one_week(engine).seen == 2
    with transaction(engine) as session:  # taking it out again is beyond what is kept
        session.execute(delete(CoverageRow))
    fold(engine)
    assert one_week(engine).seen == 2


def test_a_row_that_cannot_be_read_stops_nothing(engine, write_look):
    write_look(engine, "bad", at(0), {CELLS_IN[0]: SEEN})
    write_look(engine, "good", at(1), {CELLS_IN[1]: SEEN})
    with transaction(engine) as session:
        session.get_one(CoverageRow, stable_id("bad")).chips = b"not zlib"
    assert fold(engine) == 2
    assert fold(engine) == 0
    assert one_week(engine).seen == 1


def test_a_row_from_before_the_ledger_is_folded(engine, write_look):
    """It has no time of writing, and chips without a cause."""
    write_look(engine, "old", at(0), {CELLS_IN[0]: OBSCURED})
    with transaction(engine) as session:
        session.execute(CoverageRow.__table__.update().values(written_at=None))
    assert fold(engine) == 1
    assert fold(engine) == 0
    assert one_week(engine).unexplained == 1
    assert drop_raw(engine, RAW_100, at(150)) == 1


def test_an_area_across_the_antimeridian(engine, write_look):
    area = read_bbox([179.8, -17.2, -179.8, -16.9])
    cells = [cell.id for cell in cells_in(area)]
    west, east = (next(c for c in cells if c.startswith(zone)) for zone in ("60", "01"))
    write_look(engine, "both", at(0), {west: SEEN, east: Cause.CLOUD})
    fold(engine)
    found = one_week(engine, area=area)
    assert (found.cells, found.seen, found.cloud, found.not_acquired) == (len(cells), 1, 1, len(cells) - 2)
    drawn = outline((ground_of(area).masks or {}).items())
    assert drawn.intersection(area).area == pytest.approx(area.area, rel=0.03)
    assert drawn.bounds[0] == -180 and drawn.bounds[2] == 180 and drawn.area < 0.2
    listed = features(list(sights(engine, ground_of(area), ("s2",), MONDAY.date(), at(6).date())), at(6).date())
    assert all(shape(each["geometry"]).area < 0.001 for each in listed["features"])


def test_an_area_over_two_zones(engine, write_look):
    """12° east: cells of both zones, which overlap there, each counted in its own square."""
    area = shapely.box(11.9, 47.9, 12.1, 48.0)
    cells = [cell.id for cell in cells_in(area)]
    assert {cell[:2] for cell in cells} == {"32", "33"}
    write_look(engine, "all", at(0), dict.fromkeys(cells, SEEN))
    fold(engine)
    found = one_week(engine, area=area)
    assert (found.seen, found.not_acquired) == (len(cells), 0)
    assert found.seen_share == 1


def test_the_planet_counts_only_what_was_looked_at(engine, write_look):
    planet = read_bbox([-180, -80, 179.9, 80])
    write_look(engine, "one", at(0), {CELLS_IN[0]: SEEN, CELLS_IN[1]: Cause.CLOUD})
    fold(engine)
    for area in (planet, None):
        found = one_week(engine, area=area)
        assert (found.cells, found.seen, found.cloud, found.not_acquired, found.seen_share) == (None, 1, 1, None, None)
        assert found.as_dict()["week"] == "2026-W27"
    half = read_bbox([-180, -80, 14.0, 80])
    assert one_week(engine, area=half).seen == 0


def test_days_since_seen_gaps_and_why(engine, write_look):
    a, b, c, d, e = CELLS_IN[:5]
    write_look(engine, "0", at(0), {a: SEEN, b: SEEN, c: Cause.SHADOW})
    write_look(engine, "5", at(5), {a: SEEN, b: Cause.CLOUD, d: FAILED})
    write_look(engine, "10", at(10), {a: SEEN, b: Cause.NO_DATA})
    write_look(engine, "radar", at(12), {e: SEEN}, "s1")
    fold(engine)
    first, last = at(0).date(), at(20).date()
    found = list(sights(engine, ground_of(AREA), ("s2",), first, last))
    listed = {f["properties"]["cell"]: f["properties"] for f in features(found, last)["features"]}
    assert len(listed) == len(CELLS_IN)
    got = {cell: (p["days_since_seen"], p["longest_gap_days"], p["since_then"]) for cell, p in listed.items()}
    assert got[a] == (10, 10, "not acquired")
    assert got[b] == (20, 20, "no data"), "what hid it last, not first"
    assert got[c] == (None, 21, "shadow")
    assert got[d] == (None, 21, "failed")
    assert got[e] == (None, 21, "not acquired")
    assert listed[a]["last_seen"] == "2026-07-09"
    whole = spell(found, ("s2",))
    assert whole is not None
    assert (whole.cells, whole.blind_cells, whole.longest_gap_days) == (len(CELLS_IN), len(CELLS_IN) - 2, 21)
    assert whole.revisit_days is None, "two of many cells seen twice say nothing of the area"
    (both,) = [
        each.seen[cell_index(e)]
        for each in sights(engine, ground_of(AREA), ("s1", "s2"), first, last)
        if each.square == e[:5]
    ]
    assert both == at(12).date().toordinal()


def test_median_time_between_two_sights(engine, write_look):
    for day in (0, 5, 10, 15, 27):
        write_look(engine, f"{day}", at(day), dict.fromkeys(CELLS_IN, SEEN))
        write_look(engine, f"{day} again", at(day, 11), dict.fromkeys(CELLS_IN, SEEN))
    fold(engine)
    found = list(sights(engine, ground_of(AREA), ("s2",), at(0).date(), at(30).date()))
    assert median_gap(found) == 5
    assert median_gap([]) is None
    (only,) = {(int(each.longest_gap[each.mask].min()), int(each.longest_gap[each.mask].max())) for each in found}
    assert only == (12, 12)


def test_too_many_cells_to_list(engine):
    found = list(sights(engine, ground_of(shapely.box(10, 48, 13, 50)), ("s2",), MONDAY.date(), MONDAY.date()))
    with pytest.raises(UsageError, match="too many to list"):
        features(found, MONDAY.date())


def test_an_outline_of_scattered_cells_stays_small():
    ground = ground_of(shapely.box(10, 48, 11, 49))
    rng = np.random.default_rng(0)
    scattered = outline((square, mask & (rng.random(CELLS) < 0.5)) for square, mask in (ground.masks or {}).items())
    assert shapely.get_num_coordinates(scattered) <= MOST_VERTICES
    assert scattered.is_valid and not scattered.is_empty
    whole = outline((ground.masks or {}).items())
    assert whole.symmetric_difference(shapely.box(10, 48, 11, 49)).area < 0.02
    lone = outline([("33TWN", np.arange(CELLS) == 1245)])
    assert lone.area == pytest.approx(cell_at(*lone.centroid.coords[0]).polygon.area, rel=0.3)


@example(seed=30689795, share=0.25, square="32VKM")  # its buffer has a hole beside its shell
@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0.01, 0.99),
    st.sampled_from(["33TWN", "60KZG", "01KAB", "31XDG", "32VKM", "21HUB"]),
)
def test_an_outline_is_valid_whatever_cells_it_is_of(seed, share, square):
    rng = np.random.default_rng(seed)
    mask, (row, column) = np.zeros((100, 100), bool), rng.integers(0, 71, 2)
    mask[row : row + 30, column : column + 30] = rng.random((30, 30)) < share
    drawn = outline([(square, mask.ravel())])
    assert drawn.is_valid and drawn.area > 0
    west, _, east, _ = drawn.bounds
    assert -180 <= west <= east <= 180
    assert all(part.bounds[2] - part.bounds[0] < 20 for part in shapely.get_parts(drawn)), "none goes round the globe"


def test_every_cause_has_a_bit():
    assert set(CAUSES) == {*Cause, None}
    assert len(set(CAUSES.values())) == len(CAUSES)
