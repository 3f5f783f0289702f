"""How water fills low ground: up to a level, as far as it finds a way, over banks that hold or break.

In: height above the drainage and a share of the place. Out: depth of water, connected to where it came from.
Stops at depth: what stands out of the water and what it looks like is in `simulation.disturbance`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.fields import FloatArray, block_mean, enlarge, quantile

GRID: Final = 4
"""Pixels along one side of a cell of the search for ways: 40 m."""

PASSES: Final = 48
"""Steps of the search: water reaches what lies up to 48 cells from its source."""


def connected(wet: NDArray[np.bool_], sources: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The wet cells that have a wet way to a source.

    Args:
        wet: bool, (rows, columns): low enough for water.
        sources: bool, (rows, columns): where water comes from.

    Returns:
        bool, (rows, columns).
    """
    reached = wet & sources
    for _ in range(PASSES):
        grown = reached.copy()
        grown[1:] |= reached[:-1]
        grown[:-1] |= reached[1:]
        grown[:, 1:] |= reached[:, :-1]
        grown[:, :-1] |= reached[:, 1:]
        grown &= wet
        if (grown == reached).all():
            break
        reached = grown
    return reached


def fill(height: FloatArray, share: float, steepness: float) -> FloatArray:
    """Water over the lowest ground that hangs together with the lowest of all: the river, the lake, the hollow.

    Args:
        height: float32, (rows, columns), height above the drainage in any unit, banks included.
        share: Share of the place that lies below the water's level; less of it is reached.
        steepness: Depth, in units of open water, per unit of height: high makes sharp shores.

    Returns:
        float32, (rows, columns), 0 dry to 1 deep enough to be open water.

    Source: planar ("bathtub") inundation with connectivity, Poulter and Halpin 2008, International Journal of
    Geographical Information Science 22, 167.
    """
    level = np.float32(quantile(height, share))
    depth: FloatArray = np.clip((level - height) * np.float32(steepness), 0, 1).astype(np.float32)
    coarse = block_mean(height, GRID)
    wet, sources = coarse < level, coarse < np.float32(quantile(height, min(0.25 * share, 0.1)))
    if not (wet & sources).any():
        return depth
    way = enlarge(connected(wet, sources).astype(np.float32), GRID, smooth=True)
    reached: FloatArray = np.asarray(np.clip(way * 2.5, 0, 1) * depth, np.float32)
    return reached
