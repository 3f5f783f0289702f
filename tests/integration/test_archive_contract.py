"""One contract, two engines: the same points and filters give what plain numpy gives."""

import itertools
import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely
from qdrant_client import QdrantClient

from archive import Archive, ArchiveFilter, open_archive
from archive.address import published
from archive.baselines import OVERPASS
from archive.in_time import CLOSE_ENOUGH, AsOf, moment_of, pages
from archive.server import ServerStore, connect
from archive.stored import StoredArchive
from schemas.cells import Cell, cells_in
from schemas.errors import MalformedMessage, ReleaseMismatch, UsageError
from schemas.geometry import read_bbox
from schemas.messages import Embedding, stable_id
from schemas.settings import Stack

START = datetime(2026, 1, 20, tzinfo=UTC)
CELLS = cells_in(shapely.box(14.00, 46.00, 14.09, 46.06))
FAR = [
    *cells_in(shapely.box(179.97, -17.02, 180.0, -17.0))[:2],
    *cells_in(shapely.box(-180.0, -17.02, -179.97, -17.0))[:2],
    *cells_in(shapely.box(20.0, 83.96, 20.1, 83.99))[:2],
    *cells_in(shapely.box(-120.0, -79.9, -119.9, -79.87))[:2],
]


@pytest.fixture(scope="module", params=["embedded", "server, local mode", "server"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    if request.param == "embedded":
        yield from embedded(tmp_path_factory.mktemp("archive"))
    elif request.param == "server":
        url = os.environ.get("TOCSIN_TEST_QDRANT")
        if not url:
            pytest.skip("TOCSIN_TEST_QDRANT names no Qdrant server")
        with connect(url, os.environ.get("TOCSIN_TEST_QDRANT_API_KEY", "")) as opened:
            yield opened
    else:
        with StoredArchive(ServerStore(QdrantClient(":memory:"))) as opened:
            yield opened


def embedded(data: Path) -> Iterator[Archive]:
    stack = Stack(data=data)
    with open_archive(stack) as opened:
        yield opened
        address = published(stack.run_folder)
    assert address is not None
    os.kill(address.pid, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while published(stack.run_folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert published(stack.run_folder) is None


@pytest.fixture
def release() -> str:
    return f"test-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


pytestmark = [
    pytest.mark.filterwarnings("ignore:Payload indexes have no effect:UserWarning"),
    pytest.mark.filterwarnings("ignore:Local mode performs exact:UserWarning"),
]


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.standard_normal((n, 384)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def point(cell: Cell, release: str, key: str, sensing_at: datetime, **more: object) -> Embedding:
    fields: dict[str, object] = {
        "point_id": stable_id("point", cell.id, key, release),
        "cell": cell.id,
        "sensor": "s2",
        "sensing_at": sensing_at,
        "physical_key": key,
        "acquisition_id": stable_id(key),
        "processed_at": sensing_at + timedelta(hours=6),
        "source": "test",
        "collection": "sentinel-2-c1-l2a",
        "item_id": f"item-{key}",
        "platform": "sentinel-2c",
        "release": release,
        "lon": round(cell.centre[0], 9),
        "lat": round(cell.centre[1], 9),
        "valid_fraction": 1.0,
        "cloud_fraction": 0.1,
    }
    return Embedding.model_validate(fields | more)


class Reference:
    """The archive's contract in plain numpy: keep everything, look at everything."""

    def __init__(self) -> None:
        self.points: dict[uuid.UUID, tuple[Embedding, np.ndarray]] = {}

    def record(self, embeddings: list[Embedding], vectors: np.ndarray) -> tuple[np.ndarray, list[int]]:
        means, counts = [], []
        for embedding, vector in zip(embeddings, vectors, strict=True):
            stored = self.points.get(embedding.point_id)
            if stored is None or stored[0].processed_at <= embedding.processed_at:
                self.points[embedding.point_id] = (embedding, vector)
            own = self.points[embedding.point_id][0]
            past = [
                v for e, v in self.points.values() if same_series(e, own) and e.sensing_at < own.sensing_at - OVERPASS
            ]
            means.append(np.mean(past, axis=0, dtype=np.float64) if past else np.zeros(384))
            counts.append(len(past))
        return np.array(means), counts

    def search(self, vector: np.ndarray, chosen: ArchiveFilter, limit: int) -> list[tuple[uuid.UUID, float]]:
        scored = [(e.point_id, round(float(v @ vector), 6)) for e, v in self.points.values() if passes(e, chosen)]
        return sorted(scored, key=lambda one: (-one[1], one[0]))[:limit]


def same_series(one: Embedding, other: Embedding) -> bool:
    if (one.cell, one.sensor, one.release) != (other.cell, other.sensor, other.release):
        return False
    return one.sensor == "s2" or one.relative_orbit == other.relative_orbit


def passes(one: Embedding, chosen: ArchiveFilter) -> bool:
    return (
        (chosen.area is None or bool(shapely.intersects_xy(chosen.area, one.lon, one.lat)))
        and (chosen.since is None or one.sensing_at >= chosen.since)
        and (chosen.until is None or one.sensing_at < chosen.until)
        and (not chosen.sensors or one.sensor in chosen.sensors)
        and (chosen.max_cloud is None or one.cloud_fraction <= chosen.max_cloud)
        and (chosen.cells is None or one.cell in chosen.cells)
        and (not chosen.sources or one.source in chosen.sources)
        and (not chosen.physical_keys or one.physical_key in chosen.physical_keys)
        and (chosen.simulated is None or one.simulated == chosen.simulated)
    )


def filled(archive: Archive, release: str, rng: np.random.Generator) -> Reference:
    """240 points of 24 scenes over three months, a few places at the ends of the Earth."""
    reference = Reference()
    for scene in range(24):
        places = [CELLS[i] for i in rng.choice(len(CELLS), 8, replace=False)] + list(rng.choice(FAR, 2, replace=False))
        sensor = "s1" if scene % 3 == 0 else "s2"
        more = {
            "sensor": sensor,
            "relative_orbit": 44 if sensor == "s1" else None,
            "source": f"source-{scene % 2}",
            "simulated": scene % 5 == 0,
        }
        embeddings = [
            point(
                cell,
                release,
                f"{sensor}-{scene}",
                START + timedelta(days=3 * scene, microseconds=scene),
                cloud_fraction=float(np.round(rng.random(), 2)),
                **more,
            )
            for cell in places
        ]
        vectors = unit(rng, len(embeddings))
        archive.record(embeddings, vectors)
        reference.record(embeddings, vectors)
    return reference


WAVY = shapely.Polygon([(14.0, 46.0), (14.05, 46.01), (14.02, 46.02), (14.04, 46.05), (14.01, 46.04)])
FILTERS = {
    "everything": ArchiveFilter(),
    "time": ArchiveFilter(since=START + timedelta(days=10), until=START + timedelta(days=30)),
    "first instant is in, last is out": ArchiveFilter(
        since=START + timedelta(days=3, microseconds=1), until=START + timedelta(days=6, microseconds=2)
    ),
    "sensor": ArchiveFilter(sensors=("s1",)),
    "both sensors": ArchiveFilter(sensors=("s1", "s2")),
    "cloud": ArchiveFilter(max_cloud=0.3),
    "cells": ArchiveFilter(cells=tuple(cell.id for cell in CELLS[:3])),
    "no cells": ArchiveFilter(cells=()),
    "source": ArchiveFilter(sources=("source-1",)),
    "scene": ArchiveFilter(physical_keys=("s2-1", "s1-3")),
    "simulated": ArchiveFilter(simulated=True),
    "real": ArchiveFilter(simulated=False),
    "outline": ArchiveFilter(area=WAVY),
    "hole": ArchiveFilter(area=shapely.box(13, 45, 15, 47) - shapely.box(14.01, 46.01, 14.03, 46.03)),
    "two parts": ArchiveFilter(area=shapely.box(14, 46, 14.01, 46.05) | shapely.box(14.04, 46, 14.05, 46.05)),
    "antimeridian": ArchiveFilter(area=read_bbox((179, -20, -179, -10))),
    "whole Earth": ArchiveFilter(area=shapely.box(-180, -90, 180, 90)),
    "300 degrees": ArchiveFilter(area=shapely.box(-130, -90, 180, 90)),
    "poles": ArchiveFilter(area=shapely.box(-180, 80, 180, 90) | shapely.box(-180, -90, 180, -79)),
    "all at once": ArchiveFilter(
        area=shapely.box(14, 46, 14.04, 46.04),
        since=START,
        until=START + timedelta(days=60),
        sensors=("s2",),
        max_cloud=0.8,
        sources=("source-0", "source-1"),
        simulated=False,
    ),
}


def test_every_filter_finds_what_numpy_finds(archive: Archive, release: str, rng: np.random.Generator) -> None:
    reference = filled(archive, release, rng)
    questions = unit(rng, 3)
    sizes = set()
    for name, chosen in FILTERS.items():
        for question, limit in zip(questions, (1, 10, 1000), strict=True):
            expected = reference.search(question, chosen, limit)
            hits = archive.search(question, release=release, filter=chosen, limit=limit)
            assert [hit.embedding.point_id for hit in hits] == [one for one, _ in expected], name
            assert np.allclose([hit.score for hit in hits], [score for _, score in expected], atol=2e-6), name
            assert all(hit.embedding == reference.points[hit.embedding.point_id][0] for hit in hits), name
        assert archive.count(release=release, filter=chosen) == len(expected), name
        sizes.add(len(expected))
    assert len(sizes) > 10, "the filters must tell points apart, or this proves nothing"


def test_history_is_whole_series_of_random_cells(archive: Archive, release: str, rng: np.random.Generator) -> None:
    reference = filled(archive, release, rng)
    chosen = ArchiveFilter(sensors=("s2",), area=shapely.box(14, 46, 14.05, 46.04))
    expected = [(e, v) for e, v in reference.points.values() if passes(e, chosen)]
    picks = []
    for seed in (0, 1):
        embeddings, vectors = archive.history(release=release, filter=chosen, max_points=30, seed=seed)
        assert 20 < len(embeddings) <= 30
        cells = {one.cell for one in embeddings}
        series = sorted((e.cell, e.sensing_at, e.point_id) for e, _ in expected if e.cell in cells)
        assert [(one.cell, one.sensing_at, one.point_id) for one in embeddings] == series
        assert np.array_equal(vectors, [reference.points[one.point_id][1] for one in embeddings])
        picks.append(cells)
    assert picks[0] != picks[1]
    again, _ = archive.history(release=release, filter=chosen, max_points=30, seed=1)
    assert {one.cell for one in again} == picks[1]
    assert len(archive.history(release=release, filter=chosen, max_points=10_000)[0]) == len(expected)
    assert archive.history(release=release, filter=chosen, max_points=0)[1].shape == (0, 384)


def test_cells_are_counted_one_by_one(archive: Archive, release: str, rng: np.random.Generator) -> None:
    reference = filled(archive, release, rng)
    area = shapely.Polygon([(14, 46), (14.05, 46), (14, 46.05)])
    for chosen in (ArchiveFilter(), ArchiveFilter(sensors=("s2",), area=area), ArchiveFilter(cells=())):
        expected = Counter(e.cell for e, _ in reference.points.values() if passes(e, chosen))
        assert archive.cells(release=release, filter=chosen) == dict(sorted(expected.items()))
    assert archive.cells(release="no such release") == {}
    with pytest.raises(UsageError, match="no zone"):
        archive.cells(release=release, filter=ArchiveFilter(since=START.replace(tzinfo=None)))


def test_pages_hold_every_point_once_in_order_of_time(archive: Archive, release: str, rng: np.random.Generator) -> None:
    reference = filled(archive, release, rng)
    chosen = ArchiveFilter(area=shapely.Polygon([(14, 46), (14.08, 46), (14, 46.06)]))
    until = START + timedelta(days=500)
    got = list(pages(archive, release=release, filter=chosen, until=until, page_points=16))
    found = [(one, row) for page in got for one, row in zip(page.embeddings, page.vectors, strict=True)]
    expected = [(e, v) for e, v in reference.points.values() if passes(e, chosen)]
    expected.sort(key=lambda one: (one[0].sensing_at, one[0].physical_key, one[0].cell))
    assert [one.point_id for one, _ in found] == [one.point_id for one, _ in expected]
    assert all(np.array_equal(row, vector) for (_, row), (_, vector) in zip(found, expected, strict=True))
    assert len(got) > 5
    times = [{one.sensing_at for one in page.embeddings} for page in got]
    assert all(max(one) < min(other) for one, other in itertools.pairwise(times))
    third = moment_of(archive, len(expected) // 3, release=release, filter=chosen, until=until)
    assert sum(e.sensing_at < third for e, _ in expected) >= len(expected) // 3
    assert sum(e.sensing_at < third - CLOSE_ENOUGH for e, _ in expected) < len(expected) // 3


def test_a_view_of_the_past_knows_nothing_later(archive: Archive, release: str, rng: np.random.Generator) -> None:
    reference = filled(archive, release, rng)
    times = sorted(e.sensing_at for e, _ in reference.points.values())
    then = times[len(times) // 2]
    view = AsOf(archive, lambda: then)
    ids = {e.point_id for e, _ in reference.points.values() if e.sensing_at < then}
    assert view.count(release=release) == len(ids) < len(times)
    history, vectors = view.history(release=release, filter=ArchiveFilter(), max_points=10_000)
    assert {one.point_id for one in history} == ids
    assert len(vectors) == len(ids)
    assert sum(view.cells(release=release).values()) == len(ids)
    hits = view.search(unit(rng, 1)[0], release=release, filter=ArchiveFilter(), limit=1000)
    assert {hit.embedding.point_id for hit in hits} == ids
    later = ArchiveFilter(since=then)
    assert (view.count(release=release, filter=later), view.cells(release=release, filter=later)) == (0, {})
    assert view.history(release=release, filter=later, max_points=10)[0] == []
    assert view.search(unit(rng, 1)[0], release=release, filter=later, limit=3) == []
    assert release in view.releases()
    assert AsOf(archive, lambda: times[0]).releases() == []
    with pytest.raises(UsageError, match="for reading"):
        view.record([], np.zeros((0, 384), np.float32))


def test_baselines_are_exact_whatever_order_things_come_in(
    archive: Archive, release: str, rng: np.random.Generator
) -> None:
    reference = Reference()
    told: list[tuple[list[Embedding], np.ndarray]] = []
    cells = CELLS[:6]
    for step in range(25):
        kind = rng.integers(10)
        if kind < 2 and told:  # redelivered, in whole or in part
            embeddings, vectors = told[rng.integers(len(told))]
            part = slice(0, int(rng.integers(1, len(embeddings) + 1)))
            embeddings, vectors = embeddings[part], vectors[part]
        elif kind < 4 and told:  # processed again, later or earlier than what is stored
            older, _ = told[rng.integers(len(told))]
            shift = timedelta(days=int(rng.integers(-3, 9)), hours=1)
            embeddings = [one.model_copy(update={"processed_at": one.processed_at + shift}) for one in older]
            vectors = unit(rng, len(embeddings))
        else:  # new; times repeat and go back, so some are late and some at the same instant
            sensor = "s1" if kind == 9 else "s2"
            orbit = int(rng.integers(2)) if sensor == "s1" else None
            when = START + timedelta(days=int(rng.integers(40)), seconds=int(rng.integers(30)))
            places = [cells[i] for i in sorted(rng.choice(len(cells), 4, replace=False))]
            embeddings = [
                point(cell, release, f"scene-{step}", when, sensor=sensor, relative_orbit=orbit) for cell in places
            ]
            vectors = unit(rng, len(embeddings))
        told.append((embeddings, vectors))
        means, counts = reference.record(embeddings, vectors)
        made = archive.record(embeddings, vectors)
        assert list(made.counts) == counts, step
        assert np.allclose(made.vectors, means, atol=1e-5), step
    assert archive.count(release=release) == len(reference.points)


def test_a_reprocessed_scene_may_move_into_the_next_month(
    archive: Archive, release: str, rng: np.random.Generator
) -> None:
    edge_of_month = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    first = point(CELLS[0], release, "scene", edge_of_month)
    moved = first.model_copy(
        update={"sensing_at": edge_of_month + timedelta(seconds=2), "processed_at": edge_of_month + timedelta(days=9)}
    )
    vectors = unit(rng, 2)
    archive.record([first], vectors[:1])
    assert archive.record([moved], vectors[1:]).counts == (0,)
    found, stored = archive.history(release=release, filter=ArchiveFilter(), max_points=10)
    assert found == [moved]
    assert np.array_equal(stored, vectors[1:])


def test_equal_scores_come_in_the_order_of_ids(archive: Archive, release: str, rng: np.random.Generator) -> None:
    same = np.repeat(unit(rng, 1), 30, axis=0)
    embeddings = [
        point(cell, release, "scene", START + timedelta(days=20 * (i % 3))) for i, cell in enumerate(CELLS[:30])
    ]
    archive.record(embeddings, same)
    hits = archive.search(same[0], release=release, filter=ArchiveFilter(), limit=7)
    assert [hit.embedding.point_id for hit in hits] == sorted(one.point_id for one in embeddings)[:7]


def test_least_score_is_inclusive(archive: Archive, release: str, rng: np.random.Generator) -> None:
    vectors = unit(rng, 12)
    archive.record([point(cell, release, "scene", START) for cell in CELLS[:12]], vectors)
    everything = archive.search(vectors[0], release=release, filter=ArchiveFilter(), limit=12)
    for least in (everything[4].score, 2.0):
        hits = archive.search(vectors[0], release=release, filter=ArchiveFilter(), limit=12, min_score=least)
        assert hits == [hit for hit in everything if hit.score >= least]


def test_releases_are_apart(archive: Archive, release: str, rng: np.random.Generator) -> None:
    other = f"{release}/ünlike~v2%"
    vectors = unit(rng, 2)
    before = archive.count()
    archive.record([point(CELLS[0], release, "scene", START)], vectors[:1])
    later = point(CELLS[0], other, "scene-2", START + timedelta(days=1))
    assert archive.record([later], vectors[1:]).counts == (0,)
    assert {release, other} <= set(archive.releases())
    assert archive.count() == before + 2
    assert archive.count(release="never seen") == 0
    assert archive.search(vectors[0], release="never seen", filter=ArchiveFilter(), limit=5) == []
    assert archive.history(release="never seen", filter=ArchiveFilter(), max_points=5)[0] == []
    assert [h.embedding for h in archive.search(vectors[0], release=other, filter=ArchiveFilter(), limit=5)] == [later]


def test_nothing_to_record_is_no_error(archive: Archive) -> None:
    assert archive.record([], np.zeros((0, 384), dtype=np.float32)).vectors.shape == (0, 384)


def bad(release: str, **update: object) -> Embedding:
    """An embedding that pydantic never checked."""
    return point(CELLS[0], release, "scene", START).model_copy(update=update)


@pytest.mark.parametrize(
    "update",
    [{"lon": 500.0}, {"lat": float("nan")}, {"cell": "nowhere"}, {"cloud_fraction": 7.0}]
    + [{"sensing_at": datetime(1, 1, 2, tzinfo=UTC)}],
    ids=lambda update: next(iter(update)),
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_places_and_times_that_cannot_be_are_refused(
    archive: Archive, release: str, rng: np.random.Generator, update: dict[str, object]
) -> None:
    with pytest.raises(MalformedMessage):
        archive.record([bad(release, **update)], unit(rng, 1))
    assert archive.count(release=release) == 0


@pytest.mark.parametrize("spoil", ["nan", "infinite", "not unit", "too few"])
def test_vectors_that_are_no_unit_rows_are_refused(
    archive: Archive, release: str, rng: np.random.Generator, spoil: str
) -> None:
    vectors = unit(rng, 2)
    if spoil == "too few":
        vectors = vectors[:1]
    else:
        vectors[1] *= {"nan": np.nan, "infinite": np.inf, "not unit": 2.0}[spoil]
    with pytest.raises(MalformedMessage):
        archive.record([point(cell, release, "scene", START) for cell in CELLS[:2]], vectors)
    assert archive.count(release=release) == 0


def test_vectors_of_another_model_are_refused(archive: Archive, release: str, rng: np.random.Generator) -> None:
    one, other = point(CELLS[0], release, "a", START), point(CELLS[1], f"{release}-b", "a", START)
    with pytest.raises(ReleaseMismatch):
        archive.record([one, other], unit(rng, 2))
    short = np.ones((1, 1), dtype=np.float32)
    with pytest.raises(ReleaseMismatch):
        archive.record([one], short)
    with pytest.raises(ReleaseMismatch):
        archive.search(short[0], release=release, filter=ArchiveFilter(), limit=5)
    with pytest.raises(MalformedMessage):
        archive.search(unit(rng, 1)[0] * np.nan, release=release, filter=ArchiveFilter(), limit=5)


@pytest.mark.parametrize(
    "chosen",
    [
        ArchiveFilter(since=datetime(2026, 1, 1)),  # noqa: DTZ001 - the fault under test
        ArchiveFilter(since=START, until=START),
        ArchiveFilter(max_cloud=20.0),
        ArchiveFilter(area=shapely.box(170, 0, 190, 1)),
        ArchiveFilter(area=shapely.Polygon()),
    ],
    ids=["no zone", "since is until", "cloud in percent", "past 180 degrees", "empty area"],
)
def test_filters_that_cannot_be_are_refused(
    archive: Archive, release: str, rng: np.random.Generator, chosen: ArchiveFilter
) -> None:
    with pytest.raises(UsageError):
        archive.search(unit(rng, 1)[0], release=release, filter=chosen, limit=5)
    with pytest.raises(UsageError):
        archive.count(filter=chosen)
    with pytest.raises(UsageError):
        archive.history(release=release, filter=chosen, max_points=5)


def test_a_search_for_nothing_is_refused(archive: Archive, release: str, rng: np.random.Generator) -> None:
    with pytest.raises(UsageError):
        archive.search(unit(rng, 1)[0], release=release, filter=ArchiveFilter(), limit=0)
