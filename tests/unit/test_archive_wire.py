"""Frames and calls between owner and client."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import shapely

from archive.calls import from_error, from_filter, raise_error, to_filter
from archive.interface import ArchiveFilter
from archive.wire import NO_ARRAY, BrokenFrame, Frame, prove, receive, send
from schemas.errors import InvalidArea, MalformedMessage, StoreUnavailable


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    one.settimeout(5)
    other.settimeout(5)
    with one, other:
        yield one, other


@pytest.mark.parametrize("shape", [(0, 0), (384,), (3, 384), (0, 384)])
def test_a_frame_arrives_as_it_was_sent(ends: tuple[socket.socket, socket.socket], shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    sender = threading.Thread(target=send, args=(ends[0], Frame({"call": "x", "é": [1, None]}, array)))
    sender.start()
    got = receive(ends[1])
    sender.join()
    assert got.fields == {"call": "x", "é": [1, None]}
    assert got.array.shape == shape
    assert np.array_equal(got.array, array)


@pytest.mark.parametrize(
    "noise",
    [
        b"",
        b"TSC1",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"TSC1" + b"\xff" * 16,
        b"TSC1" + (4).to_bytes(8, "big") + bytes(8) + b"nope",
        b"TSC1" + (2).to_bytes(8, "big") + bytes(8) + b"{}",
        b"TSC1" + (2).to_bytes(8, "big") + bytes(8) + b"[]",
        b"TSC1" + (13).to_bytes(8, "big") + (4).to_bytes(8, "big") + b'{"shape":[7]}' + bytes(4),
    ],
    ids=["nothing", "cut", "http", "huge", "no json", "no shape", "no object", "shape that does not fit"],
)
def test_noise_is_no_frame(ends: tuple[socket.socket, socket.socket], noise: bytes) -> None:
    ends[0].sendall(noise)
    ends[0].shutdown(socket.SHUT_WR)
    with pytest.raises(BrokenFrame):
        receive(ends[1])


def test_both_ends_must_know_the_key(ends: tuple[socket.socket, socket.socket]) -> None:
    failures: list[BrokenFrame] = []

    def owner(key: bytes) -> None:
        try:
            prove(ends[0], key, first=True)
        except BrokenFrame as error:
            failures.append(error)
            ends[0].shutdown(socket.SHUT_RDWR)

    thread = threading.Thread(target=owner, args=(b"k" * 32,))
    thread.start()
    prove(ends[1], b"k" * 32, first=False)
    thread.join()
    assert not failures
    thread = threading.Thread(target=owner, args=(b"k" * 32,))
    thread.start()
    with pytest.raises(ConnectionError):
        prove(ends[1], b"other" * 8, first=False)
    thread.join()
    assert failures


def test_filters_survive_the_way() -> None:
    filter = ArchiveFilter(
        area=shapely.box(14, 46, 15, 47) - shapely.box(14.2, 46.2, 14.4, 46.4),
        since=datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))),
        until=datetime(2026, 2, 1, microsecond=1, tzinfo=UTC),
        sensors=("s1",),
        max_cloud=0.3,
        cells=("33TWN4512",),
        sources=("a", "b"),
        physical_keys=("k",),
        simulated=False,
    )
    assert to_filter(from_filter(filter)) == filter
    assert to_filter(from_filter(ArchiveFilter())) == ArchiveFilter()
    assert to_filter(from_filter(ArchiveFilter(cells=()))) == ArchiveFilter(cells=())


@pytest.mark.parametrize("kind", [StoreUnavailable, MalformedMessage, InvalidArea])
def test_errors_keep_their_name_and_text(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="what to do"):
        raise_error(from_error(kind("what to do")))
    raise_error(Frame({}, NO_ARRAY))
