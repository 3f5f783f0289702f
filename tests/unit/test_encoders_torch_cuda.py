"""The torch-cuda engine on a processor that stands for the GPU; `tests/gpu` has the real one."""

from functools import partial

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")

import torch

from encoders.runtime import EngineRefused, Inputs, disagreement
from encoders.runtimes import nvidia, torch_cuda
from encoders.runtimes.reference import TorchEngine
from encoders.runtimes.torch_cuda import TorchCudaEngine, forbid_tf32


class Tower(torch.nn.Module):
    """Convolution, mean, linear layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.conv, self.fc = torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(8, 5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(pixels).relu().mean(dim=(2, 3)))


def chips(count: int) -> Inputs:
    return {"pixels": np.random.default_rng(count).random((count, 3, 9, 9), dtype=np.float32)}


@pytest.fixture
def compiled_by_nobody(monkeypatch: pytest.MonkeyPatch, cpu_as_gpu) -> None:
    """A GPU is here, and torch.compile traces and counts as ever but calls no compiler."""
    monkeypatch.setattr(nvidia, "unavailable", lambda _backend: None)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.usefixtures("compiled_by_nobody")
@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-6), ("fp16", 2e-3), ("bf16", 2e-2)])
def test_engine_agrees_with_eager_torch(precision: str, limit: float) -> None:
    tower = Tower()
    engine = TorchCudaEngine(tower, chips(2), precision, buckets=(1, 4))
    for count in (1, 3, 9):
        found = engine.run(chips(count))
        assert found.dtype == np.float32
        assert disagreement(found, TorchEngine(tower).run(chips(count))) < limit
    assert engine.name == f"torch-cuda {torch.__version__}, {precision}, NVIDIA Pretended 24GB, by 1/4"
    engine.close()
    with pytest.raises(EngineRefused, match="is closed"):
        engine.run(chips(1))


@pytest.mark.usefixtures("compiled_by_nobody")
def test_tower_stays_as_it_is() -> None:
    tower = Tower()
    TorchCudaEngine(tower, chips(1), "bf16", buckets=(1,)).close()
    assert {each.dtype for each in tower.parameters()} == {torch.float32}


@pytest.mark.usefixtures("compiled_by_nobody")
def test_many_engines_with_many_buckets_are_compiled() -> None:
    engines = [TorchCudaEngine(Tower(), chips(1), buckets=(1, 2, 4, 8)) for _ in range(3)]
    for each in engines:
        assert each.run(chips(15)).shape == (15, 5)


def test_refused_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "unavailable", lambda _backend: "there is none")
    with pytest.raises(EngineRefused, match="torch-cuda cannot run here: there is none"):
        TorchCudaEngine(Tower(), chips(1))


def test_fp32_means_fp32() -> None:
    torch.backends.cudnn.allow_tf32 = True
    forbid_tf32()
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch_cuda.DTYPES["fp32"] is torch.float32
