"""The gate of int8: by cosines and by neighbours, with the numbers in its refusal."""

import numpy as np
import pytest

from encoders.runtime import EngineRefused
from encoders.runtimes.quantised import check_ranking, neighbours_kept


def _vectors(noise: float) -> np.ndarray:
    random = np.random.default_rng(1)
    raw = random.standard_normal((200, 384)) + noise * np.random.default_rng(2).standard_normal((200, 384))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def test_equal_vectors_pass() -> None:
    assert check_ranking(_vectors(0), _vectors(0), "engine", "s2") == pytest.approx(0, abs=1e-6)


def test_small_rounding_passes_and_is_recorded() -> None:
    assert 0 < check_ranking(_vectors(0.01), _vectors(0), "engine", "s2") < 1e-3


def test_cosines_that_moved_are_refused_with_the_number() -> None:
    with pytest.raises(EngineRefused, match=r"engine refused for s2: mean cosine to fp32 0\.9\d+, 0\.999 is asked"):
        check_ranking(_vectors(0.3), _vectors(0), "engine", "s2")


def test_neighbours_that_moved_are_refused_though_cosines_hardly_did() -> None:
    """Networks whose chips are all alike: a cosine of 0.9999 says nothing there."""
    alike, other = (np.ones((200, 384)) + 0.005 * np.random.default_rng(n).standard_normal((200, 384)) for n in (1, 2))
    alike, other = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (alike, other))
    assert (alike * other).sum(axis=1).min() > 0.999
    with pytest.raises(EngineRefused, match="nearest chips stay"):
        check_ranking(alike.astype(np.float32), other.astype(np.float32), "engine", "s2")


def test_neighbours_of_unrelated_vectors_are_kept_by_chance_only() -> None:
    one, two = (np.random.default_rng(n).standard_normal((200, 384)).astype(np.float32) for n in (1, 2))
    assert neighbours_kept(one, one) == 1.0
    assert neighbours_kept(one, two) < 0.15


def test_values_that_are_not_finite_are_refused() -> None:
    broken = _vectors(0)
    broken[3] = np.nan
    with pytest.raises(EngineRefused):
        check_ranking(broken, _vectors(0), "engine", "s2")
