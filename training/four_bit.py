"""In: a matrix and the second moments of what it is multiplied with. Out: four-bit codes and their scales.

Stops at numbers: where the codes go in an ONNX graph is `text_graph`'s matter.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 64
"""Neighbouring inputs that share a scale: 4.5 bits a weight with float32 scales."""

ZERO = 8
"""Code of the value 0: codes run 0-15, values from -8 to 7 scales."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A matrix in four bits.

    Attributes:
        codes: uint8, (rows, columns), 0-15.
        scales: float32, (rows, columns / 64).
    """

    codes: Tensor
    scales: Tensor

    def values(self) -> Tensor:
        """The float32 numbers the codes stand for, (rows, columns)."""
        return (self.codes.float() - ZERO) * self.scales.repeat_interleave(BLOCK, dim=1)

    def bytes(self) -> Tensor:
        """uint8, (rows, columns / 2): two codes a byte, the first in the low half."""
        return self.codes[:, 0::2] | (self.codes[:, 1::2] << 4)


def _codes(values: Tensor, scales: Tensor) -> Tensor:
    """Nearest codes, 0-15."""
    return torch.clamp(torch.round(values / scales) + ZERO, 0, 15)


def best_scales(block: Tensor) -> Tensor:
    """Scale per row with the least squared rounding error among shrunken ranges: (rows, 1).

    The scale may be negative, so that the side that reaches to -8 serves the larger tail.
    """
    largest = block.gather(1, block.abs().argmax(1, keepdim=True))
    full = torch.where(largest == 0, torch.ones_like(largest), -largest / 8)
    best, least = full, torch.full_like(full, float("inf"))
    for shrink in torch.linspace(0.6, 1.0, 21):
        scale = (full * shrink).half().float()
        scale = torch.where(scale == 0, full, scale)
        error = (((_codes(block, scale) - ZERO) * scale - block) ** 2).sum(1, keepdim=True)
        best, least = torch.where(error < least, scale, best), torch.minimum(error, least)
    return best


def packed_rows(matrix: Tensor) -> Packed:
    """Round to nearest, each row by itself: right for a table that is looked up, not multiplied."""
    blocks = matrix.reshape(-1, BLOCK)
    scales = best_scales(blocks)
    codes = _codes(blocks, scales).to(torch.uint8)
    return Packed(codes.reshape(matrix.shape), scales.reshape(len(matrix), -1))


def gptq(matrix: Tensor, moments: Tensor, damping: float = 0.01) -> Packed:
    """Round column after column, and let the columns not yet rounded make up for each error.

    Args:
        matrix: float32, (out, in), in a multiple of 64.
        moments: float32, (in, in), mean of x xᵀ over calibration inputs.
        damping: share of the mean diagonal that is added to it, so that it can be inverted.

    Source: Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers", algorithm 1, without lazy batches.
    """
    left = matrix.clone()
    size = matrix.shape[1]
    ridge = damping * moments.diagonal().mean() * torch.eye(size)
    inverse = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(moments + ridge)), upper=True)
    codes, scales = torch.empty_like(matrix), torch.empty(len(matrix), size // BLOCK)
    for column in range(size):
        if column % BLOCK == 0:
            scale = best_scales(left[:, column : column + BLOCK])
            scales[:, column // BLOCK] = scale[:, 0]
        codes[:, column : column + 1] = _codes(left[:, column : column + 1], scale)
        rounded = (codes[:, column] - ZERO) * scale[:, 0]
        error = (left[:, column] - rounded) / inverse[column, column]
        left[:, column + 1 :] -= torch.outer(error, inverse[column, column + 1 :])
    return Packed(codes.to(torch.uint8), scales)
