"""In: an ONNX graph in fp32. Out: the same graph in fp16 or bf16 where that is safe, with fp32 at both ends.

Stops at rewriting types: what the rounding costs, the comparison with the reference tells.

TensorRT 11 computes in the types that the graph names. NVIDIA's own tool for this, AutoCast in `nvidia-modelopt`,
needs onnx 1.21 and onnxruntime 1.24 and cannot be installed beside ours; the rule here is fixed instead: matrix
products, activations and whatever moves values are halved, everything else (norms, softmax, sums, divisions, powers,
resizing) stays as it was.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.version_converter import ConvertError, convert_version

from encoders.runtime import EngineRefused, Inputs

MASKED = 1e38
"""Absolute value from which a number stands for infinity, as in the masks of attention; those become the largest."""

Floating = Literal["fp32", "fp16", "bf16"]
"""Type that most of an engine computes in."""

BY_NAME: dict[str, Floating] = {"fp32": "fp32", "fp16": "fp16", "bf16": "bf16"}
"""The same by what settings call them."""

TYPES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}

LARGEST: dict[int, float] = {TensorProto.FLOAT16: 65504.0, TensorProto.BFLOAT16: float.fromhex("0x1.fep127")}
"""Largest number of each type."""

BF16_OPSET = 22
"""ONNX operator set; the first whose convolutions may be bf16."""

HALVED = frozenset(
    ("Add", "Concat", "Conv", "Expand", "Flatten", "Gather", "Gelu", "Gemm", "Identity", "MatMul", "MaxPool", "Mul")
    + ("Pad", "Relu", "Reshape", "Shape", "Slice", "Split", "Squeeze", "Sub", "Transpose", "Unsqueeze")
)
"""Operators that compute in half precision. GPUs add the products of a matrix product up in fp32."""

LARGEST_SAFE = LARGEST[TensorProto.FLOAT16] / 16
"""Largest activation on samples for which fp16 is chosen: other chips may be so many times brighter."""


def floating(arithmetic: str) -> Floating:
    """An arithmetic that a graph's types can name.

    Raises:
        EngineRefused: int8 is none.
    """
    if arithmetic not in BY_NAME:
        raise EngineRefused(f"engines on a GPU compute in {', '.join(BY_NAME)}, not in {arithmetic}")
    return BY_NAME[arithmetic]


def in_precision(model: onnx.ModelProto, precision: Floating) -> onnx.ModelProto:
    """The model in a precision, with whatever does not depend on its inputs computed.

    Raises:
        EngineRefused: the graph cannot be rewritten.
    """
    try:
        rewritten = _copy(model, BF16_OPSET if precision == "bf16" else 0)
        _inline_constants(rewritten.graph)
        _compute_weights(rewritten)
        if precision != "fp32":
            floats = _floats(onnx.shape_inference.infer_shapes(rewritten).graph)
            _Halving(rewritten.graph, floats, TYPES[precision]).rewrite()
        _drop_unused_weights(rewritten.graph)
        onnx.checker.check_model(rewritten, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ConvertError) as error:
        raise EngineRefused(f"this graph cannot be written in {precision}: {error}") from error
    return rewritten


def safe_half(model: onnx.ModelProto, samples: Sequence[Inputs]) -> Floating:
    """``"fp16"``, or ``"bf16"`` where an activation on the samples comes near fp16's largest number."""
    return "fp16" if max(largest_activation(model, each) for each in samples) < LARGEST_SAFE else "bf16"


def largest_activation(model: onnx.ModelProto, inputs: Inputs) -> float:
    """Largest absolute float value inside a graph, computed in fp32, masks left out."""
    observed = _copy(model)
    floats = _floats(onnx.shape_inference.infer_shapes(observed).graph)
    names = [name for node in observed.graph.node for name in node.output if name in floats]
    del observed.graph.output[:]
    observed.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = onnxruntime.InferenceSession(observed.SerializeToString(), providers=["CPUExecutionProvider"])
    sizes = (np.abs(each) for each in session.run(names, dict(inputs)))
    return max(float(each.max(initial=0.0, where=each < MASKED)) for each in sizes)


