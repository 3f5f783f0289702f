"""Thresholds from the archive's past: noise stays quiet, events pass, budgets are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alerts.budgets.background import History, read_history
from alerts.budgets.clusters import walk
from alerts.budgets.thresholds import Exposure, ReleaseBackground, centre_and_sigma, threshold
from alerts.places import centres, groups, reach_km
from alerts.settings import MatcherSettings
from schemas.cells import cell_of
from schemas.messages import Budget, Embedding, Mode, StandingQuery, stable_id

DAY0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
RULES = MatcherSettings()
SENTENCE = np.eye(1, 384, dtype=np.float32)[0]
NOTHING = read_history([], np.empty((0, 384), np.float32))


def cell_id(column: int, row: int) -> str:
    return f"33TVF{10 + column:02d}{10 + row:02d}"


def embedding(cell: str, day: float, sensor: str = "s2", orbit: int | None = None) -> Embedding:
    lon, lat = centres([cell])[0]
    when = DAY0 + timedelta(days=day)
    return Embedding(
        point_id=stable_id(cell, day, sensor, orbit),
        cell=cell,
        sensor=sensor,
        sensing_at=when,
        physical_key=f"{day}",
        acquisition_id=stable_id(day),
        processed_at=when,
        source="test",
        collection="c",
        item_id=f"{day}",
        relative_orbit=orbit,
        release="r",
        lon=lon,
        lat=lat,
        valid_fraction=1,
        cloud_fraction=0,
    )


def query(mode: Mode = Mode.APPEARANCE, budget: Budget | None = None, level: float | None = None) -> StandingQuery:
    return StandingQuery(
        query_id=stable_id("q"),
        version=1,
        sentence="burn scar",
        mode=mode,
        budget=budget or Budget(alarms=2, per_days=7),
        threshold=level,
        created_at=DAY0,
    )


def vectors_with(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors whose cosine with the sentence is as given."""
    rest = rng.standard_normal((len(scores), 384))
    rest[:, 0] = 0
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    return (scores[:, None] * SENTENCE + np.sqrt(1 - scores[:, None] ** 2) * rest).astype(np.float32)


def landscape(side: int, passes: int, *, noise: float = 0.02, season: float = 0.0, seed: int = 0, events=()) -> History:
    """A square of cells seen every 5 days; each cell has its own level, all share a season."""
    rng = np.random.default_rng(seed)
    places = [(x, y) for x in range(side) for y in range(side)]
    own = rng.normal(0.05, 0.05, len(places))
    found, scores = [], []
    for day in range(0, 5 * passes, 5):
        for i, (x, y) in enumerate(places):
            found.append(embedding(cell_id(x, y), day))
            score = own[i] + season * np.sin(day / 58) + rng.normal(0, noise)
            scores.append(score + sum(rise for (x0, x1, since, rise) in events if x0 <= x < x1 and day >= since))
    return read_history(found, vectors_with(np.clip(scores, -1, 1), rng))


def calibrated(history: History, **more):
    given_query = more.pop("query", query())
    arguments = {"here": history, "everywhere": history, "release": None, "settings": RULES} | more
    return threshold(given_query, "s2", SENTENCE, **arguments)


def test_changes_are_those_of_live_matching():
    rng = np.random.default_rng(1)
    points = [
        embedding(cell_id(x, 0), day, "s1", orbit) for x in (0, 1) for orbit in (15, 88) for day in (9, 3, 3.5, 20)
    ]
    points += [embedding(cell_id(5, 5), 3)] + [embedding(cell_id(0, 0), 3, "s1", 15)]
    vectors = vectors_with(rng.uniform(-0.5, 0.5, len(points)), rng)
    history = read_history(points, vectors)
    wanted = {}
    for i, point in enumerate(points):
        earlier = [
            vectors[j].astype(float)
            for j, other in enumerate(points)
            if (other.cell, other.relative_orbit) == (point.cell, point.relative_orbit)
            and other.sensing_at < point.sensing_at
        ]
        if earlier:
            wanted[i] = vectors[i] - np.mean(earlier, axis=0)
    assert sorted(history.changed.tolist()) == sorted(wanted)
    for i, change in zip(history.changed.tolist(), history.changes, strict=True):
        np.testing.assert_allclose(change, wanted[i], atol=1e-6)


def test_part_of_a_history_is_the_history_of_the_part():
    whole = landscape(6, 3)
    area = cell_of(cell_id(0, 0)).polygon.union(cell_of(cell_id(0, 1)).polygon)
    part = whole.within(area)
    assert set(part.cells) == {cell_id(0, 0), cell_id(0, 1)}
    assert len(part.cells) == 6
    assert len(part.changed) == 4
    first = part.changed[0]
    same = np.flatnonzero((whole.cells == part.cells[first]) & (whole.days == part.days[first]))[0]
    np.testing.assert_array_equal(whole.changes[whole.changed.tolist().index(same)], part.changes[0])


