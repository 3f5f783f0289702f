"""Strata: where and when; and a row of its own only where there is history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from alerts.budgets.background import History, read_history
from alerts.budgets.strata import strata_of, stratum_at
from alerts.budgets.stratified import thresholds_by_stratum
from alerts.places import centres
from alerts.settings import MatcherSettings
from schemas.errors import InvalidCell
from schemas.messages import Budget, Embedding, Mode, StandingQuery, stable_id

DAY0 = datetime(2026, 1, 1, 10, tzinfo=UTC)
SENTENCE = np.eye(1, 384, dtype=np.float32)[0]


def look(column: int, row: int, day: float) -> Embedding:
    cell, when = f"33TVF{10 + column:02d}{10 + row:02d}", DAY0 + timedelta(days=day)
    lon, lat = centres([cell])[0]
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
        release="r",
        lon=lon,
        lat=lat,
        valid_fraction=1,
        cloud_fraction=0,
    )


def vectors_with(scores: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors whose cosine with the sentence is as given."""
    rest = rng.standard_normal((len(scores), 384))
    rest[:, 0] = 0
    rest /= np.linalg.norm(rest, axis=1, keepdims=True)
    return (scores[:, None] * SENTENCE + np.sqrt(1 - scores[:, None] ** 2) * rest).astype(np.float32)


@pytest.mark.parametrize(
    ("place", "when", "stratum"),
    [
        ("33TWN4512", datetime(2026, 7, 1, tzinfo=UTC), "33T/summer"),
        ("33TWN", datetime(2026, 12, 1, tzinfo=UTC), "33T/winter"),
        ("33TWN", datetime(2026, 3, 1, tzinfo=UTC), "33T/spring"),
        ("56HKH", datetime(2026, 1, 15, tzinfo=UTC), "56H/summer"),
        ("56HKH1234", datetime(2026, 10, 1, tzinfo=UTC), "56H/spring"),
        ("01NAA", datetime(2026, 9, 1, tzinfo=UTC), "01N/autumn"),
        ("33TWN", datetime(2026, 6, 1, 1, tzinfo=timezone(timedelta(hours=2))), "33T/spring"),
    ],
)
def test_a_stratum_is_a_region_and_a_season_of_its_hemisphere(place: str, when: datetime, stratum: str):
    assert stratum_at(place, when) == stratum


@pytest.mark.parametrize("place", ["", "33T", "00TWN", "61TWN", "33IWN", "33TWN45", "somewhere"])
def test_what_is_no_place_has_no_stratum(place: str):
    with pytest.raises(InvalidCell, match="neither a cell"):
        stratum_at(place, datetime(2026, 1, 1, tzinfo=UTC))


def test_many_at_once_are_as_one_by_one():
    rng = np.random.default_rng(0)
    cells = rng.choice(["33TWN4512", "56HKH0101", "17MPV9900", "01NAA0000"], 200)
    moments = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=float(d)) for d in rng.uniform(0, 900, 200)]
    days = np.array([moment.timestamp() / 86_400 for moment in moments])
    assert strata_of(cells, days).tolist() == [stratum_at(c, m) for c, m in zip(cells, moments, strict=True)]


def years(noise: dict[int, float], *, passes: int = 110, cells: int = 40) -> History:
    """Cells far from each other, seen every 6 days; noise by quarter of the year (0: January to March)."""
    rng = np.random.default_rng(1)
    points, scores = [], []
    for day in range(0, 6 * passes, 6):
        for i in range(cells):
            points.append(look(8 * (i % 8), 8 * (i // 8), day))
            quarter = (points[-1].sensing_at.month % 12) // 3
            scores.append(0.05 + rng.normal(0, noise[quarter]))
    return read_history(points, vectors_with(np.clip(scores, -1, 1), rng))


def strata(history: History, budget: Budget, mode: Mode = Mode.PRESENCE):
    asked = StandingQuery(
        query_id=stable_id("q"),
        version=1,
        sentence="burn scar",
        mode=mode,
        budget=budget,
        sensors=("s2",),
        created_at=DAY0,
    )
    return thresholds_by_stratum(
        asked, "s2", SENTENCE, here=history, everywhere=history, release=None, settings=MatcherSettings()
    )


def test_a_noisy_season_has_a_higher_threshold_of_its_own():
    found = strata(years({0: 0.02, 1: 0.02, 2: 0.06, 3: 0.02}), Budget(alarms=1, per_days=7))
    assert set(found) == {"", "33T/winter", "33T/spring", "33T/summer", "33T/autumn"}
    assert found["33T/summer"].score > found[""].score > found["33T/winter"].score
    budget = [one.expected_per_week for one in found.values()]
    assert all(0 < expected <= 1.05 for expected in budget)


def test_a_budget_too_small_for_a_season_keeps_the_whole_years_threshold():
    found = strata(years({0: 0.02, 1: 0.02, 2: 0.06, 3: 0.02}), Budget(alarms=1, per_days=90))
    assert set(found) == {""}


def test_a_history_of_one_season_has_no_other():
    assert set(strata(years(dict.fromkeys(range(4), 0.02), passes=9), Budget(alarms=2, per_days=7))) == {""}


def test_an_incident_that_lasts_through_two_seasons_is_promised_once():
    """A lake, every look of two years: one alarm, though each season has counted it."""
    rng = np.random.default_rng(2)
    points, scores = [], []
    for day in range(0, 720, 6):
        for i in range(40):
            points.append(look(8 * (i % 8), 8 * (i // 8), day))
            scores.append(0.6 + rng.normal(0, 0.001) if i < 4 else 0.05 + rng.normal(0, 0.02))
    history = read_history(points, vectors_with(np.array(scores), rng))
    found = strata(history, Budget(alarms=2, per_days=30))
    alone = [one for name, one in found.items() if name]
    assert alone
    for one in alone:
        if one.score < 0.5:
            assert one.expected_per_week < one.tail["knots"][-1][1]
