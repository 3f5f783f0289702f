"""In: a serialised engine and what is known of it. Out: one file that says so itself, and its content again.

Stops before loading: a damaged file never reaches a library that might crash on it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from encoders.runtime import EngineRefused
from encoders.runtimes.onnx_precision import Floating

TensorRtBackend = Literal["tensorrt", "tensorrt-rtx"]
"""Libraries that have engine files."""

SUFFIX = ".engine"
"""Of engine files."""

LONGEST_HEADER = 65536
"""Bytes in which the first line of an engine file must end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What an engine was built from, and for what.

    Attributes:
        backend: library that built it.
        version: of that library.
        gpu: name of the GPU, or of the architectures, it was built for.
        precision: type that most of it computes in.
        model: release and tower.
        buckets: batch sizes.
        shapes: shape of one row of each input.
        refittable: whether it can take new weights.
    """

    backend: TensorRtBackend
    version: str
    gpu: str
    precision: Floating
    model: str
    buckets: tuple[int, ...]
    shapes: Mapping[str, tuple[int, ...]]
    refittable: bool

    @property
    def key(self) -> str:
        """Name of the engine's file without suffix; another for anything that would make another engine."""
        layout = json.dumps([sorted(self.buckets), sorted(self.shapes.items())])
        digest = hashlib.sha256(layout.encode()).hexdigest()[:8]
        return "-".join((self.model, self.backend, self.version, self.gpu, self.precision, digest))

    @property
    def origin(self) -> str:
        """For messages: what built it, for what."""
        return f"{self.backend} {self.version} for {self.gpu}"


def write_engine(path: Path, description: Description, plan: bytes) -> None:
    """Write an engine file; whoever reads it meanwhile sees the old one or the new one."""
    header = asdict(description) | {"bytes": len(plan), "sha256": hashlib.sha256(plan).hexdigest()}
    draft = path.with_suffix(f".{os.getpid()}.part")
    try:
        draft.write_bytes(json.dumps(header).encode() + b"\n" + plan)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_engine(path: Path) -> tuple[Description, bytes]:
    """An intact engine file.

    Raises:
        EngineRefused: no such file, truncated, damaged, or no engine file.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(LONGEST_HEADER)
            header, plan = json.loads(line), file.read()
        size, digest = header.pop("bytes"), header.pop("sha256")
        buckets, shapes = tuple(header.pop("buckets")), header.pop("shapes")
        description = Description(
            **header, buckets=buckets, shapes={name: tuple(each) for name, each in shapes.items()}
        )
        if description.backend not in get_args(TensorRtBackend):
            raise ValueError(f"no backend {description.backend!r}")
    except OSError as error:
        raise EngineRefused(f"{path} cannot be read ({error}): build it again") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineRefused(f"{path} is no engine file of ours: delete it and build it again") from error
    if len(plan) != size:
        raise EngineRefused(
            f"{path}, built by {description.origin}, is truncated: {len(plan)} of {size} bytes; build it again"
        )
    if hashlib.sha256(plan).hexdigest() != digest:
        raise EngineRefused(f"{path}, built by {description.origin}, is damaged: build it again")
    return description, plan
