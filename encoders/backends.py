"""In: a backend and a precision as asked for, and this machine. Out: what may run a tower, the fastest first, and why.

Stops at the choice: a backend's engine is in its own file, what it builds is kept by `encoders.engines`. Nothing is
imported before it is known to be there, so that a plain installation needs neither torch nor a driver.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from encoders import openvino
from encoders.engines import Builder, Runtime
from encoders.quantised import quantise
from encoders.runtime import Engine
from schemas.backends import Arithmetic, Backend, BackendName, Precision
from schemas.errors import SettingsError


@dataclass(frozen=True, slots=True)
class OnnxRuntime:
    """Opens ONNX files with ONNX Runtime, whose convolutions need the lowered form."""

    key: str = field(default_factory=lambda: f"ort{version('onnxruntime')}")

    def build(self, builder: Builder, tower: str, arithmetic: Arithmetic, path: Path) -> None:
        """See `encoders.engines.Runtime`."""
        if arithmetic == "int8":
            _quantised(builder, tower, path)
        else:
            builder.export(tower, path, lowered=True)

    def open(self, path: Path, arithmetic: Arithmetic, threads: int | None) -> Engine:
        """See `encoders.engines.Runtime`."""
        from encoders.ort import OnnxEngine  # noqa: PLC0415 - listing backends loads none of them

        return OnnxEngine(path, threads, arithmetic)


@dataclass(frozen=True, slots=True)
class OpenVino:
    """Opens ONNX files with OpenVINO, which computes convolutions as they are."""

    key: str = field(default_factory=lambda: f"openvino{version('openvino')}")

    def build(self, builder: Builder, tower: str, arithmetic: Arithmetic, path: Path) -> None:
        """See `encoders.engines.Runtime`."""
        if arithmetic == "int8":
            _quantised(builder, tower, path)
        else:
            builder.export(tower, path, lowered=False)

    def open(self, path: Path, arithmetic: Arithmetic, threads: int | None) -> Engine:
        """See `encoders.engines.Runtime`."""
        return openvino.OpenVinoEngine(path, arithmetic, threads)


def _quantised(builder: Builder, tower: str, path: Path) -> None:
    batches = builder.calibration(tower)
    with TemporaryDirectory(prefix="tocsin-int8-") as folder:
        whole = Path(folder) / "fp32.onnx"
        builder.export(tower, whole, lowered=False)
        quantise(whole, path, batches)


@dataclass(frozen=True, slots=True)
class Entry:
    """One backend.

    Attributes:
        name: as it is asked for.
        arithmetics: what it can compute in; the first is what ``"auto"`` means.
        unavailable: why it cannot run here; ``None`` where it can.
        runtime: makes what builds and opens its files; ``None`` for torch, which runs the tower itself.
    """

    name: BackendName
    arithmetics: tuple[Arithmetic, ...]
    unavailable: Callable[[], str | None]
    runtime: Callable[[], Runtime] | None


def _onnxruntime_unavailable() -> str | None:
    try:
        version("onnxruntime")
    except PackageNotFoundError:
        return "onnxruntime is not installed: pip install onnxruntime"
    return None


ENTRIES: tuple[Entry, ...] = (
    Entry("openvino", ("fp32", "bf16", "int8"), openvino.unavailable, OpenVino),
    Entry("onnxruntime", ("fp32", "int8"), _onnxruntime_unavailable, OnnxRuntime),
    Entry("torch", ("fp32",), lambda: None, None),
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
    return Choice((Candidate(entry, _arithmetic(entry, precision)),), {})


def _fastest(precision: Precision) -> Choice:
    reasons = {entry.name: entry.unavailable() or _cannot(entry, precision) for entry in ENTRIES}
    able = [entry for entry in ENTRIES if reasons[entry.name] is None]
    if not able:
        raise SettingsError(f"nothing here computes in {precision}: {'; '.join(filter(None, reasons.values()))}")
    faster = ENTRIES[: ENTRIES.index(able[0])]
    passed_over = {str(entry.name): str(reasons[entry.name]) for entry in faster}
    return Choice(tuple(Candidate(entry, _arithmetic(entry, precision)) for entry in able), passed_over)


def _cannot(entry: Entry, precision: Precision) -> str | None:
    if precision == "auto" or precision in entry.arithmetics:
        return None
    return f"{entry.name} computes in {', '.join(entry.arithmetics)}, not in {precision}"


def _arithmetic(entry: Entry, precision: Precision) -> Arithmetic:
    return entry.arithmetics[0] if precision == "auto" else precision
