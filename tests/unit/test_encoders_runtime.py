"""Engines on disk: built once, checked against the reference, built again when damaged, refused when wrong."""

import gc
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from encoders.backends import OnnxRuntime, OpenVino
from encoders.engines import Request, Runtime, checked_engine
from encoders.runtime import Engine, EngineRefused, Inputs, disagreement
from encoders.runtimes import openvino
from encoders.runtimes.ort import OnnxEngine

onnx = pytest.importorskip("onnx", reason="needs the [torch] extra")

MATRIX = np.arange(12, dtype=np.float32).reshape(4, 3) / 10


class Product:
    """The reference: x @ MATRIX in numpy."""

    name = "numpy"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        return (inputs["x"] @ MATRIX).astype(np.float32)


class Builder:
    """Writes x @ (MATRIX * error) as ONNX and counts how often."""

    def __init__(self, error: float = 1.0, garbage: bool = False) -> None:
        self.error, self.garbage, self.exports = error, garbage, 0

    def export(self, _tower: str, path: Path, *, lowered: bool) -> None:
        self.exports += 1
        path.write_bytes(b"not ONNX" if self.garbage else graph(MATRIX * np.float32(self.error)))

    def reference(self, _tower: str) -> Product:
        return Product()

    def samples(self, _tower: str) -> list[Inputs]:
        return [{"x": np.random.default_rng(n).random((n, 4), dtype=np.float32)} for n in (1, 3)]


def graph(matrix: NDArray[np.float32]) -> bytes:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "matrix"], ["y"])],
            "product",
            [helper.make_tensor_value_info("x", kind, ["n", 4])],
            [helper.make_tensor_value_info("y", kind, ["n", 3])],
            [onnx.numpy_helper.from_array(matrix, "matrix")],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    content: bytes = model.SerializeToString()
    return content


needs_openvino = pytest.mark.skipif(openvino.unavailable() is not None, reason="needs the [openvino] extra")


@pytest.fixture(params=["onnxruntime", pytest.param("openvino", marks=needs_openvino)])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    return OnnxRuntime() if request.param == "onnxruntime" else OpenVino()


def opened(folder: Path, builder: Builder, runtime: Runtime | None = None) -> Engine:
    return checked_engine(runtime or OnnxRuntime(), Request("s2", "toy-1", folder, threads=1), lambda: builder)


def stamp_of(folder: Path) -> Path:
    return Request("s2", "toy-1", folder).stamp_path(OnnxRuntime())


def test_engine_is_built_once_and_computes_what_the_reference_computes(tmp_path: Path, runtime: Runtime) -> None:
    builder = Builder()
    opened(tmp_path / "engines", builder, runtime)
    engine = opened(tmp_path / "engines", builder, runtime)
    assert builder.exports == 1
    x = np.ones((5, 4), dtype=np.float32)
    np.testing.assert_allclose(engine.run({"x": x}), x @ MATRIX, rtol=1e-6)
    assert engine.name.endswith("fp32, 1 threads")


def test_engines_of_two_runtimes_do_not_meet(tmp_path: Path) -> None:
    one, two = Request("s2", "toy-1", tmp_path), Request("s2", "toy-1", tmp_path, "bf16")
    assert one.stamp_path(OnnxRuntime()) != two.stamp_path(OnnxRuntime())
    assert onnxruntime.__version__ in one.stamp_path(OnnxRuntime()).name


def test_stamp_records_engine_and_disagreement(tmp_path: Path) -> None:
    opened(tmp_path, Builder())
    stamp = json.loads(stamp_of(tmp_path).read_text())
    assert stamp["disagreement"] < 1e-6
    assert (tmp_path / stamp["file"]).is_file()
    assert sorted(each.suffix for each in tmp_path.iterdir()) == [".engine", ".json"]


@pytest.mark.parametrize(
    "damage", ["flip", "truncate", "remove", "stamp garbage", "stamp list", "stamp escape", "lies"]
)
def test_damaged_engine_is_built_again_and_said_so(tmp_path: Path, damage: str) -> None:
    opened(tmp_path, Builder())
    stamp = stamp_of(tmp_path)
    path = tmp_path / json.loads(stamp.read_text())["file"]
    content = path.read_bytes()
    if damage == "flip":
        path.write_bytes(content[:-5] + bytes([content[-5] ^ 0x40]) + content[-4:])
    elif damage == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "remove":
        path.unlink()
    elif damage == "lies":
        stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"model": "toy-2-s2"}))
    elif damage == "stamp escape":
        stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {"file": "../elsewhere.onnx"}))
    else:
        stamp.write_text("{ half" if damage == "stamp garbage" else "[1]")
    builder = Builder()
    with capture_logs() as logs:
        engine = opened(tmp_path, builder)
    assert builder.exports == 1
    assert [each["log_level"] for each in logs if "damaged" in each["event"]] == ["warning"]
    assert len(list(tmp_path.glob("*.engine"))) == 1
    np.testing.assert_allclose(engine.run({"x": np.eye(4, dtype=np.float32)}), MATRIX, rtol=1e-6)


