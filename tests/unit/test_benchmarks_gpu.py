"""The GPU benchmark: without a GPU it says so; its work is right, on a processor that stands for one."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnx", reason="needs the [torch] extra")

import torch

from benchmarks import gpu, gpu_work
from encoders.bands import BANDS_S2
from encoders.runtimes import nvidia


def test_says_in_one_line_why_it_measures_nothing() -> None:
    reason = nvidia.no_gpu()
    if reason is None:
        pytest.skip("there is a GPU here")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--json"],
        cwd=Path(gpu.__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"nothing to measure: {reason}\n")


def test_chips_are_cut_row_by_row_in_reflectance(toy: gpu_work.Subject) -> None:
    fine = torch.arange(420 * 420, dtype=torch.int32).reshape(420, 420).remainder(30000).to(torch.uint16)
    bands = {"B02": fine, "B11": torch.full((210, 210), 5000, dtype=torch.uint16)}
    chips = gpu_work.cells({name: gpu_work.patch(name, band, 0) for name, band in bands.items()}, range(1, 4)).numpy()
    assert chips.shape == (12, 13, 120, 120)
    expected = fine.numpy()[200:320, 100:220].astype(np.float32) * np.float32(1e-4) - np.float32(0.1)
    np.testing.assert_allclose(chips[5, BANDS_S2.index("B02")], expected.clip(0), atol=1e-6)
    np.testing.assert_allclose(chips[:, BANDS_S2.index("B11")], 0.4, rtol=1e-6)
    assert not chips[:, BANDS_S2.index("B10")].any()


class Tower(torch.nn.Module):
    """One convolution and a mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.conv = torch.nn.Conv2d(13, 6, 4, stride=4)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.conv(pixels).relu().mean(dim=(2, 3))


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, cpu_as_gpu) -> gpu_work.Subject:
    """Everything is small, and torch compiles nothing."""
    for name, small in {"BATCH": 4, "CELLS": 4, "SIDE": 32, "CHECKED": 2}.items():
        monkeypatch.setattr(gpu_work, name, small)
    monkeypatch.setattr(gpu, "ROUND_S", 0.0)
    unavailable = {"tensorrt": "not here", "tensorrt-rtx": "not here either", "torch-cuda": None}
    monkeypatch.setattr(nvidia, "unavailable", unavailable.__getitem__)
    monkeypatch.setitem(nvidia.MODULES, "tensorrt-rtx", ("no_such_module_here",))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    chips = {"pixels": np.random.default_rng(0).random((4, 13, 120, 120), dtype=np.float32)}
    subject = gpu_work.Subject("toy-recipe-s2", Tower().eval(), Path("absent.onnx"), chips, "bf16", 1e6)
    monkeypatch.setattr(gpu_work, "subject", lambda _variant, _folder: subject)
    return subject


def test_every_figure_is_printed_and_who_is_absent_is_said(
    toy: gpu_work.Subject, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", "--json"])
    gpu.measure("toy", tmp_path, rounds=2)
    printed = capsys.readouterr()
    figures = {row["name"]: row for row in map(json.loads, printed.out.splitlines())}
    assert set(figures) == {
        "toy_torch_cuda_build_to_serving_s",
        "toy_torch_cuda_disagreement",
        "toy_torch_cuda_chips_per_s",
        "toy_torch_cuda_share_of_gemm",
        "toy_eager_chips_per_s",
        "toy_eager_share_of_gemm",
        "toy_whole_path_over_engine",
    }
    assert all(row["value"] > 0 for row in figures.values())
    assert figures["toy_torch_cuda_disagreement"]["value"] < 2e-2
    assert figures["toy_whole_path_over_engine"]["floor"] == 0.60
    assert printed.err == "toy_tensorrt: not here\ntoy_tensorrt_rtx: not here either\n"


def test_whole_path_embeds_every_cell_of_the_tile(toy: gpu_work.Subject) -> None:
    with gpu_work.torch_cuda(toy) as engine:
        tile = gpu_work.Tile()
        vectors = tile.vectors(engine)
        chips = gpu_work.cells({name: gpu_work.patch(name, band, 0) for name, band in tile.bands.items()}, range(4))
        expected = engine.run({"pixels": chips.numpy()})
    assert vectors.shape == (16, 6)
    np.testing.assert_allclose(vectors, expected, rtol=2e-2)


class Attention(torch.nn.Module):
    """Attention and nothing else."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)


def test_operations_of_attention_are_counted() -> None:
    heads, tokens, width = 2, 16, 8
    counted = gpu_work._flops(Attention(), np.ones((1, heads, tokens, width), dtype=np.float32))
    assert counted == 2 * (2 * heads * tokens * tokens * width)
