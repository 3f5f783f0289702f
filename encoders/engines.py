"""In: a tower that can be exported and computed by its reference. Out: a checked engine for it, from disk or built.

Stops before any model: `encoders.closp_build` knows how towers become ONNX. An engine is kept with a stamp (its
hash, and how far it was from the reference); one that does not match its stamp is built again, and said so.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from encoders.digests import sha256
from encoders.interface import Vectors
from encoders.runtime import Engine, EngineRefused, Inputs, check_agreement
from encoders.runtimes.quantised import check_ranking
from schemas.backends import Arithmetic

if TYPE_CHECKING:
    from torch import nn

log = structlog.get_logger()


class Builder(Protocol):
    """Makes a tower's ONNX file and its reference. Asked only where no checked engine is on disk."""

    def export(self, tower: str, path: Path, *, lowered: bool) -> None:
        """Write the tower as ONNX; lowered: in the form that a runtime without fast convolutions computes best."""
        ...

    def reference(self, tower: str) -> Engine:
        """The tower in torch."""
        ...

    def samples(self, tower: str) -> list[Inputs]:
        """Batches to compare engines on, in their digits."""
        ...

    def calibration(self, tower: str) -> list[Inputs]:
        """Chips as the tower will see them, for int8.

        Raises:
            SettingsError: none were given; the message says how.
        """
        ...

    def unseen(self, tower: str) -> list[Inputs]:
        """Other such chips, to compare engines by how they rank them."""
        ...

    def tower(self, name: str) -> "nn.Module":
        """The tower itself, for a backend that runs it as it is."""
        ...

    def vectors(self, tower: str, engine: Engine, batches: list[Inputs]) -> Vectors:
        """What an engine makes of batches, as unit vectors of the shared space."""
        ...


class Runtime(Protocol):
    """What builds and opens engine files; see `encoders.backends`."""

    @property
    def key(self) -> str:
        """Name, version and, where files fit one device only, the device: part of a file's name."""
        ...

    def build(self, builder: Builder, request: "Request", path: Path) -> None:
        """Write the engine's file."""
        ...

    def open(self, path: Path, request: "Request") -> Engine:
        """Open such a file."""
        ...


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is known of an engine on disk.

    Attributes:
        model: what it computes, see `Request.subject`.
        file: its name beside the stamp.
        sha256: of its content.
        engine: runtime that was checked.
        disagreement: max|difference| / max|reference| against torch when it was built; for int8 1 - mean cosine.
    """

    model: str
    file: str
    sha256: str
    engine: str
    disagreement: float


@dataclass(frozen=True, slots=True)
class Request:
    """Which engine is wanted.

    Attributes:
        tower: name within the model, for example ``"s2"``.
        model: what it computes: variant and hash of its weights; part of the file name.
        folder: where engines are kept.
        arithmetic: of its products.
        threads: for one batch; ``None``: all available cores.
    """

    tower: str
    model: str
    folder: Path
    arithmetic: Arithmetic = "fp32"
    threads: int | None = None

    @property
    def subject(self) -> str:
        """What the engine computes: model and tower; written into engine files."""
        return f"{self.model}-{self.tower}"

    def stamp_path(self, runtime: Runtime) -> Path:
        """Where the engine's stamp is."""
        return self.folder / f"{self.model}-{runtime.key}-{self.arithmetic}-{self.tower}.json"


def checked_engine(runtime: Runtime, request: Request, builder: Callable[[], Builder]) -> Engine:
    """The engine of a tower, from disk where an intact one is, else built and checked.

    Args:
        runtime: what runs it.
        request: which.
        builder: called only when the engine has to be built, because it loads torch and the weights.

    Raises:
        EngineRefused: the runtime cannot build or read it, or it is further from the reference than is allowed.
        SettingsError: int8, and no chips to calibrate with.
        OSError: the folder cannot be written.
    """
    kept = _from_disk(request, runtime)
    return kept if kept is not None else _build(request, runtime, builder())


def _from_disk(request: Request, runtime: Runtime) -> Engine | None:
    stamp_path = request.stamp_path(runtime)
    if not stamp_path.exists():
        return None
    try:
        stamp = Stamp(**json.loads(stamp_path.read_text()))
        path = stamp_path.parent / Path(stamp.file).name
        if stamp.model == request.subject and sha256(path) == stamp.sha256:
            return runtime.open(path, request)
        reason = "its content changed" if stamp.model == request.subject else f"it is {stamp.model}"
    except (OSError, ValueError, TypeError, EngineRefused) as error:
        reason = str(error)
    log.warning("engine on disk is damaged, building it again", stamp=str(stamp_path), reason=reason)
    return None


def _build(request: Request, runtime: Runtime, builder: Builder) -> Engine:
    stamp_path, tower = request.stamp_path(runtime), request.tower
    log.info("building engine, once for these weights", tower=tower, folder=str(request.folder))
    request.folder.mkdir(parents=True, exist_ok=True)
    draft = stamp_path.with_suffix(f".{os.getpid()}.part")
    try:
        runtime.build(builder, request, draft)
        engine = runtime.open(draft, request)
        distance = compare(engine, tower, builder, request.arithmetic)
        digest = sha256(draft)
        path = stamp_path.with_name(f"{stamp_path.stem}-{digest[:8]}.engine")
        for outdated in request.folder.glob(f"{stamp_path.stem}-*.engine"):
            outdated.unlink(missing_ok=True)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _write_stamp(stamp_path, Stamp(request.subject, path.name, digest, engine.name, distance))
    log.info("engine built and checked", tower=tower, engine=engine.name, disagreement=distance)
    return engine


def compare(engine: Engine, tower: str, builder: Builder, arithmetic: Arithmetic = "fp32") -> float:
    """How far an engine is from the reference: by its digits, or, for int8, by how it ranks chips.

    Raises:
        EngineRefused: further than is allowed.
    """
    reference = builder.reference(tower)
    if arithmetic == "int8":
        chips = builder.unseen(tower)
        found, expected = (builder.vectors(tower, each, chips) for each in (engine, reference))
        return check_ranking(found, expected, engine.name, tower)
    return max(
        check_agreement(engine.run(each), reference.run(each), engine.name, tower, arithmetic)
        for each in builder.samples(tower)
    )


def _write_stamp(stamp_path: Path, stamp: Stamp) -> None:
    draft = stamp_path.with_suffix(f".{os.getpid()}.stamp")
    draft.write_text(json.dumps(asdict(stamp), indent=1))
    draft.replace(stamp_path)
