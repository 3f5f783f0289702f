"""A standing query that the encoder does not understand holds up nobody."""

from datetime import UTC, datetime

import numpy as np
import pytest
from structlog.testing import capture_logs

from alerts.budgets.calibrate import Calibrator
from alerts.percolation.standing import Held
from alerts.settings import MatcherSettings
from schemas.errors import NotUnderstood
from schemas.messages import StandingQuery, stable_id


class English:
    """Understands ASCII."""

    release = "fake-1"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def texts(self, sentences: list[str]) -> np.ndarray:
        self.asked.append(sentences)
        if not all(sentence.isascii() for sentence in sentences):
            raise NotUnderstood("unknown letters")
        return np.eye(384, dtype=np.float32)[: len(sentences)]


def held(sentence: str) -> Held:
    moment = datetime(2026, 6, 1, tzinfo=UTC)
    query = StandingQuery(query_id=stable_id(sentence), version=1, sentence=sentence, created_at=moment)
    return Held(query, None, {})


@pytest.fixture
def calibrator(monkeypatch: pytest.MonkeyPatch) -> tuple[Calibrator, English, list[list[str]]]:
    """A calibrator without stores, its encoder, and the sentences of each round that got thresholds."""
    encoder, rounds = English(), []

    def store(_self: Calibrator, computed: list) -> int:
        rounds.append(sorted({each.wanted.query.sentence for each in computed}))
        assert all(own.shape == (1, 384) for each in computed for own in each.vectors.values())
        return len(computed)

    monkeypatch.setattr(Calibrator, "_store", store)
    monkeypatch.setattr(Calibrator, "_unmatched", lambda _self: frozenset())
    monkeypatch.setattr(Calibrator, "_heads", lambda _self: {})
    monkeypatch.setattr(Calibrator, "_seen", lambda *_: 0)
    monkeypatch.setattr(Calibrator, "_thresholds", lambda *_: {})
    return Calibrator(None, None, encoder, MatcherSettings()), encoder, rounds  # type: ignore[arg-type]


def test_the_others_get_their_thresholds_and_it_is_asked_about_once(
    calibrator: tuple[Calibrator, English, list[list[str]]],
) -> None:
    service, encoder, rounds = calibrator
    queries = [held("fire"), held("пожар"), held("flood")]
    with capture_logs() as logs:
        assert service.run(queries) > 0
    assert rounds == [["fire", "flood"]]
    assert [(log["sentence"], log["reason"]) for log in logs] == [("пожар", "unknown letters")]
    encoder.asked.clear()
    service.run(queries)
    assert encoder.asked == [["fire", "flood"]]


def test_a_round_of_nothing_but_riddles_writes_nothing(calibrator: tuple[Calibrator, English, list[list[str]]]) -> None:
    service, _, rounds = calibrator
    assert service.run([held("пожар")]) == 0
    assert rounds == []
