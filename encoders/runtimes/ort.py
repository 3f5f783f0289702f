"""In: an ONNX file and named arrays. Out: what it computes on the CPU, through ONNX Runtime.

Stops at one file: whether it is the right one, `encoders.engines` decides.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from encoders.runtime import EngineRefused, Inputs, available_cores
from schemas.backends import Arithmetic

UNREADABLE = (faults.Fail, faults.InvalidProtobuf, faults.InvalidGraph, faults.NoSuchFile, faults.InvalidArgument)
"""What ONNX Runtime raises on a file that it cannot use; they have no common ancestor."""

ERRORS_ONLY = 3
"""Log severity: its warnings go to stderr past our logs."""


class OnnxEngine:
    """One tower on ONNX Runtime's CPU provider.

    Args:
        path: the ONNX file.
        threads: threads for one batch; ``None``: as many as cores that this process may use.
        arithmetic: ``"fp32"``, or ``"int8"`` for a file of `quantised`; the file decides, this names it.

    Raises:
        EngineRefused: ONNX Runtime cannot read the file.
    """

    def __init__(self, path: Path, threads: int | None = None, arithmetic: Arithmetic = "fp32") -> None:
        self._threads, self._arithmetic = threads or available_cores(), arithmetic
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY + 1
        # Threads that spin for work starve whatever shares the cores with us.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except UNREADABLE as error:
            raise EngineRefused(f"{path} is not an engine that ONNX Runtime can load: {error}") from error
        self._output = self._session.get_outputs()[0].name

    @property
    def name(self) -> str:
        """Runtime, version, precision, threads."""
        return f"onnxruntime {onnxruntime.__version__}, {self._arithmetic}, {self._threads} threads"

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """First output of the graph."""
        outputs: list[NDArray[np.float32]] = self._session.run([self._output], dict(inputs))
        return outputs[0]
