"""In: named arrays. Out: one float32 array, from whichever engine runs the tower.

Stops at the port and the yardstick: `encoders.ort` and `encoders.reference` are engines, `encoders.engines` keeps
and checks them.
"""

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from schemas.errors import ReleaseMismatch

Inputs = Mapping[str, NDArray[np.float32] | NDArray[np.int64]]
"""Arrays by input name; the first axis is the batch."""

Backend = Literal["auto", "onnxruntime", "torch"]
"""``"auto"``: ONNX Runtime, and torch where its engine is refused, with a warning."""

TOLERANCE = 1e-5
"""Largest max|difference| / max|reference| of an fp32 engine. Orders of summation cost 1e-6; bf16 costs 1e-2."""


class EngineRefused(ReleaseMismatch):
    """An engine cannot be built or read, or does not compute what the reference computes: another may replace it."""


class Engine(Protocol):
    """Runs one tower."""

    @property
    def name(self) -> str:
        """Runtime, version, precision and threads, for logs and `tocsin encoder list`."""
        ...

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Float32, (n, width), for a batch of any size."""
        ...


def disagreement(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """max|found - reference| / max|reference|; infinite where shapes differ or a value is not finite."""
    if found.shape != reference.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def check_agreement(found: NDArray[np.float32], reference: NDArray[np.float32], engine: str, tower: str) -> float:
    """Refuse an engine that does not compute what the reference computes.

    Returns:
        the disagreement, for the record.

    Raises:
        EngineRefused: it is above `TOLERANCE`; the message says by how much.
    """
    distance = disagreement(found, reference)
    if not distance <= TOLERANCE:
        raise EngineRefused(
            f"{engine} refused for {tower}: it differs from the torch reference by {distance:.2g} of the largest "
            f"value, {TOLERANCE:g} is allowed"
        )
    return distance
