"""The law of the tail: exact inside the data, near the truth beyond, and its intervals cover what they say."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from alerts.budgets.background import read_history
from alerts.budgets.clusters import Walk, walk
from alerts.budgets.surprise import expected_every_days, words
from alerts.budgets.tails import INSIDE, LEAST_PEAKS, Kept, Tail, fit_pareto, fit_tail, peaks_for, to_json
from alerts.places import centres
from alerts.settings import MatcherSettings
from schemas.messages import Embedding, stable_id
from schemas.tables import ThresholdRow

RULES = MatcherSettings()
ABOVE, SCALE = 0.1, 0.05
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def draw(rng: np.random.Generator, count: int, shape: float) -> np.ndarray:
    """Scores that exceed ABOVE by a generalised Pareto law."""
    share = rng.uniform(size=count)
    return ABOVE + (-SCALE * np.log(share) if shape == 0 else SCALE / shape * (share**-shape - 1))


def true_score(share: float, shape: float) -> float:
    return ABOVE + (-SCALE * np.log(share) if shape == 0 else SCALE / shape * (share**-shape - 1))


def alone(scores: np.ndarray) -> Walk:
    """Scores each of which is an incident."""
    descending = np.sort(scores)[::-1]
    cells = np.array([f"33TVF{i // 100:02d}{i % 100:02d}" for i in range(len(scores))])
    return Walk(descending, np.arange(1, len(scores) + 1), cells)


def row(tail: dict[str, object] | None) -> ThresholdRow:
    return ThresholdRow(
        query_id=stable_id("q"),
        release="r",
        sensor="s2",
        stratum="",
        vector=b"",
        basis="archive",
        background=1000,
        tail=tail,
        computed_at=NOW,
    )


@pytest.mark.parametrize("shape", [-0.5, -0.2, 0.0, 0.25])
def test_the_law_is_found_again(shape: float):
    peaks = draw(np.random.default_rng(2), 3000, shape)
    found = fit_pareto(ABOVE, peaks)
    assert found.shape == pytest.approx(shape, abs=0.07)
    assert found.scale == pytest.approx(SCALE, rel=0.08)


@pytest.mark.parametrize("shape", [-0.5, -0.2, 0.1])
@pytest.mark.parametrize(("count", "asked"), [(20, 2.0), (50, 0.5)])
def test_intervals_cover_the_truth_nine_times_of_ten(shape: float, count: int, asked: float):
    """The threshold for `asked` alarms, when so many exceed u on average: 150 histories, nominal 90 %."""
    rng = np.random.default_rng(3)
    truth, inside, promised = true_score(asked / count, shape), 0, []
    for _ in range(150):
        law = fit_pareto(ABOVE, draw(rng, max(int(rng.poisson(count)), LEAST_PEAKS), shape))
        low, high = law.score_between(asked)
        inside += low <= truth <= high
        promised.append(law.expected(truth) / asked)
    assert 0.84 <= inside / 150 <= 0.99
    assert 0.9 <= np.mean(promised) <= 2.3  # never too few alarms promised, on average


def test_inside_the_data_the_order_statistic_is_taken():
    scores = draw(np.random.default_rng(4), 400, -0.2)
    tail = fit_tail(alone(scores), 4000)
    descending = np.sort(scores)[::-1]
    for allowed in (INSIDE, 17, 40):
        assert tail.score(allowed) == descending[allowed - 1]
        assert tail.expected(tail.score(allowed)) == allowed
        low, high = tail.score_between(allowed)
        assert low <= tail.score(allowed) <= high


@pytest.mark.parametrize("allowed", [INSIDE, 4, 9])
def test_the_kth_highest_is_exceeded_as_often_whatever_the_law(allowed: int):
    """Two humps, no generalised Pareto: the data promise what comes, and their interval holds the true score."""
    rng = np.random.default_rng(9)

    def humps(count: int) -> np.ndarray:
        return np.where(rng.uniform(size=count) < 0.1, rng.normal(0.5, 0.01, count), rng.normal(0.1, 0.1, count))

    truth = float(np.sort(humps(400 * 500))[::-1][allowed * 500])
    came, inside = [], 0
    for _ in range(300):
        tail = fit_tail(alone(humps(int(rng.poisson(400)))), 1200)
        score = tail.score(allowed)
        came.append(int((humps(400) > score).sum()))
        low, high = tail.score_between(allowed)
        inside += low <= truth <= high
    assert np.mean(came) == pytest.approx(allowed, rel=0.15)
    assert 0.87 <= inside / 300 <= 0.99


def test_beyond_the_data_the_law_goes_on_where_they_end():
    tail = fit_tail(alone(draw(np.random.default_rng(5), 400, -0.2)), 4000)
    counts = [tail.expected(score) for score in np.linspace(tail.beyond - 0.02, tail.beyond + 0.4, 300)]
    assert np.all(np.diff(counts) <= 0)
    assert tail.expected(tail.beyond) == INSIDE
    assert tail.expected(tail.beyond + 1e-9) == pytest.approx(INSIDE, rel=1e-3)
    assert tail.expected(tail.score(0.3)) == pytest.approx(0.3, rel=1e-3)
    assert tail.score(0.3) > tail.score(1) > tail.score(INSIDE) > tail.score(30)


def test_few_incidents_make_no_law():
    tail = fit_tail(alone(draw(np.random.default_rng(6), LEAST_PEAKS, 0.0)), 300)
    assert tail.pareto is None
    assert tail.expected(9.0) == 0
    assert tail.expected_between(9.0)[1] == pytest.approx(3.0, abs=0.01)


def test_a_sample_of_places_that_alarm_again_and_again_is_less_certain():
    rng = np.random.default_rng(7)
    descending = np.sort(draw(rng, 200, 0.0))[::-1]
    cells = np.array([f"33TVF10{10 + i % 10}" for i in range(200)])
    walked = Walk(descending, np.arange(1, 201), cells)
    whole, part = Tail(walked, None, 1.0), Tail(walked, None, 0.3)
    score = float(descending[59])
    assert walked.clumping(score) == pytest.approx(6)
    assert part.expected(score) == whole.expected(score)
    assert part.expected_between(score)[1] > whole.expected_between(score)[1] + 10
    assert part.score_between(60)[0] < whole.score_between(60)[0]


def test_a_fire_of_many_cells_is_one_alarm_and_two_fires_are_two():
    points = []
    for day, columns in ((0, range(5)), (0, range(20, 25)), (200, range(5))):
        for x in columns:
            for y in range(5):
                cell = f"33TVF{10 + x:02d}{10 + y:02d}"
                lon, lat = centres([cell])[0]
                points.append(
                    Embedding(
                        point_id=stable_id(cell, day),
                        cell=cell,
                        sensor="s2",
                        sensing_at=datetime.fromtimestamp(1.7e9 + day * 86_400, UTC),
                        physical_key=f"{day}",
                        acquisition_id=stable_id(day),
                        processed_at=NOW,
                        source="test",
                        collection="c",
                        item_id="i",
                        release="r",
                        lon=lon,
                        lat=lat,
                        valid_fraction=1,
                        cloud_fraction=0,
                    )
                )
    history = read_history(points, np.zeros((len(points), 384), np.float32))
    scores = np.random.default_rng(8).uniform(0.3, 0.9, len(points))
    walked = walk(scores, history, np.arange(len(points)), RULES)
    assert walked.standing[-1] == 3
    assert walked.incidents(0.0) >= 3
    assert walk(scores, history, np.arange(len(points)), RULES, enough=1).standing.max() == 2


def test_scores_that_are_all_the_same_alarm_never_rather_than_always():
    walked = Walk(np.full(50, 0.4), np.arange(1, 51), np.array([f"33TVF10{10 + i}" for i in range(50)]))
    assert walked.level(5) > 0.4


def test_the_json_form_says_the_same():
    tail = fit_tail(alone(draw(np.random.default_rng(9), 400, -0.2)), 4000)
    stored = json.loads(json.dumps(to_json(tail, 100.0, 4000)))
    kept = Kept.from_json(stored)
    assert stored["version"] == 1
    for count in (0.2, 0.9, 4.0, 10.0, 60.0):
        assert kept.per_week(tail.score(count)) == pytest.approx(tail.expected(tail.score(count)) / 40, rel=0.15)
    assert kept.per_week(5.0) == 0
    assert Kept.from_json(stored | {"version": 99}) is None
    assert Kept.from_json(None) is None
    assert Kept.from_json({"version": 1}) is None


def test_surprise_grows_with_the_score_and_never_beyond_what_was_watched():
    tail = fit_tail(alone(draw(np.random.default_rng(10), 400, -0.2)), 4000)
    stored = row(to_json(tail, 100.0, 4000))  # forty weeks
    seldom = expected_every_days(stored, tail.score(4))
    assert seldom == pytest.approx(70, rel=0.02)
    assert words(seldom) == "once in 10 weeks"
    assert expected_every_days(stored, tail.score(0.5)) > seldom
    assert expected_every_days(stored, 0.99) == pytest.approx(10 * 40 * 7)
    assert expected_every_days(row(None), 0.5) is None
    assert expected_every_days(row(to_json(None, 100.0, 4000)), 0.5) == pytest.approx(2800)


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (0.1, "10 times a day"),
        (1, "every day"),
        (2.4, "3 times a week"),
        (7, "once in 7 days"),
        (63, "once in 9 weeks"),
        (250, "once in 8 months"),
        (730, "once in 2 years"),
    ],
)
def test_words_are_a_persons(days: float, said: str):
    assert words(days) == said


def test_more_scores_give_more_peaks_within_bounds():
    assert peaks_for(30) == peaks_for(400) == 20
    assert peaks_for(1600) == 40
    assert peaks_for(10**6) == 50
