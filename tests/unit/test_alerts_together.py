"""Two sensors, one budget: what both see is one alarm, promised and paid for once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pytest

from alerts.budgets.background import YOUNG_DAYS, History, read_history
from alerts.budgets.expectation import Stated, expected_alarms
from alerts.budgets.once import Passing, counted_once
from alerts.budgets.together import Background, thresholds_together
from alerts.places import centres
from alerts.settings import MatcherSettings
from schemas.messages import Budget, Embedding, Mode, Sensor, StandingQuery, stable_id

DAY0 = datetime(2025, 1, 1, 10, tzinfo=UTC)
RULES = MatcherSettings()
SENTENCE = np.eye(1, 384, dtype=np.float32)[0]
CELLS = [f"33TVF{10 + 8 * x:02d}{10 + 8 * y:02d}" for x in range(6) for y in range(6)]
"""Further from each other than an incident reaches."""
WEEKS = 60
BUDGET = Budget(alarms=1, per_days=14)


def query(sensors: tuple[Sensor, ...] = ("s1", "s2"), level: float | None = None) -> StandingQuery:
    return StandingQuery(
        query_id=stable_id("q"),
        version=1,
        sentence="flooded fields",
        mode=Mode.PRESENCE,
        budget=BUDGET,
        sensors=sensors,
        threshold=level,
        created_at=DAY0,
    )


@cache
def past(sensor: Sensor, seed: int, passes: int = WEEKS) -> History:
    """All cells once a week, with the floods of a seed."""
    points, scores, score = [], [], floods(seed)
    places = centres(CELLS)
    for week in range(passes):
        when = DAY0 + timedelta(days=7 * week + (sensor == "s1"))
        for i, cell in enumerate(CELLS):
            points.append(
                Embedding(
                    point_id=stable_id(sensor, cell, week),
                    cell=cell,
                    sensor=sensor,
                    sensing_at=when,
                    physical_key=f"{week}",
                    acquisition_id=stable_id(sensor, week),
                    processed_at=when,
                    source="test",
                    collection="c",
                    item_id=f"{week}",
                    release="r",
                    lon=places[i, 0],
                    lat=places[i, 1],
                    valid_fraction=1,
                    cloud_fraction=0,
                )
            )
            scores.append(score(week, i))
    rng = np.random.default_rng(len(sensor))
    rest = rng.standard_normal((len(scores), 384)) * (np.arange(384) > 0)
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    values = np.array(scores)[:, None]
    return read_history(points, (values * SENTENCE + np.sqrt(1 - values**2) * rest).astype(np.float32))


def floods(seed: int, count: int = 60) -> Callable[[int, int], float]:
    """Noise, and floods of random strength at random times and places."""
    rng = np.random.default_rng(seed)
    strength = {
        (int(week), int(cell)): float(rng.uniform(0.3, 0.9))
        for week, cell in zip(rng.integers(0, WEEKS, count), rng.integers(0, len(CELLS), count), strict=True)
    }
    return lambda week, cell: strength.get((week, cell), 0.05 + 0.02 * float(np.sin(7.3 * week + 11 * cell)))


def backgrounds(**pasts: History) -> dict[Sensor, Background]:
    return {"s1" if name == "s1" else "s2": Background(SENTENCE, one, one, None) for name, one in pasts.items()}


def promised(found: dict) -> float:
    """Alarms to expect in as long a time as the past."""
    stated = [Stated.of(sensor, name, one) for sensor, strata in found.items() for name, one in strata.items()]
    assert all(one is not None for one in stated)
    return expected_alarms([one for one in stated if one], DAY0, DAY0 + timedelta(weeks=WEEKS)).alarms


def alarms(asked: StandingQuery, pasts: dict[Sensor, Background], found: dict) -> int:
    """Incidents of the past with all thresholds at once, counted by hand: cells lie apart."""
    passing = [Passing.of(asked, SENTENCE, each.here, found[sensor]).points for sensor, each in pasts.items()]
    matched = [(day, cell) for some in passing for day, cell in zip(some.days.tolist(), some.cells, strict=True)]
    last: dict[str, float] = {}
    opened = 0
    for day, cell in sorted(matched):
        opened += day - last.get(cell, -np.inf) > RULES.window_days
        last[cell] = day
    return opened


def test_what_both_sensors_see_is_promised_once_and_the_budget_is_used_up():
    same = backgrounds(s1=past("s1", 1), s2=past("s2", 1))
    found = thresholds_together(query(), same, RULES)
    allowed = WEEKS / 2
    came = alarms(query(), same, found)
    assert 0.8 * allowed <= came <= allowed
    assert promised(found) == pytest.approx(came, rel=0.1)


def test_sensors_that_see_different_things_share_the_budget():
    apart = backgrounds(s1=past("s1", 1), s2=past("s2", 2))
    found = thresholds_together(query(), apart, RULES)
    same = backgrounds(s1=past("s1", 1), s2=past("s2", 1))
    assert found["s1"][""].score > thresholds_together(query(), same, RULES)["s1"][""].score
    assert promised(found) == pytest.approx(alarms(query(), apart, found), rel=0.1)
    assert promised(found) <= WEEKS / 2


def test_one_sensor_has_the_budget_for_itself():
    alone = thresholds_together(query(("s2",)), backgrounds(s2=past("s2", 1)), RULES)
    both = backgrounds(s1=past("s1", 1), s2=past("s2", 1))
    assert thresholds_together(query(), both, RULES)["s2"][""].score == pytest.approx(alone["s2"][""].score, abs=0.02)


def test_a_threshold_by_hand_stays_and_its_promise_is_counted_once():
    same = backgrounds(s1=past("s1", 1), s2=past("s2", 1))
    found = thresholds_together(query(level=0.5), same, RULES)
    assert found["s1"][""].score == found["s2"][""].score == 0.5
    assert promised(found) == pytest.approx(alarms(query(level=0.5), same, found), rel=0.1)


def test_a_sensor_without_history_changes_nothing_for_the_other():
    nothing = read_history([], np.empty((0, 384), np.float32))
    found = thresholds_together(query(), backgrounds(s1=nothing, s2=past("s2", 1)), RULES)
    assert found["s1"][""].score is None
    assert found["s2"][""].score is not None


def test_only_cells_that_both_have_read_say_what_is_the_same():
    whole = past("s2", 1)
    half = replace(whole.only(np.isin(whole.cells, CELLS[::2])), share=0.5)
    other = past("s2", 2)
    other = replace(other.only(np.isin(other.cells, CELLS[::2])), share=0.5)
    same = thresholds_together(query(), backgrounds(s1=past("s1", 1), s2=half), RULES)
    apart = thresholds_together(query(), backgrounds(s1=past("s1", 1), s2=other), RULES)
    assert same["s1"][""].score < apart["s1"][""].score - 0.02


def test_counting_nothing_or_too_much_says_nothing():
    one = Passing(past("s2", 1, passes=30), np.ones(30 * len(CELLS)), np.full(30 * len(CELLS), ""))
    nothing = one.only(np.zeros(len(one.margins), bool))
    assert counted_once([nothing, nothing], RULES) == 1
    assert counted_once([one, one], RULES) == 1  # more points than are walked


def test_young_baselines_are_left_out_where_enough_are_left():
    history = past("s2", 1)
    settled = history.settled(300)
    assert settled.ages.min() >= 0.25 * np.ptp(history.days) > history.ages.min()
    assert len(settled.changed) == len(settled.changes) == len(settled.ages) < len(history.changed)
    np.testing.assert_array_equal(settled.changes[-1], history.changes[-1])
    assert history.settled(len(history.changed)) is history
    long = past("s2", 1, passes=300)
    assert long.settled(300).ages.min() == pytest.approx(YOUNG_DAYS, abs=7)
