"""Messages that could not be handled: kept with their reason, shown, and sent again when a person says so.

Flows in: a message as it came and what went wrong. Flows out: a row, a record on the topic's dead-letter topic,
and, on redrive, the original bytes on the original topic. Stops before deciding what is dead (`handling`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from sqlalchemy import Engine, select

from schemas.database import reading, transaction
from schemas.errors import NotFound
from schemas.messages import DeadLetter, stable_id
from schemas.outbox import Sender
from schemas.publisher import Record
from schemas.tables import DeadLetterRow
from schemas.topics import Topic

MAX_SHOWN = 1000
"""Dead letters of one list."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A message as it came and where it stood.

    Attributes:
        topic: The stream it belongs to; where a redrive sends it.
        partition: Of the topic where it first arrived.
        offset: There.
        key: None when it came without one.
        value: The bytes as they came.
    """

    topic: Topic
    partition: int
    offset: int
    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Listed:
    """A dead letter in a list, without its message."""

    dead_letter_id: UUID
    topic: str
    item_id: str | None
    error: str
    reason: str
    failed_at: datetime
    redriven_at: datetime | None


def dead_letter(origin: Origin, *, error: str, reason: str, service: str, attempts: int) -> DeadLetter:
    """Put a message that failed into words.

    Args:
        origin: The message.
        error: Class of the error.
        reason: What happened, with which id, and what to do.
        service: Which service gave up.
        attempts: How often it was tried.
    """
    digest = hashlib.sha256(origin.value).hexdigest()
    return DeadLetter(
        dead_letter_id=stable_id("dead letter", origin.topic.name, origin.key, digest),
        topic=origin.topic.name,
        partition=origin.partition,
        offset=origin.offset,
        key=None if origin.key is None else origin.key.decode("utf-8", "replace"),
        value=np.frombuffer(origin.value, dtype=np.uint8),
        error=error,
        reason=reason[:2000],
        item_id=_item_id(origin.value),
        service=service,
        attempts=attempts,
        failed_at=datetime.now(UTC),
    )


def record(engine: Engine, letter: DeadLetter) -> None:
    """Keep a dead letter; the same one again replaces the older and waits for its redrive anew.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    with transaction(engine) as session:
        session.merge(
            DeadLetterRow(
                dead_letter_id=letter.dead_letter_id,
                topic=letter.topic,
                item_id=letter.item_id,
                message=letter.model_dump_json(),
                failed_at=letter.failed_at,
                redriven_at=None,
            )
        )


def list_dead_letters(engine: Engine, *, topic: str | None = None, redriven: bool = True) -> list[Listed]:
    """The newest dead letters, up to `MAX_SHOWN`, without their messages.

    Args:
        engine: The store.
        topic: Only of this topic.
        redriven: Also those that have been sent again.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    query = select(DeadLetterRow).order_by(DeadLetterRow.failed_at.desc()).limit(MAX_SHOWN)
    if topic is not None:
        query = query.where(DeadLetterRow.topic == topic)
    if not redriven:
        query = query.where(DeadLetterRow.redriven_at.is_(None))
    with reading(engine) as session:
        return [_listed(row) for row in session.scalars(query.execution_options(yield_per=20))]


def show(engine: Engine, dead_letter_id: UUID) -> DeadLetter:
    """One dead letter with the message that it is about.

    Raises:
        NotFound: there is none of that id.
        StoreUnavailable: the database does not answer.
    """
    with reading(engine) as session:
        row = session.get(DeadLetterRow, dead_letter_id)
        if row is None:
            raise NotFound(f"no dead letter {dead_letter_id}: `tocsin dead-letters list` shows those there are")
        return DeadLetter.from_bytes(row.message.encode())


def redrive(engine: Engine, publisher: Sender, dead_letter_ids: Sequence[UUID]) -> int:
    """Send the original bytes to the original topic again, as new messages with all attempts before them.

    A crash between sending and stamping sends twice, never not at all.

    Returns:
        How many were sent.

    Raises:
        NotFound: one of the ids is none; nothing was sent.
        StoreUnavailable: broker or database does not answer.
    """
    for dead_letter_id in dead_letter_ids:
        show(engine, dead_letter_id)
    for dead_letter_id in dead_letter_ids:
        letter = show(engine, dead_letter_id)
        key = None if letter.key is None else letter.key.encode()
        publisher.send([Record(letter.topic, key, original(letter))])
        with transaction(engine) as session:
            row = session.get(DeadLetterRow, dead_letter_id)
            if row is not None:
                row.redriven_at = datetime.now(UTC)
    return len(dead_letter_ids)


def original(letter: DeadLetter) -> bytes:
    """The message's bytes as they came."""
    return letter.value.tobytes()


def _listed(row: DeadLetterRow) -> Listed:
    content = json.loads(row.message)
    return Listed(
        dead_letter_id=row.dead_letter_id,
        topic=row.topic,
        item_id=row.item_id,
        error=str(content["error"]),
        reason=str(content["reason"]),
        failed_at=row.failed_at,
        redriven_at=row.redriven_at,
    )


def _item_id(value: bytes) -> str | None:
    """The catalogue item that a message is about, where it is JSON and says so at its top or in its acquisition."""
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    acquisition = content.get("acquisition")
    for place in (content, acquisition if isinstance(acquisition, dict) else {}):
        found = place.get("item_id")
        if isinstance(found, str):
            return found[:300].replace("\x00", "\ufffd")  # PostgreSQL keeps no NUL in a text
    return None
