"""Random fields and resampling: the properties that textures, parcels and speckle rest on."""

import numpy as np
import pytest

from simulation.fields import (
    BROAD,
    GRAIN,
    FieldPool,
    block_mean,
    blur3,
    enlarge,
    fractal,
    gamma_speckle,
    gradient,
    quantile,
    strips,
    voronoi,
)


def _neighbours(field: np.ndarray) -> float:
    return float(np.corrcoef(field[:, 1:].ravel(), field[:, :-1].ravel())[0, 1])


def test_fractal_field_is_standardised_and_smoother_with_slope() -> None:
    rough, smooth = (fractal(np.random.default_rng(1), (128, 96), slope) for slope in (0.5, 3.5))
    for field in (rough, smooth):
        assert field.dtype == np.float32 and field.shape == (128, 96)
        assert abs(float(field.mean())) < 1e-3 and float(field.std()) == pytest.approx(1, abs=1e-2)
    assert _neighbours(smooth) > 0.98 > _neighbours(rough)


def test_pool_repeats_with_the_same_seed_only() -> None:
    one, same, other = (FieldPool(seed).draw(np.random.default_rng(5), BROAD, (60, 60)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_pool_makes_fresh_fields_beyond_its_crops() -> None:
    field = FieldPool(1).draw(np.random.default_rng(5), GRAIN, (300, 330))
    assert field.shape == (300, 330) and float(field.std()) == pytest.approx(1, abs=1e-2)


def test_speckle_has_the_looks_and_correlation_of_the_product() -> None:
    noise = gamma_speckle(np.random.default_rng(3), (600, 600), 4.4, 0.24)
    assert float(noise.mean()) == pytest.approx(1, abs=0.03)
    assert float(noise.mean() ** 2 / noise.var()) == pytest.approx(4.4, rel=0.08)
    assert 0.6 < _neighbours(noise) < 0.95
    skewness = float(np.mean((noise - noise.mean()) ** 3) / noise.std() ** 3)
    assert skewness > 0.7  # gamma of 4.4 looks: 2 / sqrt(4.4) = 0.95, not Gaussian


def test_block_mean_and_enlarge_keep_the_mean() -> None:
    stack = np.random.default_rng(0).random((2, 12, 18)).astype(np.float32)
    small = block_mean(stack, 6)
    assert small.shape == (2, 2, 3) and np.allclose(small[0, 0, 0], stack[0, :6, :6].mean())
    assert np.array_equal(enlarge(small, 6, smooth=False)[:, ::6, ::6], small)
    assert np.allclose(enlarge(np.full((4, 4), 3, np.float32), 2, smooth=True), 3)
    with pytest.raises(ValueError, match="blocks of 5"):
        block_mean(stack, 5)


def test_blur_keeps_a_constant_and_spreads_a_point() -> None:
    assert np.allclose(blur3(np.full((1, 5, 5), 2, np.float32), 0.25), 2)
    point = np.zeros((5, 5), np.float32)
    point[2, 2] = 1
    blurred = blur3(point, 0.25)
    assert blurred[2, 2] == pytest.approx(0.25) and blurred[2, 1] == pytest.approx(0.125)
    assert float(blurred.sum()) == pytest.approx(1)


def test_gradient_of_a_plane_points_east_and_south() -> None:
    rows, columns = np.indices((8, 9), dtype=np.float32)
    east, south = gradient(columns * 20 - rows * 5, 10.0)
    assert np.allclose(east, 2) and np.allclose(south, -0.5)


def test_quantile_splits_by_share() -> None:
    field = fractal(np.random.default_rng(2), (90, 90), 2.0)
    assert float((field < quantile(field, 0.3)).mean()) == pytest.approx(0.3, abs=0.02)


def test_parcels_are_contiguous_pieces_of_plausible_size() -> None:
    flat = np.zeros((120, 120), np.float32)
    fields = strips(np.random.default_rng(4), (120, 120), 15.0, 40.0, flat)
    seeds = voronoi(np.random.default_rng(4), (120, 120), 25, flat)
    assert 10 < len(np.unique(fields)) < 120
    assert len(np.unique(seeds)) == 25
    assert float((seeds[:, 1:] != seeds[:, :-1]).mean()) < 0.1
