"""In: the linear layers behind a backbone. Out: one matrix, kept outside the engine, and unit vectors.

Stops at linear algebra. An engine computes features; what turns them into CLOSP's space is 384 x 2048 numbers that
are retrained more often than the rest: a release that differs only here takes over the engines of its predecessor.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from encoders.arrays import placed
from encoders.interface import Vectors
from schemas.errors import Rejected

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weight (outputs, inputs) and bias (outputs,) of a linear layer."""


@dataclass(frozen=True, slots=True)
class Head:
    """Features to the shared space.

    Attributes:
        matrix: float32, (features, 384).
        bias: float32, (384,).
    """

    matrix: NDArray[np.float32]
    bias: NDArray[np.float32]

    def __call__(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, features) to (n, 384), of any length; what is not finite stays so, for `unit` to find."""
        with np.errstate(invalid="ignore", over="ignore"):
            projected: NDArray[np.float32] = features @ self.matrix + self.bias
        return projected

    def on(self, device: str | None) -> "Head":
        """The same for features that are on a device; ``None``: for those of numpy."""
        return Head(placed(self.matrix, device), placed(self.bias, device))


def composed(layers: Sequence[Layer]) -> Head:
    """Linear layers in the order in which they apply, as one; multiplied in float64."""
    matrix, bias = (part.astype(np.float64) for part in layers[0])
    for weight, shift in layers[1:]:
        matrix, bias = weight @ matrix, weight @ bias + shift
    return Head(np.ascontiguousarray(matrix.T, dtype=np.float32), bias.astype(np.float32))


def unit(raw: NDArray[np.float32]) -> Vectors:
    """Rows of length one.

    Args:
        raw: float32, (n, 384).

    Raises:
        Rejected: a row has no direction.
    """
    lengths = np.linalg.norm(raw.astype(np.float64), axis=1, keepdims=True)
    lost = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0.0))
    if lost.size:
        raise Rejected(f"input {lost[0]} has no vector: its values are far outside what a sensor measures")
    vectors: Vectors = (raw / lengths).astype(np.float32)
    return vectors
