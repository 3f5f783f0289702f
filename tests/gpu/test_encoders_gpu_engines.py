"""Engines on a real GPU: they compute what torch computes, allocate nothing while running, leave nothing behind."""

import gc
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnxscript", reason="needs the [torch] extra")

import onnx
import torch

from benchmarks.gpu_work import GpuEngine, Subject
from encoders.runtime import EngineRefused, Inputs, disagreement
from encoders.runtimes import nvidia
from encoders.runtimes.engine_files import TensorRtBackend
from encoders.runtimes.ort import OnnxEngine
from encoders.runtimes.reference import TorchEngine
from encoders.runtimes.tensorrt import TensorRtEngine
from encoders.runtimes.tensorrt_build import build
from encoders.runtimes.torch_cuda import TorchCudaEngine

pytestmark = pytest.mark.gpu

LIMITS = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 3e-2}
"""Largest max|difference| / max|reference|."""

BUCKETS = (1, 8)

BACKENDS = ("tensorrt", "tensorrt-rtx", "torch-cuda")

SLACK_MIB = 32
"""What the driver and the libraries may keep for themselves between two measurements of free memory."""

Open = Callable[[str, str], GpuEngine]


@pytest.fixture
def opened(closp: Subject, tmp_path: Path) -> Open:
    """Opens an engine of a backend in a precision, or skips with the backend's reason."""

    def open_engine(backend: str, precision: str) -> GpuEngine:
        reason = nvidia.unavailable(backend)
        if reason is not None:
            pytest.skip(reason)
        if backend == "torch-cuda":
            return TorchCudaEngine(closp.tower, closp.chips, precision, BUCKETS)
        return TensorRtEngine(engine_file(closp, backend, precision, tmp_path), closp.model)

    return open_engine


def engine_file(closp: Subject, backend: TensorRtBackend, precision: str, folder: Path) -> Path:
    made = build(closp.onnx, backend, model=closp.model, example=closp.chips, precision=precision, buckets=BUCKETS)
    return made.write(folder)


def chips(closp: Subject, count: int) -> Inputs:
    return {"pixels": closp.chips["pixels"][:count]}


@pytest.mark.parametrize("precision", list(LIMITS))
@pytest.mark.parametrize("backend", BACKENDS)
def test_engine_computes_what_torch_computes_in_batches_of_any_size(
    closp: Subject, opened: Open, backend: str, precision: str
) -> None:
    reference = TorchEngine(closp.tower).run(chips(closp, 19))
    with closing(opened(backend, precision)) as engine:
        for count in (1, 3, 8, 19):
            assert disagreement(engine.run(chips(closp, count)), reference[:count]) < LIMITS[precision]
        assert engine.run(chips(closp, 0)).shape == (0, reference.shape[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_chips_on_the_gpu_give_the_same_vectors(closp: Subject, opened: Open, backend: str) -> None:
    with closing(opened(backend, "fp16")) as engine:
        there = engine.on_device({"pixels": torch.from_numpy(closp.chips["pixels"][:19]).cuda()})
        np.testing.assert_allclose(there.cpu().numpy(), engine.run(chips(closp, 19)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_running_allocates_nothing_on_the_gpu(closp: Subject, opened: Open, backend: str) -> None:
    with closing(opened(backend, "fp16")) as engine:
        engine.run(chips(closp, 64))
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
        engine.run(chips(closp, 64))
        assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


@pytest.mark.parametrize("backend", BACKENDS)
def test_closed_engines_leave_no_memory_behind(closp: Subject, opened: Open, backend: str) -> None:
    def used() -> tuple[int, float]:
        with closing(opened(backend, "fp16")) as engine:
            engine.run(chips(closp, 9))
        del engine
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_allocated(), torch.cuda.mem_get_info()[0] / 2**20

    used()
    allocated, free_mib = used()
    for _ in range(2):
        again, still_free_mib = used()
    assert again == allocated
    assert still_free_mib > free_mib - SLACK_MIB


@pytest.mark.parametrize("backend", ["tensorrt", "tensorrt-rtx"])
def test_refitted_engine_computes_the_retrained_model(
    closp: Subject, opened: Open, backend: str, tmp_path: Path
) -> None:
    path = tmp_path / "retrained.onnx"
    retrain(closp.onnx, path)
    with closing(opened(backend, "fp16")) as engine:
        before = engine.run(chips(closp, 3))
        try:
            engine.refit(path, closp.model)
        except EngineRefused as refusal:
            assert "takes no new weights" in str(refusal)
            pytest.skip(str(refusal))
        after = engine.run(chips(closp, 3))
    assert disagreement(after, OnnxEngine(path).run(chips(closp, 3))) < LIMITS["fp16"]
    assert disagreement(after, before) > 10 * LIMITS["fp16"]


def retrain(onnx_path: Path, path: Path) -> None:
    """Write the same graph with another last convolution."""
    content = onnx.load(str(onnx_path))
    last = next(each for each in content.graph.initializer if each.name.endswith("layer4.2.conv3.weight"))
    last.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(last) * np.float32(-0.5), last.name))
    onnx.save(content, str(path))


def test_rtx_engine_for_other_gpus_is_refused_by_the_librarys_own_answer(closp: Subject, tmp_path: Path) -> None:
    reason = nvidia.unavailable("tensorrt-rtx")
    if reason is not None:
        pytest.skip(reason)
    newer = [each for each in nvidia.targets(nvidia.bindings("tensorrt-rtx")) if each > nvidia.gpu().sm]
    if not newer:
        pytest.skip("the GPU here is the newest that TensorRT-RTX names")
    other = newer[-1]
    made = build(closp.onnx, "tensorrt-rtx", model=closp.model, example=closp.chips, buckets=(1,), targets=(other,))
    with pytest.raises(EngineRefused, match=rf"for sm{other}; here is .*: unsupported cc; delete it"):
        TensorRtEngine(made.write(tmp_path), closp.model)
