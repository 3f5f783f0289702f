"""A back-test reports what live matching did, and says what it cannot know."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import select

from alerts import queries
from alerts.asked import asked
from alerts.backtest import Report, backtest, page, read_events, write
from alerts.backtest.curve import curve
from alerts.backtest.events import within
from alerts.backtest.run import sampled
from alerts.backtest.scenes import Baselines, Scene, scenes
from alerts.backtest.tally import MOST_CANDIDATES, REACH, Histogram, Tally
from alerts.budgets.calibrate import Calibrator
from alerts.learning.compare import compare
from alerts.learning.examples import Judged
from alerts.matching import Matcher
from alerts.places import centres
from alerts.settings import MatcherSettings
from archive.filters import boxes
from archive.in_time import pages
from archive.interface import ArchiveFilter, Hit
from archive.store import Baseline, Page
from archive.stored import StoredArchive
from schemas.database import Base, connect, reading, transaction
from schemas.errors import NotUnderstood, UsageError
from schemas.messages import (
    MAX_CELLS_PER_BATCH,
    Acquisition,
    Budget,
    ChipName,
    Embedding,
    EmbeddingBatch,
    Mode,
    StandingQuery,
    stable_id,
)
from schemas.tables import AcquisitionRow, CoverageRow, IncidentRow, MatchRow, ThresholdRow

DAY0 = datetime(2025, 3, 1, 10, tzinfo=UTC)
CELLS = [f"33TVF{10 + x:02d}{40 - y:02d}" for y in range(12) for x in range(12)]
FLOOD = {f"33TVF{10 + x:02d}{30 + y:02d}" for x in range(2, 5) for y in range(4, 8)}
LAKE = {f"33TVF{10 + x:02d}{30 + y:02d}" for x in range(9, 11) for y in range(1, 3)}
WATER = np.eye(1, 384, dtype=np.float32)[0]
AREA = {"type": "Polygon", "coordinates": [[[13.8, 40.8], [14.2, 40.8], [14.2, 41.1], [13.8, 41.1], [13.8, 40.8]]]}


class Shelf:
    """An archive's store in dictionaries: its rules are the real ones (`StoredArchive`)."""

    def __init__(self) -> None:
        self.held: dict[UUID, tuple[Embedding, np.ndarray]] = {}
        self.means: dict[UUID, Baseline] = {}
        self._listed: list[tuple[Embedding, np.ndarray]] = []

    def releases(self) -> list[str]:
        return sorted({one.release for one, _ in self.held.values()})

    def points(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, tuple[Embedding, np.ndarray]]:
        return {point_id: self.held[point_id] for point_id, _ in wanted if point_id in self.held}

    def vectors(self, release: str, wanted: Sequence[tuple[UUID, datetime]]) -> dict[UUID, np.ndarray]:
        return {point_id: vector for point_id, (_, vector) in self.points(release, wanted).items()}

    def write_points(self, release: str, embeddings: Sequence[Embedding], vectors: np.ndarray) -> None:
        self.held |= {one.point_id: (one, vector) for one, vector in zip(embeddings, vectors, strict=True)}

    def baselines(self, release: str, ids: Sequence[UUID]) -> dict[UUID, Baseline]:
        return {one: self.means[one] for one in ids if one in self.means}

    def write_baselines(self, release: str, baselines: Sequence[Baseline]) -> set[UUID]:
        self.means |= {one.baseline_id: one for one in baselines}
        return set()

    def nearest(self, release: str, vector: np.ndarray, filter: ArchiveFilter, limit: int) -> list[Hit]:
        return []

    def scroll(self, release: str, filter: ArchiveFilter) -> Iterator[Page]:
        rows = np.flatnonzero(self._mask(release, filter))
        if len(rows):
            yield Page([self._listed[row][0] for row in rows], np.stack([self._listed[row][1] for row in rows]))

    def count(self, release: str, filter: ArchiveFilter) -> int:
        return int(self._mask(release, filter).sum())

    def cells(self, release: str, filter: ArchiveFilter) -> dict[str, int]:
        return dict(Counter(self._listed[row][0].cell for row in np.flatnonzero(self._mask(release, filter))))

    def close(self) -> None:
        self.held.clear()

    def _mask(self, release: str, filter: ArchiveFilter) -> np.ndarray:
        if len(self._listed) != len(self.held):
            self._listed = list(self.held.values())
            points = [e for e, _ in self._listed]
            self._at = np.array([e.sensing_at.timestamp() for e in points])
            self._names = np.array([(e.release, e.sensor, e.cell) for e in points])
            self._places = np.array([(e.lon, e.lat) for e in points])
        if not self._listed:
            return np.zeros(0, bool)
        found = self._names[:, 0] == release
        if filter.since is not None:
            found &= self._at >= filter.since.timestamp()
        if filter.until is not None:
            found &= self._at < filter.until.timestamp()
        if filter.sensors:
            found &= np.isin(self._names[:, 1], filter.sensors)
        if filter.cells is not None:
            found &= np.isin(self._names[:, 2], filter.cells)
        if filter.area is not None:
            ((west, south, east, north),) = boxes(filter.area)
            lon, lat = self._places.T
            found &= (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        return found


class Encoder:
    release = "fake-1"

    def texts(self, sentences: list[str]) -> np.ndarray:
        if any("пожар" in sentence for sentence in sentences):
            raise NotUnderstood("unknown letters")
        return np.stack([WATER for _ in sentences])


class Broker:
    def send(self, records: object) -> None:
        pass


class Live:
    """The live pipeline from the encoder's `record` on: archive, ledger, matcher, all but Kafka."""

    def __init__(self, settings: MatcherSettings | None = None, seed: int = 3) -> None:
        self.engine = connect("sqlite://")
        Base.metadata.create_all(self.engine)
        self.archive, self.settings = StoredArchive(Shelf()), settings or MatcherSettings()
        calibrator = Calibrator(self.engine, self.archive, Encoder(), self.settings)
        self.matcher = Matcher(self.engine, Broker(), calibrator, "fake-1", self.settings)
        self.rng = np.random.default_rng(seed)
        self.level = dict.fromkeys(CELLS, 0.05) | dict.fromkeys(LAKE, 0.55)

    def scene(self, name: str, day: float, cells: list[str], wet: set[str], sensor: str = "s2", orbit: int = 7) -> None:
        """A scene as encoder and matcher take it."""
        when = DAY0 + timedelta(days=day)
        scores = np.array([0.5 if c in wet else self.level[c] + self.rng.normal(0, 0.015) for c in cells])
        rest = self.rng.standard_normal((len(cells), 384)) * (np.arange(384) > 0)
        rest /= np.linalg.norm(rest, axis=1, keepdims=True)
        vectors = (scores[:, None] * WATER + np.sqrt(1 - scores[:, None] ** 2) * rest).astype(np.float32)
        acquisition = Acquisition(
            acquisition_id=stable_id("acquisition", name),
            physical_key=name,
            processed_at=when + timedelta(hours=3),
            source="test",
            collection="c",
            item_id=f"item-{name}",
            sensor=sensor,
            sensing_at=when,
            published_at=when,
            seen_at=when,
            footprint={},
            relative_orbit=orbit,
            assets={},
            allowed_hosts=(),
            simulated=True,
        )
        points = [_point(acquisition, cell, place) for cell, place in zip(cells, centres(cells), strict=True)]
        means = self.archive.record(points, vectors)
        self._ledger(acquisition, len(cells))
        for batch in _batches(acquisition, cells, vectors, means.vectors, means.counts):
            self.matcher.handle(batch)
        self.matcher.sweep()  # what the service does twice a minute

    def year(self, days: range) -> None:
        """Radar and optical scenes, two optical tiles an overpass that overlap, now and then a flood."""
        for day in days:
            wet = FLOOD if day % 100 in range(60, 75) else set()
            wet = wet | ({CELLS[(day * 7) % len(CELLS)]} if day % 35 == 0 else set())
            if day % 5 == 0:
                self.scene(f"west {day}", day, [c for c in CELLS if int(c[5:7]) < 18], wet)
                self.scene(f"east {day}", day + 0.001, [c for c in CELLS if int(c[5:7]) > 15], wet)
            if day % 6 == 2:
                self.scene(f"radar {day}", day + 0.3, CELLS, wet, "s1", orbit=1 + day % 2)

    def _ledger(self, scene: Acquisition, seen: int) -> None:
        shared = {"acquisition_id", "physical_key", "source", "item_id", "sensor", "sensing_at"}
        more = {"collection", "processed_at", "published_at", "seen_at"}
        with transaction(self.engine) as session:
            session.add(
                AcquisitionRow(
                    **scene.model_dump(include=shared | more),
                    state="encoded",
                    message=scene.model_dump_json(),
                    topic="acquisitions.v1",
                )
            )
            box = {"west": 13.0, "south": 45.0, "east": 14.5, "north": 46.0}
            session.add(
                CoverageRow(**scene.model_dump(include=shared), **box, seen=seen, obscured=0, failed=0, chips=b"")
            )


def _point(acquisition: Acquisition, cell: str, place: np.ndarray) -> Embedding:
    shared = {"sensor", "sensing_at", "physical_key", "acquisition_id", "processed_at", "source", "collection"}
    return Embedding(
        **acquisition.model_dump(include=shared | {"item_id", "relative_orbit", "simulated"}),
        point_id=stable_id("point", cell, acquisition.physical_key, "fake-1"),
        cell=cell,
        release="fake-1",
        lon=float(place[0]),
        lat=float(place[1]),
        valid_fraction=1,
        cloud_fraction=0,
    )


def _batches(
    acquisition: Acquisition, cells: list[str], vectors: np.ndarray, means: np.ndarray, counts: tuple[int, ...]
) -> Iterator[EmbeddingBatch]:
    starts = range(0, len(cells), MAX_CELLS_PER_BATCH)
    for number, start in enumerate(starts):
        part = slice(start, start + MAX_CELLS_PER_BATCH)
        yield EmbeddingBatch(
            acquisition=acquisition,
            release="fake-1",
            batch=number,
            batches=len(starts),
            cells=tuple(cells[part]),
            vectors=vectors[part],
            baselines=means[part],
            baseline_counts=counts[part],
        )


def replay(live: Live | Past, **more: int) -> Iterator[Scene]:
    until = DAY0 + timedelta(days=999)
    return scenes(pages(live.archive, release="fake-1", filter=ArchiveFilter(), until=until, **more))


def query(**more: object) -> StandingQuery:
    return asked("flooded fields", **more)


def told(engine: object, query: StandingQuery) -> list[tuple[object, ...]]:
    """A query's incidents with everything but the machine's time of opening, and each of their matches."""
    with reading(engine) as session:
        rows = session.scalars(select(IncidentRow).where(IncidentRow.query_id == query.query_id)).all()
        matches = session.execute(select(MatchRow.incident_id, MatchRow.message)).all()
    return sorted(
        (
            str(row.incident_id),
            row.state,
            row.first_sensing_at,
            row.last_sensing_at,
            row.score,
            row.sequence,
            tuple(sorted(message for incident_id, message in matches if incident_id == row.incident_id)),
        )
        for row in rows
    )


def found(report: Report) -> list[tuple[object, ...]]:
    return sorted(
        (
            one.incident_id,
            one.state,
            one.first_sensing_at,
            one.last_sensing_at,
            one.score,
            one.sequence,
            tuple(sorted(match.model_dump_json() for match in one.matches)),
        )
        for one in report.incidents
    )


@dataclass(frozen=True)
class Past:
    """95 days that nobody watched, and what the encoder told of them. Only to be read."""

    archive: StoredArchive
    settings: MatcherSettings
    batches: list[EmbeddingBatch]


@pytest.fixture(scope="module")
def past() -> Past:
    live, batches = Live(), []
    live.matcher.handle = batches.append  # type: ignore[method-assign]
    live.year(range(0, 95))
    return Past(live.archive, live.settings, batches)


@pytest.fixture(autouse=True)
def few_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level of a curve is a standing query: where it is not about curves there are few."""
    monkeypatch.setattr("alerts.backtest.curve.RANKS", (1, 8))
    monkeypatch.setattr("alerts.backtest.curve.STEPS", 3)


THRESHOLDS = ({"threshold": 0.2}, {"threshold": 0.3, "mode": "presence"}, {"threshold": 0.04})


@pytest.fixture(scope="module")
def watched() -> tuple[Live, list[StandingQuery]]:
    """The same days, watched by a query for each of `THRESHOLDS`."""
    live = Live()
    added = [queries.add(live.engine, "flooded fields", **more).query for more in THRESHOLDS]
    live.year(range(0, 95))
    return live, added


@pytest.mark.parametrize("number", range(len(THRESHOLDS)))
def test_the_same_incidents_as_live_with_the_same_threshold(
    watched: tuple[Live, list[StandingQuery]], number: int
) -> None:
    live, added = watched[0], watched[1][number]
    report = backtest(added, live.archive, Encoder(), since=DAY0 - timedelta(days=1), settings=live.settings)
    assert found(report) == told(live.engine, added)
    assert len(report.incidents) >= 2
    assert sum(len(one.matches) for one in report.incidents) > 50


def test_the_same_thresholds_and_incidents_as_a_live_query_added_later() -> None:
    live = Live(MatcherSettings(large_background=100))
    live.year(range(0, 50))
    added = queries.add(live.engine, "flooded fields", area=AREA, budget="5/week").query
    live.matcher.prepare()
    live.year(range(50, 145))
    report = backtest(added, live.archive, Encoder(), since=DAY0 + timedelta(days=49.9), settings=live.settings)
    assert found(report) == told(live.engine, added)
    assert len(report.incidents) >= 3
    with reading(live.engine) as session:
        rows = session.scalars(select(ThresholdRow)).all()
    last = {one.sensor: one for one in report.calibrated}
    assert {row.sensor: (row.score, row.presence, row.background) for row in rows} == {
        sensor: (one.score, one.presence, one.background) for sensor, one in last.items()
    }
    assert len(report.calibrated) > 2  # the archive doubled on the way


def test_no_threshold_has_seen_what_it_judges(past: Past) -> None:
    report = backtest(query(area=AREA), past.archive, Encoder(), settings=past.settings)
    calm = Shelf()
    for name, (one, vector) in past.archive._store.held.items():  # the same past, another future
        calm.held[name] = (one, vector if one.sensing_at < report.since else np.roll(vector, 1))
    other = backtest(query(area=AREA), StoredArchive(calm), Encoder(), since=report.since, settings=past.settings)
    assert report.calibrated[:2] == other.calibrated[:2]
    assert all(one.calibrated_on - report.since < timedelta(seconds=1) for one in report.calibrated[:2])
    assert all(row.calibrated_on >= report.since for row in report.calibrated)
    assert found(report) != found(other)
    assert report.incidents
    assert report.judged == pytest.approx(report.points * 2 / 3, rel=0.05)


def test_baselines_are_those_of_the_archive_to_the_bit(past: Past) -> None:
    replayed = [batch for scene in replay(past, page_points=400) for batch in scene.batches()]
    assert [(b.acquisition.item_id, b.batch, b.batches, b.cells) for b in replayed] == [
        (b.acquisition.item_id, b.batch, b.batches, b.cells) for b in past.batches
    ]
    for one, other in zip(replayed, past.batches, strict=True):
        assert np.array_equal(one.vectors, other.vectors)
        assert one.baseline_counts == other.baseline_counts
        assert np.array_equal(one.baselines, other.baselines)


def test_many_series_do_not_disturb_each_other() -> None:
    cells = [f"33TVF{x:02d}{y:02d}" for x in range(30) for y in range(30)]
    live = Live()
    live.level = dict.fromkeys(cells, 0.1)
    past = Baselines()
    live.matcher.handle = lambda _: None  # type: ignore[method-assign]
    for day in range(3):
        live.scene(f"{day}", day, cells[day * 200 : day * 200 + 400], set())
    for scene in replay(live):
        means, counts = past.pass_by(scene.points, scene.vectors)
        assert np.array_equal(counts, scene.counts)
        assert np.array_equal(means, scene.baselines)
    assert set(scene.counts) == {0, 1}


def test_too_little_history_is_said() -> None:
    live = Live()
    live.scene("only", 0, CELLS[:20], set(), "s1")
    report = backtest(query(area=AREA), live.archive, Encoder(), since=DAY0 - timedelta(days=1), settings=live.settings)
    assert report.incidents == ()
    assert report.warnings[0].startswith("s1: not enough history: 0 of 30 scores")
    assert report.calibrated[0].score is None
    report = backtest(query(area=AREA), StoredArchive(Shelf()), Encoder(), settings=live.settings)
    assert report.rate is None
    assert "holds nothing of release fake-1" in report.warnings[0]
    Encoder.release, before = "fake-2", Encoder.release
    try:
        report = backtest(query(area=AREA), live.archive, Encoder(), settings=live.settings)
    finally:
        Encoder.release = before
    assert "(it has points of fake-1)" in report.warnings[0]


def test_a_budget_beyond_the_history_is_said() -> None:
    live = Live()
    live.year(range(0, 60))
    seldom = Budget(alarms=1, per_days=366)
    about = {"since": DAY0 + timedelta(days=30), "settings": live.settings}
    report = backtest(query(budget=seldom, sensors=["s2"]), live.archive, Encoder(), **about)
    (warning,) = [text for text in report.warnings if "for the budget" in text]
    last = [one for one in report.calibrated if not one.stratum][-1]
    assert f"{last.background} of {last.needed} scores" in warning
    often = backtest(query(budget=Budget(alarms=7, per_days=7), sensors=["s2"]), live.archive, Encoder(), **about)
    assert not often.warnings


def test_what_cannot_be_asked_is_said() -> None:
    archive = StoredArchive(Shelf())
    with pytest.raises(UsageError, match="is not before"):
        backtest(query(), archive, Encoder(), since=DAY0, until=DAY0)
    with pytest.raises(UsageError, match="give 1 or more"):
        backtest(query(), archive, Encoder(), max_points=0)
    with pytest.raises(NotUnderstood):
        backtest(asked("пожар"), archive, Encoder())


def test_more_points_than_allowed_are_sampled_by_squares(past: Past) -> None:
    cells = {f"33TVF{x:02d}{y:02d}": 10 for x in range(40) for y in range(40)}
    chosen = sampled(cells, 5000)
    assert sum(chosen.values()) == 5000
    assert len({name[5] + name[7] for name in chosen}) == 5  # whole squares of 100 cells
    assert sampled(cells, 5000) == chosen != sampled(cells, 5000, seed=1)
    assert sampled(cells, 16_000) == cells
    assert len(sampled(cells, 3)) == 100
    since = DAY0 + timedelta(days=40)
    whole = backtest(query(threshold=0.2), past.archive, Encoder(), since=since, settings=past.settings)
    part = backtest(
        query(threshold=0.2), past.archive, Encoder(), since=since, settings=past.settings, max_points=whole.points - 1
    )
    assert part.points < whole.points
    assert part.share == part.cells / whole.cells < 1
    assert part.rate.per_week == pytest.approx(len(part.incidents) / part.weeks / part.share)
    assert "a sample" in part.warnings[-1]
    assert whole.share == 1


def test_the_curve_is_what_those_thresholds_would_have_made(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # all levels
    base = query(threshold=0.2, sensors=["s2"])
    about = {"since": DAY0 + timedelta(days=30), "settings": past.settings}
    report = backtest(base, past.archive, Encoder(), **about)
    levels = report.curves["s2"]
    assert 0.2 in [level.threshold for level in levels]
    assert [level.threshold for level in levels] == sorted((level.threshold for level in levels), reverse=True)
    for level in (levels[len(levels) // 2], levels[-1]):
        again = backtest(base.model_copy(update={"threshold": level.threshold}), past.archive, Encoder(), **about)
        assert (len(again.alarms), sum(len(one.matches) for one in again.incidents)) == (
            level.incidents,
            level.matches,
        )
    assert curve([], base, past.settings, also=[0.2]) == []


def test_what_was_merged_is_one_alarm() -> None:
    """Two fields far apart, and six days later all the land between: one flood, in the rate and in the curve."""
    live, row = Live(), [c for c in CELLS if c[7:] == "35"]
    for day in range(0, 60, 6):
        live.scene(f"{day}", day, CELLS, set())
    live.scene("two", 60, CELLS, {row[0], row[-1]})
    live.scene("one", 66, CELLS, set(row))
    about = {"since": DAY0 + timedelta(days=30), "settings": live.settings, "events": []}
    report = backtest(query(threshold=0.3, sensors=["s2"]), live.archive, Encoder(), **about)
    assert sorted(one.state for one in report.incidents) == ["confirmed", "merged"]
    assert len(report.incidents) == 2
    assert report.rate.incidents == len(report.alarms) == len(report.unexplained) == 1
    assert {level.threshold: level.incidents for level in report.curves["s2"]}[0.3] == 1


def test_candidates_are_the_highest_however_many_there_are() -> None:
    rng, live = np.random.default_rng(0), Live()
    tally, everything = Tally(Mode.PRESENCE, 1), []
    live.matcher.handle = lambda _: None  # type: ignore[method-assign]
    for day in range(9):
        live.scene(f"{day}", day, CELLS, set())
    for one in replay(live):
        scene = Scene(one.points, rng.permutation(one.vectors), one.baselines, one.counts)
        everything += tally.add(scene, WATER[None], None).tolist()
    kept = sorted((one.score for one in tally.candidates), reverse=True)
    assert kept == sorted(everything, reverse=True)[:MOST_CANDIDATES]
    assert tally.presence.total == len(everything) == 9 * len(CELLS)
    times = [one.acquisition.sensing_at for one in tally.candidates]
    assert times == sorted(times)


def test_a_histogram_counts_every_score_once() -> None:
    histogram = Histogram()
    histogram.add(np.array([-0.001, 0.0, 0.005, 0.01, 0.0999, REACH, -REACH, 0.07]))
    counts = dict(histogram.bins())
    assert (counts[-0.01], counts[0.0], counts[0.01], counts[0.09], counts[0.07]) == (1, 2, 1, 1, 1)
    assert histogram.total == sum(counts.values()) == 8
    assert Histogram().bins() == []


def event(name: str = "flood", geometry: object = None, **properties: object) -> dict[str, object]:
    place = centres(sorted(FLOOD))[5].tolist()
    shape = {"type": "Point", "coordinates": place} if geometry is None else geometry
    return {"type": "Feature", "geometry": shape, "properties": {"name": name, **properties}}


def collection(*features: object, **more: object) -> str:
    return json.dumps({"type": "FeatureCollection", "features": features, **more})


def test_known_events_are_hit_missed_unseen_or_outside(past: Past) -> None:
    day = [(DAY0 + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(400)]
    dry = {"type": "Point", "coordinates": centres([CELLS[-1]])[0].tolist()}
    nowhere = {"type": "Point", "coordinates": [13.83, 40.85]}
    text = collection(
        event("the flood", start=day[58], end=day[74]),
        event("nothing happened", dry, date=day[80]),
        event("no cell there", nowhere, date=day[60]),
        event("before", date=day[0]),
        event("far away", {"type": "Point", "coordinates": [0, 0]}, date=day[60]),
    )
    wanted = query(threshold=0.3, area=AREA)
    about = {"since": DAY0 + timedelta(days=50), "settings": past.settings}
    report = backtest(wanted, past.archive, Encoder(), events=read_events(text), **about)
    results = {one.event.name: one for one in report.outcomes}
    assert results["the flood"].result == "hit"
    assert results["the flood"].delay_days == pytest.approx(2 + 10 / 24, abs=0.01)
    assert results["the flood"].best > 0.4
    assert {name: one.result for name, one in results.items() if name != "the flood"} == {
        "nothing happened": "miss",
        "no cell there": "unseen",
        "before": "outside",
        "far away": "outside",
    }
    assert results["nothing happened"].looks > 0
    assert results["no cell there"].best is None
    assert report.recall == 0.5
    assert set(report.unexplained) == {
        one.incident_id for one in report.incidents if one.incident_id not in results["the flood"].incident_ids
    }
    assert report.unexplained


def test_what_lies_outside_is_no_hit_even_where_it_was_reported() -> None:
    """Else recall would count those of them that are found, and never those that are missed."""
    live = Live()
    live.year(range(0, 130))
    day = [(DAY0 + timedelta(days=n)).strftime("%Y-%m-%d") for n in range(100)]
    west, south, east, north = np.array(
        [centres(sorted(FLOOD)).min(axis=0), centres(sorted(FLOOD)).max(axis=0)]
    ).ravel()
    beside = {"type": "Point", "coordinates": [east + 0.03, north]}  # 2.5 km from the area's edge: within reach
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    text = collection(event("begun before", start=day[58], end=day[74]), event("beside the area", beside, date=day[62]))
    wanted = query(threshold=0.3, area={"type": "Polygon", "coordinates": [ring]})
    about = {"since": DAY0 + timedelta(days=60), "settings": live.settings}
    report = backtest(wanted, live.archive, Encoder(), events=read_events(text), **about)
    before, aside = report.outcomes
    assert before.result == aside.result == "outside"
    assert before.incident_ids
    assert aside.incident_ids  # it is explained, but proves nothing
    assert report.recall is None
    assert not set(report.unexplained) & {*before.incident_ids, *aside.incident_ids}


def test_dates_are_read_in_many_spellings() -> None:
    events = read_events(
        collection(
            event("a", date="2026-08-07"),
            event("b", START_DATE="2026-08-07T12:00:00+02:00", end_date="2026-08-09"),
            event("c", datetime="2026-08-07T10:00Z"),
            event("d", **{"from": "2026-08-07", "to": "2026-08-07"}),
            {**event("", date="2026-08-07"), "id": 7},
        )
    )
    midnight = datetime(2026, 8, 7, tzinfo=UTC)
    assert [(one.start, one.end) for one in events] == [
        (midnight, midnight + timedelta(days=1)),
        (midnight + timedelta(hours=10), midnight + timedelta(days=3)),
        (midnight + timedelta(hours=10), midnight + timedelta(hours=10)),
        (midnight, midnight + timedelta(days=1)),
        (midnight, midnight + timedelta(days=1)),
    ]
    assert [one.name for one in events] == ["a", "b", "c", "d", "7"]


BOW = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
LINE = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
METRES = {"type": "Point", "coordinates": [500000, 5000000]}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("[]", "not a GeoJSON object"),
        ('{"type": "Polygon", "coordinates": []}', "no features"),
        (collection(), "no features"),
        (collection(event(), crs={"name": "EPSG:32633"}), "names the CRS"),
        (collection(event(date="2026-08-07"), event("b")), r"event 2 \(b\) has no date"),
        (collection(event(date="7 August")), "is no date"),
        (collection(event(date=20260)), "is no date"),
        (collection(event(start="2026-08-07", end="2026-08-01")), "is before start"),
        (collection(event(geometry=BOW, date="2026-08-07")), r"event 1 \(flood\): .*not valid"),
        (collection(event(geometry=LINE, date="2026-08-07")), "is a LineString"),
        (collection(event(geometry=METRES, date="2026-08-07")), "is it projected"),
        (collection(event(geometry={}, date="2026-08-07")), "not a GeoJSON geometry"),
        (collection(event(geometry=[], date="2026-08-07")), "has no geometry"),
        (collection(event(geometry={"type": "Point", "coordinates": []}, date="2026-08-07")), "cannot be used"),
        (collection("here"), "event 1 is no GeoJSON Feature"),
        (json.dumps({"type": "FeatureCollection", "features": [event(date="2026-08-07")] * 10_001}), "at most 10000"),
    ],
)
def test_event_files_that_cannot_be_used_are_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_events(text)


def test_near_is_measured_in_kilometres_anywhere() -> None:
    (event_,) = read_events(collection(event(geometry={"type": "Point", "coordinates": [20, 60]}, date="2026-08-07")))
    places = np.array([[20.08, 60], [20.10, 60], [20, 60.04], [20, 60.05], [21, 61]])
    assert within(event_.geometry, places, 4.8).tolist() == [True, False, True, False, False]


def test_a_report_is_written_and_reads_back(past: Past, tmp_path: Path) -> None:
    day = (DAY0 + timedelta(days=60)).strftime("%Y-%m-%d")
    wanted = asked("flooded <fields> & more", threshold=0.3, area=AREA)
    about = {"since": DAY0 + timedelta(days=50), "settings": past.settings}
    known = read_events(collection(event("<b>Po</b>", date=day)))
    report = backtest(wanted, past.archive, Encoder(), events=known, **about)
    paths = write(report, tmp_path / "out" / "here", page(report))
    assert [path.name for path in paths] == ["incidents.geojson", "report.json", "report.html"]
    document = json.loads(paths[1].read_text())
    assert document["version"] == 1
    assert document["rate"]["incidents"] == len(document["incidents"]) == len(report.incidents)
    assert document["events"][0]["result"] == "hit"
    assert document["scores"]["s2"]["change"]
    features = json.loads(paths[0].read_text())["features"]
    assert features[0]["properties"]["cells"][0]["score"] == report.incidents[0].score
    assert features[0]["geometry"]["type"] in ("Polygon", "MultiPolygon")
    html = paths[2].read_text()
    assert "flooded &lt;fields&gt; &amp; more" in html
    assert "<b>Po</b>" not in html
    assert html.count("<svg") == 1 + 2 + 4
    assert "http" not in html
    empty = backtest(query(), StoredArchive(Shelf()), Encoder())
    assert "the archive holds nothing" in page(empty)
    write(empty, tmp_path / "empty", page(empty))


def test_progress_is_told(past: Past) -> None:
    seen: list[tuple[int, int]] = []
    report = backtest(query(threshold=0.3), past.archive, Encoder(), progress=lambda *at: seen.append(at))
    assert seen[-1] == (report.points, report.points)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_what_a_query_would_learn_is_shown_beside_what_it_does(past: Past) -> None:
    """Floods are judged true and single wet cells false: with and without learning, over the same history."""
    added = query(threshold=0.2)
    before = backtest(added, past.archive, Encoder(), settings=past.settings)
    judged = [
        Judged(
            tuple(ChipName(cell=m.cell, sensor=m.sensor, physical_key=m.physical_key) for m in one.matches),
            len({match.cell for match in one.matches}) > 1,
            one.incident_id,
        )
        for one in before.incidents
    ]
    assert {each.shown for each in judged} == {True, False}
    found = compare(added, judged, past.archive, Encoder(), settings=past.settings)
    true = sum(each.shown for each in judged)
    assert (found.true, found.false) == (true, len(judged) - true)
    assert (found.now.incidents, found.now.true_told, found.now.false_told) == (len(judged), true, len(judged) - true)
    assert found.then.true_told <= true
    assert found.agreement["s2"].true + found.agreement["s2"].false > 0
    taught = backtest(added, past.archive, Encoder(), settings=past.settings, answers=judged)
    assert len(taught.incidents) == found.then.incidents
    scores, bare = (
        {(m.cell, m.item_id): m.score for one in r.incidents for m in one.matches} for r in (taught, before)
    )
    assert any(score != bare[key] for key, score in scores.items() if key in bare)  # it is another vector
    assert json.loads(json.dumps(found.as_dict()))["now"]["incidents"] == len(judged)
