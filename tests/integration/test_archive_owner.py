"""The owner process: killed, refused, shared, replaced; what it acknowledged is there."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely

from archive import ArchiveFilter, open_archive
from archive.address import EXIT_LOCKED, Address, published, start_owner
from archive.client import OwnerClient, connect
from archive.lock import is_owned
from archive.wire import NO_ARRAY, Frame, receive, send
from schemas.cells import cells_in
from schemas.errors import StoreUnavailable
from schemas.messages import Embedding, stable_id
from schemas.settings import Stack

START = datetime(2026, 3, 1, tzinfo=UTC)
CELLS = cells_in(shapely.box(14.00, 46.00, 14.06, 46.04))[:8]
RELEASE = "test-1"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A data folder whose owner, if one was started, is gone when the test ends."""
    stack = Stack(data=tmp_path)
    yield stack
    address = published(stack.run_folder)
    if address is not None and is_owned(stack.archive_folder):
        stop(stack, address.pid, signal.SIGTERM)


def stop(stack: Stack, pid: int, how: signal.Signals) -> None:
    os.kill(pid, how)
    wait(lambda: not is_owned(stack.archive_folder))


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline, "waited 30 s in vain"
        time.sleep(0.02)


@contextmanager
def supervised_owner(stack: Stack) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "TOCSIN_DATA": str(stack.data)}
    process = subprocess.Popen([sys.executable, "-m", "archive.owner"], env=environment, stdout=subprocess.DEVNULL)
    try:
        wait(lambda: (a := published(stack.run_folder)) is not None and a.pid == process.pid)
        yield process
    finally:
        process.terminate()
        process.wait(30)


def owner_of(stack: Stack) -> Address:
    address = published(stack.run_folder)
    assert address is not None
    return address


