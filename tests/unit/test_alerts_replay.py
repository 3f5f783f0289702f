"""Whatever the order of arrival within the allowed lateness, the same acquisitions make the same incidents."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select

from alerts import queries
from alerts.budgets.calibrate import Calibrator
from alerts.matching import Matcher
from alerts.settings import MatcherSettings
from schemas.cells import cell_at, cell_of
from schemas.database import connect, migrate, reading
from schemas.messages import Acquisition, Alert, EmbeddingBatch, IncidentState, stable_id
from schemas.tables import AlertRow, IncidentRow, MatchRow

DAY0 = datetime(2026, 3, 1, 10, tzinfo=UTC)
SQUARE = cell_at(14.5, 41.2).square
FIRE, LAND = np.eye(2, 384, dtype=np.float32)
LATE_DAYS = 4.0
RULES = MatcherSettings(window_days=7, late_days=LATE_DAYS, gap_cells=1)
CELLS = [cell_of(f"{SQUARE}{x:02d}{y:02d}").id for x in (10, 11, 13, 17, 30) for y in (10, 12, 15, 30)]
LEVELS = (0.0, 0.1, 0.3, 0.47, 0.49, 0.6, 0.9)
"""How much a cell looks like fire: clear, flickering below the threshold of 0.5, matching."""


class FakeEncoder:
    release = "fake-1"

    def texts(self, sentences):
        return np.stack([FIRE for _ in sentences])


class EmptyArchive:
    def count(self, **_):
        return 0

    def history(self, **_):
        return [], np.empty((0, 384), np.float32)


class Nowhere:
    def send(self, records):
        list(records)


@dataclass(frozen=True)
class Story:
    """Batches as they are sensed, each version of a scene whole."""

    batches: tuple[EmbeddingBatch, ...]

    def shuffled(self, chance: random.Random) -> list[EmbeddingBatch]:
        """An order of arrival in which nothing comes later than allowed; some batches come twice."""
        again = chance.sample(self.batches, len(self.batches) // 10)
        late_s = LATE_DAYS * 86_400 * 0.999
        arrivals = [
            (b.acquisition.sensing_at + timedelta(seconds=chance.uniform(0, late_s)), i, b)
            for i, b in enumerate((*self.batches, *again))
        ]
        return [b for _, _, b in sorted(arrivals, key=lambda each: each[:2])]


def story(chance: random.Random) -> Story:
    """A month of both sensors over a few cells, where fires come, flicker and go."""
    batches: list[EmbeddingBatch] = []
    day = 0.0
    burning: dict[str, float] = {}
    for number in range(25):
        day += chance.choice((0.01, 0.5, 1.0, 2.0))
        for cell in CELLS:
            if chance.random() < 0.08:
                burning[cell] = chance.choice((0.0, 0.0, *LEVELS))
        for version in range(1, 1 + chance.choice((1, 1, 1, 2, 3))):
            cells = sorted(chance.sample(CELLS, chance.randint(6, len(CELLS))))
            if version > 1 and chance.random() < 0.3:
                cells = []  # it shows nothing at all
            levels = [chance.choice(LEVELS) if chance.random() < 0.02 else burning.get(c, 0.0) for c in cells]
            batches += split(acquisition(number, version, day), cells, levels, chance)
    return Story(tuple(batches))


def acquisition(number: int, version: int, day: float) -> Acquisition:
    when = DAY0 + timedelta(days=day)
    return Acquisition(
        acquisition_id=stable_id("acquisition", number, version),
        physical_key=f"scene {number}",
        processed_at=when + timedelta(hours=version),
        source="test",
        collection="c",
        item_id=f"item-{number}-{version}",
        sensor="s1" if number % 3 == 0 else "s2",
        sensing_at=when,
        published_at=when,
        seen_at=when,
        footprint={},
        assets={},
        allowed_hosts=(),
    )


def split(scene: Acquisition, cells: list[str], levels: list[float], chance: random.Random) -> list[EmbeddingBatch]:
    inner = [chance.randint(1, len(cells) - 1) for _ in range(chance.randint(0, 2))] if cells else []
    cuts = [0, *sorted({*inner, len(cells)})]
    vectors = np.array([a * FIRE + np.sqrt(1 - a * a) * LAND for a in levels], np.float32).reshape(-1, 384)
    return [
        EmbeddingBatch(
            acquisition=scene,
            release="fake-1",
            batch=number,
            batches=len(cuts) - 1,
            cells=tuple(cells[start:end]),
            vectors=vectors[start:end],
            baselines=np.array([LAND] * (end - start), np.float32).reshape(-1, 384),
            baseline_counts=(3,) * (end - start),
        )
        for number, (start, end) in enumerate(pairwise(cuts))
    ]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables and two standing queries, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    engine = connect(f"sqlite:///{path}")
    queries.add(engine, "burn scar", threshold=0.5)
    queries.add(engine, "fire here", threshold=0.55, mode="presence")
    queries.add(engine, "fire in pictures", threshold=0.5, sensors=["s2"])
    matcher_of(engine).prepare()
    engine.dispose()
    return path


def matcher_of(engine: Engine) -> Matcher:
    calibrator = Calibrator(engine, EmptyArchive(), FakeEncoder(), RULES)
    return Matcher(engine, Nowhere(), calibrator, "fake-1", RULES, clock=lambda: DAY0 + timedelta(days=400))


def replay(empty: Path, path: Path, batches: list[EmbeddingBatch], chance: random.Random) -> Engine:
    """Settle batches in this order, with restarts and sweeps in between; returns the database."""
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", (str(path),))
    engine = connect(f"sqlite:///{path}")
    matcher = matcher_of(engine)
    for batch in batches:
        if chance.random() < 0.1:
            matcher = matcher_of(engine)
        if chance.random() < 0.2:
            matcher.sweep()
        matcher.handle(batch)
    matcher.sweep()
    return engine


def incidents(engine: Engine) -> list[tuple[object, ...]]:
    """All incidents that have matches, without the names that order of arrival gave them."""
    found = []
    with reading(engine) as session:
        for row in session.scalars(select(IncidentRow)):
            matches = session.execute(
                select(MatchRow.cell, MatchRow.sensor, MatchRow.item_id, MatchRow.score).where(
                    MatchRow.incident_id == row.incident_id
                )
            ).all()
            if matches:
                found.append(
                    (
                        str(row.query_id),
                        row.first_sensing_at,
                        row.last_sensing_at,
                        row.state,
                        row.closed_at,
                        row.score,
                        tuple(sorted(map(tuple, matches))),
                    )
                )
    return sorted(found, key=str)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_arrival_changes_no_incident(empty: Path, tmp_path: Path, seed: int) -> None:
    told = story(random.Random(seed))
    orders = [list(told.batches)] + [told.shuffled(random.Random(100 * seed + i)) for i in range(2)]
    found = []
    for number, order in enumerate(orders):
        engine = replay(empty, tmp_path / f"{number}.sqlite", order, random.Random(number))
        found.append(incidents(engine))
        alerts_are_sound(engine)
        engine.dispose()
    assert len(found[0]) > 3
    for other in found[1:]:
        assert other == found[0]


def alerts_are_sound(engine: Engine) -> None:
    """Each alert opens once and is numbered without a gap; after its end it can only open again."""
    with reading(engine) as session:
        rows = session.execute(select(AlertRow.message).order_by(AlertRow.alert_id, AlertRow.sequence)).scalars()
        alerts = [Alert.from_bytes(message.encode()) for message in rows]
    lives: dict[object, list[Alert]] = {}
    for alert in alerts:
        lives.setdefault(alert.alert_id, []).append(alert)
    ends = {IncidentState.RESOLVED, IncidentState.EXPIRED, IncidentState.MERGED, IncidentState.RETRACTED}
    for life in lives.values():
        assert [alert.sequence for alert in life] == list(range(1, len(life) + 1))
        assert life[0].kind in (IncidentState.OPENED, IncidentState.SPLIT)
        assert all(alert.kind is not IncidentState.OPENED for alert in life[1:])
        for before, after in pairwise(life):
            if before.incident.state in ends:
                assert after.kind in (IncidentState.REOPENED, IncidentState.SPLIT), (before.kind, after.kind)
            assert (before.kind, after.kind) != (IncidentState.CONFIRMED, IncidentState.CONFIRMED)
