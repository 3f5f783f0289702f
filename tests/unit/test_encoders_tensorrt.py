"""TensorRT engines on a pretended library: what is refused and how, refit, profiles, flags; no GPU, no wheel."""

import ctypes
from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import prod
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnx", reason="needs the [torch] extra")

import onnx
from structlog.testing import capture_logs

from encoders.runtime import EngineRefused
from encoders.runtimes import nvidia
from encoders.runtimes.engine_files import Description, write_engine
from encoders.runtimes.onnx_files import stamp_model
from encoders.runtimes.tensorrt import TensorRtEngine
from encoders.runtimes.tensorrt_build import build

HERE = "nvidia-pretended-24gb-sm86"
ROW = 4

DESCRIPTION = Description(
    backend="tensorrt-rtx",
    version="1.7.1.116",
    gpu=HERE,
    precision="fp32",
    model="toy-s2",
    buckets=(1, 4),
    shapes={"x": (ROW,)},
    refittable=True,
)


class Severity(IntEnum):
    INTERNAL_ERROR, ERROR, WARNING = range(3)


class ILogger:
    ERROR = Severity.ERROR


class Validity(IntEnum):
    VALID, SUBOPTIMAL, INVALID = range(3)


class Cause(IntEnum):
    VERSION_MISMATCH, UNSUPPORTED_CC, OLD_CUDA_DRIVER = 1, 2, 4


class Flag(IntEnum):
    REFIT, TF32, REQUIRE_USER_ALLOCATION = range(3)


class Context:
    """Computes scale * x, from and to the addresses it is given."""

    def __init__(self, engine: "PretendedEngine") -> None:
        self.engine, self.addresses, self.bucket = engine, {}, 0

    def set_device_memory(self, address: int, size: int) -> None:
        assert address and size >= self.engine.device_memory_size_v2

    def set_optimization_profile_async(self, profile: int, _stream: int) -> bool:
        self.profile = profile
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert (name, shape[1:]) == ("x", (ROW,))
        assert DESCRIPTION.buckets[self.profile] == shape[0]
        self.bucket = shape[0]
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, _stream: int) -> bool:
        x, y = (self._array(name) for name in ("x", "y"))
        y[...] = x * np.float32(self.engine.scale)
        return True

    def _array(self, name: str) -> np.ndarray:
        count = prod((self.bucket, ROW))
        return np.ctypeslib.as_array((ctypes.c_float * count).from_address(self.addresses[name]))


@dataclass
class PretendedEngine:
    scale: float = 2.0
    device_memory_size_v2: int = 1000
    num_io_tensors: int = 2
    strategies: list[object] = field(default_factory=list)

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_shape(self, _name: str) -> tuple[int, ...]:
        return (-1, ROW)

    def get_tensor_dtype(self, _name: str) -> str:
        return "float"

    def create_execution_context(self, strategy: object) -> Context:
        self.strategies.append(strategy)
        return Context(self)


