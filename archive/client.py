"""The in-process archive as its users see it: an `Archive` over the owner's socket.

Flows in: calls. Flows out: the owner's answers. Stops before the engine. Every call is idempotent, so one that was
cut off is simply asked again of the next owner, for as long as `PATIENCE_S`.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, cast

import numpy as np

from archive.address import EXIT_LOCKED, LOG_FILE, Address, published, start_owner
from archive.calls import from_embeddings, from_filter, raise_error, to_embeddings, to_hits
from archive.interface import DIMENSION, EVERYTHING, ArchiveFilter, Baselines, Hit, Vectors
from archive.lock import is_owned
from archive.manifest import check_format
from archive.wire import NO_ARRAY, BrokenFrame, Frame, prove, receive, send
from schemas.errors import StoreUnavailable
from schemas.messages import Embedding
from schemas.settings import Stack

PATIENCE_S = 60.0
"""How long a call waits for an owner to come up or come back."""
SUPERVISOR_S = 10.0
"""How long we leave it to a supervisor to bring its owner back before we start one."""
ROWS_A_CALL = 1024
"""Embeddings sent together: 1.5 MB of vectors; other clients get their turn in between."""
POINTS_A_CALL = 4096
"""Points of a history that are read together."""
CONNECT_TIMEOUT_S = 5.0
LOOK_S = 0.1


class OwnerClient:
    """An `Archive` in another process; threads may share it, their calls queue."""

    def __init__(self, stack: Stack, *, patience_s: float = PATIENCE_S) -> None:
        self._stack = stack
        self._patience_s = patience_s
        self._connection: socket.socket | None = None
        self._turn = threading.Lock()
        check_format(stack.archive_folder)
        with self._turn:
            self._connection = self._connect(time.monotonic() + patience_s)

    def record(self, embeddings: Sequence[Embedding], vectors: Vectors) -> Baselines:
        """See `Archive.record`; sent in parts, each durable by itself."""
        array = np.asarray(vectors, dtype=np.float32)
        means = [np.zeros((0, DIMENSION), dtype=np.float32)]
        counts: list[int] = []
        for start in range(0, max(len(embeddings), len(array)), ROWS_A_CALL):
            part = slice(start, start + ROWS_A_CALL)
            reply = self._ask(Frame(_call("record", embeddings=from_embeddings(embeddings[part])), array[part]))
            means.append(reply.array)
            counts += cast("list[int]", reply.fields["counts"])
        return Baselines(np.concatenate(means), tuple(counts))

    def search(
        self, vector: Vectors, *, release: str, filter: ArchiveFilter, limit: int, min_score: float | None = None
    ) -> list[Hit]:
        """See `Archive.search`."""
        fields = _call("search", release=release, filter=from_filter(filter), limit=limit, min_score=min_score)
        return to_hits(self._ask(Frame(fields, np.asarray(vector, dtype=np.float32))))

    def history(
        self, *, release: str, filter: ArchiveFilter, max_points: int, seed: int = 0
    ) -> tuple[list[Embedding], Vectors]:
        """See `Archive.history`; read in parts, so that neither end holds it twice."""
        about = {"release": release, "filter": from_filter(filter)}
        choice = self._ask(Frame(_call("choose", **about, max_points=max_points, seed=seed), NO_ARRAY))
        embeddings: list[Embedding] = []
        vectors = [np.zeros((0, DIMENSION), dtype=np.float32)]
        for cells in _parts(cast("dict[str, int]", choice.fields["cells"])):
            reply = self._ask(Frame(_call("series", **about, cells=cells), NO_ARRAY))
            embeddings += to_embeddings(reply.fields["embeddings"])
            vectors.append(reply.array)
        return embeddings, np.concatenate(vectors)

    def count(self, *, release: str | None = None, filter: ArchiveFilter | None = None) -> int:
        """See `Archive.count`."""
        reply = self._ask(Frame(_call("count", release=release, filter=from_filter(filter or EVERYTHING)), NO_ARRAY))
        return int(str(reply.fields["count"]))

    def cells(self, *, release: str, filter: ArchiveFilter = EVERYTHING) -> dict[str, int]:
        """See `Archive.cells`."""
        reply = self._ask(Frame(_call("cells", release=release, filter=from_filter(filter)), NO_ARRAY))
        return cast("dict[str, int]", reply.fields["cells"])

    def releases(self) -> list[str]:
        """See `Archive.releases`."""
        return cast("list[str]", self._ask(Frame(_call("releases"), NO_ARRAY)).fields["releases"])

    def close(self) -> None:
        """Let go of the owner; one that was started for us ends when nobody else uses it."""
        with self._turn:
            self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, question: Frame) -> Frame:
        """One call, asked again of the next owner when this one ends in the middle of it."""
        deadline = time.monotonic() + self._patience_s
        with self._turn:
            while True:
                try:
                    if self._connection is None:
                        self._connection = self._connect(deadline)
                    send(self._connection, question)
                    reply = receive(self._connection)
                    break
                except OSError as error:
                    self._drop()
                    if time.monotonic() > deadline:
                        raise StoreUnavailable(
                            f"the archive's owner went away in the middle of a call: {error}"
                        ) from error
        raise_error(reply)
        return reply

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self, deadline: float) -> socket.socket:
        """Connect to the owner that runs; start one where none does."""
        data, run_folder = self._stack.data, self._stack.run_folder
        ours: subprocess.Popen[bytes] | None = None
        wait_until = time.monotonic() + SUPERVISOR_S
        while time.monotonic() < deadline:
            address = published(run_folder)
            connection = connect(address) if address else None
            if connection:
                return connection
            if ours and ours.returncode not in (None, 0, EXIT_LOCKED):
                break
            left_to_supervisor = address is not None and address.supervised and time.monotonic() < wait_until
            running = ours is not None and ours.returncode is None
            if not running and not left_to_supervisor and not is_owned(self._stack.archive_folder):
                ours = start_owner(data, run_folder)
            time.sleep(LOOK_S)
        raise StoreUnavailable(
            f"no owner of the archive in {self._stack.archive_folder} answers: see {run_folder / LOG_FILE}, try again"
        )


def connect(address: Address) -> socket.socket | None:
    """A connection to an owner; None where it does not answer as ours would."""
    try:
        connection = socket.create_connection(("127.0.0.1", address.port), timeout=CONNECT_TIMEOUT_S)
    except OSError:
        return None
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        prove(connection, bytes.fromhex(address.key), first=False)
        connection.settimeout(None)
    except (BrokenFrame, OSError):
        connection.close()
        return None
    return connection


def retire(address: Address) -> bool:
    """Ask an owner that was started for somebody's use to make room; False where it is supervised and stays."""
    connection = connect(address)
    if connection is None:
        return True
    with connection:
        try:
            send(connection, Frame(_call("retire"), NO_ARRAY))
            return bool(receive(connection).fields.get("retires"))
        except OSError:
            return True


def _parts(cells: dict[str, int]) -> Iterator[list[str]]:
    """Cells in order, in groups of about `POINTS_A_CALL` points."""
    group: list[str] = []
    points = 0
    for cell, count in cells.items():
        group.append(cell)
        points += count
        if points >= POINTS_A_CALL:
            yield group
            group, points = [], 0
    if group:
        yield group


def _call(name: str, **fields: object) -> dict[str, object]:
    return {"call": name, **fields}
