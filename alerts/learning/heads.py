"""Heads: proposed from people's answers, put in force, undone.

In: a standing query and what was judged for it. Out: rows of heads; a query whose head changes loses its thresholds, so
that the matcher computes vectors and thresholds anew. Stops before the vectors (`vectors`).

A head names chips, not numbers: whichever release encodes, the same answers are learnt from. A query's version stays:
what it has told of is not told again because it has learnt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Engine, delete, select
from sqlalchemy.orm import Session

from alerts.learning.examples import Judged, from_json, to_json
from alerts.locks import serialise
from alerts.queries import LOCK, bump
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.messages import StandingQuery
from schemas.tables import HeadRow, QueryRow, ThresholdRow


@dataclass(frozen=True, slots=True)
class Head:
    """What a query has learnt from, or is to.

    Attributes:
        head_id: Its id.
        query_id: Whose it is.
        judged: The answers.
        report: What was shown of it.
        made_at: When it was proposed.
        applied_at: When it was put in force, or none.
    """

    head_id: UUID
    query_id: UUID
    judged: tuple[Judged, ...]
    report: dict[str, object]
    made_at: datetime
    applied_at: datetime | None


def propose(engine: Engine, query: StandingQuery, judged: Sequence[Judged], report: dict[str, object]) -> Head:
    """Keep a proposal; nothing changes yet.

    Raises:
        UsageError: nobody has judged anything.
    """
    check_judged(query, judged)
    row = HeadRow(
        head_id=uuid4(),
        query_id=query.query_id,
        query_version=query.version,
        examples=to_json(judged),
        report=report,
        made_at=datetime.now(UTC),
    )
    with transaction(engine) as session:
        session.add(row)
    return _head(row)


def check_judged(query: StandingQuery, judged: Sequence[Judged]) -> None:
    """Whether there is anything to learn from.

    Raises:
        UsageError: nobody has judged anything.
    """
    if not judged:
        raise UsageError(
            f"nobody has answered an alert of query {str(query.query_id)[:8]} yet: `tocsin alerts verdict` does"
        )


def apply(engine: Engine, head_id: UUID) -> Head:
    """Put a proposal in force, in place of the head that is; twice is once.

    Raises:
        NotFound: no such proposal.
        UsageError: the query has been changed since, or the head was undone: propose anew.
    """
    with transaction(engine) as session:
        serialise(session, LOCK)
        row = session.get(HeadRow, head_id)
        if row is None:
            raise NotFound(f"no head {head_id}: `tocsin query learn` proposes one")
        query = session.get_one(QueryRow, row.query_id)
        if query.version != row.query_version or row.undone_at is not None:
            raise UsageError(f"head {str(head_id)[:8]} was made for another state of its query: propose a new one")
        if row.applied_at is None:
            row.applied_at = datetime.now(UTC)
            _recompute(session, query)
    return _head(row)


def undo(engine: Engine, query: StandingQuery) -> Head | None:
    """Take the head in force out of it; the one before it comes back, or the bare sentence.

    Returns:
        The head that is in force now, or none.

    Raises:
        NotFound: the query has no head in force.
    """
    with transaction(engine) as session:
        serialise(session, LOCK)
        standing = _applied(session, query.query_id)
        if not standing:
            raise NotFound(f"query {str(query.query_id)[:8]} has learnt nothing: there is nothing to undo")
        standing[0].undone_at = datetime.now(UTC)
        _recompute(session, session.get_one(QueryRow, query.query_id))
        before = standing[1:]
    return _head(before[0]) if before else None


def in_force(engine: Engine, query_id: UUID) -> Head | None:
    """The head that a query uses, or none."""
    with reading(engine) as session:
        standing = _applied(session, query_id)
    return _head(standing[0]) if standing else None


def all_in_force(engine: Engine) -> dict[UUID, Head]:
    """The same for all queries that have one."""
    wanted = select(HeadRow).where(HeadRow.applied_at.is_not(None), HeadRow.undone_at.is_(None))
    with reading(engine) as session:
        rows = session.scalars(wanted.order_by(HeadRow.applied_at, HeadRow.head_id)).all()
    return {row.query_id: _head(row) for row in rows}


def _applied(session: Session, query_id: UUID) -> list[HeadRow]:
    """Heads that were put in force and not undone, the newest first."""
    wanted = (
        select(HeadRow)
        .where(HeadRow.query_id == query_id, HeadRow.applied_at.is_not(None), HeadRow.undone_at.is_(None))
        .order_by(HeadRow.applied_at.desc(), HeadRow.head_id)
    )
    return list(session.scalars(wanted))


def _recompute(session: Session, query: QueryRow) -> None:
    """No threshold outlives the vectors that it was computed for."""
    session.execute(delete(ThresholdRow).where(ThresholdRow.query_id == query.query_id))
    bump(session, query)


def _head(row: HeadRow) -> Head:
    return Head(
        row.head_id, row.query_id, tuple(from_json(row.examples)), dict(row.report), row.made_at, row.applied_at
    )
