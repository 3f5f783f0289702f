"""In: an ONNX file. Out: an engine of TensorRT or TensorRT-RTX for a few batch sizes, serialised.

Stops before loading: `tensorrt` runs it. The two libraries share their Python API; where they differ, what
the API has decides, not a version. TensorRT builds on the GPU that will run the engine; TensorRT-RTX also builds for
named architectures on a machine without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import structlog

from encoders.runtime import EngineRefused, Inputs
from encoders.runtimes import nvidia
from encoders.runtimes.batches import BUCKETS
from encoders.runtimes.engine_files import SUFFIX, Description, TensorRtBackend, write_engine
from encoders.runtimes.onnx_files import read_model
from encoders.runtimes.onnx_precision import Floating, in_precision

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Built:
    """A serialised engine that has not been loaded yet."""

    description: Description
    plan: bytes

    def write(self, folder: Path) -> Path:
        """Keep it in a folder under its key.

        Returns:
            the file.
        """
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.description.key}{SUFFIX}"
        write_engine(path, self.description, self.plan)
        return path


class Log:
    """What a library says, kept instead of printed.

    Args:
        library: whose.
    """

    def __init__(self, library: ModuleType) -> None:
        self.errors: list[str] = []
        errors, worst = self.errors, int(library.ILogger.ERROR)

        class Kept(library.ILogger):  # type: ignore[misc,name-defined]  # its type is known when the library is loaded
            def __init__(self) -> None:
                library.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if int(severity) <= worst:
                    errors.append(message)

        self.logger = Kept()

    @property
    def reason(self) -> str:
        """The first error, from which the others follow."""
        return " ".join(self.errors[0].split()) if self.errors else "it gave no reason"


def build(
    onnx: Path,
    backend: TensorRtBackend,
    *,
    model: str,
    example: Inputs,
    precision: Floating = "fp32",
    buckets: Sequence[int] = BUCKETS,
    targets: Sequence[int] | None = None,
) -> Built:
    """Build an engine with one optimisation profile a bucket.

    Args:
        onnx: the tower in fp32, stamped with its model.
        backend: which library.
        model: what the file must say it is.
        example: a batch of the shapes that will come; tokens as many as there may be.
        precision: type that most of it computes in.
        buckets: batch sizes.
        targets: TensorRT-RTX only: compute capabilities, times ten, to build for without a GPU. ``None``: the GPU
            here, and then the engine takes new weights if the library can build such a one.

    Raises:
        EngineRefused: the library is not here or refuses; the file is another model's; no such target.
    """
    library = _library(backend, targets)
    content = in_precision(read_model(onnx, model), precision).SerializeToString()
    made = Description(
        backend=backend,
        version=library.__version__,
        gpu=nvidia.gpu().slug if targets is None else "-".join(f"sm{each}" for each in targets),
        precision=precision,
        model=model,
        buckets=tuple(sorted(buckets)),
        shapes={name: each.shape[1:] for name, each in example.items()},
        refittable=targets is None,
    )
    try:
        return Built(made, _plan(library, content, made, targets))
    except EngineRefused as refusal:
        if not made.refittable:
            raise
        log.warning("no engine that takes new weights can be built, building one that does not", reason=str(refusal))
    made = replace(made, refittable=False)
    return Built(made, _plan(library, content, made, targets))


def _library(backend: TensorRtBackend, targets: Sequence[int] | None) -> ModuleType:
    """The library, if it can build for these targets here."""
    try:
        library = nvidia.bindings(backend)
    except (ImportError, OSError) as error:
        raise EngineRefused(f"{backend} is not installed ({error}): {nvidia.INSTALL[backend]}") from error
    if targets is None:
        reason = nvidia.unavailable(backend)
        if reason is not None:
            raise EngineRefused(f"{backend} cannot build for the GPU here: {reason}")
        return library
    known = nvidia.targets(library)
    unknown = [str(each) for each in targets if each not in known]
    if unknown or not targets:
        served = f"for SM {', '.join(map(str, known))}" if known else "on the GPU that will run the engine only"
        raise EngineRefused(
            f"{backend} {library.__version__} builds {served}, not for SM {', '.join(unknown) or 'none at all'}"
        )
    return library


def _plan(library: ModuleType, content: bytes, made: Description, targets: Sequence[int] | None) -> bytes:
    kept = Log(library)
    builder = library.Builder(kept.logger)
    network = builder.create_network(_strongly_typed(library))
    parser = library.OnnxParser(network, kept.logger)
    if not parser.parse(content):
        faults = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise EngineRefused(f"{made.backend} {made.version} cannot read {made.model}: {faults or kept.reason}")
    config = builder.create_builder_config()
    for bucket in made.buckets:
        config.add_optimization_profile(_profile(builder, bucket, made))
    _set_flags(library, config, made)
    if nvidia.targets(library):
        names = ["CURRENT"] if targets is None else [f"SM{each}" for each in targets]
        config.num_compute_capabilities = len(names)
        for index, name in enumerate(names):
            config.set_compute_capability(library.ComputeCapability.__members__[name], index)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise EngineRefused(f"{made.origin} cannot build {made.model} in {made.precision}: {kept.reason}")
    return bytes(plan)


def _strongly_typed(library: ModuleType) -> int:
    """The flag that takes precision from the graph; a library without it does nothing else."""
    flag = getattr(library.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _profile(builder: Any, bucket: int, made: Description) -> Any:
    """A profile for exactly one batch size, which lets the library choose its fastest kernels."""
    profile = builder.create_optimization_profile()
    for name, row in made.shapes.items():
        shape = (bucket, *row)
        profile.set_shape(name, shape, shape, shape)
    return profile


def _set_flags(library: ModuleType, config: Any, made: Description) -> None:
    flags = library.BuilderFlag
    if hasattr(flags, "TF32"):
        # On by default: it would round the factors of fp32 products to 10 bits.
        config.clear_flag(flags.TF32)
    if hasattr(flags, "REQUIRE_USER_ALLOCATION"):
        # An engine that allocates while it runs cannot be recorded as a CUDA graph.
        config.set_flag(flags.REQUIRE_USER_ALLOCATION)
    if made.refittable:
        config.set_flag(flags.REFIT)
