"""Standing queries in force: what changed is in force for the next batch, whatever came before."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from alerts import queries
from alerts.percolation import standing as module
from alerts.percolation.match import match
from alerts.percolation.percolate import percolate
from alerts.percolation.standing import StandingQueries
from schemas.cells import cell_at
from schemas.database import connect, migrate, transaction
from schemas.geometry import to_geojson
from schemas.messages import Acquisition, EmbeddingBatch, Mode, stable_id
from schemas.tables import QueryRow, ThresholdRow

NOW = datetime(2026, 7, 1, 10, tzinfo=UTC)
AXES = np.eye(384, dtype=np.float32)
CELLS = tuple(cell_at(14.5 + 0.1 * i, 41.2).id for i in range(4))
"""Each looks like the axis of its number."""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with all tables, made once."""
    path = tmp_path_factory.mktemp("empty") / "db.sqlite"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def engine(empty: Path, tmp_path: Path) -> Engine:
    return copy_of(empty, tmp_path)


def copy_of(empty: Path, folder: Path) -> Engine:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", (str(folder / "db.sqlite"),))
    return connect(f"sqlite:///{folder / 'db.sqlite'}")


def batch(sensor: str = "s2", release: str = "r1") -> EmbeddingBatch:
    times = dict.fromkeys(("published_at", "processed_at", "seen_at", "sensing_at"), NOW)
    acquisition = Acquisition(
        acquisition_id=stable_id("a", sensor),
        physical_key="key",
        source="test",
        collection="c",
        item_id="item",
        sensor=sensor,
        footprint={},
        assets={},
        allowed_hosts=(),
        **times,
    )
    return EmbeddingBatch(
        acquisition=acquisition,
        release=release,
        batch=0,
        batches=1,
        cells=CELLS,
        vectors=AXES[: len(CELLS)],
        baselines=np.zeros((len(CELLS), 384), np.float32),
        baseline_counts=(1,) * len(CELLS),
    )


def calibrate(
    engine: Engine,
    query_id: UUID,
    axes: list[int],
    score: float | None = 0.5,
    *,
    sensor: str = "s2",
    release: str = "r1",
    stratum: str = "",
    presence: float | None = None,
    at: datetime = NOW,
) -> None:
    """Write a threshold as the calibrator does."""
    with transaction(engine) as session:
        session.merge(
            ThresholdRow(
                query_id=query_id,
                release=release,
                sensor=sensor,
                stratum=stratum,
                vector=AXES[axes].astype("<f4").tobytes(),
                score=score,
                presence=presence,
                basis="manual",
                background=0,
                computed_at=at,
            )
        )
        queries.bump(session, session.get_one(QueryRow, query_id))


def add(engine: Engine, sentence: str, axes: list[int], **others: object) -> UUID:
    query_id = queries.add(engine, sentence, **others).query.query_id  # type: ignore[arg-type]
    calibrate(engine, query_id, axes)
    return query_id


def found(held: StandingQueries, stratum: str = "", **of: str) -> dict[str, list[str]]:
    one = batch(**of)
    matrix = held.matrix(one.release, one.acquisition.sensor, stratum)
    return {query.sentence: [each.cell for each in each] for query, each in match(one, matrix, min_baseline=1)}


def test_a_query_is_in_force_when_it_is_there_and_no_longer(engine: Engine) -> None:
    held = StandingQueries()
    assert (held.refresh(engine), found(held)) == (False, {})
    fire = add(engine, "fire", [0])
    assert found(held) == {}  # not before it is read
    assert held.refresh(engine)
    assert not held.refresh(engine)
    assert found(held) == {"fire": [CELLS[0]]}
    queries.pause(engine, str(fire))
    held.refresh(engine)
    assert (found(held), held.ids) == ({}, [])
    queries.resume(engine, str(fire))
    held.refresh(engine)
    assert (found(held), held.ids) == ({"fire": [CELLS[0]]}, [fire])
    queries.remove(engine, str(fire))
    held.refresh(engine)
    assert (found(held), len(held)) == ({}, 0)


def test_a_changed_query_has_neither_gap_nor_double(engine: Engine) -> None:
    held = StandingQueries()
    fire = add(engine, "fire", [0])
    held.refresh(engine)
    queries.change(engine, str(fire), mode="presence")
    held.refresh(engine)
    assert found(held) == {}  # its thresholds are of the old mode
    calibrate(engine, fire, [0, 2], 0.9)
    held.refresh(engine)
    ((query, matches),) = match(batch(), held.matrix("r1", "s2"), min_baseline=1)
    assert (query.version, query.mode, [each.cell for each in matches]) == (2, Mode.PRESENCE, [CELLS[0], CELLS[2]])
    assert {(each.query_version, each.threshold, each.score) for each in matches} == {(2, 0.9, 1.0)}


