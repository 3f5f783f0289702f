"""Which processing version of a scene counts, and how far sensing time has come.

Flows in: acquisitions as their batches arrive. Flows out: whether a batch still counts, whether people may be told of
what it shows, and the clock by which incidents expire. Stops before matches.

The newest version counts, in whatever order versions arrive; a version that replaces one matched in full is no news.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from schemas.messages import Acquisition
from schemas.tables import AcquisitionRow, CoverageRow, MatchedSceneRow, RecentBatchRow


def enter(session: Session, acquisition: Acquisition) -> MatchedSceneRow | None:
    """The scene of an acquisition, with this version in force; none when a newer one already is."""
    row = session.get(MatchedSceneRow, acquisition.physical_key)
    if row is None:
        row = MatchedSceneRow(
            physical_key=acquisition.physical_key,
            acquisition_id=acquisition.acquisition_id,
            processed_at=acquisition.processed_at,
            sensing_at=acquisition.sensing_at,
            news=not _matched_before(session, acquisition),
            complete=False,
        )
        session.add(row)
        session.flush()
        return row
    if row.acquisition_id == acquisition.acquisition_id:
        return row
    if _version(row.processed_at, row.acquisition_id) > _version(acquisition.processed_at, acquisition.acquisition_id):
        return None
    row.news = row.news and not row.complete and not _matched_before(session, acquisition)
    row.acquisition_id, row.processed_at = acquisition.acquisition_id, acquisition.processed_at
    row.sensing_at, row.complete = acquisition.sensing_at, False
    session.execute(
        delete(RecentBatchRow).where(
            RecentBatchRow.physical_key == acquisition.physical_key,
            RecentBatchRow.acquisition_id != acquisition.acquisition_id,
        )
    )
    return row


def matched_until(session: Session, now: datetime) -> datetime | None:
    """Sensing time of the newest scene that was matched; what claims to be from the future doesn't count."""
    return session.scalar(select(func.max(MatchedSceneRow.sensing_at)).where(MatchedSceneRow.sensing_at <= now))


def sensed_until(session: Session, now: datetime) -> datetime | None:
    """The same over all that was acquired, cloud or not: time goes on where nothing could be seen."""
    covered = session.scalar(select(func.max(CoverageRow.sensing_at)).where(CoverageRow.sensing_at <= now))
    return max((moment for moment in (covered, matched_until(session, now)) if moment is not None), default=None)


def cell_states(session: Session, acquisition_id: UUID) -> dict[str, str]:
    """What a version of a scene could say of each of its cells (`CellState`); empty where that is not on record."""
    packed = session.scalar(select(CoverageRow.chips).where(CoverageRow.acquisition_id == acquisition_id))
    chips: Iterable[dict[str, str]] = json.loads(zlib.decompress(packed))["chips"] if packed else ()
    return {chip["cell"]: chip["state"] for chip in chips}


def _matched_before(session: Session, acquisition: Acquisition) -> bool:
    """Whether the ledger has another version of the scene that was matched in full, or came as back-fill.

    One of which nothing could be seen was not matched: what the next one shows, nobody has been told of.
    """
    row = AcquisitionRow
    wanted = select(row.acquisition_id).where(
        row.physical_key == acquisition.physical_key,
        row.acquisition_id != acquisition.acquisition_id,
        row.matched_at.is_not(None),
        or_(row.backfill.is_(True), row.batches.is_(None), row.batches > 0),
    )
    return session.scalars(wanted.limit(1)).first() is not None


def _version(processed_at: datetime, acquisition_id: UUID) -> tuple[datetime, str]:
    """Two announcements of one version: always the same one wins."""
    return (processed_at, acquisition_id.hex)
