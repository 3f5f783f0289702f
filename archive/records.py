"""Baselines as engines keep them, and the compact list of what each is made of.

Flows in: `Baseline`s. Flows out: payloads and back. Stops before any engine. Members are 32 bytes each, times whole
microseconds since 1970: short, quick to read by the hundred, and equal means equal.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict, cast
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from archive.interface import Vectors
from archive.store import Baseline, Members
from schemas.messages import Embedding

MEMBER = np.dtype([("sensing_us", "<i8"), ("processed_us", "<i8"), ("high", "<u8"), ("low", "<u8")])
"""One acquisition of a series: when it was sensed and processed, and its point's id in two halves."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HALF = (1 << 64) - 1


class BaselinePayload(TypedDict):
    """What is stored beside a mean."""

    count: int
    revision: int
    members: str
    """Base64 of `MEMBER`s, ascending in time."""


def to_record(baseline: Baseline) -> BaselinePayload:
    """The payload of a baseline."""
    members = base64.b64encode(baseline.members.tobytes()).decode()
    return {"count": baseline.count, "revision": baseline.revision, "members": members}


def from_record(baseline_id: UUID, payload: Mapping[str, object], vector: Vectors) -> Baseline:
    """The baseline that `to_record` wrote."""
    record = cast("BaselinePayload", payload)
    members = np.frombuffer(base64.b64decode(record["members"]), dtype=MEMBER)
    return Baseline(baseline_id, vector, record["count"], members, record["revision"])


def members(embeddings: Sequence[Embedding]) -> Members:
    """Members of a series, ascending in time, then id."""
    rows = [
        (
            microseconds(one.sensing_at),
            microseconds(one.processed_at),
            one.point_id.int >> 64,
            one.point_id.int & _HALF,
        )
        for one in embeddings
    ]
    return ordered(np.array(rows, dtype=MEMBER))


def ordered(rows: Members) -> Members:
    """The same members, ascending in time, then id."""
    return rows[np.lexsort((rows["low"], rows["high"], rows["sensing_us"]))]


def is_point(rows: Members, point_id: UUID) -> NDArray[np.bool_]:
    """Which members are a point, bool (n,)."""
    low, high = np.uint64(point_id.int & _HALF), np.uint64(point_id.int >> 64)
    return cast("NDArray[np.bool_]", (rows["low"] == low) & (rows["high"] == high))


def names(rows: Members) -> list[tuple[UUID, datetime]]:
    """Point ids and sensing times of members."""
    return [
        (UUID(int=(int(row["high"]) << 64) | int(row["low"])), _EPOCH + int(row["sensing_us"]) * _MICROSECOND)
        for row in rows
    ]


def microseconds(when: datetime) -> int:
    """Whole microseconds since 1970 UTC."""
    return (when - _EPOCH) // _MICROSECOND
