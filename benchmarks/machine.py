"""In: a number of threads. Out: how fast this machine multiplies matrices and sleeps between, measured now.

Stops at the yardstick: shares of it are taken by the benchmarks.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

SIDE = 2048
"""Side of the square matrices: large enough for the peak, 0.1-0.2 s a product."""


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Gemm:
    """The machine's fp32 matrix product, through the BLAS that numpy uses.

    The number of threads is the BLAS library's own setting (OPENBLAS_NUM_THREADS or OMP_NUM_THREADS), fixed when
    numpy is imported: see `limit_threads`.
    """

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._left: NDArray[np.float32] = random.random((SIDE, SIDE), dtype=np.float32)
        self._right: NDArray[np.float32] = random.random((SIDE, SIDE), dtype=np.float32)
        self._product = np.empty_like(self._left)

    def flops_per_s(self) -> float:
        """Floating point operations a second of one product."""
        return 2.0 * SIDE**3 / seconds(lambda: np.matmul(self._left, self._right, out=self._product))
