"""In: an engine file of TensorRT or TensorRT-RTX and named arrays. Out: what the engine computes on the GPU.

Stops at one engine: `tensorrt_build` makes it; whether it computes the right thing, `encoders.engines`
decides.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import structlog
import torch
from torch import Tensor

from encoders.runtime import EngineRefused
from encoders.runtimes import cuda, nvidia
from encoders.runtimes.batches import Row, Rows
from encoders.runtimes.engine_files import read_engine
from encoders.runtimes.graphs import GraphEngine, Graphs, Tensors
from encoders.runtimes.onnx_files import read_model
from encoders.runtimes.onnx_precision import in_precision
from encoders.runtimes.tensorrt_build import Log

log = structlog.get_logger()


class TensorRtEngine(GraphEngine):
    """One tower on TensorRT or TensorRT-RTX.

    Args:
        path: an engine file.
        model: what it must be.

    Raises:
        EngineRefused: damaged, of another model, or built for another GPU or library than are here.
    """

    def __init__(self, path: Path, model: str) -> None:
        self._path = path
        self._made, plan = read_engine(path)
        if self._made.model != model:
            raise EngineRefused(f"{path} is {self._made.model}, not {model}: build one for {model}")
        reason = nvidia.unavailable(self._made.backend)
        if reason is not None:
            raise EngineRefused(f"{path}, built by {self._made.origin}, cannot run here: {reason}")
        self._bindings = nvidia.bindings(self._made.backend)
        self._log = Log(self._bindings)
        self._engine: Any = self._loaded(plan)
        workspace = cuda.device((max(1, self._engine.device_memory_size_v2),), torch.uint8)
        self._workspace: Tensor | None = workspace
        self._output = self._output_name()
        width = tuple(self._engine.get_tensor_shape(self._output))[-1]
        self._graphs = Graphs(self.name, self._rows(), width, self._made.buckets, partial(self._bound, workspace))

    @property
    def name(self) -> str:
        """Library, version, precision, GPU, batch sizes."""
        batches = "/".join(str(each) for each in self._made.buckets)
        return f"{self._made.backend} {self._made.version}, {self._made.precision}, {nvidia.gpu().name}, by {batches}"

    def refit(self, onnx: Path, model: str) -> None:
        """Take the weights of a retrained model of the same architecture.

        Args:
            onnx: the new tower in fp32, stamped.
            model: what the file must say it is.

        Raises:
            EngineRefused: the engine takes no new weights, or these do not fit; in the second case it is closed,
                because some may have been taken.
        """
        self._graphs.check_open()
        if not self._made.refittable:
            raise EngineRefused(
                f"{self._path} takes no new weights, because of how it was built: build one for {model}"
            )
        content = in_precision(read_model(onnx, model), self._made.precision).SerializeToString()
        try:
            self._graphs.change(partial(self._take_weights, content))
        except EngineRefused as refusal:
            self.close()
            raise EngineRefused(f"{onnx} does not fit {self._path} ({refusal}): build one for {model}") from refusal
        self._made = replace(self._made, model=model)

    def close(self) -> None:
        """Free all memory on the GPU; running afterwards is refused."""
        self._graphs.close()
        self._engine = self._workspace = None
        cuda.release()

    def _loaded(self, plan: bytes) -> Any:
        reason = self._invalid(plan)
        if reason is None:
            engine = self._bindings.Runtime(self._log.logger).deserialize_cuda_engine(plan)
            if engine is not None:
                return engine
            reason = self._log.reason
        here = f"{self._made.backend} {self._bindings.__version__} on {nvidia.gpu().slug}"
        raise EngineRefused(
            f"{self._path} was built by {self._made.origin}; here is {here}: {reason}; delete it and build it again"
        )

    def _invalid(self, plan: bytes) -> str | None:
        """Why the engine cannot run here, by the library's own answer where its API has one."""
        if hasattr(self._bindings.Runtime, "get_engine_validity"):
            return invalidity(self._bindings, plan)
        same = (self._bindings.__version__, nvidia.gpu().slug) == (self._made.version, self._made.gpu)
        return None if same else "they differ"

    def _take_weights(self, content: bytes) -> None:
        refitter = self._bindings.Refitter(self._engine, self._log.logger)
        parser = self._bindings.OnnxParserRefitter(refitter, self._log.logger)
        if not parser.refit_from_bytes(content) or not refitter.refit_cuda_engine():
            raise EngineRefused(self._log.reason)

    def _bound(self, workspace: Tensor, bucket: int, inputs: Tensors, output: Tensor) -> cuda.Work:
        """A context of its own for each slot, so that no graph depends on what another binds.

        All work in one workspace, because they run one after the other.
        """
        context, stream = self._new_context(), cuda.current_stream()
        context.set_device_memory(workspace.data_ptr(), workspace.nbytes)
        context.set_optimization_profile_async(self._made.buckets.index(bucket), stream.cuda_stream)
        stream.synchronize()
        for name, each in inputs.items():
            context.set_input_shape(name, tuple(each.shape))
        for name, each in {**inputs, self._output: output}.items():
            context.set_tensor_address(name, each.data_ptr())

        def work() -> None:
            if not context.execute_async_v3(cuda.current_stream().cuda_stream):
                raise EngineRefused(f"{self._path} does not run in batches of {bucket}: {self._log.reason}")

        return work

    def _new_context(self) -> Any:
        ours = self._bindings.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(self._engine, "create_runtime_config"):
            return self._engine.create_execution_context(ours)
        config = self._engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(ours)
        if hasattr(config, "dynamic_shapes_kernel_specialization_strategy"):
            # By default RTX compiles for a shape in the background, and the graph would keep the stopgap kernels.
            config.dynamic_shapes_kernel_specialization_strategy = (
                self._bindings.DynamicShapesKernelSpecializationStrategy.EAGER
            )
        return self._engine.create_execution_context(config)

    def _rows(self) -> Rows:
        """Rows of the inputs, with the library's types."""
        kinds: dict[Any, np.dtype[Any]] = {
            self._bindings.DataType.FLOAT: np.dtype(np.float32),
            self._bindings.DataType.INT64: np.dtype(np.int64),
        }
        return {
            name: Row(shape, kinds[self._engine.get_tensor_dtype(name)]) for name, shape in self._made.shapes.items()
        }

    def _output_name(self) -> str:
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        return next(str(name) for name in names if name not in self._made.shapes)


def invalidity(library: ModuleType, plan: bytes) -> str | None:
    """Why a library says that an engine cannot run on the GPU here; ``None`` where it can.

    Args:
        library: one whose API has the question.
        plan: the serialised engine.
    """
    kept = Log(library)
    validity, bits = library.Runtime(kept.logger).get_engine_validity(plan)
    if validity == library.EngineValidity.SUBOPTIMAL:
        log.warning("engine was built for other GPUs and is slower here", version=library.__version__)
    if validity != library.EngineValidity.INVALID:
        return None
    causes = library.EngineInvalidityDiagnostics.__members__.items()
    named = [name.lower().replace("_", " ") for name, cause in causes if int(cause.value) & int(bits)]
    return ", ".join(named) or kept.reason