def test_cadence_is_the_archives_own():
    history = landscape(10, 8)
    assert history.cell_count == 100
    assert history.passes_per_day() == pytest.approx(0.2)
    assert Exposure.of(history, 2).scores_per_alarm(Budget(alarms=2, per_days=7)) == pytest.approx(140)
    assert NOTHING.passes_per_day() > 0


def test_a_tiny_archive_is_quiet_under_season_and_noise_and_hears_an_event():
    """100 cells, 5 passes: the demo's size."""
    found = calibrated(landscape(10, 5, season=0.05))
    later = landscape(10, 12, season=0.05, seed=0, events=[(0, 3, 45, 0.35)])
    change = later.changes @ SENTENCE
    burnt = (np.char.startswith(later.cells[later.changed], "33TVF1")) & (
        later.days[later.changed] >= later.days[0] + 45
    )
    burnt &= np.isin([cell[5:7] for cell in later.cells[later.changed]], ["10", "11", "12"])
    first_day = later.days[later.changed] == later.days[0] + 45
    assert found.basis == "archive"
    assert (change[burnt & first_day] >= found.score).mean() > 0.9
    assert not (change[~burnt] >= found.score).any()


def test_an_event_of_the_past_does_not_hide_the_next():
    """A third of the cells burnt: as many alarms as one, so the threshold stays near the noise."""
    calm = calibrated(landscape(10, 8))
    after = calibrated(landscape(10, 8, events=[(0, 3, 20, 0.35)]))
    assert after.score < calm.score + 0.1


def test_a_smaller_budget_gives_a_higher_threshold():
    rng = np.random.default_rng(5)
    places = [(x, y) for x in range(0, 60, 8) for y in range(0, 60, 8)]
    points = [embedding(cell_id(x, y), day) for day in range(0, 200, 5) for x, y in places]
    scores = np.clip(0.05 * rng.standard_t(2.5, len(points)), -0.9, 0.9)
    history = read_history(points, vectors_with(scores, rng))
    often, seldom = (
        calibrated(history, query=query(budget=budget)).score
        for budget in (Budget(alarms=5, per_days=7), Budget(alarms=1, per_days=60))
    )
    assert seldom > often + 0.05


def test_presence_keeps_to_its_budget_as_well():
    history = landscape(10, 20, noise=0.03)
    strict = calibrated(history, query=query(Mode.PRESENCE, Budget(alarms=1, per_days=60)))
    loose = calibrated(history, query=query(Mode.PRESENCE, Budget(alarms=7, per_days=7)))
    assert strict.basis == loose.basis == "archive"
    assert strict.score > loose.score
    assert strict.presence is None


def test_where_no_place_was_seen_twice_a_change_must_exceed_two_places_difference():
    """Fires with one picture before and one after: nothing to learn noise from."""
    before = landscape(7, 1)
    found = calibrated(before)
    _, sigma = centre_and_sigma(before.vectors @ SENTENCE.astype(float))
    assert found.score == pytest.approx(3 * np.sqrt(2) * sigma, rel=1e-5)
    assert 0.1 < found.score < 0.4


def test_an_empty_archive_takes_the_releases_background_or_says_that_it_has_none():
    rng = np.random.default_rng(2)
    vectors = vectors_with(rng.normal(0.05, 0.03, 500), rng)
    changes = vectors - vectors_with(rng.normal(0.05, 0.03, 500), rng)
    found = calibrated(NOTHING, release=ReleaseBackground(vectors, changes))
    assert found.basis == "release"
    assert 0.15 < found.score < 0.3
    assert 0.05 < found.presence < 0.12
    assert calibrated(NOTHING).score is None
    assert calibrated(NOTHING).basis == "none"
    few = landscape(5, 1)
    assert calibrated(few).score is None
    assert calibrated(few, query=query(Mode.PRESENCE)).basis == "none"


def test_a_small_archive_of_little_but_fires_does_not_call_fires_ordinary():
    rng = np.random.default_rng(3)
    ordinary = vectors_with(rng.normal(0.0, 0.03, 300), rng)
    release = ReleaseBackground(ordinary, ordinary - vectors_with(rng.normal(0.0, 0.03, 300), rng))
    burning = landscape(6, 4, events=[(0, 5, 10, 0.5)])  # five of six columns, from the third pass on
    alone, beside = calibrated(burning), calibrated(burning, release=release)
    assert alone.score > 1  # no change can be so large: it would never fire
    assert (beside.basis, beside.presence < 0.15, beside.score < 0.3) == ("release", True, True)
    large = landscape(20, 4)
    assert calibrated(large, release=release).basis == "archive"


