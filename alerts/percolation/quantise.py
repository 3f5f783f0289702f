"""Vectors as int8, and by how much a product of such vectors can be wrong.

Flows in: float32 vectors. Flows out: codes, scales and bounds; integer thresholds that no true match stays below.
Stops before the product (`products`) and before what passes is decided (`percolate`).

**Proof that nothing is missed.** Let x be a cell's vector (an embedding, or its difference from the baseline) and q a
standing vector. With scales s, t > 0 and integer codes I, J write x = sI + r and q = tJ + u; r and u are what is lost.
Then

    x·q = sI·tJ + r·tJ + x·u,   so by Cauchy-Schwarz   |x·q - st(I·J)| <= |r| |tJ| + |x| |u|,   |tJ| <= |q| + |u|.

Over the cells of a tile, which share s, let X >= |x| and R >= |r|. Whenever x·q >= T,

    I·J >= (T - X|u| - R(|q| + |u|)) / st,

and as I·J is an integer it is at least the right side rounded down, which is the threshold used. It does not depend on
how codes are rounded or clipped, only on r and u being what is left over. The codes are at most 127, so that
|I·J| <= 384 · 127^2 < 2^23 and int32 never overflows.

What is computed in floating point is rounded up by more than its error: norms by `_UP`, residuals also by 2^-22 |x|
(two float32 roundings of each coordinate of x / s; what the nearest integer leaves of it is exact), and T is lowered by
`ROUNDING` X|q| for the difference of embedding and baseline, which is float32 here and float64 in the definition.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Codes = NDArray[np.int8]
Integers = NDArray[np.int32]

LARGEST = 127
"""Greatest code; -128 is not used, so that a vector and its opposite have opposite codes."""
ROUNDING = 400 * 2.0**-24
"""Bound on the float32 error of x·q over |x| |q|: 384 products and sums in any order, and the rounding of x itself.

Source: Higham, Accuracy and Stability of Numerical Algorithms (2002), section 3.1.
"""
_UP = 1 + 1e-4
_LOST = 2.0**-22


@dataclass(frozen=True)
class Left:
    """What standing vectors are multiplied with: embeddings, or what they differ by from their baselines.

    Attributes:
        vectors: float32 (n, 384), finite.
        norms: float64 (n,), at least their lengths.
        names: int (n,), which cell each is of.
    """

    vectors: Floats
    norms: Doubles
    names: NDArray[np.intp]


@dataclass(frozen=True)
class Quantised:
    """Vectors as codes: `scale` times `codes`, and what that leaves.

    Attributes:
        codes: int8 (n, d).
        scale: float64 (n,) or (1,), above 0.
        residual: float64 (n,), at least the length of what the codes leave.
        norm: float64 (n,), at least the length of the vector.
    """

    codes: Codes
    scale: Doubles
    residual: Doubles
    norm: Doubles


def quantise(vectors: Floats, norm: Doubles, *, together: bool = False) -> Quantised:
    """Codes of vectors.

    Args:
        vectors: float32 (n, d), finite, zero too.
        norm: Their `lengths`.
        together: One scale for all of them, instead of one for each.
    """
    axis = None if together else 1  # over all of them at once is six times faster
    largest = np.atleast_1d(np.maximum(vectors.max(axis=axis, initial=0), -vectors.min(axis=axis, initial=0)))
    scale: Floats = np.where(largest > LARGEST * np.finfo(np.float32).tiny, largest / LARGEST, 1).astype(np.float32)
    left: Floats = vectors * np.reciprocal(scale)[:, None]
    whole = np.rint(left)
    left -= whole
    residual = scale * np.sqrt(_squares(left)) * _UP + _LOST * norm
    return Quantised(whole.astype(np.int8), scale.astype(np.float64), residual, norm)


def lengths(vectors: Floats) -> Doubles:
    """At least the Euclidean length of each row, float64 (n,)."""
    return np.asarray(np.sqrt(_squares(vectors)) * _UP)


def _squares(vectors: Floats) -> Doubles:
    squares: Floats = np.einsum("ij,ij->i", vectors, vectors)
    return squares.astype(np.float64) + np.float64(np.finfo(np.float32).tiny)


@dataclass(frozen=True)
class Slopes:
    """What a threshold needs of the standing vectors, one row each, divided by their scale.

    Attributes:
        one: float64 (q,), 1 / t.
        residual: float64 (q,), (|u| + ROUNDING |q|) / t.
        whole: float64 (q,), (|q| + |u|) / t.
    """

    one: Doubles
    residual: Doubles
    whole: Doubles


def slopes(standing: Quantised) -> Slopes:
    """Of standing vectors with a scale each."""
    one = 1 / standing.scale
    lost = standing.residual + ROUNDING * standing.norm
    return Slopes(one, lost * one, (standing.norm + standing.residual) * one)


def thresholds(score: Doubles, standing: Slopes, cells: Quantised) -> Integers:
    """The least I·J of any pair whose score reaches `score`, int32 (q,); the greatest int32 where nothing may.

    Args:
        score: What must be reached, infinities allowed.
        standing: Of the same rows.
        cells: Quantised together.
    """
    longest, most = cells.norm.max(initial=0), cells.residual.max(initial=0)
    least = (score * standing.one - longest * standing.residual - most * standing.whole) / cells.scale[0]
    bounds = np.iinfo(np.int32)
    return np.asarray(np.clip(np.floor(least), bounds.min, bounds.max), dtype=np.int32)
