"""Chips that people have judged: from their verdicts and from the query itself.

In: verdicts and the matches that they were about, a query's example chips. Out: names of chips with what they show, and
their vectors out of the archive. Stops before learning (`fit`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine, select

from alerts.learning.fit import Examples
from archive.interface import DIMENSION, Archive, ArchiveFilter
from schemas.database import reading
from schemas.errors import MalformedMessage
from schemas.messages import ChipName, Match, Sensor, StandingQuery
from schemas.tables import MatchRow, VerdictRow
from schemas.verdicts import Answer, Verdict

Floats = NDArray[np.float32]

FORMAT = 1
"""Version of `Judged.to_json`."""
MOST_CHIPS = 32
"""Chips taken of one answer, the highest scores first: they count as one example however many they are."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer: some chips, and whether they show what the query asks for.

    Attributes:
        chips: Their names.
        shown: True: yes.
        source: Whence: `query`, or the verdict's id.
    """

    chips: tuple[ChipName, ...]
    shown: bool
    source: str


def of_query(query: StandingQuery) -> list[Judged]:
    """The examples that a query was registered with, each an answer of its own."""
    return [
        Judged((chip,), shown, "query")
        for chips, shown in ((query.like, True), (query.unlike, False))
        for chip in chips
    ]


def of_verdicts(engine: Engine, query: StandingQuery) -> list[Judged]:
    """What people answered to the query's alerts, the oldest first; where they were unsure nothing is learnt.

    The chips are those that matched: a cell of the incident that a verdict does not name is left out. Where people
    disagree about a cell the last word counts, as it does for the incident: no chip is learnt as both.
    """
    wanted = (
        select(VerdictRow.message)
        .where(VerdictRow.query_id == query.query_id, VerdictRow.answer != Answer.UNSURE.value)
        .order_by(VerdictRow.given_at.desc(), VerdictRow.verdict_id)
    )
    found: list[Judged] = []
    spoken_of: dict[UUID, set[str]] = defaultdict(set)
    settled: set[UUID] = set()
    with reading(engine) as session:
        for message in session.scalars(wanted):
            verdict = Verdict.from_bytes(message.encode())
            if (incident_id := verdict.incident_id) in settled:
                continue
            known = MatchRow.cell.in_(spoken_of[incident_id])
            matched = select(MatchRow.message).where(MatchRow.incident_id == incident_id, ~known)
            if verdict.cells:
                matched = matched.where(MatchRow.cell.in_(verdict.cells))
                spoken_of[incident_id].update(verdict.cells)
            else:
                settled.add(incident_id)
            best = matched.order_by(MatchRow.score.desc(), MatchRow.match_id).limit(MOST_CHIPS)
            matches = [Match.from_bytes(each.encode()) for each in session.scalars(best)]
            chips = tuple(
                ChipName(cell=each.cell, sensor=each.sensor, physical_key=each.physical_key) for each in matches
            )
            if chips:
                found.append(Judged(chips, verdict.answer is Answer.TRUE, str(verdict.verdict_id)))
    return found[::-1]


def embedded(archive: Archive, release: str, sensor: Sensor, judged: Sequence[Judged]) -> Examples:
    """The vectors of one sensor's chips, as a release sees them; chips that it has not encoded are left out.

    Raises:
        StoreUnavailable: the archive did not answer.
    """
    names = {(chip.cell, chip.physical_key) for each in judged for chip in each.chips if chip.sensor == sensor}
    vectors = _vectors(archive, release, sensor, names)
    rows = [
        (vectors[chip.cell, chip.physical_key], each.shown, group)
        for group, each in enumerate(judged)
        for chip in each.chips
        if chip.sensor == sensor and (chip.cell, chip.physical_key) in vectors
    ]
    return Examples(
        np.array([vector for vector, _, _ in rows], np.float32).reshape(-1, DIMENSION),
        np.array([shown for _, shown, _ in rows], bool),
        np.array([group for _, _, group in rows], np.intp),
    )


def to_json(judged: Sequence[Judged]) -> dict[str, object]:
    """As it is stored."""
    return {
        "version": FORMAT,
        "judged": [
            {
                "chips": [[chip.cell, chip.sensor, chip.physical_key] for chip in each.chips],
                "shown": each.shown,
                "source": each.source,
            }
            for each in judged
        ],
    }


def from_json(stored: dict[str, object]) -> list[Judged]:
    """What `to_json` wrote.

    Raises:
        MalformedMessage: another version wrote it, or it is damaged.
    """
    rows = stored.get("judged")
    if stored.get("version") != FORMAT or not isinstance(rows, list):
        raise MalformedMessage(f"examples of version {stored.get('version')}: this build reads version {FORMAT}")
    return [
        Judged(
            tuple(ChipName(cell=cell, sensor=sensor, physical_key=key) for cell, sensor, key in each["chips"]),
            bool(each["shown"]),
            str(each["source"]),
        )
        for each in rows
    ]


def _vectors(
    archive: Archive, release: str, sensor: Sensor, names: set[tuple[str, str]]
) -> dict[tuple[str, str], Floats]:
    """By cell and scene; the filter's cells and scenes are crossed by the archive, and sorted out here."""
    if not names:
        return {}
    wanted = ArchiveFilter(
        sensors=(sensor,),
        cells=tuple(sorted({cell for cell, _ in names})),
        physical_keys=tuple(sorted({key for _, key in names})),
    )
    there = archive.count(release=release, filter=wanted)
    if not there:
        return {}
    points, vectors = archive.history(release=release, filter=wanted, max_points=there)
    return {
        (point.cell, point.physical_key): vector
        for point, vector in zip(points, vectors, strict=True)
        if (point.cell, point.physical_key) in names
    }