def test_both_scores_are_of_one_background():
    """Many places seen twice, most of them burnt: enough to say how they look, too few to say how they change."""
    rng = np.random.default_rng(3)
    ordinary = vectors_with(rng.normal(0.0, 0.03, 300), rng)
    release = ReleaseBackground(ordinary, ordinary - vectors_with(rng.normal(0.0, 0.03, 300), rng))
    young = landscape(14, 2, events=[(0, 12, 1, 0.5)])
    assert len(young.vectors) >= RULES.large_background > len(young.changed)
    found = calibrated(young, release=release)
    assert found.basis == "release"
    assert found.presence == calibrated(NOTHING, release=release).presence


def test_a_small_area_borrows_from_everywhere():
    here = landscape(2, 3)
    found = calibrated(here, everywhere=landscape(10, 6))
    assert found.basis == "archive"
    assert found.background == 500


def test_a_persons_threshold_wins_and_keeps_the_presence_floor():
    found = calibrated(landscape(10, 5), query=query(level=0.31))
    assert (found.score, found.basis) == (0.31, "manual")
    assert found.presence is not None


def test_what_is_rare_but_unlikely_to_be_meant_does_not_pass():
    history = landscape(6, 12, seed=3)
    plain = threshold(query(), "s2", SENTENCE, here=history, everywhere=history, release=None, settings=RULES)
    strict = threshold(
        query(), "s2", SENTENCE, here=history, everywhere=history, release=None, settings=RULES, plausible=0.9
    )
    lenient = threshold(
        query(), "s2", SENTENCE, here=history, everywhere=history, release=None, settings=RULES, plausible=-0.9
    )
    assert strict.presence == 0.9 and strict.score == plain.score
    assert lenient == plain
    presence = threshold(
        query(Mode.PRESENCE),
        "s2",
        SENTENCE,
        here=history,
        everywhere=history,
        release=None,
        settings=RULES,
        plausible=0.9,
    )
    assert presence.score == 0.9


def test_many_lakes_do_not_make_the_presence_floor_unreachable():
    """A quarter of the area looks like the sentence: what appears must beat ordinary land, not the lakes."""
    history = landscape(10, 5, events=[(0, 2, 0, 0.5)])
    assert calibrated(history).presence < 0.3


@hypothesis_settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    allowed=st.integers(1, 6),
    extent=st.sampled_from([4, 12, 60]),
)
def test_replay_keeps_what_it_promises(*, seed: int, n: int, allowed: int, extent: int):
    """At the threshold no more incidents than allowed; just below it, one more, unless all points were walked."""
    rng = np.random.default_rng(seed)
    spots = rng.integers(0, extent, (n, 2)).tolist()
    points = [embedding(cell_id(x, y), float(day)) for (x, y), day in zip(spots, rng.integers(0, 3, n), strict=True)]
    history = read_history(points, vectors_with(np.zeros(n), rng))
    scores = rng.permutation(n).astype(float)
    level = walk(scores, history, np.arange(n), RULES, enough=allowed).level(allowed)

    def incidents(least: float) -> int:
        cells = sorted({points[i].cell for i in np.flatnonzero(scores >= least)})
        return len(groups(cells, reach_km(RULES.gap_cells)))

    assert incidents(level) <= allowed
    assert level == 0 or incidents(level - 1) == allowed + 1


def far_apart(scores_of, passes: int = 60, cells: int = 64, seed: int = 5) -> History:
    """Cells that no incident joins, seen every 5 days; `scores_of(rng, n)` draws the presence scores."""
    rng = np.random.default_rng(seed)
    side = int(np.sqrt(cells))
    points = [
        embedding(cell_id(8 * x, 8 * y), day)
        for day in range(0, 5 * passes, 5)
        for x in range(side)
        for y in range(side)
    ]
    return read_history(points, vectors_with(scores_of(rng, len(points)), rng))


def noisy(rng: np.random.Generator, count: int) -> np.ndarray:
    return np.clip(0.05 + 0.02 * rng.standard_t(4, count), -0.9, 0.9)


@pytest.mark.parametrize("mode", Mode)
def test_a_threshold_says_how_far_it_may_be_wrong_and_what_to_expect(mode: Mode):
    history = far_apart(noisy)
    found = calibrated(history, query=query(mode, Budget(alarms=2, per_days=7)))
    assert found.basis == "archive"
    assert found.low <= found.score <= found.high
    assert found.needed <= found.background
    assert 0 <= found.expected_per_week <= 1.0 + 1e-9  # one of two sensors: half of the budget
    low, high = found.tail["expected_between"]
    assert low <= found.expected_per_week <= high


