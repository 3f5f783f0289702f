"""One product of many cells with all standing vectors, by whatever arithmetic is fastest here.

Flows in: standing vectors, once; then cells and the scores that must be reached. Flows out: pairs that may reach
them, and all that do. Stops before what passes (`percolate`), so that every arithmetic gives the same matches.

A product comes in tiles that stay in the cache. Of a tile only the highest product of each standing vector is looked
at first; a vector that nothing in the tile reaches, as nearly all do, costs one comparison for its thousand cells.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from alerts.percolation.growing import CELLS, ROWS, Blocks, Column, Indexes, tiles
from alerts.percolation.quantise import ROUNDING, Left
from schemas.errors import SettingsError

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Arithmetic = Literal["auto", "fp32", "int8", "cuda"]
"""fp32: numpy. int8: torch on the processor. cuda: int8 by torch on the GPU. auto: the best of those that are here."""


class Product(Protocol):
    """Standing vectors in the form that an arithmetic wants."""

    name: str

    def put(self, rows: Indexes, vectors: Floats) -> None:
        """Take vectors, float32 (n, 384), finite, in place of what these rows held."""

    def survivors(self, left: Left, wanted: Indexes, score: Doubles) -> Iterator[tuple[Indexes, Indexes]]:
        """Cells and rows of pairs that may reach the score, all of those that do among them, each pair once.

        Args:
            left: What the vectors are multiplied with.
            wanted: Rows to try, ascending; others may be among the survivors.
            score: float64 (rows,), by row, infinity where nothing may pass.
        """


class Fp32Product:
    """By numpy's BLAS, which every installation has."""

    name = "fp32"

    def __init__(self, vectors: Blocks, norms: Column[np.float64]) -> None:
        """Multiply with these, at most so long; somebody else writes to both."""
        self._vectors, self._norms = vectors, norms

    def put(self, rows: Indexes, vectors: Floats) -> None:
        """They are where they are wanted."""

    def survivors(self, left: Left, wanted: Indexes, score: Doubles) -> Iterator[tuple[Indexes, Indexes]]:
        """See `Product`."""
        room = np.empty(CELLS * ROWS, np.float32)
        for top in range(0, len(left.vectors), CELLS):
            part = left.vectors[top : top + CELLS]
            longest = left.norms[top : top + CELLS].max(initial=0)
            for rows in tiles(wanted, len(score), ROWS):
                names, vectors = self._rows(rows)
                least = (score[names] - ROUNDING * longest * self._norms.values[names]) - ROUNDING
                products = room[: len(vectors) * len(part)].reshape(len(vectors), len(part))
                np.matmul(vectors, part.T, out=products)
                reached = np.flatnonzero(products.max(axis=1) >= least)
                which, found = np.nonzero(products[reached] >= least[reached, None])
                if len(which):
                    yield top + found, _named(rows, reached[which])

    def _rows(self, rows: range | Indexes) -> tuple[slice | Indexes, Floats]:
        if isinstance(rows, range):
            return slice(rows.start, rows.stop), self._vectors.run(rows.start, rows.stop)
        return rows, self._vectors.take(rows)


def _named(rows: range | Indexes, which: Indexes) -> Indexes:
    return which + rows.start if isinstance(rows, range) else rows[which]


def product(arithmetic: Arithmetic, vectors: Blocks, norms: Column[np.float64]) -> Product:
    """What multiplies with these vectors, at most so long.

    Raises:
        SettingsError: what was asked for by name cannot run here.
    """
    chosen = best() if arithmetic == "auto" else arithmetic
    if arithmetic not in ("auto", "fp32") and (reason := unavailable(arithmetic)) is not None:
        raise SettingsError(f"TOCSIN_MATCHER_ARITHMETIC={arithmetic} cannot run here: {reason}; auto takes what can")
    if chosen == "fp32":
        return Fp32Product(vectors, norms)
    from alerts.percolation.int8 import Int8Product  # noqa: PLC0415 - torch is an extra

    return Int8Product("cuda" if chosen == "cuda" else "cpu")


@cache
def best() -> Arithmetic:
    """The fastest arithmetic of this machine."""
    return next(name for name in ("cuda", "int8", "fp32") if unavailable(name) is None)


@cache
def unavailable(arithmetic: Arithmetic) -> str | None:
    """Why an arithmetic cannot run here, or would be slower than fp32; none if it can."""
    if arithmetic in ("fp32", "auto"):
        return None
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (tocsin[torch])"
    if arithmetic == "int8" and not _has_int8_dot_products():
        return "the processor has no 8-bit dot products in 512 bits (AVX512-VNNI)"
    import torch  # noqa: PLC0415

    if arithmetic == "cuda" and not torch.cuda.is_available():
        return "torch sees no CUDA device"
    from alerts.percolation.int8 import exact  # noqa: PLC0415

    return None if exact("cuda" if arithmetic == "cuda" else "cpu") else "its int8 product gives wrong numbers here"


def _has_int8_dot_products() -> bool:
    """Without them torch multiplies int8 one by one, or in 16 bits, which saturate."""
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and "avx512_vnni" in cpuinfo.read_text()