def scene(number: int, when: datetime | None = None) -> tuple[list[Embedding], np.ndarray]:
    rng = np.random.default_rng(number)
    vectors = rng.standard_normal((len(CELLS), 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    when = when or START + timedelta(hours=2 * number)  # one overpass is no past of itself
    return [
        Embedding(
            point_id=stable_id("point", cell.id, number, RELEASE),
            cell=cell.id,
            sensor="s2",
            sensing_at=when,
            physical_key=f"scene-{number}",
            acquisition_id=stable_id(number),
            processed_at=when,
            source="test",
            collection="sentinel-2-c1-l2a",
            item_id=f"item-{number}",
            release=RELEASE,
            lon=round(cell.centre[0], 9),
            lat=round(cell.centre[1], 9),
            valid_fraction=1.0,
            cloud_fraction=0.0,
        )
        for cell in CELLS
    ], vectors


def assert_holds(archive: OwnerClient, numbers: list[int]) -> None:
    """All cells of these scenes are there with their vectors, and the baselines are made of exactly them."""
    embeddings, vectors = archive.history(release=RELEASE, filter=ArchiveFilter(), max_points=100_000)
    expected = {e.point_id: v for number in numbers for e, v in zip(*scene(number), strict=True)}
    assert {e.point_id for e in embeddings} == set(expected)
    assert all(np.array_equal(v, expected[e.point_id]) for e, v in zip(embeddings, vectors, strict=True))
    made = archive.record(*scene(10_000, START + timedelta(days=365)))
    assert set(made.counts) == {len(numbers)}
    means = np.mean([scene(number)[1] for number in numbers], axis=0)
    assert np.allclose(made.vectors, means, atol=1e-5)


def test_killed_in_the_middle_of_writes_it_loses_nothing_acknowledged(stack: Stack) -> None:
    acknowledged: list[int] = []
    killed: list[int] = []
    enough = threading.Event()

    def write() -> None:
        with OwnerClient(stack) as archive:
            for number in range(10_000):
                made = archive.record(*scene(number))
                assert set(made.counts) == {number}, "after a kill the repeated call still tells the exact past"
                acknowledged.append(number)
                if enough.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    for after in (2, 5, 9):
        wait(lambda after=after: len(acknowledged) >= after)
        time.sleep(0.013 * after)  # at different places in the work
        killed.append(owner_of(stack).pid)
        os.kill(killed[-1], signal.SIGKILL)
        seen = len(acknowledged)
        wait(lambda seen=seen: len(acknowledged) > seen + 1)
    enough.set()
    writer.join(30)
    assert len(set(killed)) == 3
    assert acknowledged == list(range(len(acknowledged)))
    stop(stack, owner_of(stack).pid, signal.SIGKILL)
    assert published(stack.run_folder) is not None, "nobody withdrew its address, and that is no hindrance"
    with OwnerClient(stack) as archive:
        assert_holds(archive, acknowledged)


def test_a_second_owner_is_refused_and_does_no_harm(stack: Stack) -> None:
    with OwnerClient(stack) as archive:
        archive.record(*scene(0))
        first = owner_of(stack)
        second = start_owner(stack.data, stack.run_folder)
        assert second.wait(30) == EXIT_LOCKED
        from archive.edge import EdgeStore

        with pytest.raises(StoreUnavailable, match=str(first.pid)):
            EdgeStore(stack.archive_folder)
        assert owner_of(stack) == first
        archive.record(*scene(1))
        stop(stack, first.pid, signal.SIGTERM)
        assert_holds(archive, [0, 1])


def test_a_supervised_owner_takes_over_from_one_started_for_use(stack: Stack) -> None:
    with OwnerClient(stack) as archive:
        archive.record(*scene(0))
        assert not owner_of(stack).supervised
        with supervised_owner(stack) as process:
            assert owner_of(stack).supervised
            archive.record(*scene(1))
            assert owner_of(stack).pid == process.pid
            other = start_owner(stack.data, stack.run_folder)
            assert other.wait(30) == EXIT_LOCKED
            assert_holds(archive, [0, 1])
        assert process.returncode == 0
        assert published(stack.run_folder) is None, "a stopped owner withdraws its address"


def test_many_clients_at_once_lose_no_update(stack: Stack) -> None:
    failures: list[BaseException] = []

    def use(first: int) -> None:
        try:
            with open_archive(stack) as archive:
                for number in range(first, first + 4):
                    embeddings, vectors = scene(number)
                    archive.record(embeddings, vectors)
                    hits = archive.search(vectors[0], release=RELEASE, filter=ArchiveFilter(), limit=1)
                    assert hits[0].embedding == embeddings[0]
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    with OwnerClient(stack) as shared:
        threads = [threading.Thread(target=use, args=(first,)) for first in range(0, 12, 4)]
        threads += [threading.Thread(target=shared.record, args=scene(number)) for number in (12, 13)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert_holds(shared, list(range(14)))


def test_it_ends_when_its_last_user_has_left(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive.address.IDLE_S", 0.5)
    with OwnerClient(stack) as archive:
        archive.record(*scene(0))
        pid = owner_of(stack).pid
        time.sleep(1.5)
        assert archive.count() == len(CELLS)
        assert owner_of(stack).pid == pid, "in use it stays"
    wait(lambda: not is_owned(stack.archive_folder))
    assert published(stack.run_folder) is None
    with OwnerClient(stack) as archive:
        assert_holds(archive, [0])


def test_strangers_and_garbage_do_not_reach_the_engine(stack: Stack) -> None:
    with OwnerClient(stack) as archive:
        address = owner_of(stack)
        assert (stack.run_folder / "archive.json").stat().st_mode & 0o077 == 0
        assert connect(Address(address.port, "00" * 32, address.pid, address.supervised)) is None
        for noise in (b"GET / HTTP/1.1\r\n\r\n" + bytes(64), b""):
            with socket.create_connection(("127.0.0.1", address.port), timeout=10) as stranger:
                stranger.sendall(noise)
                with suppress(OSError):  # it may have been shown the door by now
                    stranger.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    while stranger.recv(4096):
                        pass
        friend = connect(address)
        assert friend is not None
        with friend:
            send(friend, Frame({"call": "drop everything"}, NO_ARRAY))
            assert receive(friend).fields["error"] == "MalformedMessage"
            friend.sendall(b"x" * 100)
            with pytest.raises(ConnectionError):
                receive(friend)
        assert archive.count() == 0
        assert owner_of(stack) == address


def test_where_no_owner_can_start_it_says_so(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archive.address.sys.executable", "/bin/false")
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match=r"archive-owner\.log"):
        OwnerClient(stack)
    assert time.monotonic() - began < 20
