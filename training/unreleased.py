"""In: weights that no release holds yet. Out: the encoder they would be, for evaluation.

Stops at vectors: a release that ships is exported by `export` and checked against torch there.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from encoders.checks import check_pixels, check_sentences
from encoders.interface import Pixels, Vectors
from encoders.nano_planes import reduced
from encoders.nano_text import TextTower
from training.nano_model import NanoModel, Reduced
from training.text_head import TextHead

CHIPS_PER_RUN = 32
"""Chips that are embedded at once."""


def model_of(state: Mapping[str, Tensor]) -> NanoModel:
    """The model of half-precision weights, in evaluation mode.

    Raises:
        RuntimeError: weights of another architecture (torch names the layers).
    """
    floats = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    head = TextHead(floats["text.map.bias"], floats["text.names"], hidden=len(floats["text.inner.bias"]))
    model = NanoModel(head)
    model.load_state_dict(floats)
    return model.eval()


class Unreleased:
    """`encoders.interface.Encoder` over weights that `training.compare` saved.

    Args:
        weights: file that `training.compare` or `training.train_nano --weights` wrote.
        tower: folder of a release whose text tower the weights were trained with.
    """

    sensors: tuple[str, ...] = ("s2", "s1")
    device: None = None

    def __init__(self, weights: Path, tower: Path) -> None:
        saved = torch.load(weights, map_location="cpu", weights_only=True)
        self._model = model_of(saved.get("state", saved))
        self._tower = TextTower(tower, 1)
        self.release: str = f"unreleased-{weights.stem}"

    @torch.no_grad()
    def images(self, pixels: Pixels, sensor: str, present_bands: Sequence[str] | None = None) -> Vectors:
        """Embed chips; see `encoders.interface.Encoder.images`."""
        present = check_pixels(pixels, sensor, present_bands)
        parts = []
        for start in range(0, len(pixels), CHIPS_PER_RUN):
            planes = reduced(pixels[start : start + CHIPS_PER_RUN], present, sensor)
            chips = Reduced(*(torch.from_numpy(each) for each in (planes.means, planes.spread, planes.valid)))
            parts.append(self._model.images[sensor](chips).numpy())
        return np.concatenate(parts)

    @torch.no_grad()
    def texts(self, sentences: list[str]) -> Vectors:
        """Embed sentences; see `encoders.interface.Encoder.texts`."""
        check_sentences(sentences)
        vectors: Vectors = self._model.text(torch.from_numpy(self._tower.vectors(sentences))).numpy()
        return vectors
