"""The ledger: which announcement is news, which replaces an older one, and which says nothing.

Flows in: readings of items. Flows out: a row for each announcement and, in the same transaction, the message in the
outbox. Stops before Kafka: `delivery` sends what the outbox holds and says when it has arrived.

    new           nobody has announced this scene
    superseding   a newer processing version of a scene that was announced; it will not alert twice
    waiting       bands are still missing; not announced
    ignored       an older version than the one we have, or the same under another name
    known         this very announcement was read before
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, or_, select, text
from sqlalchemy.orm import Session

from ingest.translate import Reading
from schemas import outbox
from schemas.messages import Acquisition, stable_id, utc
from schemas.publisher import Outgoing
from schemas.tables import AcquisitionRow, CoverageRow
from schemas.topics import ACQUISITIONS, BACKFILL

TAKEN = ("queued", "encoded", "matched")
"""States of a version that is, or will be, in the archive."""
UNFINISHED = ("queued", "encoded")
"""States that somebody still works on."""
INCOMPLETE = "incomplete"
"""How the reason of a row begins that was never fit to be read: it is not taken up again."""

LEDGER_LOCK = 7_021_977
"""Number of the advisory lock that pollers of one PostgreSQL share."""


class Outcome(StrEnum):
    """What a reading turned out to be."""

    NEW = "new"
    SUPERSEDING = "superseding"
    WAITING = "waiting"
    IGNORED = "ignored"
    KNOWN = "known"


def settled(session: Session, ids: Iterable[UUID]) -> dict[UUID, datetime]:
    """Those of these announcements that need not be looked at again, with the version that they were then."""
    query = select(AcquisitionRow.acquisition_id, AcquisitionRow.processed_at).where(
        AcquisitionRow.acquisition_id.in_(list(ids)), AcquisitionRow.state.in_((*TAKEN, "ignored", "superseded"))
    )
    return {row.acquisition_id: row.processed_at for row in session.execute(query)}


def alone(session: Session) -> None:
    """Wait until no other poller writes: two that enter one scene at once would both call it new.

    SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LEDGER_LOCK})


def take(session: Session, reading: Reading) -> Outcome:
    """Enter a reading, in the caller's transaction; everything that follows from it is in the same one.

    Args:
        session: Open transaction.
        reading: What an item says now.
    """
    acquisition, versions = _same_scene(session, reading.acquisition)
    same = next((row for row in versions if row.acquisition_id == acquisition.acquisition_id), None)
    if same is not None and not _moved_on(same, reading):
        return Outcome.KNOWN
    if same is not None and acquisition.processed_at > same.processed_at and same.state != "waiting":
        # a new version that the catalogue did not mark with a new `updated`
        marked = stable_id(acquisition.acquisition_id, utc(acquisition.processed_at))
        if session.get(AcquisitionRow, marked) is not None:
            return Outcome.KNOWN
        acquisition, same = acquisition.model_copy(update={"acquisition_id": marked}), None
    best = max((row for row in versions if row.state in TAKEN), key=_version, default=None)
    if best is not None and best.processed_at >= acquisition.processed_at:
        return _ignore(session, acquisition, same, best)
    if reading.missing:
        return _wait(session, acquisition, reading.missing, versions)
    return _queue(session, acquisition, best, versions)


def queue_again(session: Session, row: AcquisitionRow) -> None:
    """Announce once more what stands in the ledger."""
    acquisition = Acquisition.from_bytes(row.message.encode())
    outbox.write(session, Outgoing(row.topic, acquisition.key, acquisition))


def _same_scene(session: Session, acquisition: Acquisition) -> tuple[Acquisition, Sequence[AcquisitionRow]]:
    """All versions of the scene; an item keeps the key under which it was first entered, whatever it says now."""
    own = session.scalar(
        select(AcquisitionRow.physical_key)
        .where(AcquisitionRow.collection == acquisition.collection, AcquisitionRow.item_id == acquisition.item_id)
        .limit(1)
    )
    if own is not None and own != acquisition.physical_key:
        acquisition = acquisition.model_copy(update={"physical_key": own})
    rows = session.scalars(
        select(AcquisitionRow)
        .where(
            or_(
                AcquisitionRow.physical_key == acquisition.physical_key,
                AcquisitionRow.acquisition_id == acquisition.acquisition_id,
            )
        )
        .order_by(AcquisitionRow.acquisition_id)
        .with_for_update()  # encoder and matcher move them on meanwhile
    )
    return acquisition, list(rows)


