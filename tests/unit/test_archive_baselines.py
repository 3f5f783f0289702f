"""Baselines are a cache of the points: exact after crashes, races and long histories."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest

from archive.baselines import MEMBERS_LISTED, OVERPASS
from archive.interface import ArchiveFilter, Hit
from archive.records import from_record, to_record
from archive.store import Baseline, Page
from archive.stored import StoredArchive
from schemas.errors import StoreUnavailable
from schemas.messages import Embedding, stable_id

START = datetime(2026, 1, 1, tzinfo=UTC)


class Dictionary:
    """A store of dictionaries; it can fail or let somebody else come first, and counts what is read."""

    def __init__(self) -> None:
        self.held: dict[UUID, tuple[Embedding, np.ndarray]] = {}
        self.means: dict[UUID, Baseline] = {}
        self.dies_before_baselines = False
        self.others: list[tuple[Embedding, np.ndarray]] = []
        self.scrolls = 0
        self.writes = 0

    def releases(self) -> list[str]:
        return sorted({one.release for one, _ in self.held.values()})

    def points(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, tuple[Embedding, np.ndarray]]:
        return {point_id: self.held[point_id] for point_id, _ in wanted if point_id in self.held}

    def vectors(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, np.ndarray]:
        return {point_id: vector for point_id, (_, vector) in self.points(release, wanted).items()}

    def write_points(self, release: str, embeddings: Sequence[Embedding], vectors: np.ndarray) -> None:
        self.writes += 1
        self.held |= {one.point_id: (one, vector) for one, vector in zip(embeddings, vectors, strict=True)}

    def baselines(self, release: str, ids: Sequence[UUID]) -> dict[UUID, Baseline]:
        return {one: self.means[one] for one in ids if one in self.means}

    def write_baselines(self, release: str, baselines: Sequence[Baseline]) -> set[UUID]:
        if self.dies_before_baselines:
            raise StoreUnavailable("killed")
        if self.others:
            other, vector = self.others.pop()
            StoredArchive(self).record([other], vector[None])
        lost = set()
        for one in baselines:
            known = self.means.get(one.baseline_id)
            if known and known.revision != one.revision - 1:
                lost.add(one.baseline_id)
            else:
                self.writes += 1
                self.means[one.baseline_id] = from_record(one.baseline_id, dict(to_record(one)), one.vector)
        return lost

    def scroll(self, release: str, filter: ArchiveFilter) -> Iterator[Page]:
        self.scrolls += 1
        cells, until = filter.cells or (), filter.until
        rows = [(e, v) for e, v in self.held.values() if e.cell in cells and (not until or e.sensing_at < until)]
        for row in rows:
            yield Page([row[0]], row[1][None])

    def nearest(self, release: str, vector: np.ndarray, filter: ArchiveFilter, limit: int) -> list[Hit]:
        return []

    def count(self, release: str, filter: ArchiveFilter) -> int:
        return len(self.held)

    def cells(self, release: str, filter: ArchiveFilter) -> dict[str, int]:
        return {}

    def close(self) -> None:
        self.held.clear()


def unit(seed: int) -> np.ndarray:
    vector = np.random.default_rng(seed).standard_normal((1, 384)).astype(np.float32)
    return vector / np.linalg.norm(vector)


def point(key: int, when: datetime, cell: str = "33TWN4512") -> Embedding:
    return Embedding(
        point_id=stable_id("point", cell, key),
        cell=cell,
        sensor="s2",
        sensing_at=when,
        physical_key=str(key),
        acquisition_id=stable_id(key),
        processed_at=when,
        source="test",
        collection="c",
        item_id=str(key),
        release="r",
        lon=15.0,
        lat=46.0,
        valid_fraction=1.0,
        cloud_fraction=0.0,
    )


def exact(store: Dictionary, one: Embedding) -> tuple[np.ndarray, int]:
    past = [
        v for e, v in store.held.values() if e.sensing_at < one.sensing_at - OVERPASS and e.point_id != one.point_id
    ]
    return (np.mean(past, axis=0) if past else np.zeros(384)), len(past)


def assert_told(store: Dictionary, one: Embedding, vector: np.ndarray) -> None:
    made = StoredArchive(store).record([one], vector)
    mean, count = exact(store, one)
    assert made.counts == (count,)
    assert np.allclose(made.vectors[0], mean, atol=1e-5)


def assert_baseline_is_all_points(store: Dictionary) -> None:
    (baseline,) = store.means.values()
    assert baseline.count == len(store.held)
    assert np.allclose(baseline.vector, np.mean([v for _, v in store.held.values()], axis=0), atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_a_long_series_is_exact(seed: int) -> None:
    rng = np.random.default_rng(seed)
    store = Dictionary()
    days = rng.integers(0, 150, MEMBERS_LISTED + 40) if seed else np.arange(MEMBERS_LISTED + 40)
    for key, day in enumerate(days):
        assert_told(store, point(key, START + timedelta(days=int(day))), unit(key))
        if rng.random() < 0.2:  # redelivered, or processed again
            again = int(rng.integers(key + 1))
            old = point(again, START + timedelta(days=int(days[again])))
            if rng.random() < 0.5:
                assert_told(
                    store, old.model_copy(update={"processed_at": START + timedelta(days=200)}), unit(500 + key)
                )
            else:
                assert_told(store, old, unit(again))
    assert_baseline_is_all_points(store)
    (baseline,) = store.means.values()
    assert len(baseline.members) == MEMBERS_LISTED


def test_in_order_no_series_is_ever_read() -> None:
    store = Dictionary()
    for key in range(MEMBERS_LISTED + 10):
        assert_told(store, point(key, START + timedelta(days=key)), unit(key))
    assert store.scrolls == 0


def test_a_repeated_call_writes_nothing() -> None:
    store = Dictionary()
    for key in range(3):
        assert_told(store, point(key, START + timedelta(days=key)), unit(key))
    writes = store.writes
    for key in range(3):
        assert_told(store, point(key, START + timedelta(days=key)), unit(key))
    assert store.writes == writes


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("again", [False, True], ids=["new", "processed again"])
def test_killed_between_point_and_baseline_the_next_try_mends_it(known: int, again: bool) -> None:
    store = Dictionary()
    for key in range(known):
        assert_told(store, point(key, START + timedelta(days=key)), unit(key))
    key = known - 1 if again and known else known
    one = point(key, START + timedelta(days=key)).model_copy(update={"processed_at": START + timedelta(days=99)})
    store.dies_before_baselines = True
    with pytest.raises(StoreUnavailable):
        StoredArchive(store).record([one], unit(77))
    store.dies_before_baselines = False
    assert one.point_id in store.held
    assert_told(store, one, unit(77))
    assert_baseline_is_all_points(store)


def test_killed_and_never_tried_again_others_stay_exact_to_what_was_acknowledged() -> None:
    store = Dictionary()
    assert_told(store, point(0, START), unit(0))
    store.dies_before_baselines = True
    with pytest.raises(StoreUnavailable):
        StoredArchive(store).record([point(1, START + timedelta(days=1))], unit(1))
    store.dies_before_baselines = False
    made = StoredArchive(store).record([point(2, START + timedelta(days=2))], unit(2))
    assert made.counts == (1,)
    assert_told(store, point(1, START + timedelta(days=1)), unit(1))
    assert_baseline_is_all_points(store)


def test_two_writers_of_one_cell_lose_no_update() -> None:
    store = Dictionary()
    assert_told(store, point(0, START), unit(0))
    store.others = [(point(key, START + timedelta(days=key)), unit(key)[0]) for key in (3, 2)]
    assert_told(store, point(4, START + timedelta(days=4)), unit(4))
    assert not store.others
    assert_baseline_is_all_points(store)


def test_a_writer_that_never_comes_first_gives_up_for_now() -> None:
    store = Dictionary()
    assert_told(store, point(0, START), unit(0))
    store.write_baselines = lambda release, baselines: {one.baseline_id for one in baselines}  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="other writers"):
        StoredArchive(store).record([point(1, START + timedelta(days=1))], unit(1))


def test_an_older_version_is_ignored_but_told_about() -> None:
    store = Dictionary()
    assert_told(store, point(0, START), unit(0))
    newer = point(1, START + timedelta(days=1))
    assert_told(store, newer, unit(1))
    older = newer.model_copy(update={"processed_at": START})
    made = StoredArchive(store).record([older], unit(9))
    assert made.counts == (1,)
    assert np.allclose(made.vectors, unit(0), atol=1e-6)
    assert store.held[newer.point_id][0] == newer
    assert_baseline_is_all_points(store)


def test_the_neighbouring_tile_of_the_same_overpass_is_no_past() -> None:
    store = Dictionary()
    assert_told(store, point(1, START), unit(1))
    assert_told(store, point(2, START + timedelta(days=5)), unit(2))
    told = StoredArchive(store).record([point(3, START + timedelta(days=5, seconds=14))], unit(3))
    assert told.counts == (1,)
    np.testing.assert_allclose(told.vectors, unit(1), atol=1e-6)
