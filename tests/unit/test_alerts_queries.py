"""Standing queries: what is accepted, refused, and when matchers see it."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, select

from alerts import asked, queries
from schemas.database import MIGRATIONS, connect, migrate, reading
from schemas.errors import InvalidArea, NotFound, UsageError
from schemas.messages import Mode, QueryStatus
from schemas.tables import QueryRow

SQUARE = {"type": "Polygon", "coordinates": [[[14, 40], [15, 40], [15, 41], [14, 41], [14, 40]]]}


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


def revisions(engine: Engine) -> list[int]:
    with reading(engine) as session:
        return sorted(session.scalars(select(QueryRow.revision)))


def test_a_query_comes_back_as_it_was_added(engine: Engine):
    added = queries.add(engine, "  wildfire   burn scar ", area=json.dumps(SQUARE), sensors=["s2"], budget="3/month")
    query = queries.show(engine, str(added.query.query_id)[:8])
    assert query == added.query
    assert (query.sentence, query.sensors, query.mode) == ("wildfire burn scar", ("s2",), Mode.APPEARANCE)
    assert (query.budget.alarms, query.budget.per_days, query.version) == (3, 30, 1)
    assert added.notes == ()


def test_a_twin_is_allowed_and_noted(engine: Engine):
    first = queries.add(engine, "flooded streets", area=SQUARE).query
    second = queries.add(engine, "Flooded  streets", area=SQUARE)
    assert str(first.query_id)[:8] in second.notes[0]
    assert len(queries.list_queries(engine)) == 2
    assert queries.add(engine, "flooded streets").notes == ()
    assert queries.add(engine, "flooded streets", area=SQUARE, mode="presence").notes == ()
    assert queries.add(engine, "flooded streets", area=SQUARE, sensors=["s1"]).notes == ()


def test_an_older_database_finds_twins_as_well(engine: Engine):
    """Keys that a migration makes of stored messages are those that are made today."""
    queries.add(engine, "Flooded streets", area=SQUARE, sensors=["s1"])
    queries.add(engine, "überflutete Straßen", mode="presence")
    with reading(engine) as session:
        keys = set(session.scalars(select(QueryRow.twin)))
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = str(engine.url)
    command.downgrade(config, "0008")
    with reading(engine) as session:
        assert keys.isdisjoint(session.scalars(select(QueryRow.twin)))
    migrate(str(engine.url))
    with reading(engine) as session:
        assert set(session.scalars(select(QueryRow.twin))) == keys


@pytest.mark.parametrize(
    ("text", "alarms", "days"),
    [
        ("2/week", 2, 7),
        ("1/day", 1, 1),
        ("3/month", 3, 30),
        ("0.5/30d", 0.5, 30),
        ("1 per 2 weeks", 1, 14),
        ("12/year", 12, 365),
        ("2 a week", 2, 7),
        ("1/D", 1, 1),
    ],
)
def test_budgets_are_read(text: str, alarms: float, days: float):
    budget = asked.parse_budget(text)
    assert (budget.alarms, budget.per_days) == (alarms, days)


@pytest.mark.parametrize(
    "text",
    ["", "2", "0/week", "0.0/week", "-1/week", "two/week", "2/fortnight", "5000/day", "1/9y", "2/", "1e9/d"]
    + ["1000000000/week", "2/century", "nan/week", "inf/day", "1/0d", "0.005/year", "1/week/week", "/week", "1//week"],
)
def test_absurd_budgets_are_refused_with_the_reason(text: str):
    with pytest.raises(UsageError, match="budget"):
        asked.parse_budget(text)


def test_bad_queries_are_refused(engine: Engine):
    with pytest.raises(UsageError, match="empty"):
        queries.add(engine, "  ")
    with pytest.raises(UsageError, match="sentence"):
        queries.add(engine, "x" * 501)
    with pytest.raises(UsageError, match="s3"):
        queries.add(engine, "fire", sensors=["s3"])
    with pytest.raises(UsageError, match="sensors"):
        queries.add(engine, "fire", sensors=[])
    with pytest.raises(UsageError, match="mode"):
        queries.add(engine, "fire", mode="sometimes")
    with pytest.raises(UsageError, match="threshold"):
        queries.add(engine, "fire", threshold=7)
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    with pytest.raises(InvalidArea):
        queries.add(engine, "fire", area=bow_tie)
    assert queries.list_queries(engine, removed=True) == []


def test_pause_resume_and_remove_leave_the_version(engine: Engine):
    name = str(queries.add(engine, "fire").query.query_id)
    assert queries.pause(engine, name).status is QueryStatus.PAUSED
    assert queries.resume(engine, name).status is QueryStatus.ACTIVE
    assert queries.show(engine, name).version == 1
    assert revisions(engine) == [3]
    queries.remove(engine, name)
    assert queries.list_queries(engine) == []
    assert queries.list_queries(engine, removed=True)[0].status is QueryStatus.REMOVED
    with pytest.raises(NotFound, match="query list"):
        queries.resume(engine, name)


def test_a_change_makes_a_new_version(engine: Engine):
    name = str(queries.add(engine, "fire").query.query_id)
    changed = queries.change(engine, name, budget="1/month", sensors=["s1"], threshold=0.4)
    assert (changed.version, changed.budget.alarms, changed.sensors, changed.threshold) == (2, 1, ("s1",), 0.4)
    assert queries.show(engine, name) == changed


def test_only_another_mode_is_another_question(engine: Engine):
    query = queries.add(engine, "fire", area=SQUARE, threshold=0.3, wordings=["flames"]).query
    name = str(query.query_id)
    assert query.question == 1
    assert queries.change(engine, name, budget="1/month", wordings=["blaze", " blaze"]).question == 1
    other = queries.change(engine, name, mode="presence")
    assert (other.version, other.question) == (3, 3)
    bare = queries.change(engine, name, without=["area", "threshold", "wordings"])
    assert (bare.area, bare.threshold, bare.wordings) == (None, None, ())
    assert (bare.version, bare.question, bare.budget) == (4, 3, other.budget)
    assert queries.change(engine, name, mode="presence", without=["area"]) == bare
    with pytest.raises(UsageError, match="budget"):
        queries.change(engine, name, budget="0/week")
    with pytest.raises(InvalidArea):
        queries.change(engine, name, area={"type": "Polygon", "coordinates": []})
    assert queries.show(engine, name) == bare


def test_unknown_and_ambiguous_names(engine: Engine):
    queries.add(engine, "fire")
    for name in ("abc", "ffffffff-not-there", ""):
        with pytest.raises(NotFound):
            queries.show(engine, name)


def test_revisions_of_concurrent_writers_are_all_different(engine: Engine):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: queries.add(engine, f"fire {n}"), range(24)))
    assert revisions(engine) == list(range(1, 25))