class _Halving:
    """One pass over a graph in which each float value gets a twin of the other type where one is asked for."""

    def __init__(self, graph: onnx.GraphProto, floats: frozenset[str], half: int) -> None:
        self._graph, self._floats, self._half = graph, floats, half
        self._weights = {each.name: each for each in graph.initializer}
        self._outputs = {each.name for each in graph.output}
        self._halves: set[str] = set()
        self._twins: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._new_weights: list[onnx.TensorProto] = []

    def rewrite(self) -> None:
        """Replace the graph's nodes and weights."""
        for node in self._graph.node:
            halved = node.op_type in HALVED
            inputs = [self._typed(name, halved) for name in node.input]
            del node.input[:]
            node.input.extend(inputs)
            self._nodes.append(node)
            if halved:
                self._halve_outputs(node)
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(self._nodes)
        self._graph.initializer.extend(self._new_weights)

    def _typed(self, name: str, halved: bool) -> str:
        """The value in the wanted type: itself or its twin, which is made on first use."""
        if name not in self._floats or (name in self._halves) == halved:
            return name
        if name not in self._twins:
            self._twins[name] = self._twin(name, halved)
        return self._twins[name]

    def _twin(self, name: str, halved: bool) -> str:
        twin = f"{name}.half" if halved else f"{name}.full"
        kind = self._half if halved else TensorProto.FLOAT
        if name in self._weights:
            values = _saturated(numpy_helper.to_array(self._weights[name]), kind)
            self._new_weights.append(numpy_helper.from_array(values, twin))
        else:
            self._nodes.append(helper.make_node("Cast", [name], [twin], to=kind))
        return twin

    def _halve_outputs(self, node: onnx.NodeProto) -> None:
        """Note that what the node makes is now half; an output of the graph is cast back under its own name."""
        for index, name in enumerate(node.output):
            if name not in self._floats:
                continue
            if name in self._outputs:
                node.output[index] = self._twins[name] = f"{name}.half"
                self._nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
            else:
                self._halves.add(name)


def _copy(model: onnx.ModelProto, opset: int = 0) -> onnx.ModelProto:
    """A copy of the model, in at least this operator set."""
    if max(each.version for each in model.opset_import if not each.domain) < opset:
        return convert_version(model, opset)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _inline_constants(graph: onnx.GraphProto) -> None:
    """Turn Constant nodes that hold a tensor into weights, so that both have one treatment."""
    nodes = []
    for node in graph.node:
        values = [each.t for each in node.attribute if each.name == "value"] if node.op_type == "Constant" else []
        if values:
            graph.initializer.add().CopyFrom(values[0])
            graph.initializer[-1].name = node.output[0]
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _compute_weights(model: onnx.ModelProto) -> None:
    """Replace nodes that only read weights by what they compute: TensorRT takes no packed weights but its own."""
    graph = model.graph
    known = {each.name for each in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.input and known.issuperset(node.input):
            nodes.append(node)
            known.update(node.output)
    names = [name for node in nodes for name in node.output]
    weights = [each for each in graph.initializer if any(each.name in node.input for node in nodes)]
    outputs = [helper.make_empty_tensor_value_info(name) for name in names]
    part = helper.make_model(
        helper.make_graph(nodes, "weights", [], outputs, weights), opset_imports=model.opset_import
    )
    computed = ReferenceEvaluator(part).run(None, {}) if nodes else []
    for node in nodes:
        graph.node.remove(node)
    graph.initializer.extend(
        numpy_helper.from_array(np.asarray(values), name) for name, values in zip(names, computed, strict=True)
    )


def _drop_unused_weights(graph: onnx.GraphProto) -> None:
    used = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _saturated(values: NDArray[np.float32], kind: int) -> NDArray[Any]:
    """Rounded to a type; what is beyond its range becomes its largest number, because a mask of -inf times 0 is NaN."""
    return values.clip(-LARGEST[kind], LARGEST[kind]).astype(helper.tensor_dtype_to_np_dtype(kind))


def _floats(graph: onnx.GraphProto) -> frozenset[str]:
    """Names of the values of type float32."""
    typed = [*graph.input, *graph.output, *graph.value_info]
    values = {each.name for each in typed if each.type.tensor_type.elem_type == TensorProto.FLOAT}
    return frozenset(values | {each.name for each in graph.initializer if each.data_type == TensorProto.FLOAT})
