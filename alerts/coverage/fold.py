"""Raw coverage rows into the weekly ledger, and out of the way when they are old.

In: coverage rows that are new, have changed, or are gone. Out: blocks by square, sensor and week. Stops before reading
them (`weeks`, `sights`).

Folded by the matcher now and then, not by the encoder as it writes: the encoder's transaction stays short, whoever
writes or removes raw rows (encoders, pollers) need not know of the ledger, and a fold that was killed is done again.
`coverage_parts` says what has been folded in. New rows are or-ed into their blocks; where a row has changed or is gone
(a newer processing version took its place), the blocks it touched are made anew of the rows that remain. A block whose
raw rows have been dropped is sealed: it can only be added to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date, datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import Engine, Select, delete, except_, insert, or_, select
from sqlalchemy.orm import Session

from alerts.coverage.blocks import Block, join, unpack
from alerts.coverage.scenes import Scene, monday_of, scene_of
from alerts.locks import serialise
from alerts.settings import CoverageSettings
from schemas.database import reading, transaction
from schemas.tables import CoveragePartRow, CoverageRow, CoverageWeekRow

LOCK = "coverage"
"""Whoever changes the ledger holds it."""
SCENES = 20
"""Raw rows folded in one transaction: a second's work, so that other writers of SQLite need not wait long."""
DROPPED = 500
"""Raw rows dropped in one transaction."""
GRACE = timedelta(days=7)
"""Raw rows are not dropped sooner than this after they were written: a newer version of a scene comes within days."""

log = structlog.get_logger(__name__)
Key = tuple[str, str, date]
"""Square, sensor, Monday."""


def fold(engine: Engine) -> int:
    """Bring the ledger up to date with the raw rows.

    Returns:
        How many rows were folded in or taken out.

    Raises:
        StoreUnavailable: the database did not answer; what was folded before that is kept.
    """
    total = 0
    while changed := _fold_some(engine):
        total += changed
    return total


def drop_raw(engine: Engine, settings: CoverageSettings, now: datetime) -> int:
    """Drop raw rows that are old and in the ledger, whole weeks of them; seals their blocks.

    Returns:
        How many rows.
    """
    before = monday_of(now - timedelta(days=settings.raw_days))
    total = 0
    while dropped := _drop_some(engine, before, now - GRACE):
        total += dropped
    if total:
        log.info("old coverage rows dropped, the ledger keeps their weeks", rows=total, before=str(before))
    return total


def _fold_some(engine: Engine) -> int:
    with reading(engine) as session:
        ids = list(session.scalars(_unfolded().limit(SCENES)))
        stale = session.scalars(_stale().limit(1)).first() is not None
        rows = {
            row.acquisition_id: (row.written_at, scene_of(row))
            for row in session.scalars(select(CoverageRow).where(CoverageRow.acquisition_id.in_(ids)))
        }
    if not rows and not stale:
        return 0
    with transaction(engine) as session:
        serialise(session, LOCK)
        outdated = list(session.scalars(_stale()))
        _make_anew(session, _forget(session, outdated))
        done = set(
            session.scalars(select(CoveragePartRow.acquisition_id).where(CoveragePartRow.acquisition_id.in_(rows)))
        )
        fresh = {acquisition_id: row for acquisition_id, row in rows.items() if acquisition_id not in done}
        _add(session, [scene for _, scene in fresh.values()])
        for acquisition_id, (written_at, scene) in fresh.items():
            _remember(session, acquisition_id, written_at, scene)
    return len(outdated) + len(rows)


def _unfolded() -> Select[UUID]:
    """Raw rows that no part speaks of as they are now."""
    rows, parts = _written()
    return select(except_(rows, parts).subquery().c.acquisition_id)


def _stale(ids: Collection[UUID] | None = None) -> Select[UUID]:
    """Parts whose raw row has changed or is gone; all of them, or those of these rows."""
    rows, parts = _written()
    if ids is not None:
        rows = rows.where(CoverageRow.acquisition_id.in_(ids))
        parts = parts.where(CoveragePartRow.acquisition_id.in_(ids))
    return select(except_(parts, rows).subquery().c.acquisition_id).distinct()


