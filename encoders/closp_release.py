"""In: the folder of a CLOSP release. Out: an `Encoder`: chips and sentences to unit vectors.

Stops before Kafka and stores. Torch is imported only where an engine has to be built or refused.
"""

import json
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256 as sha256_of
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import structlog
from numpy.typing import NDArray

from encoders.arrays import joined, placed
from encoders.backends import Candidate, Choice, choose
from encoders.checks import check_pixels, check_sentences
from encoders.closp_pixels import prepare, specification
from encoders.digests import sha256
from encoders.engines import Request
from encoders.heads import Head, composed, unit
from encoders.interface import DIMENSION, Pixels, Vectors
from encoders.runtime import DeviceEngine, Engine, EngineRefused, Inputs
from encoders.text_cache import TextCache
from encoders.tuned import Conditions, read_tuned
from encoders.weights import Layout, digest, read_layout, read_some
from encoders.words import Words
from schemas.backends import Backend, Precision
from schemas.errors import ReleaseMismatch, SettingsError

if TYPE_CHECKING:
    from torch import Tensor

    from encoders.closp_build import ClospBuilder

log = structlog.get_logger()

GRAPH = 2
"""Raise it when `encoders.closp_build` writes another graph for the same weights: engines are then built again."""

BATCH_CHIPS = 32
"""Chips per run of an engine: enough rows for the matrix products of the last stage, 24 MB of S2 pixels."""

BATCH_SENTENCES = 64
"""Sentences per run: padded to the longest among them."""

CALIBRATION_CHIPS = 384
"""Chips that an int8 engine is made with: fewer leave the extremes of some channels unseen."""

TOWERS = ("s1", "s2", "text")
"""Parts of the model that run."""


@dataclass(frozen=True, slots=True)
class ClospEncoder:
    """CLOSP behind the `Encoder` port.

    Attributes:
        release: variant and content hash.
        engines: by tower.
        heads: what turns an engine's features into vectors, by sensor, where these are.
        words: its tokenizer.
        backend: what runs it, and why.
        conditions: what tuned values hold for.
        chips_per_run: chips that go through an engine together.
        device: of both image engines, on which chips are prepared and projected; ``None``: the processor.
    """

    release: str
    engines: Mapping[str, Engine]
    heads: Mapping[str, Head]
    words: Words
    backend: str
    conditions: Conditions
    chips_per_run: int = BATCH_CHIPS
    device: str | None = None
    sensors: tuple[str, ...] = ("s2", "s1")
    _texts: TextCache = field(default_factory=TextCache)

    def images(self, pixels: Pixels, sensor: str, present_bands: Sequence[str] | None = None) -> Vectors:
        """See `Encoder.images`. Chips of any size from 32 px; B10 and absent bands are not read."""
        mask = check_pixels(pixels, sensor, present_bands, self.device)
        engine, head = self.engines[sensor], self.heads[sensor]

        def projected(part: slice) -> NDArray[np.float32]:
            return head(_features(engine, prepare(placed(pixels[part], self.device), sensor, mask)))

        return _in_batches(len(pixels), self.chips_per_run, projected)

    def texts(self, sentences: list[str]) -> Vectors:
        """See `Encoder.texts`. Each sentence is computed once, beside others of about its length."""
        check_sentences(sentences)
        return self._texts.vectors(sentences, self._embed)

    def _embed(self, sentences: list[str]) -> Vectors:
        order = np.argsort([len(sentence) for sentence in sentences], kind="stable")
        ordered = [sentences[place] for place in order]
        vectors = np.empty((len(sentences), DIMENSION), np.float32)
        vectors[order] = _in_batches(
            len(ordered), BATCH_SENTENCES, lambda part: self.engines["text"].run(self._ids(ordered[part]))
        )
        return vectors

    def in_runs_of(self, chips: int) -> "ClospEncoder":
        """The same encoder with so many chips a run."""
        return replace(self, chips_per_run=chips)

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
    precision: Precision = "auto",
    chips: Callable[[str], Pixels] | None = None,
) -> ClospEncoder:
    """Open a CLOSP release.

    Args:
        weights: safetensors of any of the four variants; which one, its layout says.
        tokenizer: MiniLM's `tokenizer.json`.
        engines: folder of built engines.
        threads: threads for one batch; ``None``: what was tuned, else all available cores.
        backend: see `schemas.backends.Backend`.
        precision: of the image towers, see `schemas.backends.Precision`. Vectors of int8 towers are a release of
            their own: their cosines differ in the fourth digit.
        chips: makes chips of a sensor in physical units, for int8 engines that are not built yet.

    Raises:
        ReleaseNotFound: a file is missing.
        ReleaseMismatch: the weights are damaged or not CLOSP's, or the engine was refused and none may replace it.
        SettingsError: torch is needed and not installed, or this machine has no such backend or precision.
    """
    layout = read_layout(weights)
    variant = recognise(layout, weights)
    words = Words(tokenizer)
    release = _release_name(variant, weights, tokenizer, precision)
    heads = {sensor: _head(sensor, layout, weights) for sensor in ("s1", "s2")}
    conditions = Conditions.here(release, backend, precision)
    tuned = read_tuned(conditions)
    threads = threads or (tuned.threads if tuned else None)

    @cache
    def builder() -> "ClospBuilder":
        return _builder(variant, weights, heads, threads, chips)

    opening = _Opening(variant, layout, weights, engines, threads, builder)
    choice = choose(backend, precision)
    opened, reason = _open_engines(opening, choice)
    log.info("encoder loaded", release=release, backend=reason)
    device = _device(opened)
    return ClospEncoder(
        release=release,
        engines=opened,
        heads={sensor: head.on(device) for sensor, head in heads.items()},
        words=words,
        backend=reason,
        conditions=conditions,
        chips_per_run=tuned.chips_per_run if tuned else choice.candidates[0].entry.chips_per_run,
        device=device,
    )


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


