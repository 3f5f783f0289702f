"""A notice is told once when it begins and once when it is over."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, select

from alerts.notices import Finding, Matter, clear_notice, raise_notice, republish_notices, standing_notices
from schemas.database import connect, migrate, reading, transaction
from schemas.messages import StandingQuery
from schemas.notices import Notice, NoticeKind
from schemas.tables import NoticeRow, OutboxRow

QUERY = StandingQuery(
    query_id=UUID(int=1), version=1, sentence="flooded fields", created_at=datetime(2026, 1, 1, tzinfo=UTC)
)
BLIND = Matter(NoticeKind.BLIND, QUERY, "s2")


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    return connect(url)


def tell(engine: Engine, what, matter: Matter, text: str) -> Notice | None:
    with transaction(engine) as session:
        return what(session, matter, Finding(text, details={"days": 21}))


def rows(engine: Engine, table) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table))


def test_raised_cleared_and_raised_again(engine: Engine):
    first = tell(engine, raise_notice, BLIND, "not seen for 21 days")
    assert first is not None
    assert (first.sequence, first.cleared, first.query, first.details) == (1, False, "flooded fields", {"days": 21})
    assert tell(engine, raise_notice, BLIND, "not seen for 22 days") is None
    assert [notice.text for notice in standing_notices(engine)] == ["not seen for 21 days"]
    over = tell(engine, clear_notice, BLIND, "seen again")
    assert over is not None
    assert (over.notice_id, over.sequence, over.cleared) == (first.notice_id, 2, True)
    assert standing_notices(engine) == []
    assert tell(engine, clear_notice, BLIND, "seen again") is None
    again = tell(engine, raise_notice, BLIND, "not seen for 30 days")
    assert again is not None
    assert (again.notice_id, again.sequence) == (first.notice_id, 3)
    assert rows(engine, OutboxRow) == rows(engine, NoticeRow) == 3


def test_matters_are_told_apart(engine: Engine):
    for matter in (BLIND, Matter(NoticeKind.BLIND, QUERY, "s1"), Matter(NoticeKind.DRIFT, QUERY, "s2")):
        assert tell(engine, raise_notice, matter, "x") is not None
    assert tell(engine, raise_notice, Matter(NoticeKind.DRIFT, None, "s2"), "x") is not None
    assert len({notice.notice_id for notice in standing_notices(engine)}) == 4


def test_what_no_notifier_has_taken_up_is_sent_again(engine: Engine):
    class Broker:
        def __init__(self):
            self.records = []

        def send(self, records):
            self.records += records

    tell(engine, raise_notice, BLIND, "x")
    broker = Broker()
    assert republish_notices(engine, broker) == 1
    assert [Notice.from_bytes(record.value).subject for record in broker.records] == ["s2"]
    with transaction(engine) as session:
        session.scalars(select(NoticeRow)).one().notified_at = datetime.now(UTC)
    assert republish_notices(engine, broker) == 0
