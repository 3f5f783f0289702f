"""An R-tree over boxes, packed in arrays.

Flows in: boxes in degrees. Flows out: which of them meet a scene's. Stops before outlines (`areas`).

shapely's tree indexes geometries, half a kilobyte for each box; this one has 40 bytes for it, and a million areas fit.
It cannot change: who adds to it keeps a list of what is new and builds it again now and then.

Source: Leutenegger, Edgington and Lopez, STR: A Simple and Efficient Algorithm for R-Tree Packing (ICDE 1997).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Indexes = NDArray[np.intp]

CHILDREN = 64
"""Boxes under one node: levels are few, and each is searched by whole arrays."""


class PackedTree:
    """Boxes, each float64 (west, south, east, north)."""

    def __init__(self, boxes: Doubles) -> None:
        """Pack boxes, (n, 4)."""
        self._order = _packed(boxes)
        levels = [boxes[self._order]]
        while len(levels[0]) > CHILDREN:
            levels.insert(0, _parents(levels[0]))
        self._levels = [np.ascontiguousarray(level.T) for level in levels]

    def meeting(self, box: Doubles) -> Indexes:
        """Indexes of boxes, in no order, that meet this one, (4,); touching counts."""
        found = np.arange(0)
        for depth, level in enumerate(self._levels):
            if depth and len(found) < self._levels[depth - 1].shape[1]:
                children = (found[:, None] * CHILDREN + np.arange(CHILDREN)).ravel()
                children = children[children < level.shape[1]]
                found = children[meet(level[:, children], box)]
            else:  # everything above meets it: nothing to pick
                found = np.flatnonzero(meet(level, box))
        return self._order[found]


def meet(boxes: Doubles, box: Doubles) -> NDArray[np.bool_]:
    """Whether each box, the columns of (4, n), meets one, (4,); touching counts."""
    west, south, east, north = boxes
    return np.asarray((west <= box[2]) & (east >= box[0]) & (south <= box[3]) & (north >= box[1]))


def _packed(boxes: Doubles) -> Indexes:
    """An order in which neighbours in the list are neighbours on the map: strips from west to east, by latitude."""
    n = len(boxes)
    slices = max(1, int(np.ceil(np.sqrt(n / CHILDREN))))
    by_lon = np.argsort(boxes[:, 0] + boxes[:, 2], kind="stable")
    number = np.empty(n, np.intp)
    number[by_lon] = np.arange(n) * slices // max(n, 1)
    return np.lexsort((boxes[:, 1] + boxes[:, 3], number))


def _parents(boxes: Doubles) -> Doubles:
    """The box round every `CHILDREN` boxes."""
    starts = np.arange(0, len(boxes), CHILDREN)
    low = np.minimum.reduceat(boxes[:, :2], starts, axis=0)
    high = np.maximum.reduceat(boxes[:, 2:], starts, axis=0)
    return np.concatenate([low, high], axis=1)