def test_wrong_engine_is_refused_and_says_by_how_much(tmp_path: Path, runtime: Runtime) -> None:
    with pytest.raises(EngineRefused, match=r"refused for s2: it differs .* by 0\.01 of the largest value, 1e-05"):
        opened(tmp_path, Builder(error=1.01), runtime)
    assert list(tmp_path.iterdir()) == []


def test_wrong_engine_is_refused_again_next_time(tmp_path: Path) -> None:
    for _ in range(2):
        builder = Builder(error=0.99)
        with pytest.raises(EngineRefused):
            opened(tmp_path, builder)
        assert builder.exports == 1


def test_half_precision_would_be_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused):
        opened(tmp_path, Builder(error=1 + 2**-9))


def test_export_that_cannot_be_read(tmp_path: Path, runtime: Runtime) -> None:
    with pytest.raises(EngineRefused, match=r"not an engine that (ONNX Runtime|OpenVINO) can load"):
        opened(tmp_path, Builder(garbage=True), runtime)
    assert list(tmp_path.iterdir()) == []


@needs_openvino
def test_openvino_computes_in_what_it_is_told(tmp_path: Path) -> None:
    """Left to itself it takes bf16 where the processor has it, a thousand times further from the truth."""
    path = tmp_path / "product.onnx"
    path.write_bytes(graph(MATRIX))
    x = np.random.default_rng(0).random((64, 4), dtype=np.float32)
    assert disagreement(openvino.OpenVinoEngine(path, "fp32", 1).run({"x": x}), x @ MATRIX) < 1e-6


@needs_openvino
def test_openvino_reports_to_nobody() -> None:
    """By default importing it sends an event to its makers."""
    code = (
        "from encoders.runtimes.openvino import loaded; loaded().Core(); import sys;"
        "print([name for name, module in sys.modules.items() if name.startswith('openvino_telemetry') and module])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@needs_openvino
def test_bf16_is_not_emulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = openvino.loaded()

    class Plain(module.Core):
        def get_property(self, *_args: object) -> list[str]:
            return ["FP32", "INT8"]

    monkeypatch.setattr(module, "Core", Plain)
    with pytest.raises(EngineRefused, match=r"no bf16 products \(it has FP32, INT8\): use fp32"):
        openvino.OpenVinoEngine(tmp_path / "any.onnx", "bf16", 1)


def test_engines_serve_several_threads(tmp_path: Path, runtime: Runtime) -> None:
    engine = opened(tmp_path, Builder(), runtime)
    batches = [np.random.default_rng(n).random((n, 4), dtype=np.float32) for n in range(1, 40)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda x: engine.run({"x": x}), batches))
    for x, y in zip(batches, found, strict=True):
        np.testing.assert_allclose(y, x @ MATRIX, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_settable(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "product.onnx"
    path.write_bytes(graph(MATRIX))
    assert f"{threads} threads" in OnnxEngine(path, threads).name


def test_disagreement_is_relative_to_the_largest_value() -> None:
    reference = np.array([[100.0, 1.0]], dtype=np.float32)
    assert disagreement(reference + np.float32(1.0), reference) == pytest.approx(0.01)
    assert disagreement(reference[:, :1], reference) == float("inf")
    assert disagreement(np.array([[np.nan, 1.0]], dtype=np.float32), reference) == float("inf")


def test_engines_leave_no_file_open_and_no_thread_behind(tmp_path: Path, runtime: Runtime) -> None:
    def use() -> None:
        opened(tmp_path, Builder(), runtime).run({"x": np.ones((1, 4), np.float32)})

    def counted() -> tuple[int, int]:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("counts what /proc shows")
    use()
    files, threads = counted()
    for _ in range(8):
        use()
    files_after, threads_after = counted()
    assert files_after <= files
    assert threads_after <= threads
    assert sorted(each.suffix for each in tmp_path.iterdir()) == [".engine", ".json"]
