"""In: work recorded for a few batch sizes, and batches of any size. Out: their vectors, with copies hidden behind work.

Stops before the library that computes: `tensorrt` and `torch_cuda`, beside it, bring it. Each bucket has two slots of
memory. While the GPU computes in one, the processor fills the other and its upload runs.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from encoders.runtime import EngineRefused, Inputs
from encoders.runtimes import cuda
from encoders.runtimes.batches import Part, Rows, check_rows, fill, split

Tensors = Mapping[str, Tensor]
"""Device tensors by input name; the first axis is the batch."""

Bind = Callable[[int, Tensors, Tensor], cuda.Work]
"""Ties a bucket to memory: the work reads these inputs and writes this output, float32, (bucket, width)."""

SLOTS = 2
"""Buffers of a bucket: one is computed, the other filled."""


class Graphs:
    """Runs batches through recorded graphs.

    Args:
        name: of the engine, for messages.
        rows: of its inputs.
        width: of its output.
        buckets: batch sizes.
        bind: makes the work of each slot.
    """

    def __init__(self, name: str, rows: Rows, width: int, buckets: Sequence[int], bind: Bind) -> None:
        self._name, self._rows, self._width = name, rows, width
        self._buckets = tuple(buckets)
        self._upload, self._stream = cuda.stream(), cuda.stream()
        self._lock = Lock()
        self._slots = {
            bucket: [Slot(bucket, rows, width, bind, self._upload, self._stream) for _ in range(SLOTS)]
            for bucket in self._buckets
        }
        self._record()

    def change(self, change: Callable[[], None]) -> None:
        """Change what graphs depend on, for example weights, while none runs, and record them again.

        Raises:
            EngineRefused: it is closed.
        """
        with self._lock:
            self.check_open()
            cuda.synchronize()
            change()
            self._record()

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """See `encoders.runtime.Engine.run`.

        Raises:
            EngineRefused: inputs it was not made for, or it is closed.
        """
        count = check_rows(inputs, self._rows, self._name)
        vectors = np.empty((count, self._width), dtype=np.float32)
        flying: deque[tuple[Part, Slot]] = deque()
        with self._lock:
            self.check_open()
            self._upload.wait_stream(self._stream)
            for turn, part in enumerate(split(count, self._buckets)):
                if len(flying) == SLOTS:
                    _land(flying.popleft(), vectors)
                slot = self._slots[part.bucket][turn % SLOTS]
                slot.launch({name: each[part.rows] for name, each in inputs.items()})
                flying.append((part, slot))
            for each in flying:
                _land(each, vectors)
        return vectors

    def on_device(self, inputs: Tensors) -> Tensor:
        """The same for batches that are on the GPU already, and without waiting for the result.

        Args:
            inputs: of the engine's own types and shapes.

        Returns:
            float32, (n, width), on the GPU, in the order of the caller's stream.
        """
        count = len(next(iter(inputs.values())))
        with self._lock, torch.inference_mode():
            self.check_open()
            vectors = cuda.device((count, self._width), torch.float32)
            self._stream.wait_stream(cuda.current_stream())
            with cuda.on(self._stream):
                for part in split(count, self._buckets):
                    slot = self._slots[part.bucket][0]
                    slot.compute({name: each[part.rows] for name, each in inputs.items()}, vectors[part.rows])
            cuda.current_stream().wait_stream(self._stream)
        return vectors

    def close(self) -> None:
        """Free graphs and buffers; running afterwards is refused."""
        with self._lock:
            if self._slots:
                cuda.synchronize()
            self._slots.clear()
        cuda.release()

    def _record(self) -> None:
        pool = cuda.memory_pool()
        with torch.inference_mode():
            for slots in self._slots.values():
                for slot in slots:
                    slot.record(pool)

    def check_open(self) -> None:
        """Refuse work after `close`.

        Raises:
            EngineRefused: it is closed.
        """
        if not self._slots:
            raise EngineRefused(f"{self._name} is closed: open it again")


class GraphEngine:
    """What engines share that run as recorded graphs; each makes its own."""

    _graphs: Graphs

    @property
    def device(self) -> str:
        """See `encoders.runtime.DeviceEngine`."""
        return cuda.DEVICE

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """See `encoders.runtime.Engine.run`."""
        return self._graphs.run(inputs)

    def on_device(self, inputs: Tensors) -> Tensor:
        """See `Graphs.on_device`."""
        return self._graphs.on_device(inputs)


class Slot:
    """Memory, work and graph of one run of a bucket."""

    def __init__(
        self, bucket: int, rows: Rows, width: int, bind: Bind, upload: torch.cuda.Stream, stream: torch.cuda.Stream
    ) -> None:
        self._upload, self._stream = upload, stream
        kinds = {name: torch.from_numpy(np.empty(0, row.dtype)).dtype for name, row in rows.items()}
        shapes = {name: (bucket, *row.shape) for name, row in rows.items()}
        self._host = {name: cuda.host(shapes[name], kinds[name]) for name in rows}
        self._inputs = {name: cuda.device(shapes[name], kinds[name]) for name in rows}
        self._output = cuda.device((bucket, width), torch.float32)
        self._vectors = cuda.host((bucket, width), torch.float32)
        self._uploaded, self._done = cuda.event(), cuda.event()
        self._work = bind(bucket, self._inputs, self._output)
        self._replay: cuda.Work

    def record(self, pool: cuda.Pool) -> None:
        """Record the slot's work."""
        self._replay = cuda.recorded(self._work, self._stream, pool)

    def launch(self, rows: Inputs) -> None:
        """Send rows off; the slot must have landed before."""
        for name, each in rows.items():
            fill(self._host[name].numpy(), each)
        with cuda.on(self._upload):
            for name, there in self._inputs.items():
                there.copy_(self._host[name], non_blocking=True)
            self._uploaded.record(self._upload)
        with cuda.on(self._stream):
            self._stream.wait_event(self._uploaded)
            self._replay()
            self._vectors.copy_(self._output, non_blocking=True)
            self._done.record(self._stream)

    def land(self) -> NDArray[np.float32]:
        """Wait for what was launched: float32, (bucket, width), valid until the next launch."""
        self._done.synchronize()
        vectors: NDArray[np.float32] = self._vectors.numpy()
        return vectors

    def compute(self, rows: Tensors, vectors: Tensor) -> None:
        """Enqueue a run on the current stream for rows on the GPU. What an earlier run left behind them is no harm."""
        for name, each in rows.items():
            self._inputs[name][: len(each)].copy_(each)
        self._replay()
        vectors.copy_(self._output[: len(vectors)])


def _land(flight: tuple[Part, Slot], vectors: NDArray[np.float32]) -> None:
    part, slot = flight
    vectors[part.rows] = slot.land()[: len(part)]
