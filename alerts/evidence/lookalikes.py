"""What else in the archive looks like a match, and what people said of it.

Flows in: a matched cell's own vector. Flows out: the most similar cells of other places and times, and the most
similar ones that somebody has judged. Stops before learning anything from them.

The incident itself is left out: its neighbours look like it, and that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import shapely
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from alerts.evidence.looks import Look
from alerts.evidence.told import Told
from alerts.places import outlines
from archive import Archive, ArchiveFilter, Hit
from schemas.database import reading
from schemas.geometry import mended
from schemas.messages import Match, Sensor, StandingQuery
from schemas.tables import MatchRow, QueryRow, VerdictRow
from schemas.verdicts import Verdict

APART_DEG = 0.05
"""Around the incident's cells, degrees: what is nearer (5 km) may be the same event."""
MAX_JUDGED = 500
"""Latest judged incidents that are compared with."""
EVERYWHERE = shapely.box(-180, -90, 180, 90)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one person said of an incident that holds a cell."""

    sentence: str
    same_query: bool
    answer: str
    reason: str | None
    person: str
    given_at: datetime
    incident_id: UUID


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A cell of the archive that looks like a match.

    Attributes:
        cell, sensor, sensing_at, item_id, physical_key, point_id: Which look at which cell.
        similarity: Cosine of the two vectors.
        alerted: Sentences of the standing queries that it matched then.
        verdicts: What people said of it, the latest first.
    """

    cell: str
    sensor: Sensor
    sensing_at: datetime
    item_id: str
    physical_key: str
    point_id: UUID
    similarity: float
    alerted: tuple[str, ...]
    verdicts: tuple[Judged, ...]


@dataclass(frozen=True, slots=True)
class Lookalikes:
    """Of one match.

    Attributes:
        cell, sensor: Of the match.
        nearest: The most similar cells of other places and times, one per cell.
        judged: The most similar ones that somebody has judged; may name some of `nearest` again.
    """

    cell: str
    sensor: Sensor
    nearest: tuple[Lookalike, ...]
    judged: tuple[Lookalike, ...]


def lookalikes(engine: Engine, archive: Archive, told: Told, look: Look, limit: int) -> Lookalikes:
    """Search the archive with a match's own vector.

    Args:
        engine: For matches and verdicts.
        archive: Read only.
        told: The alert.
        look: The match; nothing is found for one without vector.
        limit: At most so many of each kind.

    Raises:
        StoreUnavailable: the archive does not answer.
    """
    match = look.match
    if look.vector is None or look.release is None:
        return Lookalikes(match.cell, match.sensor, (), ())
    incident = told.alert.incident
    simulated = told.alert.simulated
    around = mended(shapely.union_all(outlines(incident.cells)).buffer(APART_DEG, join_style="mitre"))
    earlier = ArchiveFilter(sensors=(match.sensor,), until=incident.first_sensing_at, simulated=simulated)
    elsewhere = ArchiveFilter(sensors=(match.sensor,), area=EVERYWHERE.difference(around), simulated=simulated)
    hits = [
        hit
        for filter in (earlier, elsewhere)
        for hit in archive.search(look.vector, release=look.release, filter=filter, limit=limit * 4)
    ]
    with reading(engine) as session:
        nearest = _with_verdicts(session, told, best_of_each_cell(hits, limit))
        judged = _judged_scenes(session, match, incident.incident_id)
        if not judged:
            return Lookalikes(match.cell, match.sensor, nearest, ())
        only = ArchiveFilter(
            sensors=(match.sensor,),
            cells=tuple(sorted({cell for cell, _ in judged})),
            physical_keys=tuple(sorted({key for _, key in judged})),
        )
        found = archive.search(look.vector, release=look.release, filter=only, limit=limit * 10)
        known = [hit for hit in found if (hit.embedding.cell, hit.embedding.physical_key) in judged]
        best = _with_verdicts(session, told, best_of_each_cell(known, limit))
    return Lookalikes(match.cell, match.sensor, nearest, best)


