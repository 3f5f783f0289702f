"""What a round of calibration leaves in the database, and what it reads for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, select

from alerts import queries
from alerts.budgets.calibrate import Calibrator
from alerts.budgets.sufficiency import missing_history
from alerts.percolation.standing import StandingQueries
from alerts.places import centres
from alerts.settings import MatcherSettings
from archive.interface import ArchiveFilter
from schemas.database import connect, migrate, reading, transaction
from schemas.messages import ChipName, Embedding, StandingQuery, stable_id
from schemas.tables import QueryRow, ThresholdRow

DAY0 = datetime(2024, 1, 3, 10, tzinfo=UTC)
RULES = MatcherSettings()


class Encoder:
    """Every sentence has a direction of its own."""

    release = "fake-1"

    def texts(self, sentences: list[str]) -> np.ndarray:
        out = np.zeros((len(sentences), 384), np.float32)
        for i, sentence in enumerate(sentences):
            out[i, sum(sentence.encode()) % 384] = 1
        return out


class Noise:
    """An archive of 36 cells far apart, seen every 12 days for two years; of one sensor."""

    def __init__(self) -> None:
        self.reads = 0
        rng = np.random.default_rng(0)
        self.points = [
            self._point(f"33TVF{10 + 8 * (i % 6):02d}{10 + 8 * (i // 6):02d}", day)
            for day in range(0, 730, 12)
            for i in range(36)
        ]
        vectors = 0.05 + 0.01 * rng.standard_normal((len(self.points), 384))
        self.vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def _point(self, cell: str, day: int) -> Embedding:
        lon, lat = centres([cell])[0]
        when = DAY0 + timedelta(days=day)
        return Embedding(
            point_id=stable_id(cell, day),
            cell=cell,
            sensor="s2",
            sensing_at=when,
            physical_key=f"{day}",
            acquisition_id=stable_id(day),
            processed_at=when,
            source="test",
            collection="c",
            item_id=f"{day}",
            release="fake-1",
            lon=lon,
            lat=lat,
            valid_fraction=1,
            cloud_fraction=0,
        )

    def _rows(self, wanted: ArchiveFilter) -> list[int]:
        if "s2" not in wanted.sensors:
            return []
        return [i for i, one in enumerate(self.points) if not wanted.cells or one.cell in wanted.cells]

    def count(self, *, release: str, filter: ArchiveFilter) -> int:
        return len(self._rows(filter))

    def history(self, *, release: str, filter: ArchiveFilter, max_points: int) -> tuple[list[Embedding], np.ndarray]:
        self.reads += 1
        rows = self._rows(filter)[:max_points]
        return [self.points[i] for i in rows], self.vectors[rows]


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    return connect(url)


def rows(engine: Engine, query: StandingQuery) -> dict[tuple[str, str], ThresholdRow]:
    with reading(engine) as session:
        found = session.scalars(select(ThresholdRow).where(ThresholdRow.query_id == query.query_id))
        return {(row.sensor, row.stratum): row for row in found}


def calibrate(engine: Engine, archive: Noise, calibrator: Calibrator | None = None) -> Calibrator:
    calibrator = calibrator or Calibrator(engine, archive, Encoder(), RULES)  # type: ignore[arg-type]
    standing = StandingQueries()
    standing.refresh(engine)
    calibrator.run(standing.due("fake-1", 500))
    return calibrator


def test_rows_hold_the_interval_the_expectation_and_the_tail_by_stratum(engine: Engine):
    query = queries.add(engine, "burn", mode="presence", budget="3/week").query
    calibrate(engine, Noise())
    found = rows(engine, query)
    assert {stratum for sensor, stratum in found if sensor == "s2"} == {
        "",
        "33T/winter",
        "33T/spring",
        "33T/summer",
        "33T/autumn",
    }
    for (sensor, _), row in found.items():
        if sensor == "s2":
            assert row.score_low <= row.score <= row.score_high
            assert row.needed <= row.background
            assert 0 < row.expected_per_week <= 1.5
            assert row.tail["version"] == 1
            assert row.clear == pytest.approx((row.score + 0.05) / 2, rel=0.02)  # half the way to ordinary ground
            assert missing_history(row) is None
    radar = found["s1", ""]
    assert (radar.score, radar.basis, radar.expected_per_week, radar.clear) == (None, "none", None, None)
    assert missing_history(radar).startswith("not enough history: 0 of 30 scores needed; until then nothing fires")


def test_strata_that_hold_no_more_are_taken_away(engine: Engine):
    query = queries.add(engine, "burn", mode="presence", budget="3/week").query
    calibrate(engine, Noise())
    queries.change(engine, str(query.query_id), budget="0.1/year", mode="presence")
    with transaction(engine) as session:  # as a calibration that failed half-way would have left it
        session.add(
            ThresholdRow(
                query_id=query.query_id,
                release="fake-1",
                sensor="s2",
                stratum="33T/summer",
                vector=np.zeros(384, "<f4").tobytes(),
                basis="archive",
                background=1,
                computed_at=DAY0,
            )
        )
    calibrate(engine, Noise())
    assert {stratum for _, stratum in rows(engine, query)} == {""}
    row = rows(engine, query)["s2", ""]
    assert f"not enough history: {row.background} of {row.needed} scores needed" in missing_history(row)
    assert f"up to {row.tail['expected_between'][1]:.2g} alarms a week" in missing_history(row)


def test_a_new_query_does_not_read_the_archive_again(engine: Engine):
    archive = Noise()
    queries.add(engine, "burn")
    calibrator = calibrate(engine, archive)
    reads = archive.reads
    second = queries.add(engine, "flood").query
    calibrate(engine, archive, calibrator)
    assert archive.reads == reads == 2  # one for each sensor
    assert rows(engine, second)["s2", ""].basis == "archive"


def test_every_wording_has_a_vector(engine: Engine):
    query = queries.add(engine, "burn", mode="presence").query
    with transaction(engine) as session:
        row = session.get(QueryRow, query.query_id)
        assert row is not None
        row.message = query.model_copy(update={"wordings": ("scorched", "burn", "ash")}).model_dump_json()
    calibrate(engine, Noise())
    stored = np.frombuffer(rows(engine, query)["s2", ""].vector, "<f4").reshape(-1, 384)
    np.testing.assert_array_equal(stored, Encoder().texts(["burn", "scorched", "ash"]))


def test_example_chips_move_the_vectors_of_their_sensor(engine: Engine):
    archive = Noise()
    query = queries.add(engine, "burn", mode="presence").query
    shown = archive.points[7]
    chip = ChipName(cell=shown.cell, sensor="s2", physical_key=shown.physical_key)
    with transaction(engine) as session:
        row = session.get(QueryRow, query.query_id)
        assert row is not None
        row.message = query.model_copy(update={"like": (chip,), "wordings": ("ash",)}).model_dump_json()
    calibrate(engine, archive)
    words = Encoder().texts(["burn", "ash"])
    optical, radar = (
        np.frombuffer(rows(engine, query)[sensor, ""].vector, "<f4").reshape(-1, 384) for sensor in ("s2", "s1")
    )
    np.testing.assert_array_equal(radar, words)
    assert optical.shape == (2, 384)
    assert (optical @ archive.vectors[7] > words @ archive.vectors[7]).all()


def test_a_round_ends_in_time_and_the_rest_follows(engine: Engine, monkeypatch: pytest.MonkeyPatch):
    archive, all_of_them = Noise(), [queries.add(engine, f"query {i}").query for i in range(3)]
    calibrator = Calibrator(engine, archive, Encoder(), MatcherSettings(round_s=1e-9))  # type: ignore[arg-type]
    for done in (2, 4, 6):  # both sensors of a query at once: they share its budget
        calibrate(engine, archive, calibrator)
        assert sum(len([1 for _, stratum in rows(engine, query) if not stratum]) for query in all_of_them) == done
