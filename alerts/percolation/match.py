"""One embedding batch against the standing queries.

Flows in: a batch, and the queries in force. Flows out: matches, each saying what it passed. Stops before incidents.
"""

from __future__ import annotations

import numpy as np

from alerts.percolation.percolate import Points, percolate
from alerts.percolation.standing import Matrix
from alerts.places import centres
from schemas.messages import EmbeddingBatch, Match, StandingQuery


def match(batch: EmbeddingBatch, matrix: Matrix, *, min_baseline: int) -> list[tuple[StandingQuery, list[Match]]]:
    """The matches of a batch, by query, cells in the order of the batch.

    Args:
        batch: Cells of one acquisition with vectors and baselines.
        matrix: Queries of the batch's release and sensor.
        min_baseline: Earlier acquisitions that an appearance query needs.
    """
    hits = percolate(matrix.standing, points(batch), min_baseline=min_baseline)
    found: dict[int, list[Match]] = {}
    for row, query, score, presence in zip(
        hits.rows.tolist(), hits.queries.tolist(), hits.scores.tolist(), hits.presence.tolist(), strict=True
    ):
        one = _match(batch, matrix.queries[query], row, score, presence, float(matrix.standing.score[query]))
        found.setdefault(query, []).append(one)
    return [(matrix.queries[query], matches) for query, matches in found.items()]


def points(batch: EmbeddingBatch) -> Points:
    """A batch as arrays."""
    lon_lat = centres(batch.cells)
    counts = np.array(batch.baseline_counts, dtype=np.int64)
    return Points(batch.vectors, batch.baselines, counts, lon_lat[:, 0], lon_lat[:, 1])


def _match(
    batch: EmbeddingBatch, query: StandingQuery, row: int, score: float, presence: float, threshold: float
) -> Match:
    acquisition = batch.acquisition
    return Match(
        query_id=query.query_id,
        query_version=query.version,
        cell=batch.cells[row],
        acquisition_id=acquisition.acquisition_id,
        physical_key=acquisition.physical_key,
        item_id=acquisition.item_id,
        sensor=acquisition.sensor,
        sensing_at=acquisition.sensing_at,
        score=score,
        presence=presence,
        threshold=threshold,
        baseline_count=batch.baseline_counts[row],
    )
