"""How far a cell must fall to be clear: by the noise of its query, sensor and release."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.budgets.background import History
from alerts.budgets.exits import Noise, clear_below, noise
from alerts.budgets.thresholds import ReleaseBackground, Threshold
from alerts.settings import MatcherSettings
from schemas.messages import Mode

SETTINGS = MatcherSettings(exit_sigmas=2, least_background=30, large_background=30)
Q = np.eye(384, dtype=np.float32)[0]
NOTHING = np.empty((0, 384), np.float32)


def rows(centre: float, sigma: float, n: int = 4000, seed: int = 0) -> np.ndarray:
    """Vectors whose products with the query are so distributed."""
    return np.random.default_rng(seed).normal(centre, sigma, n).astype(np.float32)[:, None] * Q


def history(places: np.ndarray, changes: np.ndarray) -> History:
    n = len(places)
    nowhere = np.zeros(n)
    ages = np.full(len(changes), 1000.0)
    return History(np.full(n, "33TWN4512"), nowhere, nowhere, nowhere, places, np.arange(len(changes)), changes, ages)


def test_the_measure_is_how_much_one_place_trembles_not_how_much_places_differ():
    here = history(rows(0.1, 0.2), rows(0, 0.03))
    found = noise(Q, here=here, everywhere=history(NOTHING, NOTHING), release=None, settings=SETTINGS)
    assert (found.median, found.sigma) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.03, rel=0.1))


def test_what_has_happened_in_the_background_does_not_widen_it():
    changes = np.concatenate([rows(0, 0.03), rows(0.7, 0.1, 400)])
    here = history(rows(0.1, 0.2, len(changes)), changes)
    found = noise(Q, here=here, everywhere=here, release=None, settings=SETTINGS)
    assert found.sigma == pytest.approx(0.03, rel=0.2)


def test_the_first_background_with_enough_changes_speaks():
    empty, small = history(NOTHING, NOTHING), history(rows(0, 0.1, 40), rows(0, 0.5, 29))
    large = history(rows(0, 0.1), rows(0, 0.05))
    release = ReleaseBackground(rows(0, 0.1), rows(0, 0.08))

    def sigma(here: History, everywhere: History, brought: ReleaseBackground | None) -> float | None:
        found = noise(Q, here=here, everywhere=everywhere, release=brought, settings=SETTINGS)
        return None if found is None else round(found.sigma, 2)

    assert sigma(large, empty, release) == 0.05
    assert sigma(small, large, release) == 0.05
    assert sigma(small, small, release) == 0.08
    assert sigma(small, empty, ReleaseBackground(release.vectors, release.changes[:20])) is None
    assert sigma(empty, empty, None) is None


@pytest.mark.parametrize(
    ("mode", "score", "presence", "around", "clear"),
    [
        (Mode.PRESENCE, 0.5, None, Noise(0.1, 0.03), 0.44),
        (Mode.APPEARANCE, 0.9, 0.5, Noise(0.1, 0.03), 0.44),
        (Mode.APPEARANCE, 0.9, None, Noise(0.1, 0.03), None),  # nothing has to be passed: halfway decides
        (Mode.PRESENCE, None, None, Noise(0.1, 0.03), None),
        (Mode.PRESENCE, 0.5, None, None, 0.48),
        (Mode.PRESENCE, 0.2, None, Noise(0.1, 0.3), 0.15),  # half the way down to ordinary ground
        (Mode.PRESENCE, 0.1, None, Noise(0.1, 0.03), 0.04),  # a person's own, which ordinary ground passes
    ],
)
def test_levels(mode: Mode, score: float | None, presence: float | None, around: Noise | None, clear: float | None):
    found = clear_below(Threshold(score, presence, "archive", 4000), mode, around, SETTINGS)
    assert found == (None if clear is None else pytest.approx(clear))