def test_alarms_that_came_are_as_many_as_promised():
    """Calibrated on one half of the years, watched in the other: a small budget, beyond the data, and a larger one."""
    past, future = far_apart(noisy, passes=80, seed=1), far_apart(noisy, passes=2000, cells=16, seed=2)
    for budget in (Budget(alarms=1, per_days=120), Budget(alarms=1, per_days=14)):
        asked = query(Mode.PRESENCE, budget).model_copy(update={"sensors": ("s2",)})
        found = calibrated(past, query=asked)
        alarms = len(np.flatnonzero(future.vectors @ SENTENCE >= found.score)) * 64 / 16 / 2000 / 5 * 7
        low, high = found.tail["expected_between"]
        assert low * 0.7 <= alarms <= high * 1.3
        assert found.expected_per_week == pytest.approx(7 * budget.alarms / budget.per_days, rel=0.5)


def test_not_enough_history_is_said_and_no_threshold_beyond_it_invented():
    history = far_apart(noisy, passes=20)
    enough = calibrated(history, query=query(Mode.PRESENCE, Budget(alarms=4, per_days=7)))
    once_a_year, still_rarer = (
        calibrated(history, query=query(Mode.PRESENCE, Budget(alarms=alarms, per_days=366))) for alarms in (0.2, 0.002)
    )
    assert enough.needed <= enough.background
    assert once_a_year.needed > once_a_year.background
    assert still_rarer.needed == pytest.approx(100 * once_a_year.needed, rel=0.01)
    assert still_rarer.score == once_a_year.score  # as far as it can vouch for, no further
    assert once_a_year.expected_per_week > 0.2 / 366 * 7


def test_a_small_archive_says_how_much_it_lacks():
    rng = np.random.default_rng(2)
    vectors = vectors_with(rng.normal(0.05, 0.03, 500), rng)
    release = ReleaseBackground(vectors, vectors - vectors_with(rng.normal(0.05, 0.03, 500), rng))
    found = calibrated(landscape(5, 2), release=release)
    assert (found.basis, found.background) == ("release", 25)
    assert found.needed >= RULES.large_background
    assert (found.expected_per_week, found.low, found.high, found.tail) == (None, None, None, None)
    nothing = calibrated(NOTHING)
    assert (nothing.score, nothing.background, nothing.needed) == (None, 0, RULES.least_background)


@pytest.mark.parametrize("mode", Mode)
def test_a_query_that_matches_everything_keeps_its_budget(mode: Mode):
    """Every chip looks exactly like the sentence, or as good as: nothing may alarm more often than allowed."""
    for spread in (0.0, 1e-7, 1e-3):
        history = far_apart(lambda rng, n, spread=spread: np.clip(0.9 + spread * rng.standard_normal(n), -1, 1))
        found = calibrated(history, query=query(mode, Budget(alarms=1, per_days=30)))
        scores = (history.vectors if mode is Mode.PRESENCE else history.changes) @ SENTENCE
        weeks = 60 * 5 / 7
        assert (scores >= found.score).sum() / weeks <= 7 / 30 / 2 + 1 / weeks


def test_changes_that_do_not_look_like_the_sentence_use_up_no_budget():
    """Half of the places swing widely, far below the sentence: only the other half's changes can alarm."""

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        swinging = np.arange(count) % 2 == 0
        return np.where(swinging, -0.5 + 0.1 * rng.standard_normal(count), 0.05 + 0.01 * rng.standard_normal(count))

    history = far_apart(draw)
    found = calibrated(history, query=query(Mode.APPEARANCE, Budget(alarms=7, per_days=7)))
    change, presence = history.changes @ SENTENCE, history.vectors[history.changed] @ SENTENCE
    assert (change >= found.score).sum() > (change[presence >= found.presence] >= found.score).sum()
    weekly = 64 * 7 / 5 / len(change)
    expected = ((change >= found.score) & (presence >= found.presence)).sum() * weekly
    assert found.expected_per_week == pytest.approx(expected, abs=0.2)


def test_several_wordings_count_by_their_best():
    rng = np.random.default_rng(4)
    history = far_apart(noisy)
    other = vectors_with(np.zeros(1), rng)[0]
    both = calibrated_with(history, np.stack([SENTENCE, other]))
    assert both.score >= max(calibrated_with(history, SENTENCE).score, calibrated_with(history, other).score) - 0.01
    assert calibrated_with(history, SENTENCE[None]) == calibrated_with(history, SENTENCE)


def calibrated_with(history: History, vectors: np.ndarray):
    return threshold(
        query(Mode.PRESENCE), "s2", vectors, here=history, everywhere=history, release=None, settings=RULES
    )


def test_a_persons_threshold_is_told_what_to_expect_of_it():
    history = far_apart(noisy)
    loose, strict = (calibrated(history, query=query(Mode.PRESENCE, level=level)) for level in (0.1, 0.3))
    assert loose.basis == strict.basis == "manual"
    assert loose.expected_per_week > 2
    assert 0 < strict.expected_per_week < 0.5