def test_a_query_meets_only_its_sensors_release_and_area(engine: Engine) -> None:
    near = shapely.Point(14.5, 41.2).buffer(0.15)
    add(engine, "everywhere", [0, 1, 2, 3])
    add(engine, "near", [0, 1, 2, 3], area=to_geojson(near))
    add(engine, "elsewhere", [0, 1, 2, 3], area=to_geojson(shapely.box(50, 10, 51, 11)))
    radar = add(engine, "radar", [0, 1], sensors=["s1"])
    calibrate(engine, radar, [0, 1], sensor="s1")
    held = StandingQueries()
    held.refresh(engine)
    assert found(held) == {"everywhere": list(CELLS), "near": list(CELLS[:2])}
    assert found(held, sensor="s1") == {"radar": list(CELLS[:2])}
    assert found(held, release="r2") == {}


def test_sensors_and_releases_may_have_vectors_of_their_own(engine: Engine) -> None:
    fire = add(engine, "fire", [0])
    calibrate(engine, fire, [1], sensor="s1")
    calibrate(engine, fire, [2], release="r2")
    held = StandingQueries()
    for _ in range(2):  # as first read, and as changed
        held.refresh(engine)
        assert found(held) == {"fire": [CELLS[0]]}
        assert found(held, sensor="s1") == {"fire": [CELLS[1]]}
        assert found(held, release="r2") == {"fire": [CELLS[2]]}
        calibrate(engine, fire, [0])


def test_a_stratum_has_thresholds_of_its_own_where_there_are_some(engine: Engine) -> None:
    add(engine, "other", [3])
    fire = add(engine, "fire", [0])
    calibrate(engine, fire, [0], 2.0, stratum="33T/summer")
    calibrate(engine, fire, [0], None, stratum="33T/autumn")
    calibrate(engine, fire, [1], 0.5, stratum="33T/spring")
    silent = queries.add(engine, "silent").query.query_id
    calibrate(engine, silent, [2], None)
    calibrate(engine, silent, [2], 0.5, stratum="33T/summer")
    held = StandingQueries()
    other = {"other": [CELLS[3]]}
    for _ in range(2):  # as first read, and as changed
        held.refresh(engine)
        assert found(held) == found(held, "33T/winter") == {"fire": [CELLS[0]], **other}
        assert found(held, "33T/summer") == {"silent": [CELLS[2]], **other}
        assert found(held, "33T/autumn") == other
        assert found(held, "33T/spring") == {"fire": [CELLS[1]], **other}
        calibrate(engine, fire, [0])
        calibrate(engine, silent, [2], None)
    queries.remove(engine, str(fire))
    held.refresh(engine)
    assert found(held, "33T/spring") == other


def test_matches_come_in_one_order_whatever_came_before(engine: Engine) -> None:
    long_lived = StandingQueries()
    for i in range(12):
        query_id = add(engine, f"q{i}", [0, 1], mode="presence" if i % 2 else "appearance")
        long_lived.refresh(engine)
        if i % 3 == 0:
            queries.remove(engine, str(query_id))
            long_lived.refresh(engine)
    fresh = StandingQueries()
    fresh.refresh(engine)
    results = [match(batch(), held.matrix("r1", "s2"), min_baseline=1) for held in (long_lived, fresh)]
    assert results[0] == results[1]
    order = [(query.mode is Mode.APPEARANCE, query.query_id) for query, _ in results[0]]
    assert order == sorted(order)
    assert len(order) == 8


CHANGES: list[Callable[[Engine, str, np.random.Generator], object]] = [
    lambda engine, name, _: queries.pause(engine, name),
    lambda engine, name, _: queries.resume(engine, name),
    lambda engine, name, _: queries.remove(engine, name),
    lambda engine, name, rng: queries.change(engine, name, mode=str(rng.choice(["presence", "appearance"]))),
    lambda engine, name, rng: queries.change(engine, name, sensors=[["s1"], ["s1", "s2"]][int(rng.integers(2))]),
]


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), page=st.sampled_from([1, 3, 4096]))
def test_changes_in_any_order_leave_what_a_new_start_reads(
    empty: Path, tmp_path_factory: pytest.TempPathFactory, seed: int, page: int
) -> None:
    rng = np.random.default_rng(seed)
    engine, held, ids = copy_of(empty, tmp_path_factory.mktemp("any")), StandingQueries(), list[UUID]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PAGE", page)
        for turn in range(25):
            if not ids or rng.random() < 0.3:
                area = to_geojson(shapely.Point(14.5, 41.2).buffer(float(rng.choice([0.05, 0.15, 0.25]))))
                ids.append(add(engine, f"query {turn}", [int(rng.integers(4))], area=area))
            name = ids[int(rng.integers(len(ids)))]
            if rng.random() < 0.5:
                CHANGES[int(rng.integers(len(CHANGES)))](engine, str(name), rng) if name in current(engine) else None
            else:
                axes = rng.choice(4, int(rng.integers(1, 4))).tolist()
                where = {"sensor": str(rng.choice(["s1", "s2"])), "stratum": str(rng.choice(["", "33T/summer"]))}
                calibrate(engine, name, axes, float(rng.choice([0.5, 2.0])), **where)  # type: ignore[arg-type]
            if rng.random() < 0.5:
                held.refresh(engine)
        held.refresh(engine)
        fresh = StandingQueries()
        fresh.refresh(engine)
    for sensor in ("s1", "s2"):
        for stratum in ("", "33T/summer"):
            assert found(held, stratum, sensor=sensor) == found(fresh, stratum, sensor=sensor)
            slots = percolate_ids(held, sensor, stratum)
            assert len(slots) == len(set(slots))  # no double
    assert held.ids == fresh.ids
    engine.dispose()


