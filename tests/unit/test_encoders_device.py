"""Pixels where the encoder is: torch tensors on a device give the chips, states and vectors that arrays give.

The device is the processor, as torch knows it; `tests/gpu` does the same on a GPU.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pyproj import Transformer

pytest.importorskip("torch", reason="needs the [torch] extra")

import torch

from encoders import closp_release
from encoders.chips import ChipBlock
from encoders.closp_release import ClospEncoder, load_closp
from encoders.heads import composed
from encoders.reading import read_scene
from encoders.runtime import DeviceEngine, Inputs
from encoders.settings import EncoderSettings
from encoders.tuned import Conditions
from schemas.errors import Rejected
from schemas.messages import Acquisition, CellState

if TYPE_CHECKING:
    from tests.conftest import SceneMaker

SETTINGS = EncoderSettings(threads=2, block_cells=8)
RANDOM = np.random.default_rng(4)
NOTHING = np.empty(0, np.float32)


def counts(height: int, width: int, bright: bool = False) -> np.ndarray:
    """Reflectance as counts, with a corner of no data, a saturated pixel and, if asked for, a bright half."""
    values = RANDOM.integers(200, 1500, (height, width)).astype(np.uint16)
    if bright:
        values[:, width // 2 :] += 4000
    values[: height // 3, : width // 4] = 0
    values[-1, -1] = 65535
    return values


def optical(scenes: SceneMaker) -> Acquisition:
    """Three resolutions, no classification: half of it is bright."""
    bands = {name: scenes.band(f"{name}.tif", counts(300, 300, bright=True)) for name in ("B02", "B04", "B08")}
    bands["B11"] = scenes.band("B11.tif", counts(150, 150, bright=True), gsd=20)
    bands["B09"] = scenes.band("B09.tif", counts(50, 50), gsd=60, west=499_980)
    return scenes.acquisition(bands)


def classified(scenes: SceneMaker) -> Acquisition:
    """With a classification: ground, cloud, defective."""
    scl = np.full((150, 150), 4, np.uint8)
    scl[:, 50:90] = 9
    scl[100:] = 1
    bands = {"B03": scenes.band("B03.tif", counts(300, 300)), "SCL": scenes.band("scl.tif", scl, gsd=20)}
    return scenes.acquisition(bands)


def across_zones(scenes: SceneMaker) -> Acquisition:
    """A tile of zone 31 over 6° E: half of it is warped, its classification too."""
    x, y = Transformer.from_crs(4326, 32631, always_xy=True).transform(6.0, 45.0)
    place = {"west": round(x, -1) - 1500, "north": round(y, -1) + 1500}
    scl = np.full((150, 150), 5, np.uint8)
    scl[40:80] = 8
    bands = {"B02": scenes.band("b.tif", counts(300, 300), **place), "SCL": scenes.band("s.tif", scl, gsd=20, **place)}
    return scenes.acquisition(bands)


def radar(scenes: SceneMaker) -> Acquisition:
    """Two polarisations on the grid, with gaps, zeros and NaN."""
    values = RANDOM.gamma(4.0, 0.03, (2, 300, 300)).astype(np.float32)
    values[:, :90, :90] = -32768
    values[0, 200:, 200:] = 0
    values[1, 150] = np.nan
    bands = {
        name: scenes.band(f"{name}.tif", plane, nodata=-32768) for name, plane in zip(("VV", "VH"), values, strict=True)
    }
    return scenes.acquisition(bands)


def warped_radar(scenes: SceneMaker) -> Acquisition:
    """One polarisation, decibels, 30 m."""
    values = 10 * np.log10(RANDOM.gamma(4.0, 0.03, (110, 110))).astype(np.float32)
    values[:, 70:] = -9999
    return scenes.acquisition({"VV": scenes.band("vv.tif", values, gsd=30, nodata=-9999)})


SCENES = [optical, classified, across_zones, radar, warped_radar]
Make = Callable[["SceneMaker"], Acquisition]


def both(acquisition: Acquisition) -> list[tuple[ChipBlock, ChipBlock]]:
    """Blocks as arrays and as tensors."""
    arrays, tensors = (read_scene(acquisition, SETTINGS, device=device) for device in (None, "cpu"))
    return list(zip(arrays, tensors, strict=True))


@pytest.mark.parametrize("scene", SCENES)
def test_chips_and_states_are_the_same(scenes: SceneMaker, scene: Make) -> None:
    blocks = both(scene(scenes))
    for arrays, tensors in blocks:
        assert isinstance(arrays.pixels, np.ndarray) and isinstance(tensors.pixels, torch.Tensor)
        assert replace(arrays, pixels=NOTHING) == replace(tensors, pixels=NOTHING)
        np.testing.assert_allclose(np.asarray(tensors.pixels), arrays.pixels, rtol=2e-6)
    chips = [chip for arrays, _ in blocks for chip in arrays.chips]
    assert len({chip.valid_fraction for chip in chips}) > 1
    if blocks[0][0].pixels.shape[1] == 13:
        assert max(chip.cloud_fraction for chip in chips) > 0.4
    assert any(chip.state is CellState.SEEN for chip in chips)


class Tower(torch.nn.Module):
    """One convolution and a mean."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        torch.manual_seed(bands)
        self.conv = torch.nn.Conv2d(bands, 6, 8, stride=8)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.conv(pixels).tanh().mean(dim=(2, 3))