def best_of_each_cell(hits: Sequence[Hit], limit: int) -> list[Hit]:
    """The best hits, one per cell, equal scores in the order of time and id."""
    ranked = sorted(hits, key=lambda hit: (-hit.score, hit.embedding.sensing_at, hit.embedding.point_id.hex))
    best: dict[str, Hit] = {}
    for hit in ranked:
        best.setdefault(hit.embedding.cell, hit)
    return list(best.values())[:limit]


def _with_verdicts(session: Session, told: Told, hits: Sequence[Hit]) -> tuple[Lookalike, ...]:
    """Hits with what was alerted and said there; matches are looked up for all of them at once."""
    points = [hit.embedding for hit in hits]
    wanted = select(MatchRow).where(MatchRow.cell.in_([point.cell for point in points])).order_by(MatchRow.match_id)
    by_look: dict[tuple[str, str, datetime], list[MatchRow]] = {}
    for row in session.scalars(wanted):
        by_look.setdefault((row.cell, row.sensor, row.sensing_at), []).append(row)
    return tuple(
        _lookalike(session, told, hit, by_look.get((point.cell, point.sensor, point.sensing_at), []))
        for hit, point in zip(hits, points, strict=True)
    )


def _lookalike(session: Session, told: Told, hit: Hit, matches: Sequence[MatchRow]) -> Lookalike:
    point = hit.embedding
    sentences = {query_id: _sentence(session, query_id) for query_id in dict.fromkeys(m.query_id for m in matches)}
    return Lookalike(
        cell=point.cell,
        sensor=point.sensor,
        sensing_at=point.sensing_at,
        item_id=point.item_id,
        physical_key=point.physical_key,
        point_id=point.point_id,
        similarity=round(hit.score, 4),
        alerted=tuple(sorted(set(sentences.values()))),
        verdicts=tuple(_verdicts(session, told, matches, sentences, point.cell)),
    )


def _verdicts(
    session: Session, told: Told, matches: Sequence[MatchRow], sentences: dict[UUID, str], cell: str
) -> list[Judged]:
    incidents = [match.incident_id for match in matches]
    wanted = select(VerdictRow).where(VerdictRow.incident_id.in_(incidents))
    found = []
    for row in session.scalars(wanted.order_by(VerdictRow.given_at.desc(), VerdictRow.verdict_id)):
        verdict = Verdict.from_bytes(row.message.encode())
        if verdict.cells and cell not in verdict.cells:
            continue
        found.append(
            Judged(
                sentences.get(verdict.query_id, ""),
                verdict.query_id == told.alert.incident.query_id,
                verdict.answer.value,
                None if verdict.reason is None else verdict.reason.value,
                verdict.person,
                verdict.given_at,
                verdict.incident_id,
            )
        )
    return found


def _judged_scenes(session: Session, match: Match, but: UUID) -> set[tuple[str, str]]:
    """Cells and scenes of the incidents that somebody has judged last, another than this one."""
    latest = (
        select(VerdictRow.incident_id, VerdictRow.given_at)
        .where(VerdictRow.incident_id != but)
        .order_by(VerdictRow.given_at.desc(), VerdictRow.verdict_id)
        .limit(MAX_JUDGED)
    )
    incidents = list(dict.fromkeys(incident_id for incident_id, _ in session.execute(latest)))
    wanted = select(MatchRow.message).where(MatchRow.incident_id.in_(incidents), MatchRow.sensor == match.sensor)
    matches = [Match.from_bytes(message.encode()) for message in session.scalars(wanted)]
    return {(one.cell, one.physical_key) for one in matches}


def _sentence(session: Session, query_id: UUID) -> str:
    row = session.get(QueryRow, query_id)
    return "" if row is None else StandingQuery.from_bytes(row.message.encode()).sentence
