"""The stamp of an ONNX file, and the rewriting of its types."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="needs the [torch] extra")

import onnx
from onnx.reference import ReferenceEvaluator

from encoders.runtime import EngineRefused, disagreement
from encoders.runtimes.onnx_files import model_of, read_model, read_onnx, stamp_model
from encoders.runtimes.onnx_precision import in_precision, largest_activation, safe_half

WIDTH = 8


def graph(scale: float = 1.0, mask: float = -1.0) -> "onnx.ModelProto":
    """softmax(relu(x @ W) + mask) @ W: halved operators around one that is not, and a constant node."""
    helper = onnx.helper
    weights = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)).astype(np.float32) * np.float32(scale)
    return helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Constant", [], ["mask"], value=onnx.numpy_helper.from_array(np.float32([mask]))),
                helper.make_node("MatMul", ["x", "W"], ["product"]),
                helper.make_node("Relu", ["product"], ["positive"]),
                helper.make_node("Add", ["positive", "mask"], ["masked"]),
                helper.make_node("Softmax", ["masked"], ["shares"]),
                helper.make_node("MatMul", ["shares", "W"], ["y"]),
            ],
            "tower",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", WIDTH])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", WIDTH])],
            [onnx.numpy_helper.from_array(weights, "W")],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )


def rows(count: int = 5) -> NDArray[np.float32]:
    return np.random.default_rng(1).random((count, WIDTH), dtype=np.float32)


def computed(model: "onnx.ModelProto") -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    result: NDArray[np.float32] = session.run(None, {"x": rows()})[0]
    return result


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(graph(), str(tmp_path / "tower.onnx"))
    return tmp_path / "tower.onnx"


def test_stamp_is_read_again_and_replaced(path: Path) -> None:
    assert model_of(read_onnx(path)) is None
    stamp_model(path, "closp-rn-0-s2")
    stamp_model(path, "closp-rn-1-s2")
    assert model_of(read_model(path, "closp-rn-1-s2")) == "closp-rn-1-s2"
    assert len(read_onnx(path).metadata_props) == 1


def test_stamp_leaves_other_metadata_and_the_graph(path: Path) -> None:
    content = read_onnx(path)
    onnx.helper.set_model_props(content, {"author": "somebody"})
    onnx.save(content, str(path))
    stamp_model(path, "nano-s2")
    assert {each.key: each.value for each in read_onnx(path).metadata_props} == {
        "author": "somebody",
        "tocsin.model": "nano-s2",
    }
    np.testing.assert_array_equal(computed(read_onnx(path)), computed(graph()))


def test_file_of_another_model(path: Path) -> None:
    stamp_model(path, "closp-rn-0-s1")
    with pytest.raises(EngineRefused, match=r"tower\.onnx is closp-rn-0-s1, not closp-rn-0-s2: export closp-rn-0-s2"):
        read_model(path, "closp-rn-0-s2")


def test_file_without_stamp(path: Path) -> None:
    with pytest.raises(EngineRefused, match="of no stated model, not nano-s2"):
        read_model(path, "nano-s2")


@pytest.mark.parametrize("content", [b"", b"not ONNX", b"\x08\x07\x12"])
def test_file_that_is_no_onnx(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(EngineRefused, match="export it again"):
        read_onnx(path)


def test_truncated_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(EngineRefused, match="cannot be read as ONNX"):
        read_onnx(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="cannot be read as ONNX"):
        read_onnx(tmp_path / "absent.onnx")


def test_fp32_computes_exactly_the_same() -> None:
    model = graph()
    before = model.SerializeToString()
    np.testing.assert_array_equal(computed(in_precision(model, "fp32")), computed(model))
    assert model.SerializeToString() == before


@pytest.mark.parametrize(("precision", "limit"), [("fp32", 1e-6), ("fp16", 2e-3)])
def test_packed_weights_are_computed_before(precision: str, limit: float) -> None:
    model, helper = graph(), onnx.helper
    weights = onnx.numpy_helper.to_array(model.graph.initializer[0])
    scale = np.float32(np.abs(weights).max() / 127)
    del model.graph.initializer[:]
    model.graph.initializer.extend(
        [
            onnx.numpy_helper.from_array(np.rint(weights / scale).astype(np.int8), "codes"),
            onnx.numpy_helper.from_array(scale, "scale"),
        ]
    )
    model.graph.node.insert(0, helper.make_node("Cast", ["codes"], ["wide"], to=onnx.TensorProto.FLOAT))
    model.graph.node.insert(1, helper.make_node("Mul", ["wide", "scale"], ["W"]))
    rewritten = in_precision(model, precision)
    assert not {"codes", "scale", "wide"} & {each.name for each in rewritten.graph.initializer}
    assert disagreement(computed(rewritten), computed(model)) < limit


def test_fp16_computes_nearly_the_same_between_float32_ends() -> None:
    model = graph()
    before = model.SerializeToString()
    halved = in_precision(model, "fp16")
    assert 0 < disagreement(computed(halved), computed(model)) < 2e-3
    assert model.SerializeToString() == before


def test_bf16_computes_nearly_the_same_between_float32_ends() -> None:
    found = ReferenceEvaluator(in_precision(graph(), "bf16")).run(None, {"x": rows()})[0]
    assert found.dtype == np.float32
    assert 0 < disagreement(found, computed(graph())) < 2e-2


def test_softmax_stays_in_float32_and_products_do_not() -> None:
    halved = onnx.shape_inference.infer_shapes(in_precision(graph(), "fp16")).graph
    kinds = {each.name: each.type.tensor_type.elem_type for each in halved.value_info}
    assert kinds["shares"] == onnx.TensorProto.FLOAT
    assert kinds["product"] == kinds["masked"] == onnx.TensorProto.FLOAT16
    assert {each.name for each in halved.initializer} == {"W.half", "mask.half"}


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_mask_beyond_the_range_of_the_type_is_its_largest_number(precision: str) -> None:
    halved = in_precision(graph(mask=float(np.finfo(np.float32).min)), precision)
    mask = next(each for each in halved.graph.initializer if each.name == "mask.half")
    assert np.isfinite(onnx.numpy_helper.to_array(mask).astype(np.float64)).all()


def test_mask_is_no_reason_for_bf16() -> None:
    model = graph(mask=float(np.finfo(np.float32).min))
    assert safe_half(model, [{"x": rows()}]) == "fp16"
    assert np.isfinite(computed(in_precision(model, "fp16"))).all()


def test_activations_near_the_end_of_fp16_ask_for_bf16() -> None:
    batch = {"x": rows()}
    assert safe_half(graph(), [batch]) == "fp16"
    assert safe_half(graph(scale=1e4), [batch]) == "bf16"
    product = rows() @ np.float32(onnx.numpy_helper.to_array(graph(scale=1e4).graph.initializer[0]))
    assert largest_activation(graph(scale=1e4), batch) == pytest.approx(np.abs(product).max(), rel=1e-5)
