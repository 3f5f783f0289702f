"""How far an acquisition has come, and what it could see: the encoder's writes to the relational store.

In: an acquisition and the chips that were read of it. Out: its ledger row and coverage row, in one transaction.
Stops before messages.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from shapely.geometry import shape
from sqlalchemy import CursorResult, Engine, delete, select, update
from sqlalchemy.orm import Session

from schemas.cells import Cell, centres_lon_lat, wrap_longitude
from schemas.database import reading, transaction
from schemas.messages import Acquisition, CellState, Chip, Coverage
from schemas.tables import AcquisitionRow, CoverageRow

SETTLED = ("matched", "superseded", "ignored")
"""States in which nothing is left to encode."""
MARGIN_DEG = 0.0066
"""Half a cell's diagonal in degrees of latitude: from centres to bounds."""
REASON_CHARS = 2000
"""Width of the reason columns."""


def is_wanted(engine: Engine, acquisition: Acquisition) -> bool:
    """Whether an acquisition is still to be encoded; one that the ledger does not know is."""
    with reading(engine) as session:
        state = session.scalar(
            select(AcquisitionRow.state).where(AcquisitionRow.acquisition_id == acquisition.acquisition_id)
        )
    return state not in SETTLED


def shown_before(engine: Engine, acquisition: Acquisition) -> bool:
    """Whether embedding batches of another version of the scene have gone out."""
    row = AcquisitionRow
    wanted = select(row.acquisition_id).where(
        row.physical_key == acquisition.physical_key,
        row.acquisition_id != acquisition.acquisition_id,
        row.batches > 0,
    )
    with reading(engine) as session:
        return session.scalars(wanted.limit(1)).first() is not None


def record_encoded(
    engine: Engine, acquisition: Acquisition, cells: Sequence[Cell], chips: Sequence[Chip], batches: int
) -> bool:
    """All vectors are in the archive: say so, and what was seen.

    Args:
        engine: The store.
        acquisition: Which.
        cells, chips: What was read, row by row.
        batches: How many messages follow; without any there is nothing to match and the acquisition is done.

    Returns:
        Whether the messages may go: not when a newer version has taken over meanwhile.
    """
    now = datetime.now(UTC)
    done = {"state": "matched", "matched_at": now} if batches == 0 else {"state": "encoded"}
    values = {**done, "batches": batches, "encoded_at": now, "reason": None}
    with transaction(engine) as session:
        known = session.get(AcquisitionRow, acquisition.acquisition_id) is not None
        if known and not _advance(session, acquisition, values):
            return False
        session.execute(delete(CoverageRow).where(CoverageRow.acquisition_id.in_(_older(acquisition))))
        session.merge(_coverage(acquisition, cells, chips, None))
    return True


def record_failed(engine: Engine, acquisition: Acquisition, cells: Sequence[Cell], reason: str) -> None:
    """It cannot be read: "could not see" must not look like "nothing there".

    Args:
        engine: The store.
        acquisition: Which.
        cells: Those that it should have shown.
        reason: Why, with the item and what to do.
    """
    reason = reason[:REASON_CHARS]
    chips = [Chip(cell=cell.id, state=CellState.FAILED, valid_fraction=0.0, cloud_fraction=0.0) for cell in cells]
    with transaction(engine) as session:
        known = session.get(AcquisitionRow, acquisition.acquisition_id) is not None
        if not known or _advance(session, acquisition, {"state": "failed", "reason": reason}):
            session.merge(_coverage(acquisition, cells, chips, reason))


def _advance(session: Session, acquisition: Acquisition, values: dict[str, object]) -> bool:
    """Change the ledger's row unless it is settled."""
    row = AcquisitionRow
    change = update(row).where(row.acquisition_id == acquisition.acquisition_id, row.state.not_in(SETTLED))
    result = session.execute(change.values(values).execution_options(synchronize_session=False))
    return isinstance(result, CursorResult) and result.rowcount == 1


def _older(acquisition: Acquisition):  # type: ignore[no-untyped-def]  # a Select of one column
    """Announcements of earlier versions of the same scene."""
    return select(AcquisitionRow.acquisition_id).where(
        AcquisitionRow.physical_key == acquisition.physical_key,
        AcquisitionRow.processed_at < acquisition.processed_at,
        AcquisitionRow.acquisition_id != acquisition.acquisition_id,
    )


def _coverage(
    acquisition: Acquisition, cells: Sequence[Cell], chips: Sequence[Chip], reason: str | None
) -> CoverageRow:
    coverage = Coverage(
        acquisition_id=acquisition.acquisition_id,
        physical_key=acquisition.physical_key,
        source=acquisition.source,
        item_id=acquisition.item_id,
        sensor=acquisition.sensor,
        sensing_at=acquisition.sensing_at,
        chips=tuple(chips),
        reason=reason,
    )
    west, south, east, north = _bounds(acquisition, cells)
    states = [chip.state for chip in chips]
    return CoverageRow(
        acquisition_id=acquisition.acquisition_id,
        physical_key=acquisition.physical_key,
        source=acquisition.source,
        item_id=acquisition.item_id,
        sensor=acquisition.sensor,
        sensing_at=acquisition.sensing_at,
        west=west,
        south=south,
        east=east,
        north=north,
        seen=states.count(CellState.SEEN),
        obscured=states.count(CellState.OBSCURED),
        failed=states.count(CellState.FAILED),
        chips=zlib.compress(coverage.model_dump_json().encode()),
        reason=reason,
    )


def _bounds(acquisition: Acquisition, cells: Sequence[Cell]) -> tuple[float, float, float, float]:
    """West, south, east, north of the cells, else of the footprint; -180 to 180 where they cross the antimeridian."""
    if not cells:
        west, south, east, north = shape(acquisition.footprint).bounds
        return (float(west), float(south), float(east), float(north))
    lon, lat = centres_lon_lat(list(cells)).T
    margin_lon = MARGIN_DEG / np.cos(np.deg2rad(np.abs(lat).max()))
    west, east = float(lon.min() - margin_lon), float(lon.max() + margin_lon)
    if west < -180 or east > 180 or wrap_longitude(west) > wrap_longitude(east):
        west, east = -180.0, 180.0
    return (west, float(lat.min() - MARGIN_DEG), east, float(lat.max() + MARGIN_DEG))
