"""A person answers on a real PostgreSQL while the matcher has more to say of the same incident."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from alerts.answers import judge
from alerts.incidents.announce import outline
from alerts.locks import serialise
from schemas.cells import cell_at
from schemas.database import connect, migrate, reading, transaction
from schemas.geometry import to_geojson
from schemas.messages import Alert, Incident, IncidentState, Mode, stable_id
from schemas.tables import AlertRow, IncidentRow

NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
CELL = cell_at(14.5, 41.2).id


@pytest.fixture
def engine(postgresql_url: str) -> Iterator[Engine]:
    migrate(postgresql_url)
    engine = connect(postgresql_url)
    yield engine
    engine.dispose()


def told(session: Session, name: str, sequence: int, state: IncidentState, merged_into: str | None = None) -> str:
    """An alert message and its incident, as the matcher writes them."""
    incident = Incident(
        incident_id=stable_id("incident", name),
        query_id=stable_id("query"),
        query_version=1,
        state=state,
        cells=(CELL,),
        sensors=("s2",),
        item_ids=("item",),
        first_sensing_at=NOW,
        last_sensing_at=NOW,
        opened_at=NOW,
        score=0.5,
        merged_into=None if merged_into is None else stable_id("incident", merged_into),
    )
    alert = Alert(
        alert_id=stable_id("alert", name),
        sequence=sequence,
        kind=state,
        query="burn scar",
        mode=Mode.PRESENCE,
        incident=incident,
        geometry=to_geojson(outline([CELL])),
        matches=(),
        sent_at=NOW + timedelta(minutes=sequence),
        simulated=False,
    )
    known = incident.model_dump(exclude={"schema_version", "cells", "sensors", "item_ids", "expected_every_days"})
    session.merge(IncidentRow(**known | {"state": state.value, "told_state": state.value, "sequence": sequence}))
    session.add(
        AlertRow(
            alert_id=alert.alert_id,
            sequence=sequence,
            incident_id=incident.incident_id,
            query_id=incident.query_id,
            kind=state.value,
            message=alert.model_dump_json(),
            sent_at=alert.sent_at,
        )
    )
    return str(alert.alert_id)


def answer_meanwhile(engine: Engine, session: Session, name: str) -> threading.Thread:
    """Begin to say `false`; returns when that waits for the matcher's transaction."""
    thread = threading.Thread(target=judge, args=(engine, name, "false"), kwargs={"person": "Ada"})
    thread.start()
    waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    while not session.scalar(waiting):
        assert thread.is_alive()
        thread.join(0.01)
    return thread


def kinds(engine: Engine, name: str) -> list[tuple[int, str]]:
    wanted = select(AlertRow.sequence, AlertRow.kind).where(AlertRow.alert_id == stable_id("alert", name))
    with reading(engine) as session:
        return [tuple(row) for row in session.execute(wanted.order_by(AlertRow.sequence))]


def test_the_retraction_comes_after_what_the_matcher_was_about_to_tell(engine: Engine) -> None:
    with transaction(engine) as session:
        name = told(session, "fire", 1, IncidentState.OPENED)
    with transaction(engine) as session:
        serialise(session, "incidents")
        thread = answer_meanwhile(engine, session, name)
        told(session, "fire", 2, IncidentState.GROWING)
    thread.join()
    assert kinds(engine, "fire") == [(1, "opened"), (2, "growing"), (3, "retracted")]


def test_what_has_become_part_of_another_incident_meanwhile_does_not_take_that_along(engine: Engine) -> None:
    with transaction(engine) as session:
        name = told(session, "fire", 1, IncidentState.OPENED)
        told(session, "larger fire", 1, IncidentState.OPENED)
    with transaction(engine) as session:
        serialise(session, "incidents")
        thread = answer_meanwhile(engine, session, name)
        told(session, "fire", 2, IncidentState.MERGED, merged_into="larger fire")
    thread.join()
    assert kinds(engine, "fire") == [(1, "opened"), (2, "merged")]
    assert kinds(engine, "larger fire") == [(1, "opened")]
