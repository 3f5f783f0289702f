"""A week of one sensor over a 100 km square: what could be seen of each of its 10,000 cells, packed.

In: states of cells, day by day. Out: a few hundred bytes to a few thousand. Stops before tables (`fold`).

A block is a set of facts ("seen on Tuesday", "cloud in this week"), so two blocks of one square, week and sensor are
joined by a plain or: whatever comes twice, or in another order, gives the same block. Days, not acquisitions, are kept:
two tiles of one pass over a cell are one look.

    seen, obscured, failed     a bit for each cell and day of the week, UTC, bit 0 is Monday
    causes                     a bit for each cell and cause, for the whole week

Packed, the bits lie in planes of 10,000 cells, planes without any are left out, and zlib does the rest. What was looked
at has the plain outline of a swath, and what of it was seen the ragged one of cloud: so `looked` and `seen` are written
instead of `seen` and `obscured`, and a cause only where it is not cloud in just the cells that were obscured.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from schemas.messages import Cause

SIDE = 100
"""Cells along each side of a square."""
CELLS = SIDE * SIDE
DAYS = 7
FORMAT = 1
"""First byte of a packed block; another one was written by a later build."""

CAUSES: dict[Cause | None, int] = {Cause.CLOUD: 1, Cause.SHADOW: 2, Cause.NO_DATA: 4, None: 8}
"""Bit of each cause, in the order of their planes; none: obscured, and nobody wrote why."""
_PLANES = 4 * DAYS + 4
"""Of days: looked at, seen, seen and obscured, failed; of causes: cloud less obscured, shadow, no data, unexplained."""

Bits = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def _none() -> Bits:
    return np.zeros(CELLS, np.uint8)


@dataclass(frozen=True, slots=True)
class Block:
    """One square, week and sensor; uint8, (10,000,), cell `100 * north_km + east_km` within the square.

    Attributes:
        seen: Days on which the cell was seen.
        obscured: Days on which it was acquired and something hid it.
        failed: Days on which it was acquired and could not be read.
        causes: What hid it in this week, `CAUSES`.
    """

    seen: Bits = field(default_factory=_none)
    obscured: Bits = field(default_factory=_none)
    failed: Bits = field(default_factory=_none)
    causes: Bits = field(default_factory=_none)

    def __or__(self, other: Block) -> Block:
        """What either knows."""
        return Block(
            self.seen | other.seen,
            self.obscured | other.obscured,
            self.failed | other.failed,
            self.causes | other.causes,
        )

    def on(self, days: int) -> Block:
        """The same, with some days of the week only (bit 0 is Monday)."""
        if days == 2**DAYS - 1:
            return self
        kept = np.uint8(days)
        return Block(self.seen & kept, self.obscured & kept, self.failed & kept, self.causes)

    def pack(self) -> bytes:
        """As it is stored."""
        seen, obscured, failed = (_days(bits) for bits in (self.seen, self.obscured, self.failed))
        hidden = self.obscured != 0
        causes = np.unpackbits(self.causes[None], axis=0, count=len(CAUSES), bitorder="little")
        causes[0] ^= hidden
        planes = np.concatenate([seen | obscured, seen, seen & obscured, failed, causes])
        some = planes.any(axis=1)
        return zlib.compress(
            bytes([FORMAT]) + np.packbits(some).tobytes() + np.packbits(planes[some], axis=1).tobytes(), 9
        )


def unpack(packed: bytes) -> Block:
    """What `Block.pack` wrote.

    Raises:
        ValueError: another build wrote it, or it is damaged.
    """
    data = np.frombuffer(zlib.decompress(packed), np.uint8)
    if data[0] != FORMAT:
        raise ValueError(f"coverage block of format {data[0]}, this build reads {FORMAT}: use the build that wrote it")
    width, head = CELLS // 8, 1 + _PLANES // 8
    rows = np.unpackbits(data[head:].reshape(-1, width), axis=1)
    looked, seen, both, failed, causes = (_none() for _ in range(5))
    for number, row in zip(np.flatnonzero(np.unpackbits(data[1:head])).tolist(), rows, strict=True):
        which, bit = divmod(number, DAYS)
        (looked, seen, both, failed, causes)[which][:] |= row << np.uint8(bit)
    obscured = (looked & ~seen) | both
    return Block(seen, obscured, failed, causes ^ (obscured != 0))


def join(blocks: Sequence[Block]) -> Block:
    """What any of them knows; nothing is known where there are none."""
    joined = Block()
    for block in blocks:
        joined = joined | block
    return joined


def cell_index(cell_id: str) -> int:
    """Where a cell stands in its square's block."""
    return SIDE * int(cell_id[7:9]) + int(cell_id[5:7])


def cell_ids(square: str, indexes: Sequence[int]) -> list[str]:
    """The other way round."""
    return [f"{square}{index % SIDE:02d}{index // SIDE:02d}" for index in indexes]


def _days(bits: Bits) -> Bits:
    """Uint8 of 0 and 1, (7, 10,000)."""
    return np.unpackbits(bits[None], axis=0, count=DAYS, bitorder="little")
