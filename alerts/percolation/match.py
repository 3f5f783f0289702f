"""One embedding batch against the standing queries.

Flows in: a batch, and the queries in force. Flows out: matches, each saying what it passed. Stops before incidents.
"""

from __future__ import annotations

import numpy as np

from alerts.percolation.percolate import Points, percolate
from alerts.percolation.standing import Matrix
from alerts.places import centres
from schemas.messages import EmbeddingBatch, Match, Mode, StandingQuery


def match(batch: EmbeddingBatch, matrix: Matrix, *, min_baseline: int) -> list[tuple[StandingQuery, list[Match]]]:
    """The matches of a batch by query, presence queries first, then by id; cells in the order of the batch.

    Args:
        batch: Cells of one acquisition with vectors and baselines.
        matrix: Queries of the batch's release, sensor and stratum.
        min_baseline: Earlier acquisitions that an appearance query needs.

    Raises:
        StoreUnavailable: the database did not say what the queries are.
    """
    hits = percolate(matrix.standing, points(batch), min_baseline=min_baseline)
    queries = matrix.queries.messages(hits.slots.tolist())
    found: dict[int, list[Match]] = {slot: [] for slot in queries}
    for row, slot, score, presence, threshold in zip(
        hits.rows.tolist(),
        hits.slots.tolist(),
        hits.scores.tolist(),
        hits.presence.tolist(),
        hits.thresholds.tolist(),
        strict=True,
    ):
        found[slot].append(_match(batch, queries[slot], row, score, presence, threshold))
    in_order = sorted(queries, key=lambda slot: (queries[slot].mode is Mode.APPEARANCE, queries[slot].query_id))
    return [(queries[slot], found[slot]) for slot in in_order]


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
        query_version=query.question,
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