def current(engine: Engine) -> set[UUID]:
    return {query.query_id for query in queries.list_queries(engine)}


def percolate_ids(held: StandingQueries, sensor: str, stratum: str) -> list[tuple[int, int]]:
    from alerts.percolation.match import points

    hits = percolate(held.matrix("r1", sensor, stratum).standing, points(batch(sensor)))  # type: ignore[arg-type]
    return list(zip(hits.slots.tolist(), hits.rows.tolist(), strict=True))


def test_a_query_that_changed_after_it_was_read_matches_as_it_was(engine: Engine) -> None:
    fire = add(engine, "fire", [0])
    held = StandingQueries()
    held.refresh(engine)
    queries.change(engine, str(fire), mode="presence")
    queries.pause(engine, str(fire))
    ((query, _),) = match(batch(), held.matrix("r1", "s2"), min_baseline=1)
    assert (query.version, query.mode, query.status) == (1, "appearance", "active")


def test_few_messages_are_kept_and_all_are_found(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MESSAGES_KEPT", 2)
    monkeypatch.setattr(module, "_IDS_AT_ONCE", 2)
    for i in range(5):
        add(engine, f"q{i}", [0])
    held = StandingQueries()
    held.refresh(engine)
    for _ in range(2):
        assert sorted(found(held)) == [f"q{i}" for i in range(5)]


def test_vectors_that_are_not_finite_never_fire_and_hold_up_nobody(engine: Engine) -> None:
    add(engine, "fire", [0])
    broken = queries.add(engine, "broken").query.query_id
    calibrate(engine, broken, [0])
    with transaction(engine) as session:
        row = session.get_one(ThresholdRow, (broken, "r1", "s2", ""))
        row.vector = np.full((1, 384), np.nan, "<f4").tobytes()
    held = StandingQueries()
    held.refresh(engine)
    assert found(held) == {"fire": [CELLS[0]]}


# --- what the calibrator is given


def test_those_without_thresholds_are_due_and_those_with_the_oldest(engine: Engine) -> None:
    ages = [add(engine, f"old {i}", [0]) for i in range(4)]
    for i, query_id in enumerate(ages):
        for sensor in ("s1", "s2"):
            calibrate(engine, query_id, [0], sensor=sensor, at=NOW + timedelta(days=i))
    half = add(engine, "half", [0])  # nothing for radar yet
    calibrate(engine, half, [0], at=NOW + timedelta(days=9))
    area = to_geojson(shapely.box(14, 41, 15, 42))
    new = queries.add(engine, "new", area=area).query.query_id
    held = StandingQueries()
    held.refresh(engine)
    due = {each.query.query_id: each for each in held.due("r1", 2)}
    assert set(due) == {half, new, *ages[:2]}
    assert due[new].area == shapely.box(14, 41, 15, 42)
    assert (due[new].calibrated, set(due[half].calibrated)) == ({}, {("r1", "s2")})
    assert due[ages[1]].calibrated["r1", "s1"].computed_at == NOW + timedelta(days=1)
    assert {each.query.query_id for each in held.due("r2", 9)} == {half, new, *ages}


def test_those_without_thresholds_take_turns(engine: Engine) -> None:
    """An encoder that does not understand some of them must not keep the others from theirs."""
    all_of_them = {queries.add(engine, f"q{i}").query.query_id for i in range(5)}
    held = StandingQueries()
    held.refresh(engine)
    rounds = [{each.query.query_id for each in held.due("r1", 2)} for _ in range(3)]
    assert [len(each) for each in rounds] == [2, 2, 2]
    assert set().union(*rounds) == all_of_them


def test_a_paused_query_is_not_due(engine: Engine) -> None:
    fire = queries.add(engine, "fire").query.query_id
    queries.pause(engine, str(fire))
    held = StandingQueries()
    held.refresh(engine)
    assert held.due("r1", 5) == []
