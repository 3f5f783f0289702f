"""Linear layers as one matrix, and rows of length one."""

import itertools

import numpy as np
import pytest

from encoders.heads import composed, unit
from schemas.errors import Rejected

RANDOM = np.random.default_rng(0)


def _layer(outputs: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    return RANDOM.standard_normal((outputs, inputs), np.float32), RANDOM.standard_normal(outputs, np.float32)


@pytest.mark.parametrize("widths", [(64, 384), (64, 100, 384), (64, 30, 20, 384)])
def test_composed_layers_are_the_layers_one_after_another(widths: tuple[int, ...]) -> None:
    layers = [_layer(outputs, inputs) for inputs, outputs in itertools.pairwise(widths)]
    features = RANDOM.standard_normal((5, 64), np.float32)
    expected = features.astype(np.float64)
    for weight, bias in layers:
        expected = expected @ weight.T + bias
    np.testing.assert_allclose(composed(layers)(features), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_unit_rows() -> None:
    vectors = unit(RANDOM.standard_normal((4, 384), np.float32) * np.float32(1e30))
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_row_without_direction_is_named(value: float) -> None:
    raw = np.ones((3, 384), np.float32)
    raw[2] = value
    with pytest.raises(Rejected, match="input 2 has no vector"):
        unit(raw)
