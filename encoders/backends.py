"""In: a backend and a precision as asked for, and this machine. Out: what may run a tower, the fastest first, and why.

Stops at the choice: a backend's engine is in its own file, what it builds is kept by `encoders.engines`. Nothing is
imported before it is known to be there, so that a plain installation needs neither torch nor a driver.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Literal

from encoders.engines import Builder, Request, Runtime, checked_engine, compare
from encoders.runtime import Engine, EngineRefused
from encoders.runtimes import nvidia, openvino
from encoders.runtimes.quantised import quantise
from schemas.backends import Arithmetic, Backend, BackendName, Precision
from schemas.errors import SettingsError


@dataclass(frozen=True, slots=True)
class TensorRt:
    """Builds and opens engine files of TensorRT or TensorRT-RTX for the GPU here."""

    backend: Literal["tensorrt", "tensorrt-rtx"]

    @property
    def key(self) -> str:
        """See `encoders.engines.Runtime`."""
        return f"{self.backend}{nvidia.bindings(self.backend).__version__}-{nvidia.gpu().slug}"

    def build(self, builder: Builder, request: Request, path: Path) -> None:
        """See `encoders.engines.Runtime`. fp16 is refused where activations come near its largest number."""
        from encoders.runtimes.engine_files import write_engine  # noqa: PLC0415 - onnx and torch, where a GPU is
        from encoders.runtimes.onnx_files import read_onnx, stamp_model  # noqa: PLC0415
        from encoders.runtimes.onnx_precision import floating, safe_half  # noqa: PLC0415
        from encoders.runtimes.tensorrt_build import build  # noqa: PLC0415

        samples = builder.samples(request.tower)
        with TemporaryDirectory(prefix="tocsin-tensorrt-") as folder:
            onnx = Path(folder) / "fp32.onnx"
            builder.export(request.tower, onnx, lowered=False)
            stamp_model(onnx, request.subject)
            if request.arithmetic == "fp16" and safe_half(read_onnx(onnx), samples) != "fp16":
                raise EngineRefused(f"{request.subject} has activations near fp16's largest number: use bf16")
            made = build(
                onnx,
                self.backend,
                model=request.subject,
                example=samples[-1],
                precision=floating(request.arithmetic),
            )
        write_engine(path, made.description, made.plan)

    def open(self, path: Path, request: Request) -> Engine:
        """See `encoders.engines.Runtime`."""
        from encoders.runtimes.tensorrt import TensorRtEngine  # noqa: PLC0415 - imports torch

        return TensorRtEngine(path, request.subject)


class OnnxFiles:
    """Builds ONNX files, which need no building: the tower as it is, lowered, or quantised."""

    lowered: ClassVar[bool]
    """Whether convolutions are written in the form that a runtime without fast ones computes best."""

    def build(self, builder: Builder, request: Request, path: Path) -> None:
        """See `encoders.engines.Runtime`."""
        if request.arithmetic != "int8":
            builder.export(request.tower, path, lowered=self.lowered)
            return
        batches = builder.calibration(request.tower)
        with TemporaryDirectory(prefix="tocsin-int8-") as folder:
            whole = Path(folder) / "fp32.onnx"
            builder.export(request.tower, whole, lowered=False)
            quantise(whole, path, batches)


class OpenVino(OnnxFiles):
    """Opens ONNX files with OpenVINO, which computes convolutions as they are."""

    lowered = False

    def __init__(self) -> None:
        self.key = f"openvino{version('openvino')}"

    def open(self, path: Path, request: Request) -> Engine:
        """See `encoders.engines.Runtime`."""
        return openvino.OpenVinoEngine(path, request.arithmetic, request.threads)


class OnnxRuntime(OnnxFiles):
    """Opens ONNX files with ONNX Runtime, whose convolutions need the lowered form."""

    lowered = True

    def __init__(self) -> None:
        self.key = f"ort{version('onnxruntime')}"

    def open(self, path: Path, request: Request) -> Engine:
        """See `encoders.engines.Runtime`."""
        from encoders.runtimes.ort import OnnxEngine  # noqa: PLC0415 - listing backends loads none of them

        return OnnxEngine(path, request.threads, request.arithmetic)


def _from_files(runtime: Callable[[], Runtime]) -> "Opener":
    return lambda request, builder: checked_engine(runtime(), request, builder)


def _compiled_for_cuda(request: Request, builder: Callable[[], Builder]) -> Engine:
    """Compiled anew in every process: torch keeps no file that another process could trust."""
    from encoders.runtimes.onnx_precision import floating  # noqa: PLC0415 - as in `TensorRt`
    from encoders.runtimes.torch_cuda import TorchCudaEngine  # noqa: PLC0415

    made, tower = builder(), request.tower
    engine = TorchCudaEngine(made.tower(tower), made.samples(tower)[-1], floating(request.arithmetic))
    compare(engine, tower, made, request.arithmetic)
    return engine


def _reference(request: Request, builder: Callable[[], Builder]) -> Engine:
    return builder().reference(request.tower)


def _onnxruntime_unavailable() -> str | None:
    try:
        version("onnxruntime")
    except PackageNotFoundError:
        return "onnxruntime is not installed: pip install onnxruntime"
    return None


Opener = Callable[[Request, Callable[[], Builder]], Engine]
"""Makes the engine that is asked for, from a file where there is one; the builder is called only where needed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One backend.

    Attributes:
        name: as it is asked for.
        arithmetics: what it can compute in.
        unavailable: why it cannot run here; ``None`` where it can.
        engine: opens towers with it.
        automatic: what ``"auto"`` means, the first that is not refused.
        chips_per_run: chips that go through it together unless tuned.
    """

    name: BackendName
    arithmetics: tuple[Arithmetic, ...]
    unavailable: Callable[[], str | None]
    engine: Opener
    automatic: tuple[Arithmetic, ...] = ("fp32",)
    chips_per_run: int = 32


def _on_gpu(name: nvidia.NvidiaBackend, engine: Opener) -> Entry:
    return Entry(
        name,
        ("fp16", "bf16", "fp32"),
        partial(nvidia.unavailable, name),
        engine,
        automatic=("fp16", "bf16"),
        chips_per_run=128,
    )


ENTRIES: tuple[Entry, ...] = (
    _on_gpu("tensorrt", _from_files(lambda: TensorRt("tensorrt"))),
    _on_gpu("tensorrt-rtx", _from_files(lambda: TensorRt("tensorrt-rtx"))),
    _on_gpu("torch-cuda", _compiled_for_cuda),
    Entry("openvino", ("fp32", "bf16", "int8"), openvino.unavailable, _from_files(OpenVino)),
    Entry("onnxruntime", ("fp32", "int8"), _onnxruntime_unavailable, _from_files(OnnxRuntime)),
    Entry("torch", ("fp32",), lambda: None, _reference),
)
"""The fastest first; torch, which everything is checked against, last."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One backend that may run a tower here, and what it would compute in."""

    entry: Entry
    arithmetic: Arithmetic


