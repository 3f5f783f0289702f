"""In: training sentences and MiniLM's vectors of them. Out: draws of sentences, and how well chips answer them.

Stops before the text head: vectors here are MiniLM's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.captions import Caption, asked_labels
from training.phrases import LABELS

STRANGERS = 0.12
"""Share of a draw that no chip answers."""

PAIRS = 0.18
"""Share of a draw that asks for two labels or more."""

STRANGE_WEIGHT = 0.5
"""How much a pair of a chip and a sentence that nothing answers counts."""


@dataclass(frozen=True, slots=True)
class Bank:
    """Training sentences on one device.

    Attributes:
        vectors: float32, (m, 384), MiniLM's.
        asked: float32, (m, 12), 1 for the labels that a sentence asks for.
        odds: float32, (m,), how often each is drawn: every label equally often.
    """

    vectors: Tensor
    asked: Tensor
    odds: Tensor

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Indices of some sentences, (count,), without repetition."""
        return torch.multinomial(self.odds, min(count, len(self.odds)), generator=random)


def bank_of(captions: Sequence[Caption], vectors: NDArray[np.float32], device: torch.device) -> Bank:
    """The sentences on a device, with the odds of drawing each."""
    asked = torch.from_numpy(asked_labels(captions))
    sizes = asked.sum(dim=1)
    odds = torch.where(sizes == 0, STRANGERS / (sizes == 0).sum().clamp(min=1), torch.zeros(()))
    odds = odds + torch.where(sizes > 1, PAIRS / (sizes > 1).sum().clamp(min=1), torch.zeros(()))
    single = asked * (sizes == 1)[:, None]
    odds = odds + (single / single.sum(dim=0).clamp(min=1)).sum(dim=1) * (1 - STRANGERS - PAIRS) / len(LABELS)
    return Bank(torch.from_numpy(vectors).to(device), asked.to(device), odds.to(device))


def answers(asked: Tensor, values: Tensor) -> Tensor:
    """The least of a chip's values over the labels that a sentence asks for.

    Args:
        asked: float32, (m, 12), 0 or 1.
        values: float32, (n, 12), 0-1.

    Returns:
        float32, (n, m); 1 for sentences that ask for nothing.
    """
    lacking = asked[None] * (1 - values[:, None])
    return 1 - lacking.amax(dim=2)


def wanted(asked: Tensor, present: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """How well each chip answers each sentence, and how much the pair counts: both (n, m), 0-1."""
    strange = (asked.sum(dim=1) == 0)[None]
    targets = torch.where(strange, 0.0, answers(asked, present))
    return targets, torch.where(strange, STRANGE_WEIGHT, answers(asked, weights))