def _written() -> tuple[Select[UUID, datetime | None], Select[UUID, datetime | None]]:
    """Raw rows and parts, and when they were written.

    As sets that are subtracted, not joined: SQLite then reads the small index of the raw rows, where a join would read
    each of them through to its last column. Two times that are not known are the same in it.
    """
    return (
        select(CoverageRow.acquisition_id, CoverageRow.written_at),
        select(CoveragePartRow.acquisition_id, CoveragePartRow.written_at),
    )


def _forget(session: Session, ids: list[UUID]) -> set[Key]:
    """Take parts out; the blocks that they touched, as far as these can be made anew."""
    if not ids:
        return set()
    parts = session.scalars(select(CoveragePartRow).where(CoveragePartRow.acquisition_id.in_(ids))).all()
    keys = {(part.square, part.sensor, part.monday) for part in parts if part.square}
    session.execute(delete(CoveragePartRow).where(CoveragePartRow.acquisition_id.in_(ids)))
    return {key for key in keys if not ((block := session.get(CoverageWeekRow, key)) and block.sealed)}


def _make_anew(session: Session, keys: set[Key]) -> None:
    """Blocks of the raw rows that are folded into them."""
    scenes: dict[UUID, Scene] = {}
    for key in sorted(keys):
        square, sensor, monday = key
        wanted = (
            select(CoverageRow)
            .join(CoveragePartRow, CoveragePartRow.acquisition_id == CoverageRow.acquisition_id)
            .where(CoveragePartRow.square == square, CoveragePartRow.sensor == sensor, CoveragePartRow.monday == monday)
        )
        for row in session.scalars(wanted):
            if row.acquisition_id not in scenes:
                scenes[row.acquisition_id] = scene_of(row)
        found = [
            scene.blocks[square]
            for scene in scenes.values()
            if (scene.sensor, scene.monday) == (sensor, monday) and square in scene.blocks
        ]
        old = session.get(CoverageWeekRow, key)
        if found:
            _store(session, key, join(found), old)
        elif old is not None:
            session.delete(old)
    session.flush()


def _add(session: Session, scenes: Iterable[Scene]) -> None:
    new: dict[Key, Block] = {}
    for scene in scenes:
        for square, block in scene.blocks.items():
            key = (square, scene.sensor, scene.monday)
            new[key] = new[key] | block if key in new else block
    for key in sorted(new):
        old = session.get(CoverageWeekRow, key)
        _store(session, key, new[key] if old is None else unpack(old.planes) | new[key], old)


def _store(session: Session, key: Key, block: Block, old: CoverageWeekRow | None) -> None:
    if old is not None:
        old.planes = block.pack()
        return
    square, sensor, monday = key
    session.add(CoverageWeekRow(square=square, sensor=sensor, monday=monday, planes=block.pack(), sealed=False))


def _remember(session: Session, acquisition_id: UUID, written_at: datetime | None, scene: Scene) -> None:
    session.execute(
        insert(CoveragePartRow),
        [
            {
                "acquisition_id": acquisition_id,
                "square": square,
                "sensor": scene.sensor,
                "monday": scene.monday,
                "written_at": written_at,
            }
            for square in scene.blocks or [""]
        ],
    )


def _drop_some(engine: Engine, sensed_before: date, written_before: datetime) -> int:
    """Candidates are looked for among the parts: SQLite would read through every raw row to its last column."""
    part, row = CoveragePartRow, CoverageRow
    old = select(part.acquisition_id).where(
        part.monday < sensed_before, or_(part.written_at.is_(None), part.written_at < written_before)
    )
    with transaction(engine) as session:
        serialise(session, LOCK)
        ids = set(session.scalars(old.distinct().limit(DROPPED)))
        if not ids:
            return 0
        ids -= set(session.scalars(_stale(ids)))  # the next fold sees to them
        parts = session.scalars(select(part).where(part.acquisition_id.in_(ids))).all()
        for key in sorted({(each.square, each.sensor, each.monday) for each in parts if each.square}):
            session.get_one(CoverageWeekRow, key).sealed = True
        session.execute(delete(part).where(part.acquisition_id.in_(ids)))
        session.execute(delete(row).where(row.acquisition_id.in_(ids)))
    return len(ids)
