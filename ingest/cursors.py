"""How far each collection of each source has been read.

Flows in: what a poll has read and Kafka has acknowledged. Flows out: where the next one begins. Stops before polling.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from schemas.database import reading, transaction
from schemas.tables import CursorRow, SourceRow

MAX_NOTE = 1000
"""Characters of an error that a cursor keeps: the width of its column."""


def read_cursor(engine: Engine, source: str, collection: str) -> datetime | None:
    """Up to where a collection has been read; none before the first poll that came through."""
    with reading(engine) as session:
        row = session.get(CursorRow, (source, collection))
        return row.read_until if row else None


def advance(engine: Engine, source: str, collection: str, read_until: datetime, now: datetime) -> None:
    """Move a cursor on, never back and never past now: a catalogue's clock may be wrong."""
    with transaction(engine) as session:
        row = _row(session, source, collection)
        if row is not None:
            row.read_until = max(row.read_until, min(read_until, now))


def note(engine: Engine, source: str, collection: str, polled_at: datetime, text: str | None) -> None:
    """Say when the last poll of a collection began, and what went wrong or what its catalogue cannot do.

    The beginning, so that whoever sees a time after an item's release knows that the item was in reach.
    """
    with transaction(engine) as session:
        row = _row(session, source, collection)
        if row is not None:
            row.polled_at, row.error = polled_at, _kept(text) if text else None


def _row(session: Session, source: str, collection: str) -> CursorRow | None:
    """The cursor, made where it is missing; none when the source was removed meanwhile."""
    owner = session.get(SourceRow, source)
    row = session.get(CursorRow, (source, collection))
    if row is None and owner is not None:
        row = CursorRow(source=source, collection=collection, read_until=owner.since)
        session.add(row)
    return row


def _kept(text: str) -> str:
    """What the column takes of a text that quotes a catalogue: PostgreSQL refuses NUL."""
    return text[:MAX_NOTE].replace("\x00", "\ufffd")
