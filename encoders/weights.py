"""In: a safetensors file and the layout it must have. Out: its header, its hash, its tensors, or a named refusal.

Stops at the file: what the tensors mean is the model's matter. Nothing is pickled, so nothing is executed.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from schemas.errors import ReleaseMismatch, ReleaseNotFound

Layout = Mapping[str, tuple[int, ...]]
"""Shape by tensor name."""

Tensors = dict[str, NDArray[np.float32] | NDArray[np.int64]]
"""Values by tensor name: float32, and int64 for counters."""

NAMED = 3
"""So many offending keys are named in an error; the rest is counted."""


def read_layout(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a checkpoint, without reading its tensors.

    Raises:
        ReleaseNotFound: no such file.
        ReleaseMismatch: truncated, or not safetensors.
    """
    _check_readable(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise ReleaseMismatch(f"{path} is truncated or not safetensors ({error}): pull it again") from error


def check_layout(found: Layout, expected: Layout, path: Path) -> None:
    """Refuse a checkpoint of another model.

    Raises:
        ReleaseMismatch: a key is missing or unexpected, or a tensor has another shape; all are counted.
    """
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    wrong = sorted(
        f"{key} is {found[key]}, needs {expected[key]}"
        for key in expected.keys() & found.keys()
        if found[key] != expected[key]
    )
    faults = [
        f"{len(keys)} {what}: {', '.join(keys[:NAMED])}{' …' if len(keys) > NAMED else ''}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", wrong))
        if keys
    ]
    if faults:
        raise ReleaseMismatch(f"{path} holds another model's weights: {'; '.join(faults)}")


def read_tensors(path: Path, expected: Layout) -> Tensors:
    """Every tensor of a checkpoint.

    Args:
        path: the file.
        expected: layout it must have, exactly.

    Returns:
        float32 arrays by name; counters (shape ()) are int64.

    Raises:
        ReleaseNotFound: no such file.
        ReleaseMismatch: not this layout, or values of another dtype, or values that are not finite.
    """
    check_layout(read_layout(path), expected, path)
    with safe_open(path, framework="numpy") as file:
        tensors = {key: file.get_tensor(key) for key in expected}
    for key, tensor in tensors.items():
        wanted = np.float32 if expected[key] else np.int64
        if tensor.dtype != wanted:
            raise ReleaseMismatch(f"{path}: {key} is {tensor.dtype}, needs {np.dtype(wanted)}")
        if not np.isfinite(tensor).all():
            raise ReleaseMismatch(f"{path}: {key} holds values that are not finite: the file is damaged")
    return tensors


def read_some(path: Path, keys: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Some float32 tensors of a checkpoint, without the others."""
    with safe_open(path, framework="numpy") as file:
        return {key: file.get_tensor(key).astype(np.float32, copy=False) for key in keys}


def digest(path: Path, keys: Iterable[str]) -> str:
    """Hex digest of some tensors of a checkpoint, whatever else is in it: names, shapes and values."""
    total = hashlib.sha256()
    with safe_open(path, framework="numpy") as file:
        for key in sorted(keys):
            tensor = np.ascontiguousarray(file.get_tensor(key))
            total.update(f"{key} {tensor.dtype} {tensor.shape}\n".encode())
            total.update(tensor.data)
    return total.hexdigest()


def _check_readable(path: Path) -> None:
    if not path.is_file():
        raise ReleaseNotFound(f"no weights at {path}: run `tocsin encoder pull`, or correct the path")
    if path.stat().st_size < 8:
        raise ReleaseMismatch(f"{path} is truncated: {path.stat().st_size} bytes; pull it again")
