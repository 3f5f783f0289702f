"""In: a batch of any size, and the few sizes that an engine was made for. Out: the runs that serve it, padded.

Stops at numbers and arrays: no GPU here, `encoders.runtimes.graphs` has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.runtime import EngineRefused, Inputs

BUCKETS = (1, 8, 32, 128)
"""Batch sizes an engine is made for unless told otherwise: a lone query, and up to where a GPU is busy."""


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a batch and the bucket that they run in."""

    start: int
    stop: int
    bucket: int

    @property
    def rows(self) -> slice:
        """Where they are in the batch."""
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an input: its shape without the batch, and its type."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def holds_tokens(self) -> bool:
        """Integers are word pieces and their mask: a shorter row may be padded, because the mask hides it."""
        return self.dtype.kind == "i"


Rows = Mapping[str, Row]
"""A row of each input, by name."""


def rows_of(example: Inputs) -> Rows:
    """The rows of a batch."""
    return {name: Row(each.shape[1:], each.dtype) for name, each in example.items()}


def split(count: int, buckets: Sequence[int]) -> list[Part]:
    """Cut a batch into runs that compute less than twice as many rows as it has.

    What is left runs in the smallest bucket that holds it, if it fills half of that or no bucket is smaller; else a
    full bucket is taken off first.

    Args:
        count: rows of the batch.
        buckets: batch sizes, in any order, at least one.
    """
    parts: list[Part] = []
    start = 0
    while start < count:
        left = count - start
        holding = min((each for each in buckets if each >= left), default=None)
        fitting = max((each for each in buckets if each <= left), default=None)
        bucket = holding if fitting is None or (holding is not None and holding <= 2 * left) else fitting
        if bucket is None:
            raise ValueError("no buckets")
        stop = min(start + bucket, count)
        parts.append(Part(start, stop, bucket))
        start = stop
    return parts


def check_rows(inputs: Inputs, rows: Rows, engine: str) -> int:
    """Refuse a batch that an engine was not made for.

    Returns:
        its number of rows.

    Raises:
        EngineRefused: another input, type or shape, or inputs of different length.
    """
    if inputs.keys() != rows.keys():
        raise EngineRefused(f"{engine} takes {', '.join(rows)}, not {', '.join(inputs)}")
    for name, each in inputs.items():
        row, shape = rows[name], each.shape[1:]
        shorter = row.holds_tokens and len(shape) == len(row.shape) and shape <= row.shape
        if each.dtype != row.dtype or not (shape == row.shape or shorter):
            raise EngineRefused(
                f"{engine} takes {name} of {row.dtype} {row.shape}, not {each.dtype} {shape}: make one for that"
            )
    counts = {len(each) for each in inputs.values()}
    if len(counts) != 1:
        raise EngineRefused(f"{engine}: inputs of one batch have different lengths, {sorted(counts)}")
    return counts.pop()


def fill(buffer: NDArray[Any], rows: NDArray[Any]) -> None:
    """Copy rows to the front of a buffer and make the rest of it zero."""
    if rows.shape[1:] == buffer.shape[1:]:
        buffer[len(rows) :] = 0
    else:
        buffer[...] = 0
    buffer[tuple(slice(each) for each in rows.shape)] = rows
