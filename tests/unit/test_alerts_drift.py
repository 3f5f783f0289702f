"""Alarms against promises: an honest budget is left alone, a broken one is told of once, and cleared."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import Engine, update

from alerts import queries
from alerts.budgets.counts import poisson_at_least
from alerts.budgets.drift import LOOKS_A_YEAR, drift, last_look, watch
from alerts.budgets.expectation import Stated, expected_alarms
from alerts.notices import standing_notices
from alerts.settings import MatcherSettings
from schemas.database import connect, migrate, transaction
from schemas.messages import StandingQuery
from schemas.notices import NoticeKind
from schemas.tables import IncidentRow, ThresholdRow

RULES = MatcherSettings()
MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
CALIBRATED = MONDAY - timedelta(weeks=20)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    url = f"sqlite:///{tmp_path / 'db.sqlite'}"
    migrate(url)
    return connect(url)


def tail(low: float, high: float, share: float = 1.0) -> dict[str, object]:
    return {"version": 1, "share": share, "expected_between": [low, high]}


def watched(
    engine: Engine, per_week: float | None = 0.5, *, low: float = 0.3, high: float = 0.7, computed_at=CALIBRATED
) -> StandingQuery:
    """A query whose radar and optical thresholds promise half of it each."""
    query = queries.add(engine, f"burn scar {uuid4()}").query
    with transaction(engine) as session:
        for sensor in ("s1", "s2"):
            promise = None if per_week is None else per_week / 2
            session.add(
                ThresholdRow(
                    query_id=query.query_id,
                    release="r",
                    sensor=sensor,
                    stratum="",
                    vector=b"",
                    score=0.3,
                    basis="archive",
                    background=1000,
                    needed=500,
                    expected_per_week=promise,
                    tail=None if promise is None else tail(low / 2, high / 2),
                    computed_at=computed_at,
                )
            )
    return query


def alarm(engine: Engine, query: StandingQuery, moments: list[datetime], version: int = 1) -> None:
    with transaction(engine) as session:
        for moment in moments:
            session.add(
                IncidentRow(
                    incident_id=uuid4(),
                    query_id=query.query_id,
                    query_version=version,
                    state="opened",
                    first_sensing_at=moment,
                    last_sensing_at=moment,
                    opened_at=moment,
                    score=0.4,
                    sequence=1,
                )
            )


def before(count: int, end: datetime = MONDAY, weeks: int = 8) -> list[datetime]:
    """So many moments, spread over the weeks before."""
    return [end - timedelta(weeks=weeks) * (i + 0.5) / count for i in range(count)]


def test_as_many_as_promised_is_as_expected(engine: Engine):
    query = watched(engine)
    alarm(engine, query, before(4))
    (found,) = drift(engine, RULES, now=MONDAY)
    assert (found.observed, found.verdict) == (4, "as expected")
    assert found.expected.alarms == pytest.approx(4)
    assert found.until - found.since == timedelta(weeks=8)
    assert watch(engine, RULES, now=MONDAY) == 0


def test_far_more_than_promised_is_told_once_and_cleared_when_it_is_over(engine: Engine):
    query = watched(engine)
    alarm(engine, query, before(25))
    (found,) = drift(engine, RULES, now=MONDAY)
    assert found.verdict == "too many"
    assert found.chance_of_more == pytest.approx(poisson_at_least(25, found.expected.high))
    assert watch(engine, RULES, now=MONDAY + timedelta(days=2)) == 1
    assert watch(engine, RULES, now=MONDAY + timedelta(days=3)) == 0
    (notice,) = standing_notices(engine)
    assert (notice.kind, notice.query_id) == (NoticeKind.DRIFT, query.query_id)
    assert "25 times" in notice.text and "promised 4.0" in notice.text and "tocsin query change" in notice.text
    assert notice.details["observed"] == 25
    assert watch(engine, RULES, now=MONDAY + timedelta(weeks=9)) == 1
    assert standing_notices(engine) == []


def test_the_thresholds_own_uncertainty_wakes_nobody(engine: Engine):
    query = watched(engine, low=0.1, high=3.0)
    alarm(engine, query, before(25))
    (found,) = drift(engine, RULES, now=MONDAY)
    assert found.chance < 1e-6  # far from the mean, but not from what the thresholds allow for
    assert found.verdict == "as expected"
    assert watch(engine, RULES, now=MONDAY) == 0


def test_silence_where_alarms_were_promised_is_seen_but_wakes_nobody(engine: Engine):
    watched(engine, per_week=3, low=2, high=4)
    (found,) = drift(engine, RULES, now=MONDAY)
    assert found.verdict == "too few"
    assert watch(engine, RULES, now=MONDAY) == 0


def test_nothing_is_said_where_nothing_is_promised_or_thresholds_are_new(engine: Engine):
    alarm(engine, watched(engine, per_week=None), before(30))
    alarm(engine, watched(engine, computed_at=MONDAY - timedelta(days=3)), before(30))
    paused = watched(engine)
    alarm(engine, paused, before(30))
    queries.pause(engine, str(paused.query_id))
    assert drift(engine, RULES, now=MONDAY) == []
    assert watch(engine, RULES, now=MONDAY) == 0


def test_alarms_before_the_thresholds_and_of_older_versions_don_t_count(engine: Engine):
    query = watched(engine, computed_at=MONDAY - timedelta(weeks=2))
    alarm(engine, query, before(30, end=MONDAY - timedelta(weeks=3)))
    alarm(engine, query, before(10, weeks=1), version=7)
    alarm(engine, query, [MONDAY + timedelta(hours=1)])
    (found,) = drift(engine, RULES, now=MONDAY)
    assert found.observed == 0
    assert found.expected.alarms == pytest.approx(1)


def test_a_query_that_was_paused_or_calibrated_anew_has_its_notice_cleared(engine: Engine):
    query = watched(engine)
    alarm(engine, query, before(25))
    assert watch(engine, RULES, now=MONDAY) == 1
    with transaction(engine) as session:
        session.execute(update(ThresholdRow).values(computed_at=MONDAY))
    assert watch(engine, RULES, now=MONDAY + timedelta(days=1)) == 1
    assert standing_notices(engine) == []
    assert watch(engine, RULES, now=MONDAY + timedelta(days=1)) == 0


def test_a_year_of_weekly_looks_at_honest_queries_pages_as_seldom_as_promised():
    """Simulated: alarms as the highest mean that the thresholds allow for, the worst that is honest."""
    rng = np.random.default_rng(0)
    level = RULES.false_pages_per_year / LOOKS_A_YEAR
    for per_week in (0.25, 2.0):
        weeks = rng.poisson(per_week, (2000, LOOKS_A_YEAR + RULES.drift_weeks - 1))
        counts = np.lib.stride_tricks.sliding_window_view(weeks, RULES.drift_weeks, axis=1).sum(axis=2)
        chances = np.array([poisson_at_least(n, per_week * RULES.drift_weeks) for n in range(counts.max() + 1)])
        paged = (chances[counts] < level).any(axis=1).mean()
        assert paged <= RULES.false_pages_per_year
        naive = (chances[counts] < 0.05).any(axis=1).mean()
        assert naive > 3 * RULES.false_pages_per_year  # what looking again and again does without


def test_looks_are_on_mondays():
    assert last_look(MONDAY) == MONDAY
    assert last_look(MONDAY + timedelta(days=6, hours=23)) == MONDAY
    assert last_look(MONDAY - timedelta(seconds=1)) == MONDAY - timedelta(weeks=1)


def test_each_season_expects_what_its_own_threshold_states():
    stated = [
        Stated("s2", "", 1.0, 0.5, 2.0, 1.0),
        Stated("s2", "33T/summer", 3.0, 2.0, 4.0, 0.5),
        Stated("s2", "56H/summer", 0.2, 0.1, 0.3, 0.25),
    ]
    may = datetime(2026, 5, 25, tzinfo=UTC)
    assert expected_alarms(stated, may, may + timedelta(weeks=1)).alarms == pytest.approx(1.0)
    june = datetime(2026, 6, 8, tzinfo=UTC)  # summer in the north, winter in the south
    assert expected_alarms(stated, june, june + timedelta(weeks=1)).alarms == pytest.approx(3.0 + 0.5 * 1.0)
    january = datetime(2026, 1, 12, tzinfo=UTC)
    assert expected_alarms(stated, january, january + timedelta(weeks=1)).alarms == pytest.approx(0.2 + 0.75)
    across = expected_alarms(stated, datetime(2026, 5, 29, 12, tzinfo=UTC), datetime(2026, 6, 3, 12, tzinfo=UTC))
    assert across.alarms == pytest.approx((2.5 * 1.0 + 2.5 * 3.5) / 7)
    assert across.low < across.alarms < across.high


def test_two_sensors_may_see_the_same():
    both = expected_alarms(
        [Stated("s1", "", 1.0, 0.6, 1.5, 1.0), Stated("s2", "", 2.0, 1.4, 3.0, 1.0)],
        MONDAY,
        MONDAY + timedelta(weeks=1),
    )
    assert both.alarms == 3.0
    assert both.low == pytest.approx(1.4)  # all of the radar's among the optical ones
    assert both.high == pytest.approx(3.0 + np.hypot(0.5, 1.0))
    assert expected_alarms([], MONDAY, MONDAY + timedelta(weeks=1)).high == 0
