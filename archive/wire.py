"""Frames between the archive's owner and its clients on one machine.

Flows in: a JSON object and one float32 array. Flows out: the same at the other end. Stops before what they mean
(`calls`). A frame is `TSC1`, the lengths of both parts (big-endian), the JSON, the raw little-endian numbers:
nothing in it is ever executed. Both ends prove that they know the key in the run folder before anything else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import struct
from dataclasses import dataclass
from typing import cast

import numpy as np

from archive.interface import Vectors

MAGIC = b"TSC1"
MOST_BYTES = 256 << 20
"""A larger part is an error, not a message: 256 MiB hold 170,000 vectors."""
NONCE_BYTES = 32

_HEAD = struct.Struct(">4sQQ")


class BrokenFrame(ConnectionError):
    """The other end is gone, or is not one of ours."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message: a JSON object, and an array of any shape whose first axis is the rows."""

    fields: dict[str, object]
    array: Vectors


NO_ARRAY: Vectors = np.zeros((0, 0), dtype=np.float32)


def send(connection: socket.socket, frame: Frame) -> None:
    """Write one frame."""
    array = np.ascontiguousarray(frame.array, dtype="<f4")
    fields = json.dumps({**frame.fields, "shape": array.shape}).encode()
    connection.sendall(_HEAD.pack(MAGIC, len(fields), array.nbytes) + fields)
    if array.nbytes:
        connection.sendall(array.data.cast("B"))


def receive(connection: socket.socket) -> Frame:
    """Read one frame.

    Raises:
        BrokenFrame: the other end closed, or what came is no frame.
    """
    magic, json_bytes, array_bytes = _HEAD.unpack(_read(connection, _HEAD.size))
    if magic != MAGIC or json_bytes > MOST_BYTES or array_bytes > MOST_BYTES:
        raise BrokenFrame("what came is no frame of the archive")
    try:
        fields = json.loads(_read(connection, json_bytes))
        array = np.frombuffer(_read(connection, array_bytes), dtype="<f4").reshape(fields.pop("shape"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenFrame(f"what came is no frame of the archive: {error}") from error
    return Frame(fields, array)


def prove(connection: socket.socket, key: bytes, *, first: bool) -> None:
    """Both ends show that they know the key, without saying it.

    Args:
        connection: Just opened.
        key: Of the run folder.
        first: Whether this end (the owner) asks first.

    Raises:
        BrokenFrame: the other end does not know it.
    """
    for asking in (first, not first):
        if asking:
            nonce = secrets.token_bytes(NONCE_BYTES)
            connection.sendall(nonce)
            answer = _read(connection, hashlib.sha256().digest_size)
            if not hmac.compare_digest(answer, _answer(key, nonce, from_owner=not first)):
                raise BrokenFrame("the other end does not know the archive's key")
        else:
            connection.sendall(_answer(key, _read(connection, NONCE_BYTES), from_owner=first))


def _answer(key: bytes, nonce: bytes, *, from_owner: bool) -> bytes:
    return hmac.digest(key, (b"owner" if from_owner else b"client") + nonce, "sha256")


def _read(connection: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    while view:
        got = connection.recv_into(view)
        if not got:
            raise BrokenFrame("the other end closed the connection")
        view = view[got:]
    return cast("bytes", buffer)
