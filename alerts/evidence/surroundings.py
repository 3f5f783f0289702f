"""What the scenes behind an alert saw round about it.

Flows in: the coverage rows of the acquisitions that matched. Flows out: cells that were seen and did not match, and
cells that could not be seen. Stops before drawing: on the map, white must not mean both.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from uuid import UUID

import numpy as np
from sqlalchemy import Engine

from alerts.places import centres
from schemas.database import reading
from schemas.messages import CellState, Coverage
from schemas.tables import CoverageRow

Box = tuple[float, float, float, float]
"""West, south, east, north, degrees; west may be greater than east at the antimeridian."""


def surroundings(engine: Engine, acquisitions: Iterable[UUID], box: Box) -> dict[str, CellState]:
    """States of the cells of some acquisitions whose centre lies in a box; seen goes before obscured, and that before
    the rest."""
    order = (CellState.NOT_ACQUIRED, CellState.FAILED, CellState.OBSCURED, CellState.SEEN)
    found: dict[str, CellState] = {}
    for packed in _rows(engine, acquisitions):
        coverage = Coverage.from_bytes(zlib.decompress(packed))
        for chip in _within(coverage, box):
            known = found.get(chip[0], CellState.NOT_ACQUIRED)
            found[chip[0]] = max(known, chip[1], key=order.index)
    return found


def _rows(engine: Engine, acquisitions: Iterable[UUID]) -> list[bytes]:
    with reading(engine) as session:
        wanted = [session.get(CoverageRow, acquisition_id) for acquisition_id in acquisitions]
        return [row.chips for row in wanted if row is not None]


def _within(coverage: Coverage, box: Box) -> list[tuple[str, CellState]]:
    if not coverage.chips:
        return []
    west, south, east, north = box
    lon, lat = centres([chip.cell for chip in coverage.chips]).T
    beside = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    rows = np.flatnonzero(beside & (lat >= south) & (lat <= north)).tolist()
    return [(coverage.chips[row].cell, coverage.chips[row].state) for row in rows]
