"""In: how surely each label is there. Out: MiniLM's vector of the caption that CLOSP would have written.

Stops at lookup: a caption is the present labels joined by ". ", as in CrisisLandMark.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.phrases import LABELS

THERE = 0.5
"""Presence from which a label is part of the caption."""


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Captions of every set of up to three labels.

    Attributes:
        rows: int64, (4096,), bit set of labels to row of `vectors`; larger sets lead to the set of their first three.
        vectors: float32, (sets, 384), MiniLM's.
    """

    rows: Tensor
    sentences: Tensor

    def vectors_of(self, present: Tensor) -> Tensor:
        """MiniLM's vectors of the captions of chips, (n, 384), from (n, 12) of presence."""
        bits = ((present >= THERE) * 2 ** torch.arange(len(LABELS), device=present.device)).sum(dim=1)
        return self.sentences[self.rows[bits]]


def captions_of_sets() -> tuple[list[str], NDArray[np.int64]]:
    """The captions, and for each of the 4096 sets of labels the row of its caption."""
    texts: dict[str, int] = {}
    rows = np.zeros(2 ** len(LABELS), np.int64)
    for bits in range(2 ** len(LABELS)):
        names = [name for index, name in enumerate(LABELS) if bits >> index & 1][:3]
        rows[bits] = texts.setdefault(". ".join(names) or "nothing", len(texts))
    return list(texts), rows


def label_sets(vectors: Callable[[list[str]], NDArray[np.float32]], device: torch.device) -> LabelSets:
    """All captions with their vectors, on a device.

    Args:
        vectors: MiniLM, sentences to float32 (n, 384).
        device: where they shall lie.
    """
    texts, rows = captions_of_sets()
    return LabelSets(torch.from_numpy(rows).to(device), torch.from_numpy(vectors(texts)).to(device))
