"""In: work on tensors. Out: the same work recorded as a CUDA graph, on streams, with memory that the GPU can fetch.

Stops at the primitives: `graphs`, beside it, puts them in order. Torch is the means of memory, streams and graphs for
every NVIDIA backend.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

import torch
from torch import Tensor

DEVICE = "cuda"
"""The first GPU that CUDA shows."""

WARM_UPS = 3
"""Runs before recording, in which libraries compile, tune and allocate what they may not while a graph is recorded."""

Pool: TypeAlias = "torch.cuda._POOL_HANDLE"
"""Memory for the temporaries of graphs that never run at the same time."""

Work = Callable[[], None]
"""Enqueues kernels on the current stream, always with the same addresses."""


def stream() -> torch.cuda.Stream:
    """A new stream."""
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch has no types for it


def event() -> torch.cuda.Event:
    """A new event; whoever waits for it sleeps, because a thread that spins starves whatever shares the cores."""
    return torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]  # as above


def on(stream: torch.cuda.Stream) -> AbstractContextManager[object]:
    """Make a stream the current one."""
    return torch.cuda.stream(stream)


def current_stream() -> torch.cuda.Stream:
    """The caller's stream."""
    return torch.cuda.current_stream()


def host(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros in page-locked memory, which is copied without the processor's help."""
    return torch.zeros(shape, dtype=dtype, pin_memory=True)


def device(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros on the GPU."""
    return torch.zeros(shape, dtype=dtype, device=DEVICE)


def recorded(work: Work, stream: torch.cuda.Stream, pool: Pool) -> Work:
    """Record work as a graph; calling the result on the same stream does it again in one launch.

    Args:
        work: what to record.
        stream: where it will run.
        pool: of `memory_pool`.
    """
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    # Other threads of the process may go on allocating while this one records.
    with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
        work()
    replay: Work = graph.replay
    return replay


def memory_pool() -> Pool:
    """A new pool."""
    return torch.cuda.graph_pool_handle()


def synchronize() -> None:
    """Wait for all work on the GPU."""
    torch.cuda.synchronize()


def release() -> None:
    """Give what torch holds and nobody uses back to the driver."""
    torch.cuda.empty_cache()