def _moved_on(row: AcquisitionRow, reading: Reading) -> bool:
    """Whether an announcement that we have says something new now."""
    if row.state in ("waiting", "failed") and (row.reason or "").startswith(INCOMPLETE):
        return not reading.missing
    return row.state != "failed" and reading.acquisition.processed_at > row.processed_at


def _version(row: AcquisitionRow) -> datetime:
    return row.processed_at


def _ignore(session: Session, acquisition: Acquisition, same: AcquisitionRow | None, best: AcquisitionRow) -> Outcome:
    if same is not None:
        same.state, same.reason = "superseded", f"{INCOMPLETE}; {best.item_id} shows the same scene"
        return Outcome.KNOWN
    older = acquisition.processed_at < best.processed_at
    reason = (
        f"{'older than' if older else 'the same version as'} {best.item_id} of {best.source} ({best.acquisition_id})"
    )
    session.add(_row(acquisition, "ignored", reason))
    return Outcome.IGNORED


def _wait(
    session: Session, acquisition: Acquisition, missing: Sequence[str], versions: Sequence[AcquisitionRow]
) -> Outcome:
    """Keep it until its bands come; the clock began when the item was first seen."""
    reason = f"{INCOMPLETE}: without {', '.join(missing)}"
    earlier = [row for row in versions if row.state == "waiting" and row.item_id == acquisition.item_id]
    for row in earlier:
        row.state = "superseded"
    first_seen = min([acquisition.seen_at, *(row.seen_at for row in earlier)])
    row = _row(acquisition, "waiting", reason)
    row.seen_at = first_seen
    session.add(row)
    return Outcome.WAITING


def _queue(
    session: Session, acquisition: Acquisition, best: AcquisitionRow | None, versions: Sequence[AcquisitionRow]
) -> Outcome:
    """Announce it, and put an end to what it replaces."""
    waited = [row for row in versions if row.state == "waiting" and row.item_id == acquisition.item_id]
    replaced = best or max(
        (row for row in versions if row.state in ("superseded", "failed") and not _never_fit(row)),
        key=_version,
        default=None,
    )
    acquisition = acquisition.model_copy(
        update={
            "supersedes": replaced.acquisition_id if replaced else None,
            "backfill": _is_backfill(acquisition, best, waited),
        }
    )
    for row in versions:
        if row.acquisition_id != acquisition.acquisition_id:
            _retire(session, row, acquisition)
        else:
            session.execute(delete(CoverageRow).where(CoverageRow.acquisition_id == row.acquisition_id))
            session.delete(row)
            session.flush()
    session.add(_row(acquisition, "queued", None))
    outbox.write(session, Outgoing(_topic(acquisition), acquisition.key, acquisition))
    return Outcome.SUPERSEDING if replaced else Outcome.NEW


def _retire(session: Session, row: AcquisitionRow, by: Acquisition) -> None:
    """An unfinished older version need not be worked on; an incomplete one of the same item has completed."""
    if row.state in UNFINISHED:
        row.state, row.reason = "superseded", f"by {by.item_id} ({by.acquisition_id})"
    elif _never_fit(row) and row.item_id == by.item_id and row.state in ("waiting", "failed"):
        row.state, row.reason = "superseded", f"{row.reason}; completed by {by.acquisition_id}"
        session.execute(delete(CoverageRow).where(CoverageRow.acquisition_id == row.acquisition_id))


def _is_backfill(acquisition: Acquisition, best: AcquisitionRow | None, waited: Sequence[AcquisitionRow]) -> bool:
    """What was filled in from the past stays so in every later version; what is on its way to an alert stays that."""
    if best is not None:
        return best.backfill or (acquisition.backfill and best.state == "matched")
    return acquisition.backfill or any(row.backfill for row in waited)


def _never_fit(row: AcquisitionRow) -> bool:
    return (row.reason or "").startswith(INCOMPLETE)


def _topic(acquisition: Acquisition) -> str:
    return (BACKFILL if acquisition.backfill else ACQUISITIONS).name


def _row(acquisition: Acquisition, state: str, reason: str | None) -> AcquisitionRow:
    return AcquisitionRow(
        acquisition_id=acquisition.acquisition_id,
        physical_key=acquisition.physical_key,
        source=acquisition.source,
        collection=acquisition.collection,
        item_id=acquisition.item_id,
        sensor=acquisition.sensor,
        processed_at=acquisition.processed_at,
        sensing_at=acquisition.sensing_at,
        state=state,
        reason=reason,
        message=acquisition.model_dump_json(),
        topic=_topic(acquisition),
        backfill=acquisition.backfill,
        published_at=acquisition.published_at,
        seen_at=acquisition.seen_at,
    )
