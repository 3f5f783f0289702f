"""In: arrays of numpy, and where an encoder wants them. Out: the same there; torch tensors where that is a device.

Stops before any meaning of the numbers. From a file's numbers to an encoder's input only what both libraries have is
called, so that one code runs where the pixels are. Torch is imported only where a device is named.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def library(array: NDArray[Any]) -> Any:
    """The module of numpy or torch, whichever an array is of."""
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def is_on(array: object, device: str | None) -> bool:
    """Whether it is a tensor on that device."""
    return device is not None and getattr(getattr(array, "device", None), "type", None) == device


def empty(shape: tuple[int, ...], device: str | None) -> NDArray[np.float32]:
    """float32, not yet written."""
    if device is None:
        return np.empty(shape, np.float32)
    import torch  # noqa: PLC0415 - takes seconds

    return torch.empty(shape, dtype=torch.float32, device=device)  # type: ignore[return-value]  # as if it were numpy's


def placed(array: NDArray[Any], device: str | None) -> NDArray[Any]:
    """The same numbers, of the same type, on a device; as they are where they are there or it is ``None``."""
    if device is None or is_on(array, device):
        return array
    import torch  # noqa: PLC0415 - takes seconds

    return torch.tensor(array, device=device)  # type: ignore[return-value]  # as if it were numpy's


def joined(parts: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Parts one after another, as numpy's, fetched in one piece from where they are."""
    whole = library(parts[0]).concatenate(parts)
    fetched: NDArray[np.float32] = whole if isinstance(whole, np.ndarray) else whole.cpu().numpy()
    return fetched
