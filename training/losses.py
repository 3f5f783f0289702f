"""In: cosines, graded presence. Out: the loss.

Stops at numbers: which sentence asks for what is in `captions`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.phrases import LABELS

FULL_AT = (0.3, 0.3, 0.3, 0.25, 0.3, 0.3, 0.25, 0.3, 0.3, 0.4, 0.3, 0.5)
"""Share of a chip at which a label is surely there, in the order of `LABELS`; below it presence is graded."""

UNSURE_WEIGHT = 0.3
"""Weight of flood sentences on chips of permanent water: one image often cannot tell them apart."""


def presence(fractions: Tensor) -> Tensor:
    """How surely each label is there, (n, 12), 0-1: the share to the power 0.7, full from `FULL_AT` on."""
    full = torch.tensor(FULL_AT, dtype=fractions.dtype, device=fractions.device)
    return (fractions / full).clamp(0, 1) ** 0.7


def label_weights(fractions: Tensor) -> Tensor:
    """How much each label of each chip counts, (n, 12): permanent water says little about floods."""
    water, flooded = LABELS.index("Water"), LABELS.index("Flooded Area")
    weights = torch.ones_like(fractions)
    lake = (fractions[:, water] > 0.1) & (fractions[:, flooded] < 0.02)
    weights[:, flooded] = torch.where(lake, UNSURE_WEIGHT, 1.0)
    return weights


def kinship(asked: Tensor) -> tuple[Tensor, Tensor]:
    """How much each two sentences ask for the same, and whether the pair says anything.

    Args:
        asked: float32, (m, 12), 1 for the labels that a sentence asks for; all 0 for unrelated ones.

    Returns:
        Shared labels over all labels of the two, (m, m), and 0 for pairs of unrelated sentences, else 1, (m, m).
    """
    shared, sizes = asked @ asked.T, asked.sum(dim=1)
    union = (sizes[:, None] + sizes[None] - shared).clamp(min=1)
    unrelated = (sizes == 0).to(asked.dtype)
    return shared / union, 1 - unrelated[:, None] * unrelated[None]


def sigmoid_loss(cosines: Tensor, targets: Tensor, weights: Tensor, log_scale: Tensor, bias: Tensor) -> Tensor:
    """Every chip against every sentence, each pair judged by itself, so equal captions are never negatives.

    Args:
        cosines: (n, m).
        targets: (n, m), 0-1, graded.
        weights: (n, m).
        log_scale: logarithm of the learnt scale.
        bias: learnt; the prior that a sentence fits a chip.

    Source: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training", with graded targets.
    """
    logits = cosines * log_scale.exp() + bias
    losses = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    entropy = functional.binary_cross_entropy(targets, targets, reduction="none")
    return ((losses - entropy) * weights).sum() / weights.sum()
