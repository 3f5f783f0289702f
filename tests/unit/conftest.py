"""A GPU that is a processor: streams that do everything at once, graphs that are called again."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import pytest


@dataclass
class Stream:
    """Does what it is told immediately."""

    cuda_stream: int = 7

    def wait_stream(self, _other: object) -> None:
        pass

    def wait_event(self, _event: object) -> None:
        pass

    def synchronize(self) -> None:
        pass


@dataclass
class CpuAsGpu:
    """What happened on it.

    Attributes:
        log: ``"launch"`` and ``"land"`` in their order.
        recorded: graphs so far.
        released: times that memory was given back.
    """

    log: list[str] = field(default_factory=list)
    recorded: int = 0
    released: int = 0

    def event(self) -> "Event":
        return Event(self)

    def record(self, work: Callable[[], None], _stream: object, _pool: object) -> Callable[[], None]:
        import torch

        # A replayed graph runs no Python, so it cares for no mode of the thread that replays it.
        self.recorded += 1
        work()
        return torch.inference_mode()(work)

    def release(self) -> None:
        self.released += 1


@dataclass
class Event:
    """Notes what it marks; only the event of finished work is ever waited for."""

    gpu: CpuAsGpu

    def record(self, _stream: object) -> None:
        self.gpu.log.append("launch")

    def synchronize(self) -> None:
        self.gpu.log.append("land")


@pytest.fixture
def cpu_as_gpu(monkeypatch: pytest.MonkeyPatch) -> CpuAsGpu:
    """Put it in the place of `encoders.runtimes.cuda`'s primitives."""
    torch = pytest.importorskip("torch", reason="needs the [torch] extra")
    from encoders.runtimes import cuda, nvidia

    gpu, stream = CpuAsGpu(), Stream()
    for name, fake in {
        "DEVICE": "cpu",
        "stream": lambda: stream,
        "current_stream": lambda: stream,
        "event": gpu.event,
        "on": lambda _stream: nullcontext(),
        "host": lambda shape, dtype: torch.zeros(shape, dtype=dtype),
        "device": lambda shape, dtype: torch.zeros(shape, dtype=dtype),
        "recorded": gpu.record,
        "memory_pool": lambda: None,
        "synchronize": lambda: None,
        "release": gpu.release,
    }.items():
        monkeypatch.setattr(cuda, name, fake)
    monkeypatch.setattr(nvidia, "gpu", lambda: nvidia.Gpu("NVIDIA Pretended 24GB", 86))
    return gpu
