"""In: the same cells and standing queries. Out: what others do with them, each in the way that suits it best.

Stops at pairs that pass the score: numpy and faiss are spared areas, history and presence, which ours does besides.
Both get one product per pair too: appearance queries are asked of differences that were computed before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import qdrant_edge as edge
import shapely
from numpy.typing import NDArray

from alerts.percolation.percolate import Points, Side, Standing
from archive.interface import DIMENSION

Floats = NDArray[np.float32]

TILE = 1024
GUARD = 1e-6
"""Below zero by this much a product still counts as reached: faiss asks for more than its radius."""


def lefts(points: Points) -> tuple[Floats, Floats]:
    """What presence and appearance queries are multiplied with."""
    return points.vectors, points.vectors - points.baselines


def vectors_of(side: Side) -> Floats:
    """Its vectors, float32 (q, 384), by row."""
    return side.bank.vectors.take(np.arange(side.bank.rows))


def by_numpy(standing: Standing, points: Points) -> Callable[[], int]:
    """Float32 products in tiles that fit the cache, each compared whole."""
    sides = [(vectors_of(side), side.score.astype(np.float32)) for side in (standing.present, standing.appeared)]
    both, out, passed = lefts(points), np.empty((TILE, TILE), np.float32), np.empty((TILE, TILE), np.bool_)

    def run() -> int:
        found = 0
        for (vectors, score), left in zip(sides, both, strict=True):
            for start in range(0, len(vectors), TILE):
                some, least = vectors[start : start + TILE], score[start : start + TILE]
                for top in range(0, len(left), TILE):
                    part = left[top : top + TILE]
                    tile, mask = out[: len(part), : len(some)], passed[: len(part), : len(some)]
                    np.greater_equal(np.matmul(part, some.T, out=tile), least, out=mask)
                    found += len(np.flatnonzero(mask))
        return found

    return run


def by_faiss(standing: Standing, points: Points) -> Callable[[], int]:
    """One range search of all cells over an exact index, thresholds as one more dimension: one radius for all."""
    import faiss  # noqa: PLC0415 - the peers extra

    faiss.omp_set_num_threads(1)
    searches = []
    for side, left in zip((standing.present, standing.appeared), lefts(points), strict=True):
        index = faiss.IndexFlatIP(DIMENSION + 1)
        index.add(np.column_stack([vectors_of(side), -side.score]).astype(np.float32))
        searches.append((index, np.column_stack([left, np.ones(len(left), np.float32)])))

    def run() -> int:
        return sum(int(index.range_search(cells, -GUARD)[0][-1]) for index, cells in searches)

    return run


def by_qdrant(standing: Standing, points: Points, folder: Path, rows: Sequence[int]) -> Callable[[], int]:
    """One exact search of the cells by each presence query of these rows, with its area and its threshold.

    Appearance queries cannot be asked so: the index knows no difference from a baseline.
    """
    config = edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(size=DIMENSION, distance=edge.Distance.Dot), max_search_threads=1
    )
    folder.mkdir()
    shard = edge.EdgeShard.create(str(folder), config)
    shard.update(edge.UpdateOperation.create_field_index("at", edge.PayloadSchemaType.Geo))
    there = [
        edge.Point(i, vector.tolist(), {"at": {"lon": float(lon), "lat": float(lat)}})
        for i, (vector, lon, lat) in enumerate(zip(points.vectors, points.lon, points.lat, strict=True))
    ]
    shard.update(edge.UpdateOperation.upsert_points(there))
    bank, requests = standing.present.bank, []
    for row in rows:
        outline = standing.areas.outline(int(standing.area[bank.slots.values[row]]))
        requests.append(
            edge.QueryRequest(
                limit=len(points.vectors),
                query=edge.Query.Nearest(bank.vectors.take(np.array([row]))[0].tolist()),
                filter=None if outline is None else edge.Filter(must=[_within(outline)]),
                score_threshold=float(standing.present.score[row]),
                params=edge.SearchParams(exact=True),
                with_payload=False,
            )
        )

    def run() -> int:
        return sum(len(shard.query(request)) for request in requests)

    return run


def _within(outline: shapely.Geometry) -> edge.FieldCondition:
    ring = [edge.GeoPoint(lon, lat) for lon, lat in shapely.get_coordinates(outline).tolist()]
    return edge.FieldCondition("at", geo_polygon=edge.GeoPolygon(ring))