def _release_name(variant: str, weights: Path, tokenizer: Path, precision: Precision) -> str:
    prepared = json.dumps(specification(variant), sort_keys=True)
    content = "\n".join((prepared, sha256(weights), sha256(tokenizer)))
    name = f"{variant}-{sha256_of(content.encode()).hexdigest()[:12]}"
    return f"{name}-int8" if precision == "int8" else name


def _head_layers(sensor: str, layout: Container[str]) -> list[str]:
    """Names of the linear layers between a sensor's features and the shared space, in order."""
    last = [name for name in (f"{sensor}_encoder.fc", f"{sensor}_encoder.head") if f"{name}.weight" in layout]
    return [*last, f"{sensor}_projection"]


def _head(sensor: str, layout: Layout, weights: Path) -> Head:
    names = _head_layers(sensor, layout)
    keys = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    absent = [key for key in keys if key not in layout]
    if absent:
        raise ReleaseMismatch(f"{weights} is no CLOSP checkpoint: it lacks {', '.join(absent)}")
    return head_of(sensor, read_some(weights, keys))


def head_of(sensor: str, tensors: Mapping[str, NDArray[np.float32] | NDArray[np.int64]]) -> Head:
    """A sensor's linear layers among a checkpoint's tensors, as one."""
    names = _head_layers(sensor, tensors)
    pairs = [(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names]
    return composed([(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in pairs])


@dataclass(frozen=True, slots=True)
class _Opening:
    """What opening any tower of a release needs."""

    variant: str
    layout: Layout
    weights: Path
    folder: Path
    threads: int | None
    builder: Callable[[], "ClospBuilder"]

    def engine(self, tower: str, candidate: Candidate) -> Engine:
        """The tower on one backend; sentences are few, their tower is never rounded.

        Raises:
            EngineRefused: that backend cannot run it.
        """
        arithmetic = "fp32" if tower == "text" else candidate.arithmetic
        request = Request(tower, self._model(tower), self.folder, arithmetic, self.threads)
        return candidate.entry.engine(request, self.builder)

    def _model(self, tower: str) -> str:
        """Names what the tower's engine computes: by its own weights, without the head, which is not in it."""
        if tower == "text":
            keys = [key for key in self.layout if key.startswith("text_model.")]
        else:
            heads = _head_layers(tower, self.layout)
            keys = [
                key
                for key in self.layout
                if key.startswith(f"{tower}_encoder.") and key.rpartition(".")[0] not in heads
            ]
        return f"{self.variant}-{digest(self.weights, keys)[:12]}-g{GRAPH}"


def _open_engines(opening: _Opening, choice: Choice) -> tuple[dict[str, Engine], str]:
    opened: dict[str, Engine] = {}
    remarks: list[str] = []
    for tower in TOWERS:
        opened[tower], refusals = _first_that_opens(opening, tower, choice.candidates)
        remarks += refusals
    return opened, "; ".join([f"{opened['s2'].name}, checked against torch", *remarks, choice.reason])


def _first_that_opens(opening: _Opening, tower: str, candidates: Sequence[Candidate]) -> tuple[Engine, list[str]]:
    refusals: list[str] = []
    for candidate in candidates:
        try:
            return opening.engine(tower, candidate), refusals
        except EngineRefused as refusal:
            if candidate is candidates[-1]:
                raise
            log.warning(
                "engine refused, another runs this tower: slower, same vectors",
                tower=tower,
                refused=candidate.entry.name,
                reason=str(refusal),
            )
            refusals.append(f"{tower} not on {candidate.entry.name}, because {refusal}")
    raise AssertionError("a choice has candidates")


def _builder(
    variant: str,
    weights: Path,
    heads: Mapping[str, Head],
    threads: int | None,
    chips: Callable[[str], Pixels] | None,
) -> "ClospBuilder":
    absent = [name for name in ("torch", "onnx", "onnxscript") if find_spec(name) is None]
    if absent:
        raise SettingsError(f"CLOSP needs {', '.join(absent)} to build its engine: pip install 'tocsin[torch]'")
    from encoders.closp_build import ClospBuilder, read_model  # noqa: PLC0415 - torch takes seconds, built engines do without

    return ClospBuilder(read_model(variant, weights), heads, threads, chips)


def _device(engines: Mapping[str, Engine]) -> str | None:
    """The device of both image engines; none where one of them runs elsewhere, which then decides for both."""
    image_engines = (engines["s1"], engines["s2"])
    devices = {engine.device if isinstance(engine, DeviceEngine) else None for engine in image_engines}
    return devices.pop() if len(devices) == 1 else None


def _features(engine: Engine, pixels: "Pixels | Tensor") -> NDArray[np.float32]:
    """Features of prepared chips, where these are."""
    if isinstance(pixels, np.ndarray):
        return engine.run({"pixels": pixels})
    return cast("NDArray[np.float32]", cast("DeviceEngine", engine).on_device({"pixels": pixels}))


def _in_batches(count: int, size: int, run: Callable[[slice], NDArray[np.float32]]) -> Vectors:
    """Unit vectors of all parts; a device is waited for once, at the end."""
    parts = [run(slice(start, start + size)) for start in range(0, count, size)]
    return unit(joined(parts)) if parts else np.empty((0, DIMENSION), np.float32)
