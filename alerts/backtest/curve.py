"""What other thresholds would have meant: incidents a week at each of some twenty levels.

Flows in: the highest scores of a replay, in order of time. Flows out: levels with the incidents that each makes. Stops
before drawing them.

Each level is a standing query of its own in one scratch database, and the matches go through the same `settle` as
live ones: one pass over the candidates for all levels together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from math import isfinite

import numpy as np
from sqlalchemy import func, select

from alerts.backtest.rehearsal import scratch
from alerts.backtest.tally import MOST_CANDIDATES, Candidate
from alerts.matching import settle
from alerts.settings import MatcherSettings
from archive.in_time import EARLIEST, INSTANT
from schemas.database import reading, transaction
from schemas.messages import EmbeddingBatch, IncidentState, StandingQuery, stable_id
from schemas.tables import IncidentRow

RANKS = (1, 3, 8, 20, 50, 120, 300, MOST_CANDIDATES)
"""Levels lie at the scores of these ranks, where the curve bends,"""
STEPS = 11
"""and at so many even steps from the highest score to the least."""


@dataclass(frozen=True, slots=True)
class Level:
    """What one threshold would have meant.

    Attributes:
        threshold: On the mode's score.
        matches: Cells that pass it.
        incidents: What they make together; those that were merged into another are part of that one.
    """

    threshold: float
    matches: int
    incidents: int


def curve(
    candidates: Sequence[Candidate], query: StandingQuery, rules: MatcherSettings, *, also: Sequence[float] = ()
) -> list[Level]:
    """Incidents at each level, the highest first.

    Args:
        candidates: Of one sensor, in order of time.
        query: Whose scores they are.
        rules: Reach and window of incidents.
        also: Further levels, such as the threshold in force; those below the least candidate are left out: what
            passes them was not kept.
    """
    levels = _levels(candidates, also)
    queries = [_at(query, level) for level in levels]
    engine, now = scratch(queries), EARLIEST
    for _, group in groupby(candidates, key=lambda one: (one.acquisition.acquisition_id, one.batch)):
        some = list(group)
        found = [
            (one, [candidate.match(one) for candidate in some if candidate.score >= level])
            for one, level in zip(queries, levels, strict=True)
        ]
        now = max(some[0].acquisition.sensing_at, now + INSTANT)
        with transaction(engine) as session:
            settle(session, _batch(some[0]), [pair for pair in found if pair[1]], rules, clock=lambda: now)  # noqa: B023
    with reading(engine) as session:
        alarms = IncidentRow.state != IncidentState.MERGED.value
        counted = select(IncidentRow.query_id, func.count()).where(alarms).group_by(IncidentRow.query_id)
        incidents = dict(session.execute(counted).all())
    engine.dispose()
    return [
        Level(level, sum(candidate.score >= level for candidate in candidates), incidents.get(one.query_id, 0))
        for level, one in zip(levels, queries, strict=True)
    ]


def _levels(candidates: Sequence[Candidate], also: Sequence[float]) -> list[float]:
    scores = np.sort([one.score for one in candidates])[::-1]
    if not len(scores):
        return []
    ranked = {float(scores[rank - 1]) for rank in RANKS if rank <= len(scores)}
    even = set(np.linspace(scores[-1], scores[0], STEPS).tolist())
    asked = {float(one) for one in also if isfinite(one) and one >= scores[-1]}
    return sorted(ranked | even | asked, reverse=True)


def _at(query: StandingQuery, level: float) -> StandingQuery:
    return query.model_copy(update={"query_id": stable_id("level", query.query_id, level), "threshold": level})


def _batch(one: Candidate) -> EmbeddingBatch:
    """All that `settle` asks of the message in which it came; the scene's last is not known, so none is."""
    nothing = np.zeros((0, 384), dtype=np.float32)
    return EmbeddingBatch(
        acquisition=one.acquisition,
        release="",
        batch=one.batch,
        batches=one.batch + 2,
        cells=(),
        vectors=nothing,
        baselines=nothing,
        baseline_counts=(),
    )
