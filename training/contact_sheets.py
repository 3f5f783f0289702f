"""In: batches of chips as they are embedded. Out: the best of each query, as small pictures with a verdict.

Stops at pictures: only the best so far are held, so that a corpus of any size passes through.
"""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Encoder, Vectors
from simulation.gallery import Picture, false_colour, radar_colour, true_colour
from training.judged import Judged
from training.phrases import LABELS
from training.retrieval import words_of
from training.tables import Sheet, Tile

BEST = 12
"""Chips on a sheet."""

SIDE = 96
"""Pixels along one side of a picture."""

_Entry = tuple[float, int, Tile]


class Sheets:
    """Keeps the best of every label's query for one sensor; give `see` to `judged.collect`.

    Args:
        encoder: whose text tower makes the queries.
        of: what the sheets are of, for their titles.
        columns: of `LABELS` to query; none: all.
    """

    def __init__(self, encoder: Encoder, of: str, columns: Sequence[int] | None = None) -> None:
        self._columns = list(range(len(LABELS))) if columns is None else list(columns)
        self._queries = encoder.texts([words_of([LABELS[c]]) for c in self._columns])
        self._of = of
        self._best: list[list[_Entry]] = [[] for _ in self._columns]
        self._seen = 0

    def see(self, chips: list[Judged], vectors: Vectors) -> None:
        """Look at a batch while its pixels are there."""
        scores = vectors @ self._queries.T
        for row, chip in enumerate(chips):
            pictures: tuple[Picture, ...] | None = None
            self._seen += 1
            for number, column in enumerate(self._columns):
                heap, score = self._best[number], float(scores[row, number])
                if len(heap) == BEST and score <= heap[0][0]:
                    continue
                pictures = pictures or pictures_of(chip.pixels, chip.sensor)
                tile = Tile(chip.name, score, verdict(chip, column), pictures)
                heapq.heappush(heap, (score, -self._seen, tile))
                if len(heap) > BEST:
                    heapq.heappop(heap)

    def sheets(self) -> list[Sheet]:
        """One a query, best first."""
        return [
            Sheet(words_of([LABELS[column]]), self._of, [tile for *_, tile in sorted(heap, key=lambda e: e[:2])[::-1]])
            for column, heap in zip(self._columns, self._best, strict=True)
            if heap
        ]


def verdict(chip: Judged, column: int) -> str:
    """Whether the label is there, is not, or nobody knows."""
    if not chip.known[column]:
        return "unknown"
    return "right" if chip.gains[column] > 0 else "wrong"


def pictures_of(pixels: NDArray[np.float32], sensor: str) -> tuple[Picture, ...]:
    """True and false colour of an optical chip, or VV, VH and their ratio of a radar chip: the middle, `SIDE` wide.

    Args:
        pixels: float32, (bands, h, w), reflectance or linear power.
        sensor: ``"s2"`` or ``"s1"``.

    Returns:
        uint8, (side, side, 3) each, side at most `SIDE`.
    """
    rows, columns = pixels.shape[1:]
    side = min(rows, columns)
    top, left, step = (rows - side) // 2, (columns - side) // 2, max(1, -(-side // SIDE))
    small = np.ascontiguousarray(pixels[:, top : top + side : step, left : left + side : step])
    return (radar_colour(small),) if sensor == "s1" else (true_colour(small), false_colour(small))
