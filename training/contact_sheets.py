"""In: chips with their scores, as they come. Out: small pictures of the few that each query ranks first.

Stops at pictures and what is known of them: `report` frames them. Everything but the best is forgotten at once, so that
a corpus of any size fits.
"""

import heapq
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.gallery import Picture, false_colour, radar_colour, true_colour

SHOWN: Final = 8
"""Chips of a sheet: one row of a page."""

SIDE_PX: Final = 96
"""Pictures have edges of this up to twice this: larger chips are thinned, not averaged, since their texture tells."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One chip of a sheet.

    Attributes:
        name: of the chip.
        score: cosine with the query.
        verdict: ``"right"``, ``"wrong"`` or ``"unknown"``.
        pictures: uint8, (rows, columns, 3), by name of the colouring.
    """

    name: str
    score: float
    verdict: str
    pictures: dict[str, Picture]


class BestPictures:
    """The best chips of each query so far.

    Args:
        sensor: ``"s2"`` (true and false colour) or ``"s1"`` (radar).
        queries: how many.
        shown: how many chips to keep for each.
    """

    def __init__(self, sensor: str, queries: int, shown: int = SHOWN) -> None:
        self._sensor = sensor
        self._shown = shown
        self._best: list[list[tuple[float, int, Shown]]] = [[] for _ in range(queries)]
        self._offered = 0

    def offer(
        self,
        name: str,
        pixels: NDArray[np.float32],
        scores: NDArray[np.float32],
        gains: NDArray[np.float32],
        known: NDArray[np.bool_],
    ) -> None:
        """Keep a chip where it is among the best.

        Args:
            name: of the chip.
            pixels: float32, (bands, h, w).
            scores: float32, (queries,).
            gains: float32, (queries,); above 0 is right.
            known: bool, (queries,); elsewhere nobody knows.
        """
        self._offered += 1
        pictures: dict[str, Picture] = {}
        for query, best in enumerate(self._best):
            mark = float(scores[query])
            if len(best) == self._shown and mark <= best[0][0]:
                continue
            pictures = pictures or coloured(pixels, self._sensor)
            verdict = "unknown" if not known[query] else "right" if gains[query] > 0 else "wrong"
            heapq.heappush(best, (mark, -self._offered, Shown(name, mark, verdict, pictures)))
            if len(best) > self._shown:
                heapq.heappop(best)

    def sheet(self, query: int) -> list[Shown]:
        """The chips of a query, best first."""
        return [shown for _, _, shown in sorted(self._best[query], key=lambda kept: (-kept[0], -kept[1]))]


def coloured(pixels: NDArray[np.float32], sensor: str) -> dict[str, Picture]:
    """A chip in the colourings of its sensor, thinned as `SIDE_PX` says; absent bands are black."""
    step = max(1, max(pixels.shape[1:]) // SIDE_PX)
    small = pixels[:, ::step, ::step]
    if sensor == "s1":
        return {"radar": radar_colour(small)}
    return {"true colour": true_colour(small), "false colour": false_colour(small)}
