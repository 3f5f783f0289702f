"""Tables and migrations agree, times keep their zone, and SQLite lets services wait for each other."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.exc import StatementError

from schemas.database import MIGRATIONS, Base, connect, migrate, reading, transaction
from schemas.errors import StoreUnavailable
from schemas.tables import OutboxRow


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'tocsin.sqlite'}"
    migrate(url)
    return url


def test_migrations_make_the_tables_of_today(url: str) -> None:
    engine = connect(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_migrating_twice_changes_nothing(url: str) -> None:
    migrate(url)


def test_the_newest_migration_has_the_highest_number() -> None:
    """A start looks at numbers alone to know whether anything is to be migrated."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    numbers = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
    assert numbers == sorted(numbers, reverse=True)


def test_times_come_back_in_utc(url: str) -> None:
    engine = connect(url)
    noon = datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    with transaction(engine) as session:
        session.add(OutboxRow(topic="t", key="k", value=b"v", written_at=noon))
    with reading(engine) as session:
        got = session.scalars(select(OutboxRow.written_at)).one()
    assert got == noon
    assert got.tzinfo == UTC
    with pytest.raises(StatementError, match="naive"), transaction(engine) as session:
        session.add(OutboxRow(topic="t", key="k", value=b"v", written_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    engine.dispose()


def test_writers_wait_and_readers_do_not(url: str) -> None:
    engines = [connect(url) for _ in range(4)]
    now = datetime.now(UTC)

    def write(engine) -> None:  # type: ignore[no-untyped-def]
        for _ in range(25):
            with transaction(engine) as session:
                session.add(OutboxRow(topic="t", key="k", value=b"v", written_at=now))

    threads = [threading.Thread(target=write, args=(engine,)) for engine in engines]
    with transaction(engines[0]) as held:
        held.add(OutboxRow(topic="t", key="k", value=b"v", written_at=now))
        held.flush()
        with reading(engines[1]) as session:
            assert session.scalars(select(OutboxRow)).all() == []
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with reading(engines[1]) as session:
        assert len(session.scalars(select(OutboxRow)).all()) == 101
    for engine in engines:
        engine.dispose()


def test_a_missing_database_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does not answer"):
        migrate(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'x.sqlite'}")


def test_passwords_are_not_shown() -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreUnavailable) as caught:
        migrate("postgresql://me:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)
