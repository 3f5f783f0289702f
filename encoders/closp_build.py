"""In: a variant and its checkpoint. Out: its towers in torch, and each as an ONNX file.

Stops before running them: the only module that loads CLOSP's weights into torch.
"""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from encoders.bands import BANDS
from encoders.closp import Closp, empty, layout
from encoders.closp_pixels import prepare
from encoders.heads import Head, unit
from encoders.interface import Pixels, Vectors
from encoders.lowering import lower
from encoders.minilm import VOCABULARY
from encoders.runtime import Engine, EngineRefused, Inputs
from encoders.runtimes.reference import TorchEngine
from encoders.weights import Tensors, read_tensors
from encoders.words import LONGEST
from schemas.errors import SettingsError

OPSET = 20
"""ONNX operator set; the first that has GELU."""

OUTPUT = "closp_features"
"""Name of every tower's output. One that an inner value also bears ("embedding") makes an invalid model."""

SAMPLE_PX = 120
"""Side of the chips that engines are compared on."""

BATCH = 16
"""Chips of one batch of calibration."""

CHECKED = 128
"""So many of them are kept back, to check it on."""


class ClospBuilder:
    """Makes the engines of one loaded model.

    Args:
        model: see `read_model`.
        heads: what stands behind the image towers, by sensor.
        threads: for the torch reference; ``None``: as torch has it.
        chips: makes chips of a sensor in physical units, for int8; ``None``: int8 engines cannot be built.
    """

    def __init__(
        self,
        model: Closp,
        heads: Mapping[str, Head],
        threads: int | None = None,
        chips: Callable[[str], Pixels] | None = None,
    ) -> None:
        self.model, self._heads = model, heads
        self._threads = threads
        self._chips = None if chips is None else cache(chips)

    def tower(self, name: str) -> nn.Module:
        """``"s1"``, ``"s2"`` or ``"text"`` as a torch module."""
        return self.model.text_tower() if name == "text" else self.model.image_tower(name)

    def reference(self, tower: str) -> TorchEngine:
        """The tower in eager torch."""
        return TorchEngine(self.tower(tower), self._threads)

    def samples(self, tower: str) -> list[Inputs]:
        """Two batches of different size, deterministic, in the tower's own units."""
        random = np.random.default_rng(20)
        if tower == "text":
            return [_sentences(random, n, tokens) for n, tokens in ((1, 4), (3, LONGEST))]
        return [_chips(random, tower, n) for n in (1, 3)]

    def calibration(self, tower: str) -> list[Inputs]:
        """See `encoders.engines.Builder`: three of four chips."""
        return self._prepared(tower)[: -CHECKED // BATCH]

    def unseen(self, tower: str) -> list[Inputs]:
        """See `encoders.engines.Builder`: the others."""
        return self._prepared(tower)[-CHECKED // BATCH :]

    def vectors(self, tower: str, engine: Engine, batches: list[Inputs]) -> Vectors:
        """See `encoders.engines.Builder`."""
        return unit(self._heads[tower](np.concatenate([engine.run(each) for each in batches])))

    def _prepared(self, sensor: str) -> list[Inputs]:
        if self._chips is None:
            raise SettingsError(
                "int8 engines are made once, with chips to calibrate them: tocsin encoder build … --precision int8"
            )
        chips = self._chips(sensor)
        mask = np.ones(chips.shape[1], dtype=np.bool_)
        return [
            {"pixels": prepare(chips[start : start + BATCH], sensor, mask)} for start in range(0, len(chips), BATCH)
        ]

    def export(self, tower: str, path: Path, *, lowered: bool) -> None:
        """Write a tower as ONNX with free batch, and free height and width or number of tokens."""
        if tower == "text":
            _export(
                self.tower("text"),
                {"input_ids": {0: "n", 1: "t"}, "attention_mask": {0: "n", 1: "t"}},
                _sentences(np.random.default_rng(0), 2, 7),
                path,
            )
            return
        image_tower = self.model.image_tower(tower)
        module = lower(image_tower) if lowered else image_tower
        _export(module, {"pixels": {0: "n", 2: "h", 3: "w"}}, _chips(np.random.default_rng(0), tower, 2), path)


def read_model(variant: str, weights: Path) -> Closp:
    """Load a checkpoint, strictly.

    Args:
        variant: a key of `encoders.closp.VARIANTS`.
        weights: its safetensors file.

    Raises:
        ReleaseNotFound, ReleaseMismatch: see `encoders.weights.read_tensors`.
    """
    return assemble(variant, read_tensors(weights, layout(variant)))


def assemble(variant: str, tensors: Tensors) -> Closp:
    """The model with these weights, which it keeps without copying."""
    model = empty(variant)
    state = {key: torch.from_numpy(each) for key, each in tensors.items()}
    model.load_state_dict(state, strict=True, assign=True)
    return model.eval()


def _chips(random: np.random.Generator, sensor: str, n: int) -> Inputs:
    drawn = random.random((n, len(BANDS[sensor]), SAMPLE_PX, SAMPLE_PX), dtype=np.float32)
    return {"pixels": drawn * np.float32(0.6) if sensor == "s2" else drawn * np.float32(25.0) - np.float32(28.0)}


def _sentences(random: np.random.Generator, n: int, tokens: int) -> Inputs:
    mask = np.ones((n, tokens), dtype=np.int64)
    mask[-1, tokens // 2 :] = 0
    return {"input_ids": random.integers(0, VOCABULARY, (n, tokens)), "attention_mask": mask}


def _export(tower: nn.Module, axes: dict[str, dict[int, str]], example: Inputs, path: Path) -> None:
    try:
        with _quiet(), torch.inference_mode():
            program = torch.onnx.export(
                tower,
                tuple(torch.from_numpy(each) for each in example.values()),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(example),
                output_names=[OUTPUT],
                dynamic_shapes=axes,
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise EngineRefused(f"torch cannot write this tower as ONNX: {error}") from error
    if program is None:
        raise EngineRefused("torch wrote no ONNX program")
    program.save(str(path))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's remarks on absent torchvision and on its own deprecations from the operator."""
    exporter = logging.getLogger("torch.onnx")
    before = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        exporter.setLevel(before)
