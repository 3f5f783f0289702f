"""In: some work. Out: how long it took, and how fast this machine multiplies matrices, measured now.

Stops at the yardstick: shares of it are taken by the benchmarks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIDE = 2048
"""Side of the square matrices: large enough for the peak, 0.1-0.2 s a product."""


@dataclass(frozen=True, slots=True)
class Elapsed:
    """What a piece of work took.

    Attributes:
        wall_s: seconds on the wall, with whatever else the machine did meanwhile.
        cpu_s: processor seconds of this process, all its threads together.
    """

    wall_s: float
    cpu_s: float


def elapsed(work: Callable[[], object]) -> Elapsed:
    """Time one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Elapsed(time.perf_counter() - wall, time.process_time() - cpu)


FLOPS = 2 * SIDE**3
"""Floating point operations of one product."""


class Gemm:
    """The machine's fp32 matrix product, through the BLAS that numpy uses.

    The number of threads is the BLAS library's own setting (OPENBLAS_NUM_THREADS or OMP_NUM_THREADS), fixed when
    numpy is imported.
    """

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._left: NDArray[np.float32] = random.random((SIDE, SIDE), dtype=np.float32)
        self._right: NDArray[np.float32] = random.random((SIDE, SIDE), dtype=np.float32)
        self._product = np.empty_like(self._left)

    def multiply(self) -> None:
        """One product of `FLOPS` operations, into memory that is already there."""
        np.matmul(self._left, self._right, out=self._product)
