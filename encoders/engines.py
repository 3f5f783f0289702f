"""In: a tower that can be exported and computed by its reference. Out: a checked engine for it, from disk or built.

Stops before any model: `encoders.closp_build` knows how towers become ONNX. An engine is kept with a stamp (its
hash, and how far it was from the reference); one that does not match its stamp is built again, and said so.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import structlog

from encoders.ort import OnnxEngine
from encoders.runtime import Engine, EngineRefused, Inputs, check_agreement
from encoders.weights import sha256

log = structlog.get_logger()


class Builder(Protocol):
    """Makes a tower's ONNX file and its reference. Asked only where no checked engine is on disk."""

    def export(self, tower: str, path: Path) -> None:
        """Write the tower as ONNX."""
        ...

    def reference(self, tower: str) -> Engine:
        """The tower in torch."""
        ...

    def samples(self, tower: str) -> list[Inputs]:
        """Batches to compare engines on."""
        ...


@dataclass(frozen=True, slots=True)
class Stamp:
    """What is known of an engine on disk.

    Attributes:
        file: its name beside the stamp.
        sha256: of its content.
        engine: runtime that was checked.
        disagreement: max|difference| / max|reference| against torch when it was built.
    """

    file: str
    sha256: str
    engine: str
    disagreement: float


def checked_engine(
    tower: str, key: str, folder: Path, builder: Callable[[], Builder], threads: int | None
) -> OnnxEngine:
    """The ONNX Runtime engine of a tower, from disk where an intact one is, else built and checked.

    Args:
        tower: name within the model, for example ``"s2"``.
        key: what the engine depends on: release and versions; part of the file name.
        folder: where engines are kept.
        builder: called only when the engine has to be built, because it loads torch and the weights.
        threads: see `OnnxEngine`.

    Raises:
        EngineRefused: the engine differs from the reference by more than the tolerance.
        OSError: the folder cannot be written.
    """
    stamp_path = folder / f"{key}-{tower}.json"
    kept = _from_disk(stamp_path, threads)
    return kept if kept is not None else _build(tower, stamp_path, builder(), threads)


def _from_disk(stamp_path: Path, threads: int | None) -> OnnxEngine | None:
    if not stamp_path.exists():
        return None
    try:
        stamp = Stamp(**json.loads(stamp_path.read_text()))
        path = stamp_path.parent / Path(stamp.file).name
        if sha256(path) == stamp.sha256:
            return OnnxEngine(path, threads)
        reason = "its content changed"
    except (OSError, ValueError, TypeError, EngineRefused) as error:
        reason = str(error)
    log.warning("engine on disk is damaged, building it again", stamp=str(stamp_path), reason=reason)
    return None


def _build(tower: str, stamp_path: Path, builder: Builder, threads: int | None) -> OnnxEngine:
    log.info("building engine, once for this release", tower=tower, folder=str(stamp_path.parent))
    stamp_path.parent.mkdir(parents=True, exist_ok=True)
    draft = stamp_path.with_suffix(f".{os.getpid()}.part")
    try:
        builder.export(tower, draft)
        engine = OnnxEngine(draft, threads)
        distance = compare(engine, tower, builder)
        digest = sha256(draft)
        path = stamp_path.with_name(f"{stamp_path.stem}-{digest[:8]}.onnx")
        for outdated in stamp_path.parent.glob(f"{stamp_path.stem}-*.onnx"):
            outdated.unlink(missing_ok=True)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _write_stamp(stamp_path, Stamp(path.name, digest, engine.name, distance))
    log.info("engine built and checked", tower=tower, engine=engine.name, disagreement=distance)
    return engine


def compare(engine: Engine, tower: str, builder: Builder) -> float:
    """Largest disagreement with the reference over the builder's samples.

    Raises:
        EngineRefused: above the tolerance.
    """
    reference = builder.reference(tower)
    return max(
        check_agreement(engine.run(each), reference.run(each), engine.name, tower) for each in builder.samples(tower)
    )


def _write_stamp(stamp_path: Path, stamp: Stamp) -> None:
    draft = stamp_path.with_suffix(f".{os.getpid()}.stamp")
    draft.write_text(json.dumps(asdict(stamp), indent=1))
    draft.replace(stamp_path)
