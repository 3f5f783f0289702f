"""The areas of all standing queries, each kept once.

Flows in: outlines as they come and go. Flows out: per scene a bitmap of the areas that may be met, and whether points
lie in them. Stops before queries (`bank`, `standing`): they name areas by number.

Outlines are kept as WKB and made into objects when a surviving pair asks for them: objects would be half as
large again, and making one takes less than testing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from alerts.percolation.boxes import PackedTree, meet
from alerts.percolation.growing import Column, Indexes

Doubles = NDArray[np.float64]

EVERYWHERE = 0
"""Number of the area without an outline."""
LOOSE = 4096
"""Areas that may lie outside the tree, looked at one by one, before it is built again (a third of a second for a
million); an eighth of those inside, where that is more."""
WORTH_PREPARING = 16
"""Points from which on an outline is prepared for them: it costs as much as some point tests."""
_NOWHERE = np.array([999.0, 999.0, -999.0, -999.0])
"""A box that meets nothing."""


class Areas:
    """Outlines by number; numbers of those that nobody holds any longer are given again."""

    def __init__(self) -> None:
        """Only everywhere."""
        self._wkb: list[bytes] = [b""]
        self._holders = Column(np.int32, 0)
        self._boxes = np.tile(_NOWHERE, (1024, 1))
        self._numbers: dict[bytes, int] = {}
        self._free: list[int] = []
        self._tree, self._loose = PackedTree(np.empty((0, 4))), set[int]()
        self._settled = np.zeros(0, np.bool_)
        """Whether the tree has a number where it is now."""
        self._holders.grow(1)

    def __len__(self) -> int:
        """How many numbers there are, given again or not."""
        return len(self._wkb)

    def hold(self, outlines: Sequence[BaseGeometry | None]) -> list[int]:
        """The numbers of outlines, lon/lat degrees, the same for the same one; `drop` each as often as it is held."""
        some = np.array([outline for outline in outlines if outline is not None], dtype=object)
        found = iter(zip(shapely.to_wkb(some).tolist(), shapely.bounds(some), strict=True))
        return [EVERYWHERE if outline is None else self._hold(*next(found)) for outline in outlines]

    def drop(self, number: int) -> None:
        """Let go of an outline once."""
        if number == EVERYWHERE:
            return
        self._holders.values[number] -= 1
        if self._holders.values[number] == 0:
            del self._numbers[_key(self._wkb[number])]
            self._wkb[number] = b""
            self._boxes[number] = _NOWHERE
            self._loose.discard(number)
            self._settled[number : number + 1] = False
            self._free.append(number)

    def outline(self, number: int) -> BaseGeometry | None:
        """The outline of a number; none: everywhere."""
        return None if number == EVERYWHERE else shapely.from_wkb(self._wkb[number])

    def near(self, lon: Doubles, lat: Doubles) -> NDArray[np.bool_]:
        """Bitmap, (areas,), of those whose box meets the box of these points."""
        bitmap = np.zeros(len(self), np.bool_)
        if not lon.size:
            return bitmap
        self._index()
        box = np.array([lon.min(), lat.min(), lon.max(), lat.max()])
        bitmap[self._tree.meeting(box)] = True
        bitmap[: len(self._settled)] &= self._settled
        loose = np.fromiter(self._loose, np.intp, len(self._loose))
        bitmap[loose] = meet(self._boxes[loose].T, box)
        bitmap[EVERYWHERE] = True
        return bitmap

    def in_box(self, numbers: Indexes, lon: Doubles, lat: Doubles) -> NDArray[np.bool_]:
        """Whether each point lies in the box of its area; `inside` is the same for outlines."""
        west, south, east, north = self._boxes[numbers].T
        return np.asarray((numbers == EVERYWHERE) | ((west <= lon) & (lon <= east) & (south <= lat) & (lat <= north)))

    def inside(self, numbers: Indexes, lon: Doubles, lat: Doubles) -> NDArray[np.bool_]:
        """Whether each point lies in its area, its edge excluded."""
        inside: NDArray[np.bool_] = numbers == EVERYWHERE
        bounded = np.flatnonzero(~inside)
        if len(bounded):
            names, which, points = np.unique(numbers[bounded], return_inverse=True, return_counts=True)
            outlines = shapely.from_wkb(np.array([self._wkb[number] for number in names.tolist()], dtype=object))
            shapely.prepare(outlines[points >= WORTH_PREPARING])
            inside[bounded] = shapely.contains_xy(outlines[which], lon[bounded], lat[bounded])
        return inside

    def _hold(self, wkb: bytes, box: Doubles) -> int:
        key = _key(wkb)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = self._add(wkb, box)
        self._holders.values[number] += 1
        return number

    def _add(self, wkb: bytes, box: Doubles) -> int:
        number = self._free.pop() if self._free else len(self._wkb)
        if number == len(self._wkb):
            self._wkb.append(b"")
            self._holders.grow(number + 1)
            if number == len(self._boxes):
                self._boxes = np.concatenate([self._boxes, np.tile(_NOWHERE, (number, 1))])
        self._wkb[number], self._boxes[number] = wkb, box
        self._loose.add(number)
        return number

    def _index(self) -> None:
        """Build the tree again when too much lies outside it."""
        if len(self._loose) > max(LOOSE, len(self._settled) // 8):
            self._tree, self._settled = PackedTree(self._boxes[: len(self)]), self._holders.values > 0
            self._loose.clear()


def _key(wkb: bytes) -> bytes:
    return blake2b(wkb, digest_size=16).digest()
