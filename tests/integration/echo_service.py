"""A service whose only work is to write down what it was given; run by the tests of the bus in its own process.

Reads `acquisitions.v1` with a stream step. An acquisition's `item_id` says what happens to it:
`good…` one line in the table; `reject…` Rejected; `flaky-N…` AssetUnavailable for the first N calls;
`crash…` an exception that nobody planned; `die…` the process is gone; `slow…` a second of work first.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.errors import AssetUnavailable, UnreadableAsset
from schemas.logs import configure
from schemas.messages import Acquisition
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import ACQUISITIONS

PATIENCE = timedelta(seconds=30)


class Book:
    """Two tables: `calls`, a row for each call; `effects`, a row for each item, however often it came."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._open()) as database, database:
            database.execute("create table if not exists calls (item text, at real)")
            database.execute("create table if not exists effects (item text primary key)")

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=30, isolation_level=None)
        database.execute("pragma journal_mode=wal")
        database.execute("pragma synchronous=off")  # survives the death of the process, which is all we test
        return database

    def call(self, item: str) -> int:
        with closing(self._open()) as database:
            database.execute("insert into calls values (?, ?)", (item, time.time()))
            return int(database.execute("select count(*) from calls where item = ?", (item,)).fetchone()[0])

    def effect(self, item: str) -> None:
        with closing(self._open()) as database:
            database.execute("insert or ignore into effects values (?)", (item,))

    def calls(self) -> list[str]:
        with closing(self._open()) as database:
            return [row[0] for row in database.execute("select item from calls order by rowid")]

    def effects(self) -> set[str]:
        with closing(self._open()) as database:
            return {row[0] for row in database.execute("select item from effects")}


def main() -> None:
    stack = Stack()
    configure(stack.log_level, "echo")
    migrate(stack.database)
    book = Book(stack.data / "book.sqlite")

    def handle(acquisition: Acquisition) -> None:
        item = acquisition.item_id
        calls = book.call(item)
        what, _, rest = item.partition("-")
        if what == "reject":
            raise UnreadableAsset(f"{item}: 404 from its host")
        if what == "flaky" and calls <= int(rest.split("-")[0]):
            raise AssetUnavailable(f"{item}: 503 from its host")
        if what == "crash":
            raise ZeroDivisionError(item)
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "slow":
            time.sleep(1.0)
        book.effect(item)

    def on_dead_letter(acquisition: Acquisition | None, reason: str) -> None:
        book.effect(f"dead {acquisition.item_id if acquisition else 'unknown'}: {reason}")

    publisher = Publisher(bootstrap_servers(stack, patience=PATIENCE), "echo")
    engine = connect(stack.database)
    serve("echo", [Step(ACQUISITIONS, handle, on_dead_letter)], stack=stack, engine=engine, publisher=publisher)
    publisher.close()
    engine.dispose()


if __name__ == "__main__":
    main()
