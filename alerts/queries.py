"""Standing queries: what people have asked to be told of.

Flows in: a sentence with area, sensors, mode and budget. Flows out: rows that matchers read, newest revision first
in force. Stops before vectors and thresholds: the matcher computes them (`calibrate`), so that adding is instant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID, uuid4

from pydantic import ValidationError
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from alerts.locks import serialise
from schemas.cells import cell_of
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.geometry import GeoJSON, read_area, to_geojson
from schemas.messages import Budget, ChipName, Mode, QueryStatus, Sensor, StandingQuery
from schemas.tables import AcquisitionRow, QueryRow, ThresholdRow

SENSORS: tuple[Sensor, ...] = get_args(Sensor)
LOCK = "queries"
"""Whoever changes standing queries or their thresholds holds it, from before reading what is changed."""
_DAYS = {"d": 1.0, "day": 1.0, "w": 7.0, "week": 7.0, "m": 30.0, "month": 30.0, "y": 365.0, "year": 365.0}
_BUDGET = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(?:/|per|a)\s*([0-9]*\.?[0-9]+)?\s*([a-z]+?)s?\s*", re.IGNORECASE)
_SHORTEST_PREFIX = 4


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
        sentence: What to watch for, in plain words, at most 500 characters.
        area: GeoJSON, text or object, lon/lat; none: everywhere.
        sensors: Of "s1" and "s2".
        mode: "appearance" or "presence".
        budget: Alarms that can be borne over the area, such as "2/week" (`parse_budget`).
        threshold: A person's own threshold on the mode's score, instead of the budget's.
        wordings: The same in other words, at most 8; the one that fits a chip best counts.
        like: Chips that show what is meant, each "CELL@ITEM" as a search prints them.
        unlike: Chips that look similar and are not meant, likewise.

    Raises:
        UsageError: one of them cannot be used; the text says which and what to write instead.
        NotFound: an example chip's item has never been acquired.
    """
    query = _checked(
        query_id=uuid4(),
        version=1,
        sentence=" ".join(sentence.split()),
        area=None if area is None else to_geojson(read_area(area)),
        sensors=_sensors(sensors),
        mode=_mode(mode),
        budget=budget if isinstance(budget, Budget) else parse_budget(budget),
        threshold=threshold,
        wordings=tuple(dict.fromkeys(" ".join(wording.split()) for wording in wordings)),
        like=_chips(engine, like),
        unlike=_chips(engine, unlike),
        created_at=datetime.now(UTC),
    )
    with transaction(engine) as session:
        twins = [row.query_id for row in _rows(session, holding=query.sentence) if _same(_message(row), query)]
        _write(session, query)
    notes = tuple(f"query {str(twin)[:8]} already watches for this sentence there" for twin in twins)
    return Added(query, notes)


def change(
    engine: Engine,
    name: str,
    *,
    mode: str | None = None,
    budget: str | Budget | None = None,
    threshold: float | None = None,
    sensors: Sequence[str] | None = None,
) -> StandingQuery:
    """Change what a standing query fires on: its version grows, and its thresholds are computed anew.

    Raises:
        UsageError: a value that cannot be used.
        NotFound: no such query.
    """
    with transaction(engine) as session:
        serialise(session, LOCK)
        row = _find(session, name)
        old = _message(row)
        new = {
            "mode": None if mode is None else _mode(mode),
            "budget": parse_budget(budget) if isinstance(budget, str) else budget,
            "sensors": None if sensors is None else _sensors(sensors),
            "threshold": threshold,
        }
        given = {key: value for key, value in new.items() if value is not None}
        query = _checked(**{**dict(old), **given, "version": old.version + 1})
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
    """Its thresholds by release and sensor; none until a matcher has computed them."""
    with reading(engine) as session:
        rows = session.scalars(select(ThresholdRow).where(ThresholdRow.query_id == query_id))
        return sorted(rows, key=lambda row: (row.release, row.sensor))


def parse_budget(text: str) -> Budget:
    """Read "2/week", "1/day", "3/month", "0.5/30d", "2 per week".

    Raises:
        UsageError: not of that form, zero, or beyond 1000 alarms or 366 days.
    """
    match = _BUDGET.fullmatch(text)
    unit = _DAYS.get(match[3].lower()) if match else None
    if not match or unit is None:
        raise UsageError(f"budget {text!r}: write alarms per time, such as 2/week, 1/day, 3/month or 0.5/30d")
    try:
        return Budget(alarms=float(match[1]), per_days=float(match[2] or 1) * unit)
    except ValidationError as error:
        raise UsageError(
            f"budget {text!r}: more than 0 and at most 1000 alarms, in a time of more than 0 and at most 366 days"
        ) from error


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


def _write(session: Session, query: StandingQuery) -> None:
    now = datetime.now(UTC)
    row = session.get(QueryRow, query.query_id)
    if row is None:
        row = QueryRow(query_id=query.query_id, created_at=query.created_at, updated_at=now, revision=0)
        row.version, row.status, row.message = query.version, query.status.value, query.model_dump_json()
        bump(session, row)
        session.add(row)
        return
    row.version, row.status, row.message = query.version, query.status.value, query.model_dump_json()
    bump(session, row)


def _rows(session: Session, *, removed: bool = False, holding: str = "") -> list[QueryRow]:
    wanted = select(QueryRow).order_by(QueryRow.created_at, QueryRow.query_id)
    if not removed:
        wanted = wanted.where(QueryRow.status != QueryStatus.REMOVED.value)
    if holding:
        wanted = wanted.where(
            QueryRow.message.icontains(json.dumps(holding, ensure_ascii=False)[1:-1], autoescape=True)
        )
    return list(session.scalars(wanted))


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


def _same(one: StandingQuery, other: StandingQuery) -> bool:
    return one.sentence.casefold() == other.sentence.casefold() and one.area == other.area


def _chips(engine: Engine, names: Sequence[str]) -> tuple[ChipName, ...]:
    """Example chips by cell and item, as scenes that the ledger knows."""
    found = []
    for name in names:
        cell, _, item_id = name.partition("@")
        if not cell or not item_id:
            raise UsageError(f"example {name!r}: write CELL@ITEM, such as 33TWN4512@S2C_33TWN_20260701_0_L2A")
        known = select(AcquisitionRow.sensor, AcquisitionRow.physical_key).where(AcquisitionRow.item_id == item_id)
        with reading(engine) as session:
            row = session.execute(known.limit(1)).first()
        if row is None:
            raise NotFound(f"example {name!r}: no item {item_id} has been acquired; `tocsin search` shows what has")
        sensor: Sensor = "s1" if row.sensor == "s1" else "s2"
        found.append(ChipName(cell=cell_of(cell).id, sensor=sensor, physical_key=row.physical_key))
    return tuple(found)


def _sensors(names: Sequence[str]) -> tuple[Sensor, ...]:
    wanted = {name.strip().lower() for name in names}
    unknown = wanted - set(SENSORS)
    if unknown or not wanted:
        raise UsageError(f"sensors {', '.join(sorted(unknown)) or 'none'}: give s1, s2 or both")
    return tuple(sensor for sensor in SENSORS if sensor in wanted)


def _mode(name: str) -> Mode:
    try:
        return Mode(name.strip().lower())
    except ValueError as error:
        raise UsageError(f"mode {name!r}: it is appearance (new here) or presence (here at all)") from error


def _checked(**fields: object) -> StandingQuery:
    if not fields["sentence"]:
        raise UsageError("the sentence is empty: say what to watch for, such as 'wildfire burn scar'")
    try:
        return StandingQuery.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error
