"""The process that owns the in-process archive: `python -m archive.owner`.

Flows in: calls of clients over the loopback, one at a time. Flows out: replies, once what they say is on the disk.
Stops on SIGTERM, or with `--idle-s` when nobody has used it that long. One thread runs the engine; the threads of
connections only wait, so however many clients there are, memory is bounded by one call each.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import structlog

from archive.address import EXIT_LOCKED, Address, publish, published, withdraw
from archive.calls import answer, from_error
from archive.client import retire
from archive.edge import EdgeStore
from archive.stored import StoredArchive
from archive.wire import NO_ARRAY, BrokenFrame, Frame, prove, receive, send
from schemas.environment import ending
from schemas.errors import SettingsError, StoreUnavailable, TocsinError
from schemas.settings import Stack

MOST_CLIENTS = 64
"""Connections at once; each may hold one call of at most `wire.MOST_BYTES`."""
PROOF_TIMEOUT_S = 5.0
"""A client that has not shown the key by then is sent away."""
LOCK_WAIT_S = 60.0
"""How long a supervised owner waits for one that was started for somebody's use to hand over."""
IDLE_LOOK_S = 0.2
EXIT_SETTINGS = 78
"""The folder is of another build (EX_CONFIG)."""
EXIT_BUG = 70
"""The engine failed in a way that we don't know (EX_SOFTWARE): reopen it in a new process."""

log = structlog.get_logger()


class Owner:
    """Serves one archive until told to stop."""

    def __init__(self, archive: StoredArchive, run_folder: Path, idle_s: float | None) -> None:
        self._archive = archive
        self._run_folder = run_folder
        self._idle_s = idle_s
        self._engine = ThreadPoolExecutor(1, thread_name_prefix="archive-engine")
        self._stop = threading.Event()
        self._exit = 0
        self._users = 0
        self._last_use = time.monotonic()
        self._count = threading.Lock()

    def stop(self, exit_code: int = 0) -> None:
        """End after the call that runs now."""
        self._exit = exit_code
        self._stop.set()

    def serve(self) -> int:
        """Listen until stopped; returns the exit code. The archive is closed then."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            key = secrets.token_bytes(32)
            address = Address(server.getsockname()[1], key.hex(), os.getpid(), self._idle_s is None)
            threading.Thread(target=self._accept, args=(server, key), name="archive-accept", daemon=True).start()
            publish(self._run_folder, address)
            log.info("archive owner ready", port=address.port, pid=address.pid, supervised=address.supervised)
            while not self._stop.wait(IDLE_LOOK_S) and not self._is_idle():
                pass
            withdraw(self._run_folder, address)
        # Calls that wait are dropped: their clients see the connection close and ask the next owner.
        self._engine.shutdown(wait=True, cancel_futures=True)
        self._archive.close()
        log.info("archive owner stopped", pid=address.pid)
        return self._exit

    def _is_idle(self) -> bool:
        with self._count:
            idle = self._users == 0 and self._idle_s is not None
            return idle and time.monotonic() - self._last_use > (self._idle_s or 0)

    def _accept(self, server: socket.socket, key: bytes) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return  # the server socket is closed: we are stopping
            with self._count:
                free = self._users < MOST_CLIENTS
                self._users += free
            if not free:
                connection.close()
                continue
            threading.Thread(target=self._attend, args=(connection, key), daemon=True).start()

    def _attend(self, connection: socket.socket, key: bytes) -> None:
        try:
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(PROOF_TIMEOUT_S)
                prove(connection, key, first=True)
                connection.settimeout(None)
                while not self._stop.is_set():
                    send(connection, self._reply(receive(connection)))
        except (BrokenFrame, OSError):
            pass  # the client is gone; what it asked for is idempotent
        finally:
            with self._count:
                self._users -= 1
                self._last_use = time.monotonic()

    def _reply(self, question: Frame) -> Frame:
        if question.fields.get("call") == "retire":
            if self._idle_s is not None:
                self.stop()
            return Frame({"retires": self._idle_s is not None}, NO_ARRAY)
        try:
            return self._engine.submit(answer, self._archive, question).result()
        except TocsinError as error:
            return from_error(error)
        except Exception as error:  # the edge: an engine that failed so is opened anew by the next process
            log.exception("archive engine failed", call=question.fields.get("call"))
            self.stop(EXIT_BUG)
            return from_error(StoreUnavailable(f"the archive's engine failed and is being restarted: {error!r}"))


def open_store(stack: Stack, *, wait_s: float) -> EdgeStore:
    """Open the archive folder, waiting for an owner that was started for somebody's use to hand over.

    Raises:
        StoreUnavailable: another owner keeps it.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            return EdgeStore(stack.archive_folder)
        except StoreUnavailable:
            other = published(stack.run_folder)
            if time.monotonic() > deadline or (other and not retire(other)):
                raise
            time.sleep(IDLE_LOOK_S)


def main() -> int:
    """Run one owner in the foreground; its data folder is `TOCSIN_DATA`."""
    parser = argparse.ArgumentParser(prog="python -m archive.owner", description="Own the in-process archive.")
    parser.add_argument("--idle-s", type=float, help="stop this long after the last user, seconds; default: never")
    arguments = parser.parse_args()
    stack = Stack()
    try:
        store = open_store(stack, wait_s=LOCK_WAIT_S if arguments.idle_s is None else 0.0)
    except StoreUnavailable as error:
        log.warning("archive owner gives way", reason=str(error))
        return EXIT_LOCKED
    except SettingsError as error:
        log.error("archive owner refuses", reason=str(error))
        return EXIT_SETTINGS
    owner = Owner(StoredArchive(store), stack.run_folder, arguments.idle_s)

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        owner.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    return owner.serve()


if __name__ == "__main__":
    sys.exit(ending("archive", main))
