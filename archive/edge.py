"""The in-process engine (qdrant-edge) as a store: month-sized shards under one folder.

Flows in: points, filters. Flows out: points, exact scores. Stops before other processes: its calls hold the GIL,
so it lives in a process of its own (`owner`).

    archive/
    ├── archive.json            format version
    ├── owner.lock              one owner
    └── RELEASE/
        ├── baselines/          one shard, read by id
        └── points/2026-11/     one shard a month

Every search scans exactly: no graph is ever built, because filtered graphs lose results silently. Shards are made
under another name and renamed when they are whole.
"""

from __future__ import annotations

import heapq
import shutil
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from archive.edge_types import to_edge
from archive.filters import LAT, LON, conditions
from archive.interface import DIMENSION, ArchiveFilter, Hit, Vectors
from archive.lock import FolderLock
from archive.manifest import check_format, write_format
from archive.points import from_payload, month, months_near, slug, to_payload, unslug
from archive.records import from_record, to_record
from archive.store import Baseline, Page
from schemas.errors import SettingsError
from schemas.messages import Embedding

PAGE = 4096
"""Points read together: 6 MB of vectors, 50 MB while they are Python lists."""
MOST_OPEN = 16
"""Shards open at once; the one unused longest is closed. Each keeps about 25 MB of its files mapped."""
MOST_CELLS = 50_000_000
"""More distinct cells than there can be of one month: the whole facet is wanted."""
FULL_SCAN_KB = 400_000
"""Were a graph ever built: filters that leave less than this (260,000 vectors) still scan. Fixed at creation."""

_INDEXES = {
    "cell": edge.PayloadSchemaType.Keyword,
    "sensor": edge.PayloadSchemaType.Keyword,
    "physical_key": edge.PayloadSchemaType.Keyword,
    "sensing_at": edge.PayloadSchemaType.Datetime,
    LON: edge.PayloadSchemaType.Float,
    LAT: edge.PayloadSchemaType.Float,
    "cloud_fraction": edge.PayloadSchemaType.Float,
}


