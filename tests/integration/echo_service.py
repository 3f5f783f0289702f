"""A service whose only work is to write down what it was given; the tests of the bus run it in its own process.

`ECHO_TOPIC` names the topic that it reads, in which acquisitions are expected, `ECHO_NAME` its consumer group,
`ECHO_PAUSE_S` how long each message takes. An acquisition's `item_id` says what happens to it: `good…` an effect;
`reject…` Rejected; `flaky-N…` AssetUnavailable in the first N calls; `crash…` an error that nobody planned; `slow…`
a second of work.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.logs import configure
from schemas.messages import Acquisition
from schemas.outbox import flush
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import TOPICS


class Book:
    """Two tables: `calls`, a row for each call; `effects`, a row for each item, however often it came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as database:
            database.execute("create table if not exists calls (item text)")
            database.execute("create table if not exists effects (item text primary key)")

    def call(self, item: str) -> int:
        """Note a call; returns the how manieth of this item it is."""
        with closing(self._open()) as database:
            database.execute("insert into calls values (?)", (item,))
            return int(database.execute("select count(*) from calls where item = ?", (item,)).fetchone()[0])

    def effect(self, item: str) -> None:
        """Have an effect, once."""
        with closing(self._open()) as database:
            database.execute("insert or ignore into effects values (?)", (item,))

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=off")  # survives the death of the process, which is all that is tested
        return database


def main() -> None:
    stack = Stack()
    configure(stack.log_level, "echo")
    stack.data.mkdir(parents=True, exist_ok=True)
    migrate(stack.database)
    book = Book(stack.data / "book.sqlite")
    pause_s = float(os.environ.get("ECHO_PAUSE_S", "0"))
    name = os.environ.get("ECHO_TOPIC", "acquisitions.v1")
    topic = next(replace(topic, message=Acquisition) for topic in TOPICS if topic.name == name)

    def handle(acquisition: Acquisition) -> None:
        item = acquisition.item_id
        call = book.call(item)
        time.sleep(pause_s)
        match item.split("-"):
            case ["reject", *_]:
                raise UnreadableAsset(f"{item}: 404 from its host")
            case ["flaky", times, *_] if call <= int(times):
                raise AssetUnavailable(f"{item}: 503 from its host")
            case ["crash", *_]:
                raise ZeroDivisionError(item)
            case ["slow", *_]:
                time.sleep(1.0)
        book.effect(item)

    def on_dead_letter(acquisition: Acquisition | None, reason: str) -> None:
        book.effect(f"dead {acquisition.item_id if acquisition else 'unknown'}: {reason}")

    publisher = Publisher(bootstrap_servers(stack, patience=timedelta(seconds=60)), "echo")
    engine = connect(stack.database)
    serve(
        os.environ["ECHO_NAME"],
        [Step(topic, handle, on_dead_letter)],
        stack=stack,
        engine=engine,
        publisher=publisher,
        every=[(timedelta(seconds=0.5), lambda: flush(engine, publisher))],
    )
    publisher.close()
    engine.dispose()


if __name__ == "__main__":
    main()
