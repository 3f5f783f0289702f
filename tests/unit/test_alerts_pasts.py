"""The archive is read once for many queries, and again when it has grown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
import shapely

from alerts.budgets.pasts import Pasts
from alerts.places import centres
from alerts.settings import MatcherSettings
from archive.interface import ArchiveFilter
from schemas.messages import Embedding, stable_id

DAY0 = datetime(2026, 1, 1, 10, tzinfo=UTC)


class CountingArchive:
    """Forty cells far apart, three looks each; counts how often it is read."""

    def __init__(self) -> None:
        self.reads: list[ArchiveFilter] = []
        self.points = [self._point(column, row, look) for column in range(8) for row in range(5) for look in range(3)]

    def _point(self, column: int, row: int, look: int) -> Embedding:
        cell, when = f"33TVF{10 + 8 * column:02d}{10 + 8 * row:02d}", DAY0 + timedelta(days=5 * look)
        lon, lat = centres([cell])[0]
        return Embedding(
            point_id=stable_id(cell, look),
            cell=cell,
            sensor="s2",
            sensing_at=when,
            physical_key=f"{look}",
            acquisition_id=stable_id("scene", look),
            processed_at=when,
            source="test",
            collection="c",
            item_id=f"{look}",
            release="r",
            lon=lon,
            lat=lat,
            valid_fraction=1,
            cloud_fraction=0,
        )

    def _inside(self, wanted: ArchiveFilter) -> list[Embedding]:
        area = wanted.area
        return [one for one in self.points if area is None or area.contains(shapely.Point(one.lon, one.lat))]

    def count(self, *, release: str, filter: ArchiveFilter) -> int:
        assert release == "r"
        return len(self._inside(filter))

    def history(self, *, release: str, filter: ArchiveFilter, max_points: int) -> tuple[list[Embedding], np.ndarray]:
        assert release == "r"
        self.reads.append(filter)
        found = self._inside(filter)[:max_points]
        return found, np.tile(np.eye(1, 384, dtype=np.float32), (len(found), 1))


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def archive() -> CountingArchive:
    return CountingArchive()


def part(archive: CountingArchive, column: int) -> shapely.Polygon:
    lon = [one.lon for one in archive.points if one.cell.startswith(f"33TVF{10 + 8 * column:02d}")]
    lat = [one.lat for one in archive.points]
    return shapely.box(min(lon) - 0.03, min(lat) - 0.1, max(lon) + 0.03, max(lat) + 0.1)


def pasts(archive: CountingArchive, clock: Clock, **settings: float) -> Pasts:
    return Pasts(archive, "r", MatcherSettings(**settings), clock)  # type: ignore[arg-type]


def test_a_second_query_reads_nothing(archive: CountingArchive):
    clock = Clock()
    kept = pasts(archive, clock)
    for seen in (1000, 1000, 1050):
        assert kept.of("s2", seen=seen, unmatched=frozenset()).here(None).cell_count == 40
        clock.now += 100
    assert len(archive.reads) == 1


@pytest.mark.parametrize(("seen", "later_s"), [(1101, 0), (500, 0), (1000, 601)])
def test_what_has_grown_shrunk_or_aged_is_read_again(archive: CountingArchive, seen: int, later_s: float):
    clock = Clock()
    kept = pasts(archive, clock)
    assert kept.of("s2", seen=1000, unmatched=frozenset()).everywhere
    clock.now += later_s
    assert kept.of("s2", seen=seen, unmatched=frozenset()).everywhere
    assert len(archive.reads) == 2


def test_an_empty_archive_is_read_again_as_soon_as_something_is_there(archive: CountingArchive):
    kept, points = pasts(archive, Clock()), archive.points
    archive.points = []
    assert kept.of("s2", seen=0, unmatched=frozenset()).everywhere.cell_count == 0
    archive.points = points
    assert kept.of("s2", seen=3, unmatched=frozenset()).everywhere.cell_count == 40


def test_areas_are_kept_within_bounds_and_limited_a_round(archive: CountingArchive):
    kept = pasts(archive, Clock(), history_points=100, kept_points=30, areas_per_round=2, least_background=30)
    past = kept.of("s2", seen=1000, unmatched=frozenset())
    areas = [part(archive, column) for column in range(4)]
    assert past.here(areas[0]).cell_count == 5
    assert past.here(areas[1]).cell_count == 5
    reads = len(archive.reads)
    past.here(areas[2])  # the third of this round comes out of the sample
    past.here(areas[0])
    past.here(areas[1])
    assert len(archive.reads) == reads == 3
    past = kept.of("s2", seen=1000, unmatched=frozenset())
    past.here(areas[3])  # 45 points: more than may be kept, the oldest is forgotten
    past.here(areas[1])
    assert len(archive.reads) == 4
    past.here(areas[0])
    assert len(archive.reads) == 5


def test_what_is_on_its_way_is_no_history(archive: CountingArchive):
    on_its_way: frozenset[UUID] = frozenset({stable_id("scene", 2)})
    past = pasts(archive, Clock()).of("s2", seen=1000, unmatched=on_its_way)
    assert len(past.everywhere.cells) == 80
