"""In: cosines, graded presence. Out: the loss.

Stops at numbers: which sentence asks for what is in `captions` and `bank`.
"""

import torch
from torch import Tensor
from torch.nn import functional

from training.phrases import LABELS

FULL_AT = (0.3, 0.3, 0.3, 0.25, 0.3, 0.3, 0.25, 0.3, 0.3, 0.4, 0.3, 0.5)
"""Share of a chip at which a label is surely there, in the order of `LABELS`; below it presence is graded."""

UNSURE_WEIGHT = 0.3
"""Weight of flood sentences on chips of permanent water: one image often cannot tell them apart."""

HIDDEN_WEIGHT = 0.1
"""Weight of a label that is neither present nor absent."""

CLOSP_SCALE = 1.0
"""CLOSP's fixed scale of cosines."""


def presence(fractions: Tensor) -> Tensor:
    """How surely each label is there, (n, 12), 0-1: the share to the power 0.7, full from `FULL_AT` on."""
    full = torch.tensor(FULL_AT, dtype=fractions.dtype, device=fractions.device)
    return (fractions / full).clamp(0, 1) ** 0.7


def label_weights(fractions: Tensor, unsure: Tensor) -> Tensor:
    """How much each label of each chip counts, (n, 12): permanent water says little about floods.

    Args:
        fractions: (n, 12).
        unsure: (n, 12), 1 where a label is neither present nor absent.
    """
    water, flooded = LABELS.index("Water"), LABELS.index("Flooded Area")
    weights = 1 - unsure * (1 - HIDDEN_WEIGHT)
    lake = (fractions[:, water] > 0.1) & (fractions[:, flooded] < 0.02)
    column = torch.where(
        lake, torch.minimum(weights[:, flooded], weights.new_tensor(UNSURE_WEIGHT)), weights[:, flooded]
    )
    return torch.cat([weights[:, :flooded], column[:, None], weights[:, flooded + 1 :]], dim=1)


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


def soft_target_loss(cosines: Tensor, targets: Tensor, weights: Tensor, log_scale: Tensor) -> Tensor:
    """Softmax in both directions with the right answers sharing the target, so equal captions are never negatives.

    Args:
        cosines: (n, m).
        targets: (n, m), 0-1, graded.
        weights: (n, m).
        log_scale: logarithm of the learnt scale.

    Source: as the label-aware targets of Gao et al. 2022, "PyramidCLIP", section 3.3, with graded likeness.
    """
    logits, shares = cosines * log_scale.exp(), targets * weights + 1e-6
    by_chip = shares / shares.sum(dim=1, keepdim=True)
    by_sentence = shares / shares.sum(dim=0, keepdim=True)
    asked = (targets.amax(dim=0) > 0.5).to(targets.dtype)
    forth = -(by_chip * functional.log_softmax(logits, dim=1)).sum(dim=1).mean()
    back = -(by_sentence * functional.log_softmax(logits, dim=0)).sum(dim=0)
    return (forth + (back * asked).sum() / asked.sum().clamp(min=1)) / 2


def closp_loss(cosines: Tensor) -> Tensor:
    """Symmetric cross-entropy in which chip i and caption i belong together and everything else does not.

    Args:
        cosines: (n, n), chips by the captions of the same chips.

    Source: CLOSP, arXiv 2507.10403, with its scale of 1.0.
    """
    logits, own = cosines * CLOSP_SCALE, torch.arange(len(cosines), device=cosines.device)
    return (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own)) / 2
