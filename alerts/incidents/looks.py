"""What was seen of an incident's cells when they did not match.

Flows in: the vectors of a batch. Flows out: one look for each cell of a query's incidents that the batch shows and
that does not match. Stops before what looks mean (`lifecycle`).

A cell is looked at after its own match by the same sensor, for as long as the window lasts. So that the order of
arrival changes nothing, vectors are kept for the allowed lateness: a match that comes late finds the looks that came
before it. They are kept and compared as float16, so that both ways give the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from alerts.places import centres, reach_km
from alerts.settings import MatcherSettings
from schemas.messages import EmbeddingBatch, Match, QueryStatus, Sensor, stable_id
from schemas.tables import LookRow, MatchRow, QueryRow, RecentBatchRow, ThresholdRow

Stratum = Callable[[str, datetime], str]
"""Region and season of a cell at a time: `alerts.budgets.strata`."""
T = TypeVar("T")
Halves = NDArray[np.float16]
IDS_AT_ONCE = 5000
"""Ids in one statement: SQLite takes 32766."""


@dataclass(frozen=True)
class Seen:
    """The cells of a batch, as they are kept.

    Attributes:
        acquisition_id, physical_key, sensor, sensing_at, release: Which scene and encoder.
        cells: Ids (n).
        vectors: float16 (n, 384), unit rows.
    """

    acquisition_id: UUID
    physical_key: str
    sensor: Sensor
    sensing_at: datetime
    release: str
    cells: tuple[str, ...]
    vectors: Halves


@dataclass(frozen=True, slots=True)
class Watched:
    """A cell in which a query has matched before."""

    query_id: UUID
    query_version: int
    cell: str


@dataclass(frozen=True, slots=True)
class Passed:
    """What the matches of a query in one batch have passed, for looks to come.

    Attributes:
        level: Presence score below which their cells are clear; none: below halfway of each.
        scored_by: Digest of the query's vectors: two releases have no cosines in common, nor has a query that has
            learnt with itself before.
    """

    level: float | None
    scored_by: str


def match_id(query_id: UUID, query_version: int, cell: str, physical_key: str) -> UUID:
    """The same scene, cell and version of a query match once, in whatever processing version and replay."""
    return stable_id("match", query_id, query_version, cell, physical_key)


def seen_in(batch: EmbeddingBatch) -> Seen:
    """A batch as it is kept."""
    acquisition = batch.acquisition
    return Seen(
        acquisition.acquisition_id,
        acquisition.physical_key,
        acquisition.sensor,
        acquisition.sensing_at,
        batch.release,
        batch.cells,
        batch.vectors.astype("<f2"),
    )


def keep(session: Session, seen: Seen, number: int) -> None:
    """Keep a batch for those that come late."""
    if not seen.cells:
        return
    lon, lat = centres(seen.cells).T
    session.add(
        RecentBatchRow(
            acquisition_id=seen.acquisition_id,
            release=seen.release,
            batch=number,
            physical_key=seen.physical_key,
            sensor=seen.sensor,
            sensing_at=seen.sensing_at,
            west=float(lon.min()),
            south=float(lat.min()),
            east=float(lon.max()),
            north=float(lat.max()),
            cells=" ".join(seen.cells),
            vectors=seen.vectors.tobytes(),
        )
    )


def look(session: Session, seen: Seen, rules: MatcherSettings, stratum: Stratum | None = None) -> None:
    """Record what a batch shows of cells that matched earlier; its own matches are stored already."""
    row = MatchRow
    wanted = (
        select(row.query_id, row.query_version, row.cell)
        .where(
            row.cell.in_(seen.cells),
            row.sensor == seen.sensor,
            row.sensing_at < seen.sensing_at,
            row.sensing_at >= seen.sensing_at - rules.window,
        )
        .distinct()
    )
    _record(session, seen, [Watched(*each) for each in session.execute(wanted)], stratum)


def passed_by(
    session: Session, seen: Seen, query_ids: Sequence[UUID], stratum: Stratum | None = None
) -> dict[UUID, Passed]:
    """What the matches of these queries in a batch have passed, by query."""
    if not query_ids:
        return {}
    return {name: measure.passed for name, measure in _measures(session, seen, query_ids, stratum).items()}


def look_back(
    session: Session, matches: Sequence[Match], rules: MatcherSettings, stratum: Stratum | None = None
) -> None:
    """Record what was seen after matches that came late, from the batches that are kept.

    Args:
        session: In a transaction.
        matches: Of one query and scene, just stored.
        rules: The window.
        stratum: Which thresholds hold.
    """
    if not matches:
        return
    first, cells = matches[0], {match.cell for match in matches}
    lon, lat = centres(sorted(cells)).T
    margin_deg = reach_km(0) / 111
    row = RecentBatchRow
    wanted = select(row).where(
        row.sensor == first.sensor,
        row.sensing_at > first.sensing_at,
        row.sensing_at <= first.sensing_at + rules.window,
        row.south <= float(lat.max()) + margin_deg,
        row.north >= float(lat.min()) - margin_deg,
        row.west <= float(lon.max()) + margin_deg,
        row.east >= float(lon.min()) - margin_deg,
    )
    for kept in session.scalars(wanted):
        seen = _read(kept)
        watched = [Watched(first.query_id, first.query_version, cell) for cell in seen.cells if cell in cells]
        _record(session, seen, watched, stratum)


def forget_batches(session: Session, before: datetime) -> None:
    """Drop batches that nothing can be late for any more."""
    session.execute(delete(RecentBatchRow).where(RecentBatchRow.sensing_at < before))


def _read(row: RecentBatchRow) -> Seen:
    vectors = np.frombuffer(row.vectors, "<f2").reshape(-1, 384)
    sensor: Sensor = "s1" if row.sensor == "s1" else "s2"
    cells = tuple(row.cells.split(" "))
    return Seen(row.acquisition_id, row.physical_key, sensor, row.sensing_at, row.release, cells, vectors)


def _record(session: Session, seen: Seen, watched: Iterable[Watched], stratum: Stratum | None) -> None:
    ids = {match_id(w.query_id, w.query_version, w.cell, seen.physical_key): w for w in watched}
    if not ids:
        return
    for some in batched(list(ids), IDS_AT_ONCE):
        matched = select(MatchRow.match_id).where(
            MatchRow.match_id.in_(some), MatchRow.acquisition_id == seen.acquisition_id
        )
        for name in session.scalars(matched).all():
            del ids[name]
    scored = _scored(session, seen, ids, stratum)
    for rows in batched(scored, IDS_AT_ONCE):
        session.execute(delete(LookRow).where(LookRow.look_id.in_([row["look_id"] for row in rows])))
        session.execute(insert(LookRow), list(rows))


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of at most so many."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _scored(
    session: Session, seen: Seen, watched: dict[UUID, Watched], stratum: Stratum | None
) -> list[dict[str, object]]:
    """Rows of looks: the presence score of each cell, and below what it would be clear."""
    where = {cell: i for i, cell in enumerate(seen.cells)}
    standing = _measures(session, seen, {one.query_id for one in watched.values()}, stratum)
    rows: list[dict[str, object]] = []
    for look_id, one in watched.items():
        measure = standing.get(one.query_id)
        if measure is None or measure.question != one.query_version:
            continue
        products = measure.vectors @ seen.vectors[where[one.cell]].astype(np.float64)
        rows.append(
            {
                "look_id": look_id,
                "query_id": one.query_id,
                "query_version": one.query_version,
                "cell": one.cell,
                "sensor": seen.sensor,
                "sensing_at": seen.sensing_at,
                "physical_key": seen.physical_key,
                "acquisition_id": seen.acquisition_id,
                "presence": round(float(products.max()), 9),
                "level": measure.passed.level,
                "scored_by": measure.passed.scored_by,
            }
        )
    return rows


@dataclass(frozen=True, slots=True)
class _Measure:
    """What a batch is measured with for a query: its vectors, float64 (k, 384), and what they must fall below."""

    question: int
    vectors: NDArray[np.float64]
    passed: Passed


def _measures(session: Session, seen: Seen, query_ids: Iterable[UUID], stratum: Stratum | None) -> dict[UUID, _Measure]:
    """Those of the queries that are still watched. Queries themselves are not read: their areas may be megabytes."""
    name = stratum(seen.cells[0], seen.sensing_at) if stratum else ""
    row = ThresholdRow
    wanted = (
        select(row.query_id, func.coalesce(row.question, QueryRow.version), row.vector, row.clear)
        .join(QueryRow, QueryRow.query_id == row.query_id)
        .where(
            QueryRow.status == QueryStatus.ACTIVE.value,
            row.release == seen.release,
            row.sensor == seen.sensor,
            row.stratum.in_({"", name}),
        )
        .order_by(row.stratum)
    )
    found: dict[UUID, _Measure] = {}
    for some in batched(sorted(query_ids, key=str), IDS_AT_ONCE):
        for query_id, question, packed, clear in session.execute(wanted.where(row.query_id.in_(some))):
            vectors = np.frombuffer(packed, "<f4").reshape(-1, seen.vectors.shape[1]).astype(np.float64)
            found[query_id] = _Measure(question, vectors, Passed(clear, blake2b(packed, digest_size=8).hexdigest()))
    return found
