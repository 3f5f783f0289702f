"""Matching over the real in-process archive and database: baselines, thresholds and incidents together."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.backtest import backtest
from alerts.budgets.calibrate import Calibrator
from alerts.matching import Matcher
from alerts.places import centres
from alerts.settings import MatcherSettings
from archive import Archive, open_archive
from schemas.database import connect, migrate, reading, transaction
from schemas.messages import (
    Acquisition,
    Alert,
    CellState,
    Chip,
    Coverage,
    Embedding,
    EmbeddingBatch,
    stable_id,
)
from schemas.settings import Stack
from schemas.tables import AcquisitionRow, CoverageRow, IncidentRow, MatchRow

pytest.importorskip("qdrant_edge", reason="needs the embedded archive (tocsin[embedded])")

DAY0 = datetime(2026, 5, 1, 10, tzinfo=UTC)
SIDE = 10
CELLS = [f"33TVF{10 + x}{10 + y}" for x in range(SIDE) for y in range(SIDE)]
LAKE = {f"33TVF{10 + x}{10 + y}" for x in range(6, 9) for y in range(0, 3)}
FLOODED = {f"33TVF{10 + x}{10 + y}" for x in range(1, 4) for y in range(4, 8)}
WATER = np.eye(1, 384, dtype=np.float32)[0]


class FakeEncoder:
    release = "fake-1"

    def texts(self, sentences):
        return np.stack([WATER for _ in sentences])


class FakeBroker:
    def __init__(self):
        self.alerts: list[Alert] = []

    def send(self, records):
        self.alerts += [Alert.from_bytes(record.value) for record in records]


class World:
    """Scenes of a made-up landscape, brought through the archive as the encoder does it."""

    def __init__(self, engine: Engine, archive: Archive):
        self.engine, self.archive, self.broker = engine, archive, FakeBroker()
        self.rng = np.random.default_rng(4)
        self.level = dict(zip(CELLS, self.rng.normal(0.05, 0.04, len(CELLS)), strict=True))
        self.level |= dict.fromkeys(LAKE, 0.55)
        self.start()

    def start(self) -> None:
        settings = MatcherSettings()
        calibrator = Calibrator(self.engine, self.archive, FakeEncoder(), settings)
        self.matcher = Matcher(self.engine, self.broker, calibrator, "fake-1", settings)

    def scene(self, day: int, flooded: set[str]) -> list[EmbeddingBatch]:
        """Record a scene and give its batches, in two halves."""
        when = DAY0 + timedelta(days=day)
        acquisition = Acquisition(
            acquisition_id=stable_id("scene", day),
            physical_key=f"scene {day}",
            processed_at=when,
            source="test",
            collection="c",
            item_id=f"item-{day}",
            sensor="s2",
            sensing_at=when,
            published_at=when,
            seen_at=when,
            footprint={},
            assets={},
            allowed_hosts=(),
        )
        season = 0.04 * np.sin(day / 15)
        scores = [0.5 if cell in flooded else self.level[cell] + season + self.rng.normal(0, 0.015) for cell in CELLS]
        vectors = self._vectors(np.array(scores))
        baselines = self.archive.record([self._embedding(acquisition, cell) for cell in CELLS], vectors)
        self._ledger(acquisition)
        half = len(CELLS) // 2
        return [
            EmbeddingBatch(
                acquisition=acquisition,
                release="fake-1",
                batch=number,
                batches=2,
                cells=tuple(CELLS[part]),
                vectors=vectors[part],
                baselines=baselines.vectors[part],
                baseline_counts=baselines.counts[part],
            )
            for number, part in enumerate((slice(0, half), slice(half, None)))
        ]

    def _vectors(self, scores: np.ndarray) -> np.ndarray:
        rest = self.rng.standard_normal((len(scores), 384))
        rest[:, 0] = 0
        rest /= np.linalg.norm(rest, axis=1, keepdims=True)
        vectors = scores[:, None] * WATER + np.sqrt(1 - scores[:, None] ** 2) * rest
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _embedding(self, acquisition: Acquisition, cell: str) -> Embedding:
        lon, lat = centres([cell])[0]
        return Embedding(
            point_id=stable_id("point", cell, acquisition.physical_key, "fake-1"),
            cell=cell,
            lon=lon,
            lat=lat,
            release="fake-1",
            valid_fraction=1,
            cloud_fraction=0,
            **acquisition.model_dump(
                include={"sensor", "sensing_at", "physical_key", "acquisition_id", "processed_at"}
                | {"source", "collection", "item_id"}
            ),
        )

    def _ledger(self, acquisition: Acquisition) -> None:
        chips = tuple(Chip(cell=cell, state=CellState.SEEN, valid_fraction=1, cloud_fraction=0) for cell in CELLS)
        shared = {"acquisition_id", "physical_key", "source", "item_id", "sensor", "sensing_at"}
        coverage = Coverage(**acquisition.model_dump(include=shared), chips=chips)
        with transaction(self.engine) as session:
            session.add(
                AcquisitionRow(
                    **acquisition.model_dump(
                        include=shared | {"collection", "processed_at", "published_at", "seen_at"}
                    ),
                    state="encoded",
                    batches=2,
                    message=acquisition.model_dump_json(),
                    topic="acquisitions.v1",
                )
            )
            session.add(
                CoverageRow(
                    **acquisition.model_dump(include=shared),
                    **{"west": 14, "south": 41, "east": 15, "north": 42},
                    seen=len(chips),
                    obscured=0,
                    failed=0,
                    chips=zlib.compress(coverage.to_bytes()),
                )
            )


def test_a_flood_is_told_once_and_a_lake_never(tmp_path: Path):
    stack = Stack(data=tmp_path)
    migrate(stack.database)
    engine = connect(stack.database)
    with open_archive(stack) as archive:
        world = World(engine, archive)
        query = queries.add(engine, "flooded area").query
        everything = []
        for number, day in enumerate(range(0, 60, 5)):
            for batch in world.scene(day, FLOODED if day >= 40 else set()):
                world.matcher.handle(batch)
                everything.append(batch)
            if number == 5:
                world.start()  # a new process in the middle
        alerts = world.broker.alerts
        assert {alert.alert_id for alert in alerts} == {alerts[0].alert_id}
        assert alerts[0].incident.first_sensing_at == DAY0 + timedelta(days=40)
        assert len(alerts) <= 2
        assert set(alerts[-1].incident.cells) == FLOODED

        world.start()
        for batch in everything:
            world.matcher.handle(batch)
        assert world.broker.alerts == alerts
        with reading(engine) as session:
            assert session.scalar(select(func.count()).select_from(IncidentRow)) == 1
            assert session.scalar(select(func.count(MatchRow.cell.distinct()))) == len(FLOODED)
            states = set(session.scalars(select(AcquisitionRow.state)))
        assert states == {"matched"}

        rows = {row.sensor: row for row in queries.thresholds(engine, query.query_id)}
        assert rows["s2"].basis == "archive"
        assert rows["s2"].background >= 100
        assert rows["s1"].basis == "none"

        report = backtest(query, archive, FakeEncoder(), since=DAY0 - timedelta(days=1), ledger=engine)
        with reading(engine) as session:
            live = session.scalars(select(IncidentRow)).one()
            matches = session.scalars(select(MatchRow.message)).all()
        (again,) = report.incidents
        assert (again.incident_id, again.state, again.sequence, again.score) == (
            str(live.incident_id),
            live.state,
            live.sequence,
            live.score,
        )
        assert (again.first_sensing_at, again.last_sensing_at) == (live.first_sensing_at, live.last_sensing_at)
        assert {match.model_dump_json() for match in again.matches} == set(matches)
        last = {one.sensor: one for one in report.calibrated}
        assert {name: (one.score, one.presence, one.basis) for name, one in last.items()} == {
            name: (row.score, row.presence, row.basis) for name, row in rows.items()
        }
        assert [one.seen for one in report.coverage] == [0, len(CELLS)]
        assert report.warnings == ("s1: not enough history: 0 of 30 scores; nothing could fire",)
