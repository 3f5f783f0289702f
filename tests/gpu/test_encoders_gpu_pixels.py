"""Scenes read onto a real GPU: the same chips, states and vectors as in numpy's memory."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnxscript", reason="needs the [torch] extra")


from benchmarks.gpu_work import Subject
from encoders.closp_pixels import prepare
from encoders.closp_release import ClospEncoder
from encoders.heads import Head, composed
from encoders.reading import read_scene
from encoders.runtime import Engine
from encoders.runtimes import cuda, nvidia
from encoders.runtimes.reference import TorchEngine
from encoders.runtimes.torch_cuda import TorchCudaEngine
from encoders.settings import EncoderSettings
from encoders.tuned import Conditions
from schemas.messages import Acquisition

if TYPE_CHECKING:
    from tests.conftest import SceneMaker

pytestmark = pytest.mark.gpu

SETTINGS = EncoderSettings(threads=4, block_cells=20)
BANDS = {"B01": 60, "B02": 10, "B04": 10, "B08": 10, "B11": 20}
"""Metres of a pixel."""


def optical(scenes: SceneMaker, dtype: str, west: float = 500_000) -> Acquisition:
    """Counts with a corner of no data; a third is cloud, a third defective; off the grid they are warped."""
    random = np.random.default_rng(6)
    assets = {}
    for name, gsd in BANDS.items():
        counts = random.integers(300, 3000, (6000 // gsd, 6000 // gsd))
        counts[: 1500 // gsd, : 1500 // gsd] = 0
        assets[name] = scenes.band(f"{name}.tif", counts.astype(dtype), gsd=gsd, west=west)
    scl = np.full((300, 300), 4, np.uint8)
    scl[100:200], scl[200:] = 9, 1
    return scenes.acquisition(assets | {"SCL": scenes.band("scl.tif", scl, gsd=20, west=west)})


def radar(scenes: SceneMaker, dtype: str, gsd: int) -> Acquisition:
    """Two polarisations with gaps, in decibels where they are whole numbers."""
    power = np.random.default_rng(7).gamma(4.0, 0.02, (2, 6000 // gsd, 6000 // gsd))
    values = (10 * np.log10(power) if dtype == "int16" else power).astype(dtype)
    values[:, 1500 // gsd :, : 1500 // gsd] = -32768
    return scenes.acquisition(
        {name: scenes.band(f"{name}.tif", values[i], gsd=gsd, nodata=-32768) for i, name in enumerate(("VV", "VH"))}
    )


@pytest.mark.parametrize(
    ("make", "given"),
    [
        (optical, {"dtype": "uint16"}),
        (optical, {"dtype": "int16"}),
        (optical, {"dtype": "uint32"}),
        (optical, {"dtype": "uint16", "west": 500_003}),
        (radar, {"dtype": "float32", "gsd": 10}),
        (radar, {"dtype": "float64", "gsd": 10}),
        (radar, {"dtype": "int16", "gsd": 10}),
        (radar, {"dtype": "float32", "gsd": 30}),
    ],
)
def test_chips_on_the_gpu_are_those_of_the_processor(scenes: SceneMaker, make, given: dict[str, object]) -> None:
    acquisition = make(scenes, **given)
    here, there = (read_scene(acquisition, SETTINGS, device=device) for device in (None, cuda.DEVICE))
    for arrays, tensors in zip(here, there, strict=True):
        assert tensors.pixels.device.type == cuda.DEVICE  # type: ignore[attr-defined]
        assert (tensors.cells, tensors.chips) == (arrays.cells, arrays.chips)
        pixels = tensors.pixels.cpu().numpy()  # type: ignore[attr-defined]
        np.testing.assert_allclose(pixels, arrays.pixels, rtol=2e-6, atol=1e-8)
        mask = np.isin(np.arange(pixels.shape[1]), (0, 1))
        prepared = prepare(tensors.pixels, acquisition.sensor, mask).cpu().numpy()  # type: ignore[attr-defined]
        np.testing.assert_allclose(prepared, prepare(arrays.pixels, acquisition.sensor, mask), rtol=1e-5, atol=1e-5)


def encoder(engine: Engine, head: Head, device: str | None) -> ClospEncoder:
    return ClospEncoder(
        release="closp-rn-0",
        engines={"s2": engine},
        heads={"s2": head.on(device)},
        words=None,  # type: ignore[arg-type]
        backend="toy",
        conditions=Conditions.here("closp-rn-0"),
        chips_per_run=8,
        device=device,
    )


def test_vectors_of_a_scene_on_the_gpu_are_those_of_the_processor(closp: Subject, scenes: SceneMaker) -> None:
    reason = nvidia.unavailable("torch-cuda")
    if reason is not None:
        pytest.skip(reason)
    reference = TorchEngine(closp.tower)
    width = reference.run(closp.few).shape[1]
    random = np.random.default_rng(8)
    head = composed([(random.standard_normal((384, width), np.float32), random.standard_normal(384, np.float32))])
    acquisition = optical(scenes, "uint16")
    with closing(TorchCudaEngine(closp.tower, closp.chips, "fp32", (8,))) as engine:
        here, there = encoder(reference, head, None), encoder(engine, head, engine.device)
        seen = 0
        for arrays, tensors in zip(
            read_scene(acquisition, SETTINGS), read_scene(acquisition, SETTINGS, device=there.device), strict=True
        ):
            if arrays.seen:
                found = there.images(tensors.pixels[tensors.seen], "s2", tensors.present_bands)
                expected = here.images(arrays.pixels[arrays.seen], "s2", arrays.present_bands)
                np.testing.assert_allclose(found, expected, atol=1e-4)
                seen += len(found)
        assert seen