@dataclass
class Library:
    """The part of the API that is used. What it answers can be set.

    Attributes:
        validity: answer of `get_engine_validity`; ``None``: the API has no such call.
        opens: whether an engine is deserialised.
        fits: whether an ONNX file fits at a refit.
        refits: whether engines that take new weights can be built.
    """

    validity: tuple[Validity, int] | None = (Validity.VALID, 0)
    opens: bool = True
    fits: bool = True
    refits: bool = True
    __version__: str = "1.7.1.116"
    engine: PretendedEngine = field(default_factory=PretendedEngine)
    config: SimpleNamespace = field(default_factory=SimpleNamespace)
    content: bytes = b""
    ILogger = ILogger
    EngineValidity = Validity
    EngineInvalidityDiagnostics = Cause
    BuilderFlag = Flag
    DataType = SimpleNamespace(FLOAT="float", INT64="int64")
    ExecutionContextAllocationStrategy = SimpleNamespace(USER_MANAGED="ours")
    NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
    ComputeCapability = SimpleNamespace(__members__={"CURRENT": "here", "SM80": "sm80", "SM86": "sm86"})

    @property
    def Runtime(self) -> type:  # noqa: N802 - the API's name
        library = self

        class Runtime:
            def __init__(self, logger: ILogger) -> None:
                self.logger = logger

            def deserialize_cuda_engine(self, _plan: bytes) -> PretendedEngine | None:
                if library.opens:
                    return library.engine
                self.logger.log(Severity.WARNING, "a remark")
                self.logger.log(Severity.ERROR, "magic tag\n  does not match")
                return None

        if library.validity is not None:
            Runtime.get_engine_validity = lambda _runtime, _plan: library.validity
        return Runtime

    def Refitter(self, _engine: PretendedEngine, _logger: ILogger) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(refit_cuda_engine=lambda: True)

    def OnnxParserRefitter(self, _refitter: object, logger: "ILogger") -> SimpleNamespace:  # noqa: N802
        def refit(_content: bytes) -> bool:
            self.engine.scale = 3.0
            if not self.fits:
                logger.log(Severity.ERROR, "no weights named W")
            return self.fits

        return SimpleNamespace(refit_from_bytes=refit)

    def Builder(self, logger: "ILogger") -> SimpleNamespace:  # noqa: N802
        config = self.config = empty_config()
        config.add_optimization_profile = config.profiles.append
        config.clear_flag, config.set_flag = config.flags.discard, config.flags.add
        config.set_compute_capability = lambda target, index: config.targets.update({index: target})

        def plan(_network: object, _config: object) -> bytes | None:
            if self.opens and (self.refits or Flag.REFIT not in config.flags):
                return b"plan"
            logger.log(Severity.ERROR, "no kernel")
            return None

        return SimpleNamespace(
            create_network=lambda flags: flags,
            create_builder_config=lambda: config,
            create_optimization_profile=Profile,
            build_serialized_network=plan,
        )

    def OnnxParser(self, network: int, _logger: ILogger) -> SimpleNamespace:  # noqa: N802
        assert network == 1 << 1

        def parse(content: bytes) -> bool:
            self.content = content
            return self.fits

        return SimpleNamespace(parse=parse, num_errors=1, get_error=lambda _index: "In node 3: no importer")


def empty_config() -> SimpleNamespace:
    return SimpleNamespace(profiles=[], flags={Flag.TF32}, targets={}, num_compute_capabilities=0)


class Profile(dict):
    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self[name] = shapes


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, cpu_as_gpu) -> Library:
    pretended = Library()
    monkeypatch.setattr(nvidia, "bindings", lambda _backend: pretended)
    monkeypatch.setattr(nvidia, "unavailable", lambda _backend: None)
    return pretended


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    """y = relu(x), stamped as toy-s2."""
    helper, path = onnx.helper, tmp_path / "tower.onnx"
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", ROW]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tower", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    stamp_model(path, "toy-s2")
    return path


def file(folder: Path, **changes: object) -> Path:
    path = folder / "toy.engine"
    write_engine(path, replace(DESCRIPTION, **changes), b"plan")
    return path


def batch(count: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(count).random((count, ROW), dtype=np.float32)}


def test_engine_computes_batches_of_any_size(library: Library, tmp_path: Path) -> None:
    engine = TensorRtEngine(file(tmp_path), "toy-s2")
    for count in (0, 1, 3, 9):
        np.testing.assert_array_equal(engine.run(batch(count)), batch(count)["x"] * np.float32(2.0))
    assert engine.name == "tensorrt-rtx 1.7.1.116, fp32, NVIDIA Pretended 24GB, by 1/4"
    assert library.engine.strategies == ["ours"] * 2 * len(DESCRIPTION.buckets)


def test_closed_engine_is_refused(library: Library, tmp_path: Path, cpu_as_gpu, tower: Path) -> None:
    engine = TensorRtEngine(file(tmp_path), "toy-s2")
    engine.close()
    engine.close()
    assert cpu_as_gpu.released >= 2
    with pytest.raises(EngineRefused, match="is closed: open it again"):
        engine.run(batch(1))
    with pytest.raises(EngineRefused, match="is closed"):
        engine.refit(tower, "toy-s2")


def test_engine_of_another_model(library: Library, tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match=r"toy\.engine is toy-s2, not closp-rn-0-s2: build one for closp-rn-0-s2"):
        TensorRtEngine(file(tmp_path), "closp-rn-0-s2")


