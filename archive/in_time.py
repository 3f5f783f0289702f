"""All points of a filter in the order in which they were sensed, a page at a time; and the archive as it once was.

Flows in: any `Archive`, a filter. Flows out: pages of bounded size, the moments between which they lie, and a view
that knows nothing sensed after a moment. Stops before what is made of the points (`alerts.backtest`).

An archive gives whole series, or counts. Times are found by counting: halves of a period until a half is small enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from archive.interface import EVERYTHING, Archive, ArchiveFilter, Baselines, Hit, Vectors
from archive.points import EARLIEST_YEAR
from archive.store import Page
from schemas.errors import UsageError
from schemas.messages import Embedding

PAGE_POINTS = 4096
"""Points read together: 6 MB of vectors. More only where one instant (one scene) has more."""
EARLIEST = datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC)
"""Nothing in an archive is older."""
INSTANT = timedelta(microseconds=1)
"""What is sensed in one is never divided: the cells of one scene."""
CLOSE_ENOUGH = timedelta(minutes=1)
"""How exactly `moment_of` tells a time: each halving is a count, and an overpass takes minutes."""


def pages(
    archive: Archive, *, release: str, filter: ArchiveFilter, until: datetime, page_points: int = PAGE_POINTS
) -> Iterator[Page]:
    """Every point of a filter, ordered by sensing time, scene and cell; points of one instant are on one page.

    Args:
        archive: Where they are.
        release: Of which encoder.
        filter: Which points; its `since` and `until` hold as well.
        until: Sensed before this; nothing newer is looked for.
        page_points: Points of a page, unless one instant has more.
    """
    first = filter.since or EARLIEST
    last = min(until, filter.until) if filter.until else until
    if first < last:
        yield from _halves(archive, release, replace(filter, since=first, until=last), page_points)


def moment_of(archive: Archive, number: int, *, release: str, filter: ArchiveFilter, until: datetime) -> datetime:
    """The time, to the minute, before which so many points of a filter had been sensed.

    Args:
        archive: Where they are.
        number: From 1 to as many as there are.
        release: Of which encoder.
        filter: Which points.
        until: No point is newer.
    """
    early, late = filter.since or EARLIEST, until
    while late - early > CLOSE_ENOUGH:
        middle = early + (late - early) / 2
        if archive.count(release=release, filter=replace(filter, until=middle)) >= number:
            late = middle
        else:
            early = middle
    return late


@dataclass(frozen=True, slots=True)
class AsOf:
    """An archive without what was sensed at or after a moment; reading only.

    Attributes:
        archive: As it is now.
        now: Gives the moment, each time anew.
    """

    archive: Archive
    now: Callable[[], datetime]

    def record(self, embeddings: Sequence[Embedding], vectors: Vectors) -> Baselines:
        """The past takes nothing.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"a view of the archive's past is for reading: {len(embeddings)} points are not recorded")

    def search(
        self, vector: Vectors, *, release: str, filter: ArchiveFilter, limit: int, min_score: float | None = None
    ) -> list[Hit]:
        """See `Archive.search`."""
        before = self._before(filter)
        if before is None:
            return []
        return self.archive.search(vector, release=release, filter=before, limit=limit, min_score=min_score)

    def history(
        self, *, release: str, filter: ArchiveFilter, max_points: int, seed: int = 0
    ) -> tuple[list[Embedding], Vectors]:
        """See `Archive.history`."""
        before = self._before(filter) or replace(filter, cells=())
        return self.archive.history(release=release, filter=before, max_points=max_points, seed=seed)

    def count(self, *, release: str | None = None, filter: ArchiveFilter | None = None) -> int:
        """See `Archive.count`."""
        before = self._before(filter or EVERYTHING)
        return 0 if before is None else self.archive.count(release=release, filter=before)

    def cells(self, *, release: str, filter: ArchiveFilter = EVERYTHING) -> dict[str, int]:
        """See `Archive.cells`."""
        before = self._before(filter)
        return {} if before is None else self.archive.cells(release=release, filter=before)

    def releases(self) -> list[str]:
        """Releases that had points by then, in alphabetical order."""
        return [release for release in self.archive.releases() if self.count(release=release)]

    def close(self) -> None:
        """The archive stays open: whoever opened it closes it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _before(self, filter: ArchiveFilter) -> ArchiveFilter | None:
        """The filter with its end moved; None where nothing can be left."""
        moment = self.now()
        until = min(moment, filter.until) if filter.until else moment
        return None if filter.since is not None and filter.since >= until else replace(filter, until=until)


def _halves(archive: Archive, release: str, filter: ArchiveFilter, page_points: int) -> Iterator[Page]:
    """The points of a period: whole where they are few, else of its first half and then of its second."""
    waiting = [filter]
    while waiting:
        part = waiting.pop()
        count = archive.count(release=release, filter=part)
        if not count:
            continue
        since, until = part.since or EARLIEST, part.until or EARLIEST
        if count <= page_points or until - since <= INSTANT:
            room = count + page_points  # some more may have come meanwhile
            yield _page(*archive.history(release=release, filter=part, max_points=room))
            continue
        middle = since + (until - since) / 2
        waiting += [replace(part, since=middle), replace(part, until=middle)]


def _page(embeddings: list[Embedding], vectors: Vectors) -> Page:
    order = sorted(range(len(embeddings)), key=lambda row: _order(embeddings[row]))
    return Page([embeddings[row] for row in order], vectors[order])


def _order(embedding: Embedding) -> tuple[object, ...]:
    return (embedding.sensing_at, embedding.physical_key, embedding.cell)
