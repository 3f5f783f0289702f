"""In: an ONNX file and named arrays. Out: what it computes on the processor, through OpenVINO.

Stops at one file: whether it is the right one, `encoders.engines` decides. The arithmetic is always named: left to
itself OpenVINO takes bf16 wherever the processor has it.
"""

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from encoders.runtime import EngineRefused, Inputs, available_cores
from schemas.backends import Arithmetic

HINTS: dict[Arithmetic, str] = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
"""What OpenVINO calls them. An int8 file says itself which products are int8; the hint is for the rest of it."""


def unavailable() -> str | None:
    """Why OpenVINO cannot run here; ``None`` where it can."""
    return None if find_spec("openvino") is not None else "openvino is not installed: pip install 'tocsin[openvino]'"


def loaded() -> Any:
    """OpenVINO, kept from reporting to its makers that it was imported, as it does by default.

    Where its `openvino_telemetry` cannot be imported it takes a stub of its own that sends nothing.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # Python's way of "cannot be imported"
    return import_module("openvino")  # a second of imports, only where it runs


class OpenVinoEngine:
    """One tower on OpenVINO's CPU plugin.

    Args:
        path: the ONNX file.
        arithmetic: ``"fp32"``, ``"bf16"``, or ``"int8"`` for a file of `encoders.runtimes.quantised`.
        threads: threads for one batch; ``None``: as many as cores that this process may use.

    Raises:
        EngineRefused: OpenVINO cannot read the file, or the processor would emulate this arithmetic.
    """

    def __init__(self, path: Path, arithmetic: Arithmetic, threads: int | None = None) -> None:
        openvino = loaded()
        used = threads or available_cores()
        self._name = f"openvino {openvino.__version__.split('-')[0]}, {arithmetic}, {used} threads"
        core = openvino.Core()
        abilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if arithmetic == "bf16" and "BF16" not in abilities:
            raise EngineRefused(
                f"{path}: this processor has no bf16 products (it has {', '.join(abilities)}): use fp32"
            )
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[arithmetic],
            "INFERENCE_NUM_THREADS": used,
            "NUM_STREAMS": 1,
            # Pinned to cores, our threads would wait for whatever else runs there.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._request = core.compile_model(str(path), "CPU", settings).create_infer_request()
        except RuntimeError as error:
            raise EngineRefused(f"{path} is not an engine that OpenVINO can load: {str(error).strip()}") from error
        self._lock = Lock()

    @property
    def name(self) -> str:
        """Runtime, version, precision, threads."""
        return self._name

    def run(self, inputs: Inputs) -> NDArray[np.float32]:
        """First output of the graph."""
        with self._lock:
            outputs = self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
            array: NDArray[np.float32] = outputs[0].copy()
        return array
