"""What the ledger needs besides news: messages that must be sent again, and waiting that must end.

Flows in: the ledger. Flows out: messages in the outbox, rows that failed with their reason and what that means for
coverage. Stops before Kafka: `announce` sends.
"""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta

import structlog
from shapely.geometry import shape
from sqlalchemy import ColumnElement, Engine, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from ingest.ledger import INCOMPLETE, TAKEN, UNFINISHED, alone, queue_again
from schemas import outbox
from schemas.cells import cells_in
from schemas.database import reading, transaction
from schemas.errors import InvalidArea
from schemas.messages import Acquisition, CellState, Chip, Coverage
from schemas.outbox import Sender
from schemas.tables import AcquisitionRow, CoverageRow

BATCH = 200
"""Rows of one transaction."""

log = structlog.get_logger(__name__)


def announce(engine: Engine, publisher: Sender, now: datetime) -> int:
    """Send what the outbox holds, and note which acquisitions have arrived.

    Returns:
        How many messages were sent.

    Raises:
        StoreUnavailable: broker or database did not answer; nothing is lost, nothing is noted.
    """
    unsent = select(AcquisitionRow.acquisition_id).where(
        AcquisitionRow.queued_at.is_(None), AcquisitionRow.state.in_(TAKEN)
    )
    with reading(engine) as session:
        ids = list(session.scalars(unsent))
    sent = outbox.flush(engine, publisher)
    for start in range(0, len(ids), BATCH):
        with transaction(engine) as session:
            batch = ids[start : start + BATCH]
            for row in session.scalars(select(AcquisitionRow).where(AcquisitionRow.acquisition_id.in_(batch))):
                row.queued_at = now
    return sent


def republish_unfinished(engine: Engine) -> int:
    """Put every acquisition that nobody has finished into the outbox again: an embedded broker forgets.

    Returns:
        How many.
    """
    unfinished = select(AcquisitionRow.acquisition_id).where(
        AcquisitionRow.state.in_(UNFINISHED), AcquisitionRow.queued_at.is_not(None)
    )
    with reading(engine) as session:
        ids = list(session.scalars(unfinished.order_by(AcquisitionRow.seen_at)))
    for start in range(0, len(ids), BATCH):
        with transaction(engine) as session:
            alone(session)
            for acquisition_id in ids[start : start + BATCH]:
                row = session.get(AcquisitionRow, acquisition_id)
                if row is not None and row.state in UNFINISHED:
                    queue_again(session, row)
    return len(ids)


def expire_waiting(engine: Engine, limit: timedelta, now: datetime) -> int:
    """End the waiting of items that did not complete in time: failed, with the reason, and so in coverage.

    Coverage says nothing new where another version of the scene was read.

    Returns:
        How many were ended.
    """
    overdue = select(AcquisitionRow).where(AcquisitionRow.state == "waiting", AcquisitionRow.seen_at <= now - limit)
    ended = 0
    with transaction(engine) as session:
        alone(session)
        for row in session.scalars(overdue.limit(BATCH)).all():
            row.state = "failed"
            row.reason = f"{row.reason}; never completed in {limit / timedelta(days=1):g} days"
            if not _seen_otherwise(session, row):
                _record_failed(session, row)
            log.warning("item never completed", item_id=row.item_id, reason=row.reason)
            ended += 1
    return ended


def revive(engine: Engine) -> int:
    """Take up an older version again where the newer one that replaced it could not be read.

    Returns:
        How many scenes.
    """
    newer, taken = aliased(AcquisitionRow), aliased(AcquisitionRow)
    failed_since = (
        select(newer.acquisition_id)
        .where(newer.physical_key == AcquisitionRow.physical_key, newer.state == "failed")
        .where(newer.processed_at >= AcquisitionRow.processed_at, ~_never_fit(newer.reason))
        .exists()
    )
    alive = select(taken.acquisition_id).where(
        taken.physical_key == AcquisitionRow.physical_key, taken.state.in_(TAKEN)
    )
    candidates = (
        select(AcquisitionRow)
        .where(
            AcquisitionRow.state == "superseded",
            AcquisitionRow.encoded_at.is_(None),
            ~_never_fit(AcquisitionRow.reason),
        )
        .where(failed_since, ~alive.exists())
        .order_by(AcquisitionRow.processed_at.desc())
    )
    revived: set[str] = set()
    with transaction(engine) as session:
        alone(session)
        for row in session.scalars(candidates.limit(BATCH)).all():
            if row.physical_key not in revived:
                revived.add(row.physical_key)
                row.state, row.reason, row.queued_at = "queued", None, None
                queue_again(session, row)
                log.info("older version taken up again, the newer one failed", item_id=row.item_id)
    return len(revived)


def _never_fit(reason: InstrumentedAttribute[str | None]) -> ColumnElement[bool]:
    return func.coalesce(reason, "").startswith(INCOMPLETE)


def _seen_otherwise(session: Session, row: AcquisitionRow) -> bool:
    others = select(AcquisitionRow.acquisition_id).where(
        AcquisitionRow.physical_key == row.physical_key, AcquisitionRow.state.in_(TAKEN)
    )
    return session.scalar(others.limit(1)) is not None


def _record_failed(session: Session, row: AcquisitionRow) -> None:
    """Every cell of the footprint: it could not be seen, which is not the same as nothing there."""
    acquisition = Acquisition.from_bytes(row.message.encode())
    footprint = shape(acquisition.footprint)
    try:
        cells = cells_in(footprint)
    except InvalidArea as error:
        log.warning("footprint too large for coverage", item_id=row.item_id, reason=str(error))
        return
    chips = tuple(Chip(cell=cell.id, state=CellState.FAILED, valid_fraction=0.0, cloud_fraction=0.0) for cell in cells)
    coverage = Coverage(
        acquisition_id=row.acquisition_id,
        physical_key=row.physical_key,
        source=row.source,
        item_id=row.item_id,
        sensor=acquisition.sensor,
        sensing_at=row.sensing_at,
        chips=chips,
        reason=row.reason,
    )
    west, south, east, north = footprint.bounds
    session.merge(
        CoverageRow(
            acquisition_id=row.acquisition_id,
            physical_key=row.physical_key,
            source=row.source,
            item_id=row.item_id,
            sensor=row.sensor,
            sensing_at=row.sensing_at,
            west=west,
            south=south,
            east=east,
            north=north,
            seen=0,
            obscured=0,
            failed=len(chips),
            chips=zlib.compress(coverage.model_dump_json().encode()),
            reason=row.reason,
        )
    )
