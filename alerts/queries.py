"""Standing queries: what people have asked to be told of.

Flows in: a sentence with area, sensors, mode and budget. Flows out: rows that matchers read, newest revision first
in force. Stops before vectors and thresholds: the matcher computes them (`calibrate`), so that adding is instant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Engine, delete, func, insert, select
from sqlalchemy.orm import Session

from alerts.asked import SENSORS, asked, checked, named_chips, parse_budget, parse_mode, parse_sensors, tidy
from alerts.locks import serialise
from schemas.database import reading, transaction
from schemas.errors import NotFound
from schemas.geometry import GeoJSON, read_area, to_geojson
from schemas.messages import Budget, Mode, QueryStatus, StandingQuery
from schemas.tables import QueryRow, ThresholdRow

LOCK = "queries"
"""Whoever changes standing queries or their thresholds holds it, from before reading what is changed."""
_SHORTEST_PREFIX = 4
_KEYS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Added:
    """A new standing query, and what its author should know about it."""

    query: StandingQuery
    notes: tuple[str, ...] = ()


def add(
    engine: Engine,
    sentence: str,
    *,
    area: str | GeoJSON | None = None,
    sensors: Sequence[str] = SENSORS,
    mode: str = Mode.APPEARANCE,
    budget: str | Budget = "2/week",
    threshold: float | None = None,
    wordings: Sequence[str] = (),
    like: Sequence[str] = (),
    unlike: Sequence[str] = (),
) -> Added:
    """Register a standing query; it is in force for the next batch that a matcher takes.

    Args:
        engine: The database.
        sentence: What to watch for; this and the others as `asked.asked` has them.
        area: GeoJSON, lon/lat.
        sensors: Of "s1" and "s2".
        mode: "appearance" or "presence".
        budget: Such as "2/week".
        threshold: A person's own.
        wordings: The same in other words.
        like: Chips that show what is meant, each "CELL@ITEM" as a search prints them.
        unlike: Chips that look similar and are not meant, likewise.

    Raises:
        UsageError: one of them cannot be used; the text says which and what to write instead.
        NotFound: an example chip's item has never been acquired.
    """
    query = asked(
        sentence,
        area=area,
        sensors=sensors,
        mode=mode,
        budget=budget,
        threshold=threshold,
        wordings=wordings,
        like=named_chips(engine, like),
        unlike=named_chips(engine, unlike),
    )
    with transaction(engine) as session:
        serialise(session, LOCK)
        twins = _by_twin(session, [_twin(query)]).get(_twin(query), [])
        _insert(session, [query])
    notes = tuple(f"query {str(twin)[:8]} already watches for this sentence there" for twin in twins)
    return Added(query, notes)


def add_new(engine: Engine, wanted: Sequence[StandingQuery]) -> list[StandingQuery]:
    """Keep those of many standing queries that nothing watches for yet, all or none, in one transaction.

    Returns:
        Those that were kept: of the same sentence over the same area the first.
    """
    first: dict[str, StandingQuery] = {}
    for query in wanted:
        first.setdefault(_twin(query), query)
    with transaction(engine) as session:
        serialise(session, LOCK)
        there = _by_twin(session, list(first))
        new = [query for key, query in first.items() if key not in there]
        _insert(session, new)
    return new


def change(
    engine: Engine,
    name: str,
    *,
    area: str | GeoJSON | None = None,
    sensors: Sequence[str] | None = None,
    mode: str | None = None,
    budget: str | Budget | None = None,
    threshold: float | None = None,
    wordings: Sequence[str] | None = None,
    without: Collection[str] = (),
) -> StandingQuery:
    """Change what a standing query fires on: its version grows, and its thresholds are computed anew.

    Its incidents go on, so that nobody is told of them again; but with another mode it asks another question. What is
    so already is left alone.

    Args:
        engine: The database.
        name: Its id, or the first characters of it.
        area: This and what follows as `add` has them; what is not given stays.
        sensors: Of "s1" and "s2".
        mode: "appearance" or "presence".
        budget: Such as "2/week".
        threshold: A person's own.
        wordings: In place of those there are.
        without: Of "area", "threshold" and "wordings", what is taken away.

    Raises:
        UsageError: a value that cannot be used.
        NotFound: no such query.
    """
    given = {
        "area": None if area is None else to_geojson(read_area(area)),
        "sensors": None if sensors is None else parse_sensors(sensors),
        "mode": None if mode is None else parse_mode(mode),
        "budget": parse_budget(budget) if isinstance(budget, str) else budget,
        "threshold": threshold,
        "wordings": None if wordings is None else tidy(wordings),
    }
    new = {key: value for key, value in given.items() if value is not None}
    new |= {key: StandingQuery.model_fields[key].default for key in without}
    with transaction(engine) as session:
        serialise(session, LOCK)
        row = _find(session, name)
        old = _message(row)
        query = checked(**{**dict(old), **new})
        if query == old:
            return old
        question = old.question if query.mode is old.mode else old.version + 1
        query = query.model_copy(update={"version": old.version + 1, "question_version": question})
        session.execute(delete(ThresholdRow).where(ThresholdRow.query_id == query.query_id))
        _write(session, query)
    return query


def pause(engine: Engine, name: str) -> StandingQuery:
    """Stop watching, keep everything. Its incidents are the same when it is resumed: the version stays."""
    return _set_status(engine, name, QueryStatus.PAUSED)


def resume(engine: Engine, name: str) -> StandingQuery:
    """Watch again; what passed meanwhile is not looked at."""
    return _set_status(engine, name, QueryStatus.ACTIVE)


def remove(engine: Engine, name: str) -> StandingQuery:
    """Stop watching for good; its incidents and alerts stay on record."""
    return _set_status(engine, name, QueryStatus.REMOVED)


def list_queries(engine: Engine, *, removed: bool = False) -> list[StandingQuery]:
    """All standing queries, the oldest first; removed ones only when asked for."""
    with reading(engine) as session:
        return [_message(row) for row in _rows(session, removed=removed)]


def show(engine: Engine, name: str) -> StandingQuery:
    """One standing query.

    Args:
        engine: The database.
        name: Its id, or the first 4 or more characters of it.

    Raises:
        NotFound: no query has that id, or several begin so.
    """
    with reading(engine) as session:
        return _message(_find(session, name))


def thresholds(engine: Engine, query_id: UUID) -> list[ThresholdRow]:
    """Its thresholds by release, sensor and stratum; none until a matcher has computed them."""
    with reading(engine) as session:
        rows = session.scalars(select(ThresholdRow).where(ThresholdRow.query_id == query_id))
        return sorted(rows, key=lambda row: (row.release, row.sensor, row.stratum))


def bump(session: Session, row: QueryRow) -> None:
    """Give a row the next revision, so that every matcher reads it again.

    The lock is held until the transaction ends: a lower revision is never committed after a higher one.
    """
    serialise(session, LOCK)
    row.revision = (session.scalar(select(func.max(QueryRow.revision))) or 0) + 1
    row.updated_at = datetime.now(UTC)


def _set_status(engine: Engine, name: str, status: QueryStatus) -> StandingQuery:
    with transaction(engine) as session:
        serialise(session, LOCK)
        query = _message(_find(session, name)).model_copy(update={"status": status})
        _write(session, query)
    return query


def _insert(session: Session, new: Sequence[StandingQuery]) -> None:
    """Rows of new queries, each with a revision of its own; the caller holds the lock."""
    now = datetime.now(UTC)
    revision = session.scalar(select(func.max(QueryRow.revision))) or 0
    rows = [
        {
            "query_id": query.query_id,
            "version": query.version,
            "status": query.status.value,
            "message": query.model_dump_json(),
            "twin": _twin(query),
            "revision": revision + number,
            "created_at": query.created_at,
            "updated_at": now,
        }
        for number, query in enumerate(new, start=1)
    ]
    if rows:
        session.execute(insert(QueryRow), rows)


def _write(session: Session, query: StandingQuery) -> None:
    """Keep the new state of a query that is there."""
    row = session.get_one(QueryRow, query.query_id)
    row.version, row.status, row.message = query.version, query.status.value, query.model_dump_json()
    row.twin = _twin(query)
    bump(session, row)


def _rows(session: Session, *, removed: bool = False) -> list[QueryRow]:
    wanted = select(QueryRow).order_by(QueryRow.created_at, QueryRow.query_id)
    if not removed:
        wanted = wanted.where(QueryRow.status != QueryStatus.REMOVED.value)
    return list(session.scalars(wanted))


def _by_twin(session: Session, keys: Sequence[str]) -> dict[str, list[UUID]]:
    """Queries that are not removed, by what they watch for."""
    found: dict[str, list[UUID]] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        rows = (
            select(QueryRow.twin, QueryRow.query_id)
            .where(QueryRow.twin.in_(keys[start : start + _KEYS_AT_ONCE]))
            .where(QueryRow.status != QueryStatus.REMOVED.value)
            .order_by(QueryRow.created_at, QueryRow.query_id)
        )
        for key, query_id in session.execute(rows):
            found.setdefault(key or "", []).append(query_id)
    return found


def _find(session: Session, name: str) -> QueryRow:
    wanted = name.strip().lower()
    standing = select(QueryRow.query_id).where(QueryRow.status != QueryStatus.REMOVED.value)
    ids = session.scalars(standing).all() if len(wanted.replace("-", "")) >= _SHORTEST_PREFIX else []
    found = [one for one in ids if str(one).startswith(wanted) or one.hex.startswith(wanted)]
    if len(found) == 1:
        return session.get_one(QueryRow, found[0])
    if found:
        raise NotFound(f"{len(found)} standing queries begin with {name!r}: give more of the id")
    raise NotFound(f"no standing query {name!r}: `tocsin query list` shows their ids (4 characters or more)")


def _message(row: QueryRow) -> StandingQuery:
    return StandingQuery.from_bytes(row.message.encode())


def _twin(query: StandingQuery) -> str:
    """The same for queries that watch for the same sentence over the same area, alike: SHA-256, hexadecimal."""
    parts = (query.sentence.casefold(), json.dumps(query.area, sort_keys=True), query.mode.value, *query.sensors)
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
