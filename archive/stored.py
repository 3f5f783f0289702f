"""The archive's rules over any engine: one for both, so that both give the same answers.

Flows in: embeddings, questions. Flows out: baselines, hits, series. Stops before engines (`edge`, `server`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import UUID

import numpy as np

from archive import baselines
from archive.baselines import Written, written
from archive.filters import inside
from archive.interface import DIMENSION, EVERYTHING, SCORE_DIGITS, ArchiveFilter, Baselines, Hit, Vectors
from archive.points import baseline_id, check, check_vector, rounded
from archive.store import Store
from schemas.cells import cell_of, centres_lon_lat
from schemas.errors import UsageError
from schemas.messages import Embedding

MOST_HITS = 100_000
"""A search for more is an export: use filters or `history`."""


class StoredArchive:
    """An `Archive` over one engine, which it owns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, embeddings: Sequence[Embedding], vectors: Vectors) -> Baselines:
        """See `Archive.record`."""
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        check(embeddings, vectors)
        embeddings = [rounded(one) for one in embeddings]
        means = np.zeros((len(embeddings), DIMENSION), dtype=np.float32)
        counts = np.zeros(len(embeddings), dtype=int)
        for rows in _rounds(embeddings):
            made = self._record_round([embeddings[row] for row in rows], vectors[rows])
            means[rows] = made.vectors
            counts[rows] = made.counts
        return Baselines(means, tuple(int(n) for n in counts))

    def search(
        self, vector: Vectors, *, release: str, filter: ArchiveFilter, limit: int, min_score: float | None = None
    ) -> list[Hit]:
        """See `Archive.search`."""
        vector = np.ascontiguousarray(vector, dtype=np.float32)
        check_vector(vector)
        check_filter(filter)
        if not 1 <= limit <= MOST_HITS:
            raise UsageError(f"limit {limit}: ask for 1 to {MOST_HITS} hits")
        if filter.cells == ():
            return []
        asked = limit + 1
        while True:
            raw = self._store.nearest(release, vector, filter, asked)
            found = [replace(hit, score=round(hit.score, SCORE_DIGITS)) for hit in raw]
            good = [hit for hit in _within(filter, found) if min_score is None or hit.score >= min_score]
            hits = sorted(good, key=lambda hit: (-hit.score, hit.embedding.point_id))[:limit]
            # Complete when nothing was left out, or when what was left out scores less than it would have to.
            least = hits[-1].score if len(hits) == limit else min_score
            if len(found) < asked or (least is not None and found[-1].score < least):
                return hits
            asked *= 4

    def history(
        self, *, release: str, filter: ArchiveFilter, max_points: int, seed: int = 0
    ) -> tuple[list[Embedding], Vectors]:
        """See `Archive.history`."""
        chosen = self.choose(release=release, filter=filter, max_points=max_points, seed=seed)
        return self.series(release=release, filter=filter, cells=tuple(chosen))

    def choose(self, *, release: str, filter: ArchiveFilter, max_points: int, seed: int) -> dict[str, int]:
        """Random cells whose series together have at most `max_points` points, with the length of each."""
        check_filter(filter)
        counts = self._cells(release, filter)
        return {cell: counts[cell] for cell in sorted(_choose(counts, max_points, seed))}

    def series(self, *, release: str, filter: ArchiveFilter, cells: tuple[str, ...]) -> tuple[list[Embedding], Vectors]:
        """Whole series of chosen cells, as `Archive.history` orders them."""
        if not cells:
            return [], np.zeros((0, DIMENSION), dtype=np.float32)
        pages = list(self._store.scroll(release, replace(filter, area=None, cells=cells)))  # `choose` settled the area
        embeddings = [embedding for page in pages for embedding in page.embeddings]
        order = sorted(range(len(embeddings)), key=lambda row: _order(embeddings[row]))
        vectors = np.concatenate([page.vectors for page in pages]) if pages else np.zeros((0, DIMENSION), np.float32)
        return [embeddings[row] for row in order], vectors[order]

    def count(self, *, release: str | None = None, filter: ArchiveFilter | None = None) -> int:
        """See `Archive.count`."""
        filter = filter or EVERYTHING
        check_filter(filter)
        return sum(self._count(one, filter) for one in ([release] if release is not None else self.releases()))

    def cells(self, *, release: str, filter: ArchiveFilter = EVERYTHING) -> dict[str, int]:
        """See `Archive.cells`."""
        check_filter(filter)
        return dict(sorted(self._cells(release, filter).items()))

    def releases(self) -> list[str]:
        """See `Archive.releases`."""
        return sorted(self._store.releases())

    def close(self) -> None:
        """See `Archive.close`."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _record_round(self, embeddings: Sequence[Embedding], vectors: Vectors) -> Baselines:
        release = embeddings[0].release
        stored = self._store.points(release, [(one.point_id, one.sensing_at) for one in embeddings])
        points = [_settle(one, vector, stored) for one, vector in zip(embeddings, vectors, strict=True)]
        new = [one for one in points if one.changed]
        if new:
            self._store.write_points(release, [one.embedding for one in new], np.stack([one.vector for one in new]))
        return baselines.update(self._store, points)

    def _count(self, release: str, filter: ArchiveFilter) -> int:
        if filter.cells == ():
            return 0
        if filter.area is None:
            return self._store.count(release, filter)
        return sum(self._cells(release, filter).values())

    def _cells(self, release: str, filter: ArchiveFilter) -> dict[str, int]:
        counts = self._store.cells(release, filter) if filter.cells != () else {}
        if filter.area is None or not counts:
            return counts
        names = list(counts)
        lon, lat = centres_lon_lat([cell_of(name) for name in names]).T
        kept = inside(filter.area, lon, lat)
        return {name: counts[name] for name, keep in zip(names, kept, strict=True) if keep}


def check_filter(filter: ArchiveFilter) -> None:
    """Refuse filters that the engines would take for something else.

    Raises:
        UsageError: times without zone or in the wrong order, a cloud fraction outside 0-1, an area outside WGS84.
    """
    for moment in (filter.since, filter.until):
        if moment is not None and moment.tzinfo is None:
            raise UsageError(f"the time {moment} has no zone: add Z or an offset")
    if filter.since and filter.until and filter.since >= filter.until:
        raise UsageError(f"since {filter.since} is not before until {filter.until}")
    if filter.max_cloud is not None and not 0 <= filter.max_cloud <= 1:
        raise UsageError(f"cloud fraction {filter.max_cloud}: expected 0 to 1")
    if filter.area is not None:
        west, south, east, north = filter.area.bounds
        if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
            raise UsageError(f"the area reaches from {west},{south} to {east},{north}: split it at the antimeridian")


def _rounds(embeddings: Sequence[Embedding]) -> Iterator[list[int]]:
    """Rows such that no series occurs twice in a round, in their order."""
    waiting = list(range(len(embeddings)))
    while waiting:
        seen: set[UUID] = set()
        now: list[int] = []
        later: list[int] = []
        for row in waiting:
            series = baseline_id(embeddings[row])
            (later if series in seen else now).append(row)
            seen.add(series)
        yield now
        waiting = later


def _settle(one: Embedding, vector: Vectors, stored: dict[UUID, tuple[Embedding, Vectors]]) -> Written:
    """The newer processing version wins; of the same version the one at hand."""
    before = stored.get(one.point_id)
    if before and before[0].processed_at > one.processed_at:
        return written(before[0], before[1], before)
    return written(one, vector, before)


def _within(filter: ArchiveFilter, hits: Sequence[Hit]) -> list[Hit]:
    if filter.area is None or not hits:
        return list(hits)
    places = np.array([(hit.embedding.lon, hit.embedding.lat) for hit in hits])
    kept = inside(filter.area, places[:, 0], places[:, 1])
    return [hit for hit, keep in zip(hits, kept, strict=True) if keep]


def _choose(cells: dict[str, int], max_points: int, seed: int) -> list[str]:
    names = sorted(cells)
    chosen: list[str] = []
    room = max_points
    for row in np.random.default_rng(seed).permutation(len(names)):
        if cells[names[row]] <= room:
            chosen.append(names[row])
            room -= cells[names[row]]
        if room <= 0:
            break
    return chosen


def _order(embedding: Embedding) -> tuple[object, ...]:
    return (embedding.cell, embedding.sensing_at, embedding.point_id)
