"""How Alembic reaches the database: with the URL that `schemas.database.migrate` gives, or TOCSIN_DATABASE_URL."""

from __future__ import annotations

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import Connection, text

from schemas import tables  # noqa: F401  (fills Base.metadata)
from schemas.database import Base, UtcDateTime, connect
from schemas.settings import Stack

LOCK = 7_021_978
"""Number of the advisory lock that all who migrate one PostgreSQL share."""


def render_item(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Migrations name the database's types, not ours: they must still run when ours have changed."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def wait_for_others(connection: Connection) -> None:
    """One migration at a time: two that make the same table at once fail. SQLite lets in one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})


def run() -> None:
    """Upgrade in one transaction; a second process waits for the first."""
    url = context.config.attributes.get("url") or Stack().database
    engine = connect(url)
    try:
        with engine.begin() as connection:
            wait_for_others(connection)
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                render_as_batch=True,
                compare_type=True,
                render_item=render_item,
            )
            context.run_migrations()
    finally:
        engine.dispose()


run()
