"""Names of what runs an encoder and of what it computes in.

Stops at names: settings, command line and runtimes share them; what they mean is in `encoders`.
"""

from typing import Literal

BackendName = Literal["tensorrt", "tensorrt-rtx", "torch-cuda", "openvino", "onnxruntime", "torch"]
"""What can run a tower, the fastest first."""

Backend = Literal["auto", "tensorrt", "tensorrt-rtx", "torch-cuda", "openvino", "onnxruntime", "torch"]
"""``"auto"``: the first that runs on this machine; one that is refused is replaced by the next, with a warning."""

Arithmetic = Literal["fp32", "fp16", "bf16", "int8"]
"""What a tower's products are computed in; what goes in and what comes out is float32."""

Precision = Literal["auto", "fp32", "fp16", "bf16", "int8"]
"""``"auto"``: fp32 on a processor, fp16 or bf16 on a GPU, never int8."""