def test_truncated_engine_never_reaches_the_library(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    monkeypatch.setattr(nvidia, "bindings", lambda _backend: pytest.fail("was asked"))
    with pytest.raises(EngineRefused, match="is truncated: 3 of 4 bytes"):
        TensorRtEngine(path, "toy-s2")


def test_engine_where_nothing_can_run_it(library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "unavailable", lambda _backend: "no GPU")
    reason = rf"toy\.engine, built by tensorrt-rtx 1\.7\.1\.116 for {HERE}, cannot run here: no GPU"
    with pytest.raises(EngineRefused, match=reason):
        TensorRtEngine(file(tmp_path), "toy-s2")


def test_engine_of_another_gpu_and_version_by_the_librarys_answer(library: Library, tmp_path: Path) -> None:
    library.validity = (Validity.INVALID, Cause.VERSION_MISMATCH | Cause.UNSUPPORTED_CC)
    reason = (
        r"toy\.engine was built by tensorrt-rtx 1\.6\.0\.0 for sm120; "
        rf"here is tensorrt-rtx 1\.7\.1\.116 on {HERE}: version mismatch, unsupported cc; delete it and build it again"
    )
    with pytest.raises(EngineRefused, match=reason):
        TensorRtEngine(file(tmp_path, version="1.6.0.0", gpu="sm120"), "toy-s2")


@pytest.mark.parametrize("other", [{"version": "11.0.0"}, {"gpu": "nvidia-h100-80gb-hbm3-sm90"}])
def test_engine_of_another_gpu_or_version_where_the_api_has_no_answer(
    library: Library, tmp_path: Path, other: dict[str, str]
) -> None:
    library.validity = None
    TensorRtEngine(file(tmp_path), "toy-s2").close()
    with pytest.raises(EngineRefused, match="they differ; delete it and build it again"):
        TensorRtEngine(file(tmp_path, **other), "toy-s2")


def test_engine_for_other_gpus_that_runs_slower_here_is_opened_and_said_so(library: Library, tmp_path: Path) -> None:
    library.validity = (Validity.SUBOPTIMAL, 0)
    with capture_logs() as logs:
        TensorRtEngine(file(tmp_path), "toy-s2").close()
    assert [each["log_level"] for each in logs] == ["warning"]


def test_engine_that_the_library_does_not_open(library: Library, tmp_path: Path) -> None:
    library.opens = False
    with pytest.raises(EngineRefused, match="magic tag does not match; delete it and build it again"):
        TensorRtEngine(file(tmp_path), "toy-s2")


def test_refit_takes_new_weights_and_records_again(library: Library, tmp_path: Path, tower: Path, cpu_as_gpu) -> None:
    engine = TensorRtEngine(file(tmp_path), "toy-s2")
    before = cpu_as_gpu.recorded
    stamp_model(tower, "retrained-s2")
    engine.refit(tower, "retrained-s2")
    np.testing.assert_array_equal(engine.run(batch(3)), batch(3)["x"] * np.float32(3.0))
    assert cpu_as_gpu.recorded == 2 * before


def test_refit_with_a_file_of_another_model_changes_nothing(library: Library, tmp_path: Path, tower: Path) -> None:
    engine = TensorRtEngine(file(tmp_path), "toy-s2")
    with pytest.raises(EngineRefused, match=r"tower\.onnx is toy-s2, not retrained-s2"):
        engine.refit(tower, "retrained-s2")
    np.testing.assert_array_equal(engine.run(batch(1)), batch(1)["x"] * np.float32(2.0))


def test_refit_with_weights_that_do_not_fit_closes_the_engine(library: Library, tmp_path: Path, tower: Path) -> None:
    library.fits = False
    engine = TensorRtEngine(file(tmp_path), "toy-s2")
    with pytest.raises(EngineRefused, match=r"does not fit .*toy\.engine \(no weights named W\): build one for toy-s2"):
        engine.refit(tower, "toy-s2")
    with pytest.raises(EngineRefused, match="is closed"):
        engine.run(batch(1))


def test_engine_that_takes_no_new_weights_is_not_refitted(library: Library, tmp_path: Path, tower: Path) -> None:
    engine = TensorRtEngine(file(tmp_path, refittable=False), "toy-s2")
    with pytest.raises(EngineRefused, match="takes no new weights, because of how it was built: build one for toy-s2"):
        engine.refit(tower, "toy-s2")


def test_build_for_the_gpu_here(library: Library, tower: Path, tmp_path: Path) -> None:
    built = build(tower, "tensorrt", model="toy-s2", example=batch(2), buckets=(4, 1))
    assert built.description == replace(DESCRIPTION, backend="tensorrt")
    assert library.config.profiles == [{"x": ((1, ROW),) * 3}, {"x": ((4, ROW),) * 3}]
    assert library.config.flags == {Flag.REFIT, Flag.REQUIRE_USER_ALLOCATION}
    assert library.config.targets == {0: "here"}
    path = built.write(tmp_path / "engines")
    assert path.name == f"{built.description.key}.engine"
    engine = TensorRtEngine(path, "toy-s2")
    assert engine.run(batch(5)).shape == (5, ROW)


def test_library_that_builds_nothing_refittable_builds_the_rest_and_says_so(library: Library, tower: Path) -> None:
    library.refits = False
    with capture_logs() as logs:
        built = build(tower, "tensorrt-rtx", model="toy-s2", example=batch(2))
    assert built.description.refittable is False
    assert [(each["log_level"], "no kernel" in each["reason"]) for each in logs] == [("warning", True)]


def test_build_for_named_architectures(library: Library, tower: Path) -> None:
    built = build(tower, "tensorrt-rtx", model="toy-s2", example=batch(2), precision="fp16", targets=(80, 86))
    assert (built.description.gpu, built.description.refittable) == ("sm80-sm86", False)
    assert library.config.targets == {0: "sm80", 1: "sm86"}
    assert Flag.REFIT not in library.config.flags
    assert any(node.op_type == "Cast" for node in onnx.load_from_string(library.content).graph.node)


@pytest.mark.parametrize("targets", [(90,), (80, 90), ()])
def test_build_for_an_architecture_that_is_not_served(library: Library, tower: Path, targets: tuple[int, ...]) -> None:
    with pytest.raises(EngineRefused, match=r"builds for SM 80, 86, not for SM (90|none at all)"):
        build(tower, "tensorrt-rtx", model="toy-s2", example=batch(1), targets=targets)


def test_build_for_named_architectures_where_the_api_cannot(
    library: Library, tower: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Library, "ComputeCapability")
    with pytest.raises(EngineRefused, match="builds on the GPU that will run the engine only, not for SM 86"):
        build(tower, "tensorrt", model="toy-s2", example=batch(1), targets=(86,))


def test_build_without_library(tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nvidia.MODULES, "tensorrt", ("no_such_module_here",))
    with pytest.raises(
        EngineRefused, match=r"tensorrt is not installed \(no module no_such_module_here\): pip install"
    ):
        build(tower, "tensorrt", model="toy-s2", example=batch(1))


def test_build_without_gpu(library: Library, tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "unavailable", lambda _backend: "no driver")
    with pytest.raises(EngineRefused, match="tensorrt cannot build for the GPU here: no driver"):
        build(tower, "tensorrt", model="toy-s2", example=batch(1))


def test_build_of_another_model(library: Library, tower: Path) -> None:
    with pytest.raises(EngineRefused, match=r"tower\.onnx is toy-s2, not nano-s2: export nano-s2 again"):
        build(tower, "tensorrt", model="nano-s2", example=batch(1))


def test_build_of_a_graph_that_cannot_be_read(library: Library, tower: Path) -> None:
    library.fits = False
    with pytest.raises(EngineRefused, match=r"cannot read toy-s2: In node 3: no importer"):
        build(tower, "tensorrt", model="toy-s2", example=batch(1))


def test_build_that_fails(library: Library, tower: Path) -> None:
    library.opens = False
    with pytest.raises(
        EngineRefused, match=rf"tensorrt 1\.7\.1\.116 for {HERE} cannot build toy-s2 in fp32: no kernel"
    ):
        build(tower, "tensorrt", model="toy-s2", example=batch(1))
