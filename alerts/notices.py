"""Notices: raised once when something begins to be wrong, cleared once when it is over.

In: what a periodic check finds. Out: `Notice` messages in the outbox, with their rows. Stops before receivers
(`telling`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from alerts.locks import serialise
from schemas import outbox
from schemas.database import reading
from schemas.messages import StandingQuery, stable_id
from schemas.notices import Notice, NoticeKind
from schemas.outbox import Sender
from schemas.publisher import Outgoing
from schemas.tables import NoticeRow
from schemas.topics import NOTICES

LOCK = "notices"


@dataclass(frozen=True, slots=True)
class Matter:
    """What a notice is about.

    Attributes:
        kind: Why somebody is told.
        query: Whose area or budget it is, or none.
        subject: What of it, for example `s2`.
    """

    kind: NoticeKind
    query: StandingQuery | None
    subject: str

    @property
    def notice_id(self) -> UUID:
        """The same for the same matter."""
        return stable_id("notice", self.kind.value, self.query.query_id if self.query else None, self.subject)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is to be said of a matter.

    Attributes:
        text: For people: what, where, since when, and what to do.
        geometry: Where, GeoJSON, or none.
        details: The figures in the text.
    """

    text: str
    geometry: dict[str, object] | None = None
    details: Mapping[str, float | int | str | None] = field(default_factory=dict)


def raise_notice(session: Session, matter: Matter, finding: Finding) -> Notice | None:
    """Tell of a matter, unless it stands already; in the caller's transaction."""
    last = _last(session, matter.notice_id)
    if last is not None and not last.cleared:
        return None
    return _write(session, matter, finding, (last.sequence if last else 0) + 1, cleared=False)


def clear_notice(session: Session, matter: Matter, finding: Finding) -> Notice | None:
    """Tell that a matter is over, if it stands; in the caller's transaction."""
    last = _last(session, matter.notice_id)
    if last is None or last.cleared:
        return None
    return _write(session, matter, finding, last.sequence + 1, cleared=True)


def standing_notices(engine: Engine, kind: NoticeKind | None = None) -> list[Notice]:
    """Notices that have not been cleared, of one kind or all, the newest first."""
    newest = (
        select(NoticeRow.notice_id, func.max(NoticeRow.sequence).label("sequence"))
        .group_by(NoticeRow.notice_id)
        .subquery()
    )
    wanted = (
        select(NoticeRow.message)
        .join(newest, (newest.c.notice_id == NoticeRow.notice_id) & (newest.c.sequence == NoticeRow.sequence))
        .where(NoticeRow.cleared.is_(False))
        .order_by(NoticeRow.sent_at.desc(), NoticeRow.notice_id)
    )
    if kind is not None:
        wanted = wanted.where(NoticeRow.kind == kind.value)
    with reading(engine) as session:
        return [Notice.from_bytes(message.encode()) for message in session.scalars(wanted)]


def republish_notices(engine: Engine, publisher: Sender) -> int:
    """Send again what no notifier has taken up: a broker that forgets loses nothing.

    Returns:
        How many notices that was.
    """
    with reading(engine) as session:
        wanted = select(NoticeRow.message).where(NoticeRow.notified_at.is_(None)).order_by(NoticeRow.sent_at)
        notices = Notice.readable(session.scalars(wanted))
    publisher.send([_outgoing(notice).record() for notice in notices])
    return len(notices)


def _last(session: Session, notice_id: UUID) -> NoticeRow | None:
    """What was said of a matter last; nobody else says anything until the transaction ends."""
    serialise(session, LOCK)
    wanted = select(NoticeRow).where(NoticeRow.notice_id == notice_id).order_by(NoticeRow.sequence.desc()).limit(1)
    return session.scalars(wanted).first()


def _write(session: Session, matter: Matter, finding: Finding, sequence: int, *, cleared: bool) -> Notice:
    notice = Notice(
        notice_id=matter.notice_id,
        sequence=sequence,
        kind=matter.kind,
        cleared=cleared,
        query_id=matter.query.query_id if matter.query else None,
        query=matter.query.sentence if matter.query else None,
        subject=matter.subject,
        text=finding.text,
        geometry=finding.geometry,
        details=dict(finding.details),
        sent_at=datetime.now(UTC),
    )
    session.add(
        NoticeRow(
            notice_id=notice.notice_id,
            sequence=sequence,
            kind=matter.kind.value,
            query_id=notice.query_id,
            cleared=cleared,
            message=notice.model_dump_json(),
            sent_at=notice.sent_at,
        )
    )
    outbox.write(session, _outgoing(notice))
    return notice


def _outgoing(notice: Notice) -> Outgoing:
    return Outgoing(NOTICES.name, str(notice.notice_id), notice)
