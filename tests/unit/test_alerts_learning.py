"""What people answer moves a query, a little, and can be undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from alerts import queries
from alerts.budgets.calibrate import Calibrator
from alerts.learning import examples, fit, heads
from alerts.learning.examples import Judged
from alerts.learning.fit import LEAST_COSINE, Examples, head
from alerts.learning.judge import agreement
from alerts.percolation.standing import Held
from alerts.settings import MatcherSettings
from archive import EVERYTHING
from schemas.database import connect, migrate, reading, transaction
from schemas.errors import InvalidCell, MalformedMessage, NotFound, UsageError
from schemas.messages import ChipName, Embedding, Match, StandingQuery, stable_id
from schemas.tables import AcquisitionRow, IncidentRow, MatchRow, QueryRow, ThresholdRow, VerdictRow
from schemas.verdicts import Answer, Verdict

DAY0 = datetime(2026, 7, 1, 10, tzinfo=UTC)
AREA = {"type": "Polygon", "coordinates": [[[13, 45], [16, 45], [16, 47], [13, 47], [13, 45]]]}
CELLS = tuple(f"33TWN45{row:02d}" for row in range(40))


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.standard_normal((n, 384)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def near(vector: np.ndarray, by: float, rng: np.random.Generator, n: int) -> np.ndarray:
    moved = vector + by * unit(rng, n)
    return (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)


class World:
    """A sentence, what it means, and paddies, which the sentence cannot tell from it."""

    def __init__(self, seed: int = 1):
        rng = np.random.default_rng(seed)
        self.sentence, flood, paddy = unit(rng, 3)
        self.ordinary = unit(rng, 200)
        mixed = 0.5 * self.sentence
        self.floods = near(mixed + 0.7 * flood, 0.5, rng, 40)
        self.paddies = near(mixed + 0.7 * paddy, 0.5, rng, 40)

    def examples(self, yes: int, no: int, start: int = 0) -> Examples:
        vectors = np.concatenate([self.floods[start : start + yes], self.paddies[start : start + no]])
        return Examples(vectors.reshape(-1, 384), np.arange(yes + no) < yes, np.arange(yes + no))


def wrong_pairs(vector: np.ndarray, world: World, start: int) -> float:
    """Share of pairs in which a paddy scores above a flood."""
    return float(((world.paddies[start:] @ vector)[None, :] > (world.floods[start:] @ vector)[:, None]).mean())


def test_without_examples_the_sentence_remains():
    world = World()
    assert np.array_equal(head(world.sentence, world.examples(0, 0), world.ordinary), world.sentence)


def test_a_handful_of_answers_tells_apart_what_the_sentence_cannot():
    world = World()
    learnt = head(world.sentence, world.examples(4, 4), world.ordinary)
    assert wrong_pairs(learnt, world, 4) < 0.5 * wrong_pairs(world.sentence, world, 4)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), yes=st.integers(0, 30), no=st.integers(0, 30), ground=st.sampled_from([0, 1, 200])
)
def test_a_head_never_leaves_its_sentence(*, seed: int, yes: int, no: int, ground: int):
    world = World(seed)
    learnt = head(world.sentence, world.examples(yes, no), world.ordinary[:ground])
    assert learnt.dtype == np.float32
    assert abs(float(np.linalg.norm(learnt)) - 1) < 1e-5
    assert float(learnt @ world.sentence) >= LEAST_COSINE - 1e-5


def test_contradicting_answers_end(monkeypatch: pytest.MonkeyPatch):
    """The same chip true and false, and nearly no prior: still a finite unit vector."""
    monkeypatch.setattr(fit, "STIFFNESS", 1e-9)
    world = World()
    twice = Examples(world.floods[[0, 0]], np.array([True, False]), np.array([0, 1]))
    assert np.isfinite(head(world.sentence, twice, world.ordinary)).all()


def test_an_answer_counts_once_however_many_cells_it_has():
    world = World()
    many = Examples(world.paddies[:30], np.zeros(30, bool), np.zeros(30, np.intp))
    assert many.weights.sum() == pytest.approx(1)
    one = head(world.sentence, Examples(world.paddies[:1], np.zeros(1, bool), np.zeros(1, np.intp)), world.ordinary)
    moved = head(world.sentence, many, world.ordinary)
    assert float(moved @ world.sentence) >= float(one @ world.sentence) - 0.01


def test_agreement_leaves_the_judged_answer_out():
    """Answers that are noise: a head fits them, and agrees with none that it has not seen."""
    rng = np.random.default_rng(5)
    noise = Examples(unit(rng, 24), rng.random(24) < 0.5, np.arange(24))
    found = agreement(unit(rng, 1)[0], noise, unit(rng, 100))
    assert found.learnt is not None
    assert abs(found.learnt - 0.5) < 0.35
    world = World()
    good = agreement(world.sentence, world.examples(8, 8), world.ordinary)
    assert good.sentence is not None
    assert good.learnt is not None
    assert (good.true, good.false) == (8, 8)
    assert good.learnt > good.sentence
    alone = agreement(world.sentence, world.examples(3, 0), world.ordinary)
    assert (alone.true, alone.false, alone.sentence, alone.learnt) == (3, 0, None, None)


class FakeArchive:
    """Points by cell and scene, crossed by the filter as a real archive does."""

    def __init__(self, points: dict[tuple[str, str], np.ndarray], sensor: str = "s2"):
        self.points, self.sensor = points, sensor

    def _found(self, filter):
        if self.sensor not in filter.sensors:
            return []
        cells, scenes = filter.cells, filter.physical_keys
        return [key for key in self.points if (cells is None or key[0] in cells) and (not scenes or key[1] in scenes)]

    def count(self, *, release, filter=EVERYTHING):
        return len(self._found(filter)) if release == "fake-1" else 0

    def history(self, *, release, filter, max_points, seed=0):
        found = self._found(filter)
        embeddings = [
            Embedding(
                point_id=uuid4(), cell=cell, sensor=self.sensor, sensing_at=DAY0, physical_key=key,
                acquisition_id=uuid4(), processed_at=DAY0, source="t", collection="c", item_id=f"item-{key}",
                release=release, lon=14, lat=41, valid_fraction=1, cloud_fraction=0,
            )
            for cell, key in found
        ]  # fmt: skip
        return embeddings, np.array([self.points[key] for key in found], np.float32).reshape(-1, 384)


class FakeEncoder:
    release = "fake-1"

    def __init__(self, vectors: dict[str, np.ndarray], ordinary: np.ndarray):
        self.vectors, self.ordinary = vectors, ordinary

    def background(self, sensor):
        return self.ordinary, self.ordinary - self.ordinary[::-1]

    def texts(self, sentences):
        return np.stack([self.vectors[sentence] for sentence in sentences])


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    return connect(url)


def scene(engine: Engine, name: str, sensor: str = "s2") -> None:
    with transaction(engine) as session:
        session.add(
            AcquisitionRow(
                acquisition_id=stable_id(name), physical_key=name, source="t", collection="c", item_id=f"item-{name}",
                sensor=sensor, processed_at=DAY0, sensing_at=DAY0, published_at=DAY0, seen_at=DAY0, state="matched",
                message="{}", topic="acquisitions.v1",
            )
        )  # fmt: skip


def judged(engine: Engine, query: StandingQuery, key: str, scores: dict[str, float], answer: Answer, **more) -> None:
    """An incident with one match a cell, and a verdict about it."""
    incident = stable_id("incident", key)
    with transaction(engine) as session:
        session.add(
            IncidentRow(
                incident_id=incident, query_id=query.query_id, query_version=1, state="opened", first_sensing_at=DAY0,
                last_sensing_at=DAY0, opened_at=DAY0, score=1, sequence=1,
            )
        )  # fmt: skip
        session.flush()
        for cell, score in scores.items():
            match = Match(
                query_id=query.query_id, query_version=1, cell=cell, acquisition_id=stable_id(key), physical_key=key,
                item_id=f"item-{key}", sensor="s2", sensing_at=DAY0, score=score, presence=score, threshold=0.1,
                baseline_count=1,
            )  # fmt: skip
            session.add(
                MatchRow(
                    match_id=uuid4(), incident_id=incident, query_id=query.query_id, cell=cell, sensor="s2",
                    sensing_at=DAY0, score=score, message=match.model_dump_json(),
                )
            )  # fmt: skip
    say(engine, query, key, answer, "ana", len(key), **more)


def say(engine: Engine, query: StandingQuery, key: str, answer: Answer, person: str, hour: int, **more) -> None:
    """A verdict about that incident."""
    verdict = Verdict(
        verdict_id=stable_id("verdict", key, person), alert_id=stable_id("alert", key),
        incident_id=stable_id("incident", key), query_id=query.query_id, answer=answer, person=person,
        given_at=DAY0 + timedelta(hours=hour), **more,
    )  # fmt: skip
    with transaction(engine) as session:
        session.add(
            VerdictRow(
                verdict_id=verdict.verdict_id, alert_id=verdict.alert_id, incident_id=verdict.incident_id,
                query_id=query.query_id, answer=answer.value, message=verdict.model_dump_json(),
                given_at=verdict.given_at,
            )
        )  # fmt: skip


def test_verdicts_become_examples(engine: Engine):
    query = queries.add(engine, "flooded fields").query
    judged(engine, query, "a", dict.fromkeys(CELLS, 0.5), Answer.TRUE)
    judged(engine, query, "bb", {CELLS[0]: 0.2, CELLS[1]: 0.4}, Answer.FALSE, cells=(CELLS[1],))
    judged(engine, query, "ccc", {CELLS[0]: 0.2}, Answer.UNSURE)
    true, false = examples.of_verdicts(engine, query)
    assert (true.shown, len(true.chips)) == (True, examples.MOST_CHIPS)
    assert (false.shown, false.chips) == (False, (ChipName(cell=CELLS[1], sensor="s2", physical_key="bb"),))
    assert examples.from_json(examples.to_json([true, false])) == [true, false]
    with pytest.raises(MalformedMessage, match="version 9"):
        examples.from_json({"version": 9, "judged": []})


def test_of_people_who_disagree_the_last_word_is_learnt(engine: Engine):
    query = queries.add(engine, "flooded fields").query
    judged(engine, query, "a", dict.fromkeys(CELLS[:3], 0.5), Answer.FALSE)
    say(engine, query, "a", Answer.TRUE, "bo", 2)
    say(engine, query, "a", Answer.UNSURE, "cy", 3)
    (true,) = examples.of_verdicts(engine, query)
    assert (true.shown, len(true.chips)) == (True, 3)
    say(engine, query, "a", Answer.FALSE, "dan", 4, cells=(CELLS[1],))
    true, false = examples.of_verdicts(engine, query)
    assert (true.shown, {chip.cell for chip in true.chips}) == (True, {CELLS[0], CELLS[2]})
    assert (false.shown, {chip.cell for chip in false.chips}) == (False, {CELLS[1]})
    say(engine, query, "a", Answer.FALSE, "eve", 5)
    (false,) = examples.of_verdicts(engine, query)
    assert (false.shown, len(false.chips)) == (False, 3)


def test_chips_that_the_release_has_not_encoded_teach_nothing():
    rng = np.random.default_rng(0)
    archive = FakeArchive({(CELLS[0], "a"): unit(rng, 1)[0], (CELLS[1], "b"): unit(rng, 1)[0]})
    names = [ChipName(cell=CELLS[0], sensor="s2", physical_key=key) for key in ("a", "b")]
    both = [Judged((names[0],), True, "x"), Judged((names[1],), False, "y")]
    found = examples.embedded(archive, "fake-1", "s2", both)
    assert found.groups.tolist() == [0]  # (cell 0, scene b) is not there, though both are known
    assert np.array_equal(found.vectors[0], archive.points[CELLS[0], "a"])
    assert len(examples.embedded(archive, "other", "s2", both).vectors) == 0
    assert len(examples.embedded(archive, "fake-1", "s1", both).vectors) == 0


def vectors_of(engine: Engine, query: StandingQuery, sensor: str) -> np.ndarray:
    with reading(engine) as session:
        row = session.get_one(ThresholdRow, (query.query_id, "fake-1", sensor, ""))
        return np.frombuffer(row.vector, "<f4").reshape(-1, 384)


def test_a_query_is_its_sentence_its_wordings_and_what_was_judged(engine: Engine):
    world = World()
    other = unit(np.random.default_rng(9), 1)[0]
    encoder = FakeEncoder({"flooded fields": world.sentence, "fields under water": other}, world.ordinary)
    for number in range(4):
        scene(engine, f"y{number}")
        scene(engine, f"n{number}")
    archive = FakeArchive(
        {(CELLS[0], f"y{i}"): world.floods[i] for i in range(4)}
        | {(CELLS[0], f"n{i}"): world.paddies[i] for i in range(4)}
    )
    plain = queries.add(engine, "flooded fields", wordings=["fields  under water"]).query
    shown = queries.add(
        engine,
        "flooded fields",
        area=AREA,
        like=[f"{CELLS[0]}@item-y{i}" for i in range(4)],
        unlike=[f"{CELLS[0]}@item-n{i}" for i in range(4)],
    ).query
    taught = queries.add(engine, "flooded fields", area=AREA, budget="1/week").query
    heads.apply(engine, heads.propose(engine, taught, examples.of_query(shown), {}).head_id)
    held = [Held(query, None, {}) for query in (plain, shown, taught)]
    Calibrator(engine, archive, encoder, MatcherSettings()).run(held)
    assert np.array_equal(vectors_of(engine, plain, "s2"), np.stack([world.sentence, other]))
    (moved,) = vectors_of(engine, shown, "s2")
    assert wrong_pairs(moved, world, 4) < wrong_pairs(world.sentence, world, 4)
    assert np.array_equal(vectors_of(engine, taught, "s2"), [moved])
    assert np.array_equal(vectors_of(engine, shown, "s1"), [world.sentence])


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("33TWN4512", UsageError, "CELL@ITEM"),
        ("@item", UsageError, "CELL@ITEM"),
        ("33TWN4512@gone", NotFound, "no item gone"),
        ("nonsense@item-a", InvalidCell, "nonsense"),
    ],
)
def test_an_example_that_cannot_be(engine: Engine, name: str, error: type[Exception], says: str):
    scene(engine, "a")
    with pytest.raises(error, match=says):
        queries.add(engine, "flooded fields", like=[name])


def thresholds(engine: Engine) -> int:
    with reading(engine) as session:
        return len(session.scalars(select(ThresholdRow)).all())


def test_proposed_applied_undone(engine: Engine):
    query = queries.add(engine, "flooded fields").query
    with pytest.raises(UsageError, match="nobody has answered"):
        heads.propose(engine, query, [], {})
    with pytest.raises(NotFound, match="nothing to undo"):
        heads.undo(engine, query)
    judged(engine, query, "a", {CELLS[0]: 0.5}, Answer.FALSE)
    answers = examples.of_verdicts(engine, query)
    first, second = (heads.propose(engine, query, answers, {"agreement": number}) for number in (1, 2))
    assert heads.in_force(engine, query.query_id) is None
    with transaction(engine) as session:
        session.add(
            ThresholdRow(
                query_id=query.query_id, release="fake-1", sensor="s2", stratum="", vector=b"", basis="archive",
                background=1, computed_at=DAY0,
            )
        )  # fmt: skip
        before = session.get_one(QueryRow, query.query_id).revision
    heads.apply(engine, first.head_id)
    with reading(engine) as session:
        row = session.get_one(QueryRow, query.query_id)
        assert (row.revision > before, row.version) == (True, 1)  # matchers read it again; nothing is told twice
    assert thresholds(engine) == 0
    heads.apply(engine, second.head_id)
    heads.apply(engine, second.head_id)
    standing = heads.in_force(engine, query.query_id)
    assert standing is not None
    assert (standing.head_id, standing.report, list(standing.judged)) == (second.head_id, {"agreement": 2}, answers)
    assert heads.all_in_force(engine) == {query.query_id: standing}
    back = heads.undo(engine, query)
    assert back is not None
    assert back.head_id == first.head_id
    assert heads.undo(engine, query) is None
    with pytest.raises(UsageError, match="another state"):
        heads.apply(engine, first.head_id)
    with pytest.raises(NotFound, match="no head"):
        heads.apply(engine, UUID(int=1))


def test_a_query_that_was_changed_needs_a_new_proposal(engine: Engine):
    query = queries.add(engine, "flooded fields").query
    judged(engine, query, "a", {CELLS[0]: 0.5}, Answer.FALSE)
    proposal = heads.propose(engine, query, examples.of_verdicts(engine, query), {})
    queries.change(engine, str(query.query_id), budget="1/week")
    with pytest.raises(UsageError, match="propose a new one"):
        heads.apply(engine, proposal.head_id)
