"""The outbox loses nothing: not when the broker is away, not when two processes empty it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, func, select

from schemas import outbox
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import Rejected, StoreUnavailable
from schemas.messages import Budget, Message
from schemas.publisher import MAX_MESSAGE_BYTES, Outgoing, Record
from schemas.tables import OutboxRow


class Broker:
    """Remembers batches; calls `meanwhile` before it acknowledges one, and fails from batch `fail_at` on."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.batches: list[list[Record]] = []
        self.fail_at = fail_at
        self.meanwhile = lambda: None

    def send(self, records: Iterable[Record]) -> None:
        if self.fail_at is not None and len(self.batches) >= self.fail_at:
            raise StoreUnavailable("no broker")
        self.batches.append(list(records))
        self.meanwhile()

    @property
    def keys(self) -> list[str]:
        return [record.key.decode() for batch in self.batches for record in batch if record.key]


class Text(Message):
    text: str


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'tocsin.sqlite'}"
    migrate(url)
    made = connect(url)
    yield made
    made.dispose()


def put(engine: Engine, *keys: str, text: str = "x") -> None:
    with transaction(engine) as session:
        for key in keys:
            outbox.write(session, Outgoing("alerts.v1", key, Text(text=text)))


def waiting(engine: Engine) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(OutboxRow)) or 0


def test_what_was_written_is_sent_in_order_and_removed(engine: Engine) -> None:
    put(engine, *(str(n) for n in range(450)))
    broker = Broker()
    assert outbox.flush(engine, broker) == 450
    assert broker.keys == [str(n) for n in range(450)]
    assert max(map(len, broker.batches)) <= outbox.MAX_ROWS
    assert waiting(engine) == 0
    assert outbox.flush(engine, broker) == 0


def test_a_batch_is_bounded_by_bytes(engine: Engine) -> None:
    put(engine, *"abcde", text="x" * 3_000_000)
    broker = Broker()
    assert outbox.flush(engine, broker) == 5
    assert [len(batch) for batch in broker.batches] == [2, 2, 1]


def test_a_rolled_back_cause_has_no_message(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), transaction(engine) as session:
        outbox.write(session, Outgoing("alerts.v1", "k", Budget(alarms=1, per_days=7)))
        raise ZeroDivisionError
    assert waiting(engine) == 0


def test_what_the_broker_did_not_acknowledge_stays(engine: Engine) -> None:
    put(engine, *(str(n) for n in range(250)))
    broker = Broker(fail_at=1)
    with pytest.raises(StoreUnavailable):
        outbox.flush(engine, broker)
    assert waiting(engine) == 50
    broker.fail_at = None
    assert outbox.flush(engine, broker) == 50
    assert broker.keys == [str(n) for n in range(250)]


def test_a_death_after_the_acknowledgement_sends_twice(engine: Engine) -> None:
    put(engine, "a")
    dying = Broker()

    def die() -> None:
        raise KeyboardInterrupt

    dying.meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        outbox.flush(engine, dying)
    after = Broker()
    assert outbox.flush(engine, after) == 1
    assert dying.keys == after.keys == ["a"]


def test_two_processes_that_flush_at_once_lose_nothing(engine: Engine) -> None:
    """While one waits for the broker, another flushes all of it, and a new row gets the number of a deleted one."""
    put(engine, "a", "b")
    first, second = Broker(), Broker()

    def overtake() -> None:
        first.meanwhile = lambda: None
        outbox.flush(engine, second)
        put(engine, "c", "d")

    first.meanwhile = overtake
    outbox.flush(engine, first)
    with reading(engine) as session:
        left = set(session.scalars(select(OutboxRow.key)))
    assert {"c", "d"} <= left | set(first.keys)
    outbox.flush(engine, second)
    assert set(second.keys) | set(first.keys) == {"a", "b", "c", "d"}
    assert waiting(engine) == 0


def test_rows_written_meanwhile_do_not_keep_the_flush_going(engine: Engine) -> None:
    put(engine, "a", "b")
    broker = Broker()
    broker.meanwhile = lambda: put(engine, *(f"new-{n}" for n in range(3)))
    assert outbox.flush(engine, broker) == 2
    assert waiting(engine) == 3


def test_a_message_that_could_never_leave_is_refused(engine: Engine) -> None:
    with pytest.raises(Rejected, match="v1 takes"), transaction(engine) as session:
        outbox.write(session, Outgoing("alerts.v1", "k", Text(text="x" * MAX_MESSAGE_BYTES)))
    with pytest.raises(ValueError, match="keeps no headers"), transaction(engine) as session:
        outbox.write(session, Outgoing("alerts.v1", "k", Text(text="x"), headers=(("a", b"b"),)))


def test_a_row_that_vanished_is_no_concern(engine: Engine) -> None:
    put(engine, "a")
    broker = Broker()

    def vanish() -> None:
        with transaction(engine) as session:
            session.execute(delete(OutboxRow))

    broker.meanwhile = vanish
    assert outbox.flush(engine, broker) == 1