@dataclass(frozen=True, slots=True)
class Choice:
    """What may run here.

    Attributes:
        candidates: the fastest first, at least one.
        passed_over: why faster backends are not among them, by name.
    """

    candidates: tuple[Candidate, ...]
    passed_over: dict[str, str]

    @property
    def reason(self) -> str:
        """For people: why the first candidate."""
        return "; ".join(f"not {name}: {why}" for name, why in self.passed_over.items()) or "the fastest there is"


def choose(backend: Backend = "auto", precision: Precision = "auto") -> Choice:
    """What may run towers on this machine.

    Raises:
        SettingsError: the backend that was asked for cannot run here, does not exist, or does not compute in this
            precision.
    """
    named = {entry.name: entry for entry in ENTRIES}
    if backend == "auto":
        return _fastest(precision)
    if backend not in named:
        raise SettingsError(f"there is no backend {backend!r}: use auto, {', '.join(named)}")
    entry = named[backend]
    reason = entry.unavailable() or _cannot(entry, precision)
    if reason is not None:
        raise SettingsError(f"backend {backend} cannot be used: {reason}")
    return Choice(_candidates(entry, precision), {})


def _fastest(precision: Precision) -> Choice:
    reasons = {entry.name: entry.unavailable() or _cannot(entry, precision) for entry in ENTRIES}
    able = [entry for entry in ENTRIES if reasons[entry.name] is None]
    if not able:
        raise SettingsError(f"nothing here computes in {precision}: {'; '.join(filter(None, reasons.values()))}")
    faster = ENTRIES[: ENTRIES.index(able[0])]
    passed_over = {str(entry.name): str(reasons[entry.name]) for entry in faster}
    return Choice(tuple(each for entry in able for each in _candidates(entry, precision)), passed_over)


def _cannot(entry: Entry, precision: Precision) -> str | None:
    if precision == "auto" or precision in entry.arithmetics:
        return None
    return f"{entry.name} computes in {', '.join(entry.arithmetics)}, not in {precision}"


def _candidates(entry: Entry, precision: Precision) -> tuple[Candidate, ...]:
    arithmetics = entry.automatic if precision == "auto" else (precision,)
    return tuple(Candidate(entry, each) for each in arithmetics)
