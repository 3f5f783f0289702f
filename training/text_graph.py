"""In: MiniLM's small tensors and its four-bit matrices. Out: an ONNX file that turns token ids into sentence vectors.

Stops at the file: the graph uses ONNX Runtime's own four-bit operators, so it is for that runtime alone.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from training.four_bit import BLOCK, Packed
from training.minilm_source import HEADS, LAYERS, Weights

WIDTH = 384
"""Numbers per token."""

_MICROSOFT = "com.microsoft"


class _Graph:
    """Collects nodes and constants; every method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, domain: str = "", **attributes: int | float | list[int]) -> str:
        name = f"n{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs), [name], name=name, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def linear(self, x: str, packed: Packed, bias: Tensor) -> str:
        rows, columns = packed.codes.shape
        weight = self.constant(packed.bytes().reshape(rows, columns // BLOCK, BLOCK // 2).numpy())
        half = self.constant(packed.scales.reshape(-1).numpy().astype(np.float16))
        scales = self.add("Cast", half, to=TensorProto.FLOAT)
        settings = {"K": columns, "N": rows, "bits": 4, "block_size": BLOCK, "accuracy_level": 1}
        product = self.add("MatMulNBits", x, weight, scales, domain=_MICROSOFT, **settings)
        return self.add("Add", product, self.constant(bias.numpy()))

    def norm(self, x: str, weights: Weights, name: str) -> str:
        scale, bias = (self.constant(weights[f"{name}.{part}"].numpy()) for part in ("weight", "bias"))
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)


def _embedded(graph: _Graph, weights: Weights, words: Packed) -> str:
    """Words, places and the type, normalised."""
    rows, columns = words.codes.shape
    codes = helper.make_tensor("words", TensorProto.UINT4, (rows, columns), words.bytes().numpy().tobytes(), raw=True)
    graph.constants.append(codes)
    scales = graph.constant(words.scales.numpy().astype(np.float16))
    settings = {"gather_axis": 0, "quantize_axis": 1, "block_size": BLOCK}
    zeros = helper.make_tensor(
        "zeros", TensorProto.UINT4, words.scales.shape, bytes([0x88]) * (words.scales.numel() // 2), raw=True
    )
    graph.constants.append(zeros)
    found = graph.add("GatherBlockQuantized", "words", "input_ids", scales, "zeros", domain=_MICROSOFT, **settings)
    found = graph.add("Cast", found, to=TensorProto.FLOAT)
    table = (
        weights["embeddings.position_embeddings.weight"][:64] + weights["embeddings.token_type_embeddings.weight"][0]
    )
    length = graph.add("Shape", "input_ids", start=1, end=2)
    zero = graph.constant(np.array([0]))
    places = graph.add("Slice", graph.constant(table.numpy()), zero, length, zero)
    return graph.norm(graph.add("Add", found, places), weights, "embeddings.LayerNorm")


def _heads(graph: _Graph, x: str, order: list[int]) -> str:
    """(n, length, 384) split into heads, axes in the given order."""
    split = graph.add("Reshape", x, graph.constant(np.array([0, 0, HEADS, WIDTH // HEADS])))
    return graph.add("Transpose", split, perm=order)


def _layer(graph: _Graph, weights: Weights, packed: dict[str, Packed], index: int, x: str, hidden: str) -> str:
    """One transformer layer; `hidden` is added to the attention's logits."""
    root = f"encoder.layer.{index}"

    def linear(name: str, value: str) -> str:
        return graph.linear(value, packed[f"{root}.{name}"], weights[f"{root}.{name}.bias"])

    query = _heads(graph, linear("attention.self.query", x), [0, 2, 1, 3])
    key = _heads(graph, linear("attention.self.key", x), [0, 2, 3, 1])
    value = _heads(graph, linear("attention.self.value", x), [0, 2, 1, 3])
    scale = graph.constant(np.array((WIDTH // HEADS) ** -0.5, np.float32))
    logits = graph.add("Add", graph.add("Mul", graph.add("MatMul", query, key), scale), hidden)
    mixed = graph.add("MatMul", graph.add("Softmax", logits, axis=-1), value)
    mixed = graph.add("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = graph.add("Reshape", mixed, graph.constant(np.array([0, 0, WIDTH])))
    x = graph.norm(
        graph.add("Add", x, linear("attention.output.dense", mixed)), weights, f"{root}.attention.output.LayerNorm"
    )
    inner = graph.add("Gelu", linear("intermediate.dense", x))
    return graph.norm(graph.add("Add", x, linear("output.dense", inner)), weights, f"{root}.output.LayerNorm")


def _pooled(graph: _Graph, x: str, mask: str) -> str:
    """Mean over real tokens, unit length."""
    axis = graph.constant(np.array([1]))
    kept = graph.add("Unsqueeze", mask, graph.constant(np.array([2])))
    total = graph.add("ReduceSum", graph.add("Mul", x, kept), axis, keepdims=0)
    mean = graph.add("Div", total, graph.add("ReduceSum", kept, axis, keepdims=0))
    return graph.add("LpNormalization", mean, axis=-1, p=2)


def write_graph(path: Path, weights: Weights, packed: dict[str, Packed]) -> None:
    """Write the text tower.

    Args:
        path: of the ONNX file; inputs `input_ids`, `attention_mask` int64 (n, length ≤ 64), output `vectors`
            float32 (n, 384), unit rows.
        weights: biases, norms, places.
        packed: the linear maps by name, and `words`.
    """
    graph = _Graph()
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    wide = graph.add("Unsqueeze", mask, graph.constant(np.array([1, 2])))
    absent = graph.add("Sub", graph.constant(np.array(1, np.float32)), wide)
    hidden = graph.add("Mul", absent, graph.constant(np.array(-1e9, np.float32)))
    x = _embedded(graph, weights, packed["words"])
    for index in range(LAYERS):
        x = _layer(graph, weights, packed, index, x, hidden)
    graph.nodes.append(helper.make_node("Identity", [_pooled(graph, x, mask)], ["vectors"]))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", WIDTH])
    body = helper.make_graph(graph.nodes, "minilm", inputs, [output], graph.constants)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(_MICROSOFT, 1)]
    onnx.save(helper.make_model(body, opset_imports=opsets, ir_version=10), path)
