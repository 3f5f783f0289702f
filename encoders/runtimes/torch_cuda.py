"""In: a torch module and named arrays. Out: what it computes on an NVIDIA GPU, compiled and recorded as graphs.

Stops at running: the module's weights are in place when it arrives. It is what runs where TensorRT cannot.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from encoders.runtime import EngineRefused, Inputs
from encoders.runtimes import cuda, nvidia
from encoders.runtimes.batches import BUCKETS, rows_of
from encoders.runtimes.graphs import GraphEngine, Graphs, Tensors
from encoders.runtimes.onnx_precision import Floating

DTYPES: dict[Floating, torch.dtype] = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What torch calls them."""


class TorchCudaEngine(GraphEngine):
    """One tower through torch.compile, with one CUDA graph a bucket.

    Args:
        tower: module on the CPU, whose arguments are the inputs, in order; it is copied.
        example: a batch of the shapes that will come; tokens as many as there may be.
        precision: of weights and activations.
        buckets: batch sizes; each is compiled by itself, which takes a minute.

    Raises:
        EngineRefused: torch cannot compile here; the message says why.
    """

    def __init__(
        self, tower: nn.Module, example: Inputs, precision: Floating = "fp32", buckets: Sequence[int] = BUCKETS
    ) -> None:
        reason = nvidia.unavailable("torch-cuda")
        if reason is not None:
            raise EngineRefused(f"torch-cuda cannot run here: {reason}")
        forbid_tf32()
        self._precision, self._buckets = precision, tuple(sorted(buckets))
        module = Halved(deepcopy(tower), DTYPES[precision]).eval().to(cuda.DEVICE)
        with torch.inference_mode():
            width = module(*(torch.from_numpy(each[:1]).to(cuda.DEVICE) for each in example.values())).shape[1]
        # Torch counts variants per function and would stop at eight, though each engine has its own.
        compiled = torch.compile(  # type: ignore[call-overload]  # its overloads lack the last two
            module, dynamic=False, fullgraph=True, isolate_recompiles=True, recompile_limit=len(self._buckets)
        )

        def bind(_bucket: int, inputs: Tensors, output: Tensor) -> cuda.Work:
            def work() -> None:
                output.copy_(compiled(*inputs.values()))

            return work

        self._graphs = Graphs(self.name, rows_of(example), width, self._buckets, bind)

    @property
    def name(self) -> str:
        """Runtime, version, precision, GPU, batch sizes."""
        batches = "/".join(str(each) for each in self._buckets)
        return f"torch-cuda {torch.__version__}, {self._precision}, {nvidia.gpu().name}, by {batches}"

    def close(self) -> None:
        """Free all memory on the GPU; running afterwards is refused."""
        self._graphs.close()


class Halved(nn.Module):
    """A tower that computes in another type, with float32 at both ends."""

    def __init__(self, tower: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.tower, self.dtype = tower.to(dtype), dtype

    def forward(self, *inputs: Tensor) -> Tensor:
        """As the tower's own."""
        typed = (each.to(self.dtype) if each.is_floating_point() else each for each in inputs)
        vectors: Tensor = self.tower(*typed).float()
        return vectors


def forbid_tf32() -> None:
    """Make fp32 mean fp32 in this process: by default torch rounds the factors of convolutions to 10 bits."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
