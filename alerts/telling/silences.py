"""Silences: times in which some messages are kept on record and told to nobody.

In: what people add, messages. Out: the silence that holds for a message now, if one does. Stops before deliveries
(`stages`, `dispatch`).

An area silences only what lies in it wholly: an incident that grows out of it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from shapely.geometry import shape
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from alerts import queries
from alerts.telling.lines import one_line
from alerts.telling.told import Told, query_of, within
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.geometry import read_area, to_geojson
from schemas.messages import utc
from schemas.tables import DeliveryRow, SilenceRow

LONGEST = timedelta(days=366)
"""A silence that nobody remembers is worse than none."""
_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which some messages are not told.

    Attributes:
        silence_id: Its id.
        query_id: Only of this standing query, or of all.
        area: GeoJSON geometry, or everywhere.
        starts_at: When it begins.
        ends_at: When it is over.
        author: Who answers for it.
        comment: Why.
        ended_by: Who ended it early.
        kept: How many deliveries it has kept back.
    """

    silence_id: UUID
    query_id: UUID | None
    area: dict[str, object] | None
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str
    ended_by: str | None = None
    kept: int = 0

    def state(self, now: datetime) -> str:
        """coming, in force or over."""
        if now >= self.ends_at:
            return "over"
        return "in force" if now >= self.starts_at else "coming"


def add(
    engine: Engine,
    *,
    author: str,
    comment: str,
    ends_at: datetime,
    starts_at: datetime | None = None,
    query: str | None = None,
    area: str | Mapping[str, object] | None = None,
    everything: bool = False,
) -> Silence:
    """Silence a query, an area, or a query in an area, for a time.

    Args:
        engine: The database.
        author: Who answers for it.
        comment: Why.
        ends_at: When it is over.
        starts_at: When it begins; now where none is given.
        query: Id of a standing query, or the start of it.
        area: GeoJSON of polygons.
        everything: Must be said where neither query nor area is given.

    Raises:
        UsageError: it ends before it starts, or now, or in more than a year; or it has no author or comment.
        InvalidArea: the area cannot be used.
        NotFound: no such query.
    """
    now = datetime.now(UTC)
    starts_at = starts_at or now
    if ends_at <= starts_at or ends_at <= now:
        raise UsageError(f"a silence from {utc(starts_at)} to {utc(ends_at)} has no time left: let it end later")
    if ends_at - starts_at > LONGEST:
        raise UsageError("a silence lasts a year at most: nobody remembers it longer")
    if query is None and area is None and not everything:
        raise UsageError("a silence is of a query or of an area (--query, --area, --bbox), or says --everything")
    if everything and (query is not None or area is not None):
        raise UsageError("give --everything or a query and an area, not both")
    row = SilenceRow(
        silence_id=uuid4(),
        query_id=None if query is None else queries.show(engine, query).query_id,
        area=None if area is None else to_geojson(read_area(area)),
        starts_at=starts_at,
        ends_at=ends_at,
        author=one_line(author, "author", 200),
        comment=one_line(comment, "comment", 2000),
        added_at=now,
    )
    with transaction(engine) as session:
        session.add(row)
    return _silence(row, 0)


def end(engine: Engine, name: str, person: str) -> Silence:
    """End a silence now; what it kept back stays on record and is not told.

    Raises:
        NotFound: no silence has that id, or several begin so.
        UsageError: it is over already.
    """
    now = datetime.now(UTC)
    with transaction(engine) as session:
        row = _find(session, name)
        if row.ends_at <= now:
            raise UsageError(f"silence {str(row.silence_id)[:8]} has been over since {utc(row.ends_at)}")
        row.starts_at, row.ends_at, row.ended_by = min(row.starts_at, now), now, one_line(person, "name", 200)
        return _silence(row, _kept(session).get(row.silence_id, 0))


def list_silences(engine: Engine, *, over: bool = False) -> list[Silence]:
    """Silences in force and coming, the first to end first; those that are over only when asked for."""
    with reading(engine) as session:
        wanted = select(SilenceRow).order_by(SilenceRow.ends_at, SilenceRow.silence_id)
        if not over:
            wanted = wanted.where(SilenceRow.ends_at > datetime.now(UTC))
        kept = _kept(session)
        return [_silence(row, kept.get(row.silence_id, 0)) for row in session.scalars(wanted)]


def show(engine: Engine, name: str) -> tuple[Silence, list[DeliveryRow]]:
    """A silence and the deliveries that it kept back.

    Raises:
        NotFound: no silence has that id, or several begin so.
    """
    with reading(engine) as session:
        row = _find(session, name)
        wanted = (
            select(DeliveryRow)
            .where(DeliveryRow.silence_id == row.silence_id)
            .order_by(DeliveryRow.alert_id, DeliveryRow.sequence, DeliveryRow.receiver, DeliveryRow.occasion)
        )
        found = list(session.scalars(wanted))
        return _silence(row, len(found)), found


def in_force(session: Session, now: datetime) -> list[SilenceRow]:
    """Silences that hold now, the last to end first."""
    wanted = (
        select(SilenceRow)
        .where(SilenceRow.starts_at <= now, SilenceRow.ends_at > now)
        .order_by(SilenceRow.ends_at.desc(), SilenceRow.silence_id)
    )
    return list(session.scalars(wanted))


def silencing(silences: list[SilenceRow], told: Told) -> SilenceRow | None:
    """The first of some silences that holds for a message."""
    return next((row for row in silences if _holds(row, told)), None)


def _holds(row: SilenceRow, told: Told) -> bool:
    if row.query_id is not None and row.query_id != query_of(told):
        return False
    return row.area is None or within(told, shape(row.area))


def _find(session: Session, name: str) -> SilenceRow:
    wanted = name.strip().lower()
    ids = session.scalars(select(SilenceRow.silence_id)).all() if len(wanted) >= _SHORTEST_PREFIX else []
    found = [one for one in ids if str(one).startswith(wanted)]
    if len(found) != 1:
        raise NotFound(f"{len(found)} silences begin with {name!r}: `tocsin silence list --all` shows their ids")
    return session.get_one(SilenceRow, found[0], with_for_update=True)


def _kept(session: Session) -> dict[UUID, int]:
    counted = (
        select(DeliveryRow.silence_id, func.count())
        .where(DeliveryRow.silence_id.is_not(None))
        .group_by(DeliveryRow.silence_id)
    )
    return {silence_id: number for silence_id, number in session.execute(counted) if silence_id is not None}


def _silence(row: SilenceRow, kept: int) -> Silence:
    return Silence(
        row.silence_id,
        row.query_id,
        row.area,
        row.starts_at,
        row.ends_at,
        row.author,
        row.comment,
        row.ended_by,
        kept,
    )
