"""Matches from before the lives of incidents get their new columns from what they say."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import insert, select, table, text
from sqlalchemy.sql.expression import column

from schemas.cells import cell_at
from schemas.database import MIGRATIONS, connect, reading
from schemas.messages import Match, stable_id
from schemas.tables import IncidentRow, MatchRow

NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
CELL = cell_at(14.5, 41.2)
MATCH = Match(
    query_id=stable_id("q"),
    query_version=3,
    cell=CELL.id,
    acquisition_id=stable_id("a"),
    physical_key="scene",
    item_id="item",
    sensor="s2",
    sensing_at=NOW,
    score=0.4,
    presence=0.5,
    threshold=0.3,
    baseline_count=3,
)


def test_old_matches_know_their_scene_and_place_and_count_as_told(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    before = ScriptDirectory.from_config(config).get_revision("0004").down_revision
    command.upgrade(config, str(before))
    engine = connect(url)
    incident = {
        "incident_id": stable_id("i").hex,
        "query_id": MATCH.query_id.hex,
        "query_version": 3,
        "state": "growing",
        "opened_at": "2026-07-01 10:00:00",
        "first_sensing_at": "2026-07-01 10:00:00",
        "last_sensing_at": "2026-07-01 10:00:00",
        "score": 0.4,
        "sequence": 2,
    }
    match = {name: incident[name] for name in ("incident_id", "query_id", "score")}
    match |= {"match_id": stable_id("m").hex, "cell": CELL.id, "sensor": "s2", "sensing_at": "2026-07-01 10:00:00"}
    match["message"] = MATCH.model_dump_json()
    with engine.begin() as connection:
        for name, row in (("incidents", incident), ("matches", match)):
            connection.execute(insert(table(name, *map(column, row))).values(**row))
    command.upgrade(config, "head")
    with reading(engine) as session:
        found = session.scalars(select(MatchRow)).one()
        assert (found.query_version, found.physical_key, found.item_id, found.presence) == (3, "scene", "item", 0.5)
        assert (found.acquisition_id, found.told, found.late) == (MATCH.acquisition_id, 1, 0)
        assert (found.lon, found.lat) == pytest.approx(CELL.centre)
        assert session.scalars(select(IncidentRow)).one().told_state == "growing"
    command.downgrade(config, str(before))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM matches")) == 1
    engine.dispose()
