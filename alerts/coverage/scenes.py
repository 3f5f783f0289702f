"""What one acquisition adds to the ledger.

In: a raw coverage row. Out: a block for each 100 km square that it touches. Stops before storing them (`fold`).
"""

from __future__ import annotations

import json
import zlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import structlog

from alerts.coverage.blocks import CAUSES, Block, cell_index
from schemas.messages import CellState
from schemas.tables import CoverageRow

log = structlog.get_logger(__name__)
_LOOKED = {CellState.SEEN.value, CellState.OBSCURED.value, CellState.FAILED.value}
_CAUSE_BITS = {None if cause is None else cause.value: bit for cause, bit in CAUSES.items()}


@dataclass(frozen=True, slots=True)
class Scene:
    """One acquisition, square by square.

    Attributes:
        monday: First day of its ISO week, UTC.
        sensor: s1 or s2.
        blocks: By 100 km square; empty where it touches no cell.
    """

    monday: date
    sensor: str
    blocks: dict[str, Block]


def monday_of(moment: datetime | date) -> date:
    """First day of the ISO week of a moment (UTC) or day."""
    day = moment.astimezone(UTC).date() if isinstance(moment, datetime) else moment
    return day - timedelta(days=day.weekday())


def scene_of(row: CoverageRow) -> Scene:
    """Read a raw row: its chips are JSON that our own services wrote, so that nothing is checked twice."""
    found: dict[str, dict[tuple[str, int], list[int]]] = defaultdict(lambda: defaultdict(list))
    for chip in _chips(row):
        state = chip["state"]
        if state in _LOOKED:
            cause = _CAUSE_BITS.get(chip.get("cause"), CAUSES[None]) if state == CellState.OBSCURED.value else 0
            found[chip["cell"][:5]][state, cause].append(cell_index(chip["cell"]))
    today = np.uint8(1 << row.sensing_at.astimezone(UTC).weekday())
    blocks = {}
    for square, states in found.items():
        blocks[square] = block = Block()
        for (state, cause), indexes in states.items():
            days = {"seen": block.seen, "obscured": block.obscured, "failed": block.failed}[state]
            days[indexes] |= today
            block.causes[indexes] |= np.uint8(cause)
    return Scene(monday_of(row.sensing_at), row.sensor, blocks)


def _chips(row: CoverageRow) -> list[dict[str, str]]:
    try:
        chips: list[dict[str, str]] = json.loads(zlib.decompress(row.chips))["chips"]
    except (zlib.error, ValueError, KeyError) as error:  # one bad row must not stop the ledger
        log.error(
            "coverage row cannot be read: its cells count as not acquired", item_id=row.item_id, reason=str(error)
        )
        return []
    return chips
