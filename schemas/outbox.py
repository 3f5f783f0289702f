"""Messages that must reach Kafka are written with their cause and sent after it.

Flows in: a message, in the transaction that makes it true. Flows out: acknowledged records, and no row. Stops
before deciding when to flush: whoever wrote does, and a periodic job sweeps up after crashes.

Two processes that flush at once may send a row twice; no row is lost, because a row is deleted only after the
broker's acknowledgement, and by its number and time together: SQLite gives a deleted row's number to a new one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Engine, bindparam, delete, select
from sqlalchemy.orm import Session

from schemas.database import reading, transaction
from schemas.publisher import Outgoing, Record
from schemas.tables import OutboxRow

MAX_ROWS, MAX_BYTES = 200, 8 * 1024 * 1024
"""How much one batch takes into memory: rows, and bytes of their values."""


class Sender(Protocol):
    """What sends raw records and returns when all are acknowledged: `publisher.Publisher`."""

    def send(self, records: Iterable[Record]) -> None:
        """Raises StoreUnavailable when not all of them are."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A row as it was read."""

    outbox_id: int
    written_at: datetime
    record: Record


def write(session: Session, outgoing: Outgoing) -> None:
    """Put a message into the outbox, in the caller's transaction.

    Raises:
        ValueError: the message has headers; the outbox keeps none.
        Rejected: the message is larger than its topic allows, so it could never leave.
    """
    if outgoing.headers:
        raise ValueError(f"the outbox keeps no headers, and a message for {outgoing.topic} has some")
    record = outgoing.record()
    session.add(
        OutboxRow(topic=record.topic, key=outgoing.key, value=record.value, written_at=datetime.now(UTC)),
    )


def flush(engine: Engine, publisher: Sender) -> int:
    """Publish everything that waited when we were called, in the order it was written.

    Returns:
        How many rows were published.

    Raises:
        StoreUnavailable: broker or database did not answer; what was not acknowledged is still there.
    """
    sent, last = 0, _newest(engine)
    while batch := _batch(engine, last):
        publisher.send(waiting.record for waiting in batch)
        _remove(engine, batch)
        sent += len(batch)
    return sent


def _newest(engine: Engine) -> int:
    """The row to stop at, so that a busy writer cannot keep us here for ever."""
    with reading(engine) as session:
        return session.scalar(select(OutboxRow.outbox_id).order_by(OutboxRow.outbox_id.desc()).limit(1)) or 0


def _batch(engine: Engine, last: int) -> list[Waiting]:
    """The oldest rows, at least one, up to the limits."""
    batch: list[Waiting] = []
    size = 0
    query = select(OutboxRow).where(OutboxRow.outbox_id <= last).order_by(OutboxRow.outbox_id).limit(MAX_ROWS)
    with reading(engine) as session:
        for row in session.scalars(query.execution_options(yield_per=10)):
            size += len(row.value)
            if batch and size > MAX_BYTES:
                break
            batch.append(Waiting(row.outbox_id, row.written_at, Record(row.topic, row.key.encode(), row.value)))
    return batch


def _remove(engine: Engine, batch: list[Waiting]) -> None:
    """Forget what is acknowledged; a row that somebody else removed meanwhile is no concern."""
    statement = delete(OutboxRow).where(
        OutboxRow.outbox_id == bindparam("number"), OutboxRow.written_at == bindparam("moment")
    )
    with transaction(engine) as session:
        session.connection().execute(statement, [{"number": one.outbox_id, "moment": one.written_at} for one in batch])
