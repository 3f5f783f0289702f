"""In: some work. Out: how long it took, and how fast this machine multiplies matrices, measured now.

Stops at the yardstick: shares of it are taken by the benchmarks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

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


def products(threads: int) -> dict[str, Callable[[], object]]:
    """One fp32 product of `FLOPS` operations by each library that is here: which is fastest, the processor decides.

    Args:
        threads: of each; numpy's BLAS reads its own limit from the environment when it is imported.
    """
    random = np.random.default_rng(0)
    left, right = (random.random((SIDE, SIDE), dtype=np.float32) for _ in range(2))
    out = np.empty_like(left)
    found: dict[str, Callable[[], object]] = {"numpy": lambda: np.matmul(left, right, out=out)}
    if find_spec("torch") is not None:
        found["torch"] = _torch_product(left, right, threads)
    if find_spec("openvino") is not None:
        found["openvino"] = _openvino_product(left, right, threads)
    return found


def _torch_product(left: NDArray[np.float32], right: NDArray[np.float32], threads: int) -> Callable[[], object]:
    import torch  # noqa: PLC0415 - an extra

    torch.set_num_threads(threads)
    one, two, out = torch.from_numpy(left), torch.from_numpy(right), torch.empty(SIDE, SIDE)
    return lambda: torch.mm(one, two, out=out)


def _openvino_product(left: NDArray[np.float32], right: NDArray[np.float32], threads: int) -> Callable[[], object]:
    from encoders.runtimes.openvino import loaded  # noqa: PLC0415 - an extra

    openvino = loaded()
    graph = openvino.opset13
    rows = graph.parameter([SIDE, SIDE], np.float32)
    model = openvino.Model([graph.matmul(rows, graph.constant(right), False, False)], [rows])
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([left], share_inputs=True, share_outputs=True)
