"""In: the folder of a CLOSP release. Out: an `Encoder`: chips and sentences to unit vectors.

Stops before Kafka and stores. Torch is imported only where an engine has to be built or refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256 as sha256_of
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import structlog
from numpy.typing import NDArray

from encoders.checks import check_pixels, check_sentences
from encoders.closp_pixels import prepare
from encoders.engines import checked_engine
from encoders.interface import DIMENSION, Pixels, Vectors
from encoders.runtime import Backend, Engine, EngineRefused, Inputs
from encoders.weights import Layout, read_layout, sha256
from encoders.words import Words
from schemas.errors import Rejected, ReleaseMismatch, SettingsError

if TYPE_CHECKING:
    from encoders.closp_build import ClospBuilder

log = structlog.get_logger()

PREPARATION = "1"
"""Raise it when the same pixels or words would give other vectors: it is part of the release's hash."""

GRAPH = 1
"""Raise it when `encoders.closp_build` writes another graph for the same weights: engines are then built again."""

BATCH_CHIPS = 32
"""Chips per run of an engine: enough rows for the matrix products of the last stage, 24 MB of S2 pixels."""

BATCH_SENTENCES = 64
"""Sentences per run: padded to the longest among them."""

TOWERS = ("s1", "s2", "text")
"""Parts of the model that run."""


@dataclass(frozen=True, slots=True)
class ClospEncoder:
    """CLOSP behind the `Encoder` port.

    Attributes:
        release: variant and content hash.
        engines: by tower.
        words: its tokenizer.
        backend: what runs it, and why.
    """

    release: str
    engines: Mapping[str, Engine]
    words: Words
    backend: str
    sensors: tuple[str, ...] = ("s2", "s1")

    def images(self, pixels: Pixels, sensor: str, present_bands: Sequence[str] | None = None) -> Vectors:
        """See `Encoder.images`. Chips of any size from 32 px; B10 and absent bands are not read."""
        mask = check_pixels(pixels, sensor, present_bands)
        return _in_batches(
            len(pixels),
            BATCH_CHIPS,
            lambda part: self.engines[sensor].run({"pixels": prepare(pixels[part], sensor, mask)}),
        )

    def texts(self, sentences: list[str]) -> Vectors:
        """See `Encoder.texts`."""
        check_sentences(sentences)
        return _in_batches(
            len(sentences), BATCH_SENTENCES, lambda part: self.engines["text"].run(self._ids(sentences[part]))
        )

    def _ids(self, sentences: list[str]) -> Inputs:
        ids, mask = self.words.ids(sentences)
        return {"input_ids": ids, "attention_mask": mask}


def load_closp(
    weights: Path,
    tokenizer: Path,
    *,
    engines: Path,
    threads: int | None = None,
    backend: Backend = "auto",
) -> ClospEncoder:
    """Open a CLOSP release.

    Args:
        weights: safetensors of any of the four variants; which one, its layout says.
        tokenizer: MiniLM's `tokenizer.json`.
        engines: folder of built engines.
        threads: threads for one batch; ``None``: all available cores.
        backend: see `encoders.runtime.Backend`.

    Raises:
        ReleaseNotFound: a file is missing.
        ReleaseMismatch: the weights are damaged or not CLOSP's, or the engine was refused and none may replace it.
        SettingsError: torch is needed and not installed.
    """
    variant = recognise(read_layout(weights), weights)
    words = Words(tokenizer)
    release = _release_name(variant, weights, tokenizer)
    loaded, reason = _open_engines(variant, release, weights, engines, threads, backend)
    log.info("encoder loaded", release=release, backend=reason)
    return ClospEncoder(release=release, engines=loaded, words=words, backend=reason)


def recognise(found: Layout, path: Path) -> str:
    """Which variant a checkpoint is, by the tensors that tell them apart; strictness comes at loading.

    Raises:
        ReleaseMismatch: none of the four.
    """
    token = found.get("s1_encoder.cls_token")
    if token is not None:
        return {384: "closp-vs", 1024: "closp-vl"}.get(token[-1], "closp-vl")
    if "s1_encoder.conv1.weight" not in found:
        raise ReleaseMismatch(f"{path} is no CLOSP checkpoint: it has no S1 encoder that we know")
    return "geoclosp-rn" if "location_projection.weight" in found else "closp-rn"


def _release_name(variant: str, weights: Path, tokenizer: Path) -> str:
    content = "\n".join((PREPARATION, sha256(weights), sha256(tokenizer)))
    return f"{variant}-{sha256_of(content.encode()).hexdigest()[:12]}"


def _open_engines(
    variant: str, release: str, weights: Path, folder: Path, threads: int | None, backend: Backend
) -> tuple[dict[str, Engine], str]:
    @cache
    def builder() -> "ClospBuilder":
        return _builder(variant, weights, threads)

    if backend == "torch":
        return _torch_engines(builder()), "torch, as asked"
    key = f"{release}-g{GRAPH}-ort{version('onnxruntime')}"
    opened: dict[str, Engine] = {}
    refusals: list[str] = []
    for tower in TOWERS:
        try:
            opened[tower] = checked_engine(tower, key, folder, builder, threads)
        except EngineRefused as refusal:
            if backend == "onnxruntime":
                raise
            log.warning("engine refused, torch runs this tower: slower, same vectors", tower=tower, reason=str(refusal))
            opened[tower] = builder().reference(tower)
            refusals.append(f"{tower} on torch, because {refusal}")
    return opened, "; ".join(refusals) or f"{opened['s2'].name}, checked against torch"


def _torch_engines(builder: "ClospBuilder") -> dict[str, Engine]:
    return {each: builder.reference(each) for each in TOWERS}


def _builder(variant: str, weights: Path, threads: int | None) -> "ClospBuilder":
    absent = [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]
    if absent:
        raise SettingsError(f"CLOSP needs {', '.join(absent)} to build its engine: pip install 'tocsin[torch]'")
    from encoders.closp_build import ClospBuilder, read_model  # noqa: PLC0415 - torch takes seconds, built engines do without

    return ClospBuilder(read_model(variant, weights), threads)


def _in_batches(count: int, size: int, run: Callable[[slice], NDArray[np.float32]]) -> Vectors:
    vectors = np.empty((count, DIMENSION), dtype=np.float32)
    for start in range(0, count, size):
        part = slice(start, start + size)
        raw = run(part)
        lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
        lost = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0.0))
        if lost.size:
            raise Rejected(f"input {start + lost[0]} has no vector: its values are far outside what a sensor measures")
        vectors[part] = raw / lengths
    return vectors
