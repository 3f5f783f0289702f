"""In: named arrays. Out: one float32 array, from whichever engine runs the tower.

Stops at the port and the yardstick: a file per backend in `encoders.runtimes` holds its engine, `encoders.backends`
knows which of them runs here, `encoders.engines` keeps and checks what they build.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from schemas.backends import Arithmetic
from schemas.errors import ReleaseMismatch

if TYPE_CHECKING:
    from torch import Tensor

Inputs = Mapping[str, NDArray[np.float32] | NDArray[np.int64]]
"""Arrays by input name; the first axis is the batch."""

TOLERANCE: Mapping[Arithmetic, float] = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 3e-2}
"""Largest max|difference| / max|reference| of an engine. Orders of summation cost 1e-6 in fp32; a mantissa of 8 bits
costs 1e-2. Int8 has a gate of its own, `encoders.runtimes.quantised`."""


class EngineRefused(ReleaseMismatch):
    """An engine cannot be built or read, or does not compute what the reference computes: another may replace it."""


class Engine(Protocol):
    """Runs one tower; may be called from several threads."""

    @property
    def name(self) -> str:
        """Runtime, version, precision and threads, for logs and `tocsin encoder list`."""
        ...

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """Float32, (n, width), for a batch of any size."""
        ...


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """An engine that also takes what is on its device already."""

    @property
    def device(self) -> str:
        """Torch's name of it."""
        ...

    def on_device(self, inputs: Mapping[str, "Tensor"]) -> "Tensor":
        """Float32, (n, width), on the device, in the order of the caller's stream."""
        ...


def disagreement(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """max|found - reference| / max|reference|; infinite where shapes differ or a value is not finite."""
    if found.shape != reference.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - reference).max() / np.abs(reference).max())


def check_agreement(
    found: NDArray[np.float32], reference: NDArray[np.float32], engine: str, tower: str, arithmetic: Arithmetic = "fp32"
) -> float:
    """Refuse an engine that does not compute what the reference computes.

    Returns:
        the disagreement, for the record.

    Raises:
        EngineRefused: it is above `TOLERANCE`; the message says by how much.
    """
    distance, limit = disagreement(found, reference), TOLERANCE[arithmetic]
    if not distance <= limit:
        raise EngineRefused(
            f"{engine} refused for {tower}: it differs from the torch reference by {distance:.2g} of the largest "
            f"value, {limit:g} is allowed"
        )
    return distance


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
