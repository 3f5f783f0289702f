"""In: vectors of ordinary ground, or the small file of them. Out: the other of the two.

Stops at storage: `training.background` makes the vectors, `alerts.budgets.thresholds` uses them.
"""

from pathlib import Path

import numpy as np

from encoders.interface import Vectors

RANK = 64
"""Directions kept of 384: scores differ by 0.001 from those of the full vectors, a hundredth of their spread."""

LEVELS = 127
"""Greatest int8 code."""

Background = tuple[Vectors, Vectors]
"""Vectors of ordinary places, unit rows, and how they changed within weeks: both float32, (places, 384)."""


def write_background(path: Path, release: str, sensors: dict[str, Background]) -> None:
    """Write the vectors as int8 coordinates in their own leading directions: 0.2 MB instead of 1.6.

    Args:
        path: of the file.
        release: that made the vectors.
        sensors: vectors and changes per sensor key.
    """
    arrays: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float16 | np.int8]]] = {}
    for sensor, pair in sensors.items():
        left, sizes, directions = np.linalg.svd(np.concatenate(pair), full_matrices=False)
        places = left[:, :RANK] * sizes[:RANK]
        steps = np.maximum(np.abs(places).max(axis=0), 1e-6) / LEVELS
        arrays[f"{sensor}_places"] = np.round(places / steps).astype(np.int8)
        arrays[f"{sensor}_directions"] = (directions[:RANK] * steps[:, None]).astype(np.float16)
    np.savez_compressed(path, release=np.str_(release), **arrays)  # type: ignore[arg-type]


def read_background(path: Path, release: str, sensor: str) -> Background | None:
    """The vectors of a sensor; `None` if there is no file, or another release made it."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if str(arrays["release"]) != release or f"{sensor}_places" not in arrays:
            return None
        both = arrays[f"{sensor}_places"].astype(np.float32) @ arrays[f"{sensor}_directions"].astype(np.float32)
    vectors, changes = np.split(both, 2)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), changes
