"""Connections to the relational store: SQLite by default, PostgreSQL in production.

Flows in: a database URL. Flows out: an engine whose schema is at the newest migration. Stops before queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    MetaData,
    TypeDecorator,
    create_engine,
    event,
    inspect,
    make_url,
    text,
)
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from schemas.errors import StoreUnavailable

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_TIMEOUT_MS = 30_000
"""How long a SQLite writer waits for another one: services share the file."""


class Base(DeclarativeBase):
    """Root of all tables; constraints get names so that migrations can change them on every database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes on databases that keep no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a naive datetime is a bug."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value}: every time carries its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """UTC again: SQLite forgets the zone, PostgreSQL answers in the connection's own."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def connect(url: str) -> Engine:
    """An engine for `sqlite:///PATH` or `postgresql://…`; no schema is touched (see `migrate`)."""
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def migrate(url: str) -> None:
    """Bring the schema to the newest version, creating it where there is none; any number of processes at once.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    try:
        if not _is_current(url):
            _upgrade(url)
    except OperationalError as error:
        raise StoreUnavailable(f"database {_shown(url)} does not answer: {error.orig}") from error


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """One unit of work: committed at the end, rolled back on any error.

    Raises:
        StoreUnavailable: the database went away or stayed locked.
    """
    with _translated(engine), Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A consistent look that never waits for writers; nothing written in it is kept.

    All of its queries see one moment: SQLite's transactions are so, PostgreSQL's when they are asked to be.

    Raises:
        StoreUnavailable: the database went away.
    """
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with (
        _translated(engine),
        engine.connect().execution_options(tocsin_reading=True, **options) as connection,
        Session(connection, expire_on_commit=False) as session,
    ):
        yield session


def _is_current(url: str) -> bool:
    """Whether the newest migration has been applied; asked without Alembic, so that every start is a quick one."""
    newest = max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))
    engine = connect(url)
    try:
        with engine.connect().execution_options(tocsin_reading=True) as connection:
            if not inspect(connection).has_table("alembic_version"):
                return False
            return bool(connection.scalar(text("SELECT version_num FROM alembic_version")) == newest)
    finally:
        engine.dispose()


def _upgrade(url: str) -> None:
    from alembic import command  # noqa: PLC0415  (half a second that nobody need wait for otherwise)
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["url"] = url
    command.upgrade(config, "head")


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        raise StoreUnavailable(f"database {_shown(str(engine.url))}: {error.orig}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise StoreUnavailable(f"database {_shown(str(engine.url))}: {error.orig}") from error
        raise


def _set_pragmas(connection: object, _record: object) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # we begin ourselves, see _begin
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", f"busy_timeout={BUSY_TIMEOUT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Writers take the lock at once: a read that turns into a write fails at once under WAL instead of waiting."""
    reading = connection.get_execution_options().get("tocsin_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _shown(url: str) -> str:

    return make_url(url).render_as_string(hide_password=True)
