"""How the past scored: histograms of all scores, and the highest of them one by one.

Flows in: judged scenes with the query's vectors. Flows out: counts per bin, and candidates for the threshold curve.
Stops before incidents (`curve`). Memory does not grow with the past: bins are fixed, candidates the best so many.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alerts.backtest.scenes import Scene
from schemas.messages import MAX_CELLS_PER_BATCH, Acquisition, Match, Mode, StandingQuery

Doubles = NDArray[np.float64]

BIN = 0.01
"""Width of a histogram's bin: a fifth of the smallest spread that backgrounds have."""
REACH = 2.0
"""Scores lie between minus and plus this: a cosine less another one."""
MOST_CANDIDATES = 600
"""Scores kept one by one for each sensor. The curve reaches down to the least of them, far below any budget."""


@dataclass(eq=False)
class Histogram:
    """Counts of scores in bins of `BIN`."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(round(2 * REACH / BIN), dtype=np.int64))

    def add(self, scores: Doubles) -> None:
        """Count some more."""
        bins = np.clip(np.floor((scores + REACH) / BIN + 1e-9).astype(np.intp), 0, len(self.counts) - 1)
        self.counts += np.bincount(bins, minlength=len(self.counts))

    @property
    def total(self) -> int:
        """How many scores."""
        return int(self.counts.sum())

    def bins(self) -> list[tuple[float, int]]:
        """Lower edge and count of each bin from the first to the last that is not empty."""
        full = np.flatnonzero(self.counts)
        if not len(full):
            return []
        return [(round(i * BIN - REACH, 2), int(self.counts[i])) for i in range(full[0], full[-1] + 1)]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A cell that some threshold would have made a match."""

    score: float
    presence: float
    cell: str
    baseline_count: int
    batch: int
    acquisition: Acquisition

    def match(self, query: StandingQuery) -> Match:
        """The match that it is for a query of that threshold."""
        scene = self.acquisition
        return Match(
            query_id=query.query_id,
            query_version=query.question,
            cell=self.cell,
            acquisition_id=scene.acquisition_id,
            physical_key=scene.physical_key,
            item_id=scene.item_id,
            sensor=scene.sensor,
            sensing_at=scene.sensing_at,
            score=self.score,
            presence=self.presence,
            threshold=-REACH if query.threshold is None else query.threshold,
            baseline_count=self.baseline_count,
        )


@dataclass(eq=False)
class Tally:
    """Scores of one sensor.

    Attributes:
        mode: Which score a match must pass with.
        min_baseline: Earlier acquisitions that a change needs.
        presence: Histogram of E · q.
        change: Histogram of (E − baseline) · q, where there is a baseline.
        candidates: The highest scores that pass everything but the threshold, in order of time.
    """

    mode: Mode
    min_baseline: int
    presence: Histogram = field(default_factory=Histogram)
    change: Histogram = field(default_factory=Histogram)
    candidates: list[Candidate] = field(default_factory=list)

    def add(self, scene: Scene, vectors: NDArray[np.float32], floor: float | None) -> Doubles:
        """Take the scores of a scene.

        Args:
            scene: Of this sensor.
            vectors: float32 (k, 384), of the query.
            floor: Presence score that a match needs besides, or none.

        Returns:
            float64 (n,), the mode's score of each cell; minus infinity where there is none.
        """
        vectors = vectors.astype(np.float64)
        presence = (scene.vectors.astype(np.float64) @ vectors.T).max(axis=1)
        change = ((scene.vectors.astype(np.float64) - scene.baselines) @ vectors.T).max(axis=1)
        known = scene.counts >= self.min_baseline
        self.presence.add(presence)
        self.change.add(change[known])
        scores = presence if self.mode is Mode.PRESENCE else np.where(known, change, -np.inf)
        able = np.isfinite(scores) & (presence >= (-np.inf if floor is None else floor))
        self._keep(scene, scores, presence, np.flatnonzero(able))
        return scores

    def _keep(self, scene: Scene, scores: Doubles, presence: Doubles, rows: NDArray[np.intp]) -> None:
        """The best so many of these and of what was kept before."""
        full = len(self.candidates) >= MOST_CANDIDATES
        least = min(one.score for one in self.candidates) if full else -np.inf
        rows = rows[scores[rows] > least]
        if not len(rows):
            return
        rows = np.sort(rows[np.argsort(-scores[rows], kind="stable")[:MOST_CANDIDATES]])
        acquisition = scene.acquisition
        self.candidates += [
            Candidate(
                float(scores[row]),
                float(presence[row]),
                scene.points[row].cell,
                int(scene.counts[row]),
                row // MAX_CELLS_PER_BATCH,
                acquisition,
            )
            for row in rows.tolist()
        ]
        if len(self.candidates) > MOST_CANDIDATES:
            limit = sorted((one.score for one in self.candidates), reverse=True)[MOST_CANDIDATES - 1]
            self.candidates = [one for one in self.candidates if one.score >= limit]
