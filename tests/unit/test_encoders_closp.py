"""CLOSP's four architectures against outputs that are kept here, so that this runs anywhere.

Weights and chips come from `benchmarks.recipe`. `data/closp_outputs.npz` was written by `computed` below when the
same code had met the authors' reference vectors (`tests/integration/test_encoders_closp_reference.py`).
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks import recipe
from encoders.bands import BANDS
from encoders.closp_pixels import prepare
from encoders.runtime import disagreement

torch = pytest.importorskip("torch", reason="needs the [torch] extra")

from encoders import closp, closp_build, location, lowering  # noqa: E402 - they import torch

EXPECTED = Path(__file__).parent / "data" / "closp_outputs.npz"
PLACES = np.array([[-122.3, 47.6], [0.0, 0.0], [179.99, -66.5], [11.0, 84.0]], dtype=np.float32)
WORDS = np.array([[101, 5649, 2181, 102, 0, 0], [101, 3748, 10273, 6402, 11228, 102]], dtype=np.int64)
MASK = (WORDS > 0).astype(np.int64)


@cache
def model(variant: str) -> closp.Closp:
    return closp_build.assemble(variant, recipe.weights(closp.layout(variant)))


def prepared(sensor: str, count: int, size_px: int = 120) -> "torch.Tensor":
    mask = np.ones(len(BANDS[sensor]), dtype=np.bool_)
    return torch.from_numpy(prepare(recipe.chips(sensor, count, size_px), sensor, mask))


@torch.inference_mode()
def computed(variant: str) -> dict[str, NDArray[np.float32]]:
    """Every output of a variant for one chip a sensor, two sentences, four places."""
    made = model(variant)
    outputs = {sensor: made.images(prepared(sensor, 1), sensor).numpy() for sensor in ("s1", "s2")}
    outputs["text"] = made.text_tower()(torch.from_numpy(WORDS), torch.from_numpy(MASK)).numpy()
    if variant == "geoclosp-rn":
        outputs["location"] = made.locations(torch.from_numpy(PLACES)).numpy()
    return outputs


@pytest.mark.parametrize(
    "variant",
    ["closp-vs", "geoclosp-rn", pytest.param("closp-rn", marks=pytest.mark.slow),
     pytest.param("closp-vl", marks=pytest.mark.slow)],
)  # fmt: skip
def test_outputs_are_those_that_met_the_reference(variant: str) -> None:
    with np.load(EXPECTED) as expected:
        outputs = computed(variant)
        assert {f"{variant}/{name}" for name in outputs} == {key for key in expected if key.startswith(f"{variant}/")}
        for name, output in outputs.items():
            assert disagreement(output, expected[f"{variant}/{name}"]) < 1e-5, name


def test_layouts_are_the_published_ones_in_number() -> None:
    counts = {variant: len(closp.layout(variant)) for variant in closp.VARIANTS}
    assert counts == {"closp-rn": 747, "closp-vs": 409, "closp-vl": 695, "geoclosp-rn": 755}


def test_fp32_checkpoint_of_rn_has_the_published_size() -> None:
    values = sum(int(np.prod(shape)) for shape in closp.layout("closp-rn").values() if shape)
    counters = sum(1 for shape in closp.layout("closp-rn").values() if not shape)
    header = 299_001_336 - 4 * values - 8 * counters
    assert 70_000 < header < 100_000


@pytest.mark.parametrize(("sensor", "size_px"), [("s2", 120), ("s1", 120), ("s2", 97), ("s1", 64)])
def test_lowered_tower_is_the_same_function(sensor: str, size_px: int) -> None:
    tower = model("geoclosp-rn").image_tower(sensor)
    pixels = prepared(sensor, 2, size_px)
    with torch.inference_mode():
        lowered, plain = lowering.lower(tower)(pixels).numpy(), tower(pixels).numpy()
    assert not np.array_equal(lowered, plain)
    assert disagreement(lowered, plain) < 5e-6


def test_a_vit_tower_needs_no_lowering() -> None:
    tower = model("closp-vs").image_tower("s2")
    assert lowering.lower(tower) is tower


def test_vit_takes_chips_of_any_size() -> None:
    with torch.inference_mode():
        assert model("closp-vs").images(prepared("s1", 1, 64), "s1").shape == (1, 384)


def test_padding_does_not_change_a_text_vector() -> None:
    tower = model("closp-vs").text_tower()
    with torch.inference_mode():
        short = tower(torch.from_numpy(WORDS[:1, :4]), torch.from_numpy(MASK[:1, :4])).numpy()
        padded = tower(torch.from_numpy(WORDS[:1]), torch.from_numpy(MASK[:1])).numpy()
    assert disagreement(padded, short) < 5e-6


def test_harmonics_of_degree_one_are_the_coordinates() -> None:
    """Y(1, m) is proportional to y, z, x; the terms of order 0 carry the checkpoint's factor pi."""
    lon, lat = np.radians(PLACES.astype(np.float64)).T
    harmonics = location.spherical_harmonics(torch.from_numpy(PLACES)).numpy()
    scale = np.sqrt(3 / (4 * np.pi))
    flipped = np.stack([-np.cos(lat) * np.sin(lon), -np.pi * np.sin(lat), -np.cos(lat) * np.cos(lon)], axis=1)
    np.testing.assert_allclose(harmonics[:, 0], np.pi * np.sqrt(1 / (4 * np.pi)), rtol=1e-12)
    np.testing.assert_allclose(harmonics[:, 1:4], scale * flipped, atol=1e-6)
    assert harmonics.shape == (4, 100)
