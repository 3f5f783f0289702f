"""The outline of many cells, with few vertices.

In: cells by 100 km square. Out: a geometry for a notice or a map. Stops before drawing.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from alerts.coverage.blocks import SIDE, Mask
from alerts.places import cell
from schemas.cells import CELL_M
from schemas.geometry import mended, split_antimeridian

FINEST_DEG = 0.004
"""Half a cell: what is simplified at least."""
MOST_VERTICES = 500
"""Of the whole outline: what a message should carry, 20 KB."""


def outline(squares: Iterable[tuple[str, Mask]]) -> BaseGeometry:
    """Union of cells, lon/lat, split at the antimeridian, simplified until it has few vertices."""
    parts = [part for square, mask in squares if mask.any() for part in _parts(square, mask)]
    whole = shapely.union_all(parts, grid_size=1e-6)
    tolerance = FINEST_DEG
    simple = mended(whole.simplify(tolerance))
    while shapely.get_num_coordinates(simple) > MOST_VERTICES and tolerance < 10:
        tolerance *= 2
        # what is smaller than the tolerance is left out, and gaps as small are closed
        closed = whole.buffer(tolerance, join_style="mitre").buffer(-tolerance, join_style="mitre")
        simple = mended(closed.simplify(tolerance))
    return split_antimeridian(simple) if not simple.is_empty else whole.envelope


def _parts(square: str, mask: Mask) -> list[BaseGeometry]:
    corner = cell(f"{square}0000")
    to_wgs84 = Transformer.from_crs(corner.epsg, 4326, always_xy=True)
    found: list[BaseGeometry] = []
    for polygon in shapely.get_parts(shapely.union_all(_runs(mask, corner.easting_m, corner.northing_m))):
        part = shapely.transform(polygon, lambda xy: np.column_stack(to_wgs84.transform(*xy.T)))
        valid = shapely.make_valid(split_antimeridian(part))
        found += [piece for piece in shapely.get_parts(valid) if piece.area > 0]  # unions take no lines and points
    return found


def _runs(mask: Mask, west_m: int, south_m: int) -> NDArray[np.object_]:
    """One box for each run of cells side by side, metres in the square's zone."""
    edges = np.diff(np.pad(mask.reshape(SIDE, SIDE).astype(np.int8), ((0, 0), (1, 1))), axis=1)
    rows, first = np.nonzero(edges == 1)
    after = np.nonzero(edges == -1)[1]
    south = south_m + rows * CELL_M
    return np.asarray(shapely.box(west_m + first * CELL_M, south, west_m + after * CELL_M, south + CELL_M), object)