class Processor:
    """An engine that takes arrays."""

    name = "processor"

    def __init__(self, bands: int) -> None:
        self.tower = Tower(bands).eval()
        self.batches: list[int] = []

    def run(self, inputs: Inputs) -> np.ndarray:
        return self.compute({"pixels": torch.from_numpy(inputs["pixels"])}).numpy()

    def compute(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        self.batches.append(len(inputs["pixels"]))
        with torch.inference_mode():
            return self.tower(inputs["pixels"])


class Device(Processor):
    """An engine that takes tensors, and here nothing else."""

    device = "cpu"

    def run(self, inputs: Inputs) -> np.ndarray:
        raise AssertionError("chips made a way back")

    def on_device(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.compute(inputs)


HEAD = composed([(RANDOM.standard_normal((384, 6), np.float32), RANDOM.standard_normal(384, np.float32))])


def encoder(kind: type[Processor]) -> ClospEncoder:
    device = getattr(kind, "device", None)
    return ClospEncoder(
        release="closp-rn-0",
        engines={"s1": kind(2), "s2": kind(13)},
        heads=dict.fromkeys(("s1", "s2"), HEAD.on(device)),
        words=None,  # type: ignore[arg-type]
        backend=kind.name,
        conditions=Conditions.here("closp-rn-0"),
        chips_per_run=3,
        device=device,
    )


@pytest.mark.parametrize("scene", SCENES)
def test_vectors_are_the_same_and_come_back_as_arrays(scenes: SceneMaker, scene: Make) -> None:
    acquisition = scene(scenes)
    here, there = encoder(Processor), encoder(Device)
    seen = 0
    for arrays, tensors in both(acquisition):
        rows = np.array(arrays.seen, dtype=int)
        bands = arrays.present_bands
        expected = here.images(arrays.pixels[rows], acquisition.sensor, bands)
        found = there.images(tensors.pixels[rows], acquisition.sensor, bands)
        assert isinstance(found, np.ndarray) and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)
        np.testing.assert_allclose(there.images(arrays.pixels[rows], acquisition.sensor, bands), expected, atol=1e-5)
        seen += len(rows)
    engines = here.engines[acquisition.sensor], there.engines[acquisition.sensor]
    assert seen and [sum(engine.batches) for engine in engines] == [seen, 2 * seen]  # type: ignore[attr-defined]


def test_pixels_that_were_handed_over_stay_as_they_are() -> None:
    pixels = torch.full((2, 13, 32, 32), 0.2)
    pixels[:, 3] = torch.nan
    before = pixels.clone()
    encoder(Device).images(pixels, "s2")  # type: ignore[arg-type]
    torch.testing.assert_close(pixels, before, equal_nan=True)


def test_empty_batch_on_the_device() -> None:
    assert encoder(Device).images(torch.empty(0, 2, 120, 120), "s1").shape == (0, 384)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "pixels", "sensor", "message"),
    [
        (Processor, torch.full((1, 2, 32, 32), 0.1), "s1", "pixels are torch.float32: hand over a float32 array"),
        (Device, torch.full((1, 2, 32, 32), 0.1).double(), "s1", "pixels are torch.float64"),
        (Device, torch.full((1, 2, 32, 32), 0.1, device="meta"), "s1", "pixels are torch.float32"),
        (Device, torch.full((3, 2, 32, 32), torch.nan), "s1", "chip 0 has no valid pixel"),
        (Device, torch.full((1, 2, 32, 32), -12.0), "s1", "median -12.0 is not linear power"),
        (Device, torch.full((1, 13, 32, 32), 900.0), "s2", "median 900 is not reflectance"),
        (Device, torch.full((2, 13, 32, 32), 3e38), "s2", "median"),
    ],
)
def test_bad_tensors_are_refused_as_bad_arrays_are(
    kind: type[Processor], pixels: torch.Tensor, sensor: str, message: str
) -> None:
    with pytest.raises(Rejected, match=message):
        encoder(kind).images(pixels, sensor)  # type: ignore[arg-type]


@pytest.mark.parametrize(("s1", "s2", "device"), [(Device, Device, "cpu"), (Device, Processor, None)])
def test_a_release_wants_pixels_where_both_image_engines_are(
    monkeypatch: pytest.MonkeyPatch, tmp_path, s1: type[Processor], s2: type[Processor], device: str | None
) -> None:
    assert isinstance(Device(2), DeviceEngine) and not isinstance(Processor(2), DeviceEngine)
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"content")
    monkeypatch.setattr(closp_release, "read_layout", lambda _path: {"s1_encoder.conv1.weight": (64, 2, 7, 7)})
    monkeypatch.setattr(closp_release, "Words", lambda _path: None)
    monkeypatch.setattr(closp_release, "_head", lambda *_args: HEAD)
    opened = {"s1": s1(2), "s2": s2(13), "text": Processor(1)}
    monkeypatch.setattr(closp_release, "_open_engines", lambda *_args: (opened, "toys"))
    loaded = load_closp(tmp_path / "model.safetensors", tmp_path / "tokenizer.json", engines=tmp_path)
    assert loaded.device == device
    assert {isinstance(head.matrix, torch.Tensor) for head in loaded.heads.values()} == {device is not None}
    if device is None:  # its engine on a device takes arrays as well
        monkeypatch.setattr(Device, "run", Processor.run)
        loaded = replace(loaded, engines=opened)
        assert loaded.images(np.full((1, 2, 32, 32), 0.1, np.float32), "s1").shape == (1, 384)


def test_without_a_device_torch_is_not_imported() -> None:
    code = (
        "import sys, numpy, encoders.encode, encoders.closp_release; from encoders.arrays import *; "
        "placed(empty((2,), None), None); joined([empty((2,), None)]); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