class EdgeStore:
    """A `Store` in a folder that no other process may have open.

    Raises:
        StoreUnavailable: another process has it open.
        SettingsError: a later build of Tocsin wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FolderLock(folder)
        self._open: OrderedDict[Path, edge.EdgeShard] = OrderedDict()
        try:
            check_format(folder)
        except SettingsError:
            self._lock.release()
            raise
        write_format(folder)

    def releases(self) -> list[str]:
        folders = [path.parent.name for path in self._folder.glob("*/points") if _months_in(path)]
        return [unslug(name) for name in folders]

    def points(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, tuple[Embedding, Vectors]]:
        return {
            UUID(str(record.id)): (from_payload(str(record.id), record.payload or {}), _row(record.vector))
            for record in self._retrieve(release, wanted, with_payload=True)
        }

    def vectors(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, Vectors]:
        records = self._retrieve(release, wanted, with_payload=False)
        return {UUID(str(record.id)): _row(record.vector) for record in records}

    def write_points(self, release: str, embeddings: Sequence[Embedding], vectors: Vectors) -> None:
        by_month: dict[str, list[int]] = defaultdict(list)
        moved: dict[str, list[UUID]] = defaultdict(list)
        for row, embedding in enumerate(embeddings):
            home = month(embedding.sensing_at)
            by_month[home].append(row)
            for name in months_near(embedding.sensing_at) - {home}:
                moved[name].append(embedding.point_id)
        for name, rows in by_month.items():
            shard = self._points(release, name) or self._make(self._points_path(release, name), indexed=True)
            shard.update(
                edge.UpdateOperation.upsert_points(
                    [
                        edge.Point(embeddings[row].point_id, vectors[row].tolist(), to_payload(embeddings[row]))
                        for row in rows
                    ]
                )
            )
            shard.flush()
        for name, ids in moved.items():
            neighbour = self._points(release, name)
            if neighbour and neighbour.retrieve(list(ids), False, False):
                neighbour.update(edge.UpdateOperation.delete_points(list(ids)))
                neighbour.flush()

    def baselines(self, release: str, ids: Sequence[UUID]) -> dict[UUID, Baseline]:
        shard = self._shard(self._baselines_path(release))
        records = shard.retrieve(list(ids), True, True) if shard else []
        return {
            UUID(str(record.id)): from_record(UUID(str(record.id)), record.payload or {}, _row(record.vector))
            for record in records
        }

    def write_baselines(self, release: str, baselines: Sequence[Baseline]) -> set[UUID]:
        """See `Store.write_baselines`; there is one owner, so nobody else changes them."""
        path = self._baselines_path(release)
        shard = self._shard(path) or self._make(path, indexed=False)
        points = [edge.Point(one.baseline_id, one.vector.tolist(), dict(to_record(one))) for one in baselines]
        shard.update(edge.UpdateOperation.upsert_points(points))
        shard.flush()
        return set()

    def nearest(self, release: str, vector: Vectors, filter: ArchiveFilter, limit: int) -> list[Hit]:
        request = edge.QueryRequest(
            limit=limit,
            query=edge.Query.Nearest(vector.tolist()),
            filter=to_edge(conditions(filter)),
            with_payload=True,
            params=edge.SearchParams(exact=True),
        )
        found = (point for shard in self._months(release, filter) for point in shard.query(request))
        best = heapq.nlargest(limit, found, key=lambda point: point.score)
        return [Hit(from_payload(str(point.id), point.payload or {}), point.score) for point in best]

    def scroll(self, release: str, filter: ArchiveFilter) -> Iterator[Page]:
        must = to_edge(conditions(filter))
        for shard in self._months(release, filter):
            offset = None
            while True:
                request = edge.ScrollRequest(
                    offset=offset, limit=PAGE, filter=must, with_payload=True, with_vector=True
                )
                records, offset = shard.scroll(request)
                if records:
                    yield _page(records)
                if offset is None:
                    break

    def count(self, release: str, filter: ArchiveFilter) -> int:
        request = edge.CountRequest(exact=True, filter=to_edge(conditions(filter)))
        return sum(shard.count(request) for shard in self._months(release, filter))

    def cells(self, release: str, filter: ArchiveFilter) -> dict[str, int]:
        request = edge.FacetRequest("cell", limit=MOST_CELLS, exact=True, filter=to_edge(conditions(filter)))
        counts: dict[str, int] = defaultdict(int)
        for shard in self._months(release, filter):
            for hit in shard.facet(request).hits:
                counts[str(hit.value)] += hit.count
        return dict(counts)

    def close(self) -> None:
        """Flush and close all shards, then let the next owner in."""
        while self._open:
            _, shard = self._open.popitem()
            _close(shard)
        self._lock.release()

    def _retrieve(
        self, release: str, wanted: Sequence[tuple[UUID, datetime]], *, with_payload: bool
    ) -> Iterator[edge.Record]:
        by_month: dict[str, list[UUID]] = defaultdict(list)
        for point_id, sensing_at in wanted:
            for name in months_near(sensing_at):
                by_month[name].append(point_id)
        for name, ids in by_month.items():
            shard = self._points(release, name)
            if shard:
                for start in range(0, len(ids), PAGE):
                    yield from shard.retrieve(list(ids[start : start + PAGE]), with_payload, True)

    def _months(self, release: str, filter: ArchiveFilter) -> Iterator[edge.EdgeShard]:
        """Shards whose month the filter's times touch, the oldest first."""
        folder = self._folder / slug(release) / "points"
        first = month(filter.since) if filter.since else ""
        last = month(filter.until) if filter.until else "9999"
        for name in _months_in(folder):
            if first <= name <= last:
                shard = self._points(release, name)
                if shard:
                    yield shard

    def _points(self, release: str, name: str) -> edge.EdgeShard | None:
        return self._shard(self._points_path(release, name))

    def _points_path(self, release: str, name: str) -> Path:
        return self._folder / slug(release) / "points" / name

    def _baselines_path(self, release: str) -> Path:
        return self._folder / slug(release) / "baselines"

    def _shard(self, path: Path) -> edge.EdgeShard | None:
        """The shard of a folder, open; None where there is none."""
        if path in self._open:
            self._open.move_to_end(path)
            return self._open[path]
        return self._keep(path, edge.EdgeShard.load(str(path))) if path.is_dir() else None

    def _make(self, path: Path, *, indexed: bool) -> edge.EdgeShard:
        new = path.with_name(f"{path.name}.new")
        if new.exists():
            shutil.rmtree(new)  # a process was killed while it made this shard: nothing is in it
        new.parent.mkdir(parents=True, exist_ok=True)
        shard = edge.EdgeShard.create(str(new), _config())
        for field, kind in _INDEXES.items() if indexed else ():
            shard.update(edge.UpdateOperation.create_field_index(field, kind))
        _close(shard)
        new.rename(path)
        return self._keep(path, edge.EdgeShard.load(str(path)))

    def _keep(self, path: Path, shard: edge.EdgeShard) -> edge.EdgeShard:
        self._open[path] = shard
        while len(self._open) > MOST_OPEN:
            _, oldest = self._open.popitem(last=False)
            _close(oldest)
        return shard


def _months_in(folder: Path) -> list[str]:
    """Names of whole shards, the oldest first."""
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".new") if folder.is_dir() else []


def _config() -> edge.EdgeConfig:
    return edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(
            size=DIMENSION,
            distance=edge.Distance.Dot,
            memory=edge.Memory.Cold,  # else each shard, however small, maps 32 MB into memory when it is opened
        ),
        hnsw_config=edge.HnswIndexConfig(m=16, ef_construct=128, full_scan_threshold=FULL_SCAN_KB),
        max_search_threads=1,
        wal_enabled=True,
    )


def _close(shard: edge.EdgeShard) -> None:
    shard.flush()
    shard.close()


def _row(vector: object) -> Vectors:
    return np.asarray(vector, dtype=np.float32)


def _page(records: Sequence[edge.Record]) -> Page:
    vectors = np.empty((len(records), DIMENSION), dtype=np.float32)
    for row, record in enumerate(records):
        vectors[row] = _row(record.vector)
    return Page([from_payload(str(record.id), record.payload or {}) for record in records], vectors)
