"""Checkpoints: what is wrong with a file is said by name."""

from pathlib import Path

import numpy as np
import pytest

from encoders.weights import check_layout, read_layout, read_tensors
from schemas.errors import ReleaseMismatch, ReleaseNotFound

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="needs the [torch] extra")

LAYOUT: dict[str, tuple[int, ...]] = {"conv.weight": (4, 2, 3, 3), "bn.bias": (4,), "bn.num_batches_tracked": ()}


def tensors() -> dict[str, np.ndarray]:
    return {
        "conv.weight": np.arange(72, dtype=np.float32).reshape(4, 2, 3, 3),
        "bn.bias": np.ones(4, dtype=np.float32),
        "bn.num_batches_tracked": np.array(1, dtype=np.int64),
    }


def saved(folder: Path, content: dict[str, np.ndarray]) -> Path:
    path = folder / "model.safetensors"
    safetensors_numpy.save_file(content, path)
    return path


def test_tensors_come_back_as_they_were_written(tmp_path: Path) -> None:
    read = read_tensors(saved(tmp_path, tensors()), LAYOUT)
    assert read.keys() == LAYOUT.keys()
    for key, value in tensors().items():
        np.testing.assert_array_equal(read[key], value)


def test_missing_key(tmp_path: Path) -> None:
    content = tensors()
    del content["bn.bias"]
    with pytest.raises(ReleaseMismatch, match=r"1 missing: bn\.bias"):
        read_tensors(saved(tmp_path, content), LAYOUT)


def test_unexpected_key(tmp_path: Path) -> None:
    with pytest.raises(ReleaseMismatch, match=r"1 unexpected: logit_scale"):
        read_tensors(saved(tmp_path, tensors() | {"logit_scale": np.ones(1, dtype=np.float32)}), LAYOUT)


def test_wrong_shape(tmp_path: Path) -> None:
    with pytest.raises(ReleaseMismatch, match=r"bn\.bias is \(5,\), needs \(4,\)"):
        read_tensors(saved(tmp_path, tensors() | {"bn.bias": np.ones(5, dtype=np.float32)}), LAYOUT)


def test_every_fault_is_counted_and_few_are_named() -> None:
    expected = {f"layer{index}.weight": (1,) for index in range(9)}
    with pytest.raises(ReleaseMismatch, match=r"9 missing: layer0\.weight, layer1\.weight, layer2\.weight …; 1 unex"):
        check_layout({"other": (1,)}, expected, Path("model.safetensors"))


def test_half_precision_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseMismatch, match=r"bn\.bias is float16, needs float32"):
        read_tensors(saved(tmp_path, tensors() | {"bn.bias": np.ones(4, dtype=np.float16)}), LAYOUT)


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    spoilt = np.array([1, np.nan, 1, 1], dtype=np.float32)
    with pytest.raises(ReleaseMismatch, match=r"bn\.bias holds values that are not finite"):
        read_tensors(saved(tmp_path, tensors() | {"bn.bias": spoilt}), LAYOUT)


@pytest.mark.parametrize("kept", [0, 4, 40, -1])
def test_truncated_file(tmp_path: Path, kept: int) -> None:
    path = saved(tmp_path, tensors())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ReleaseMismatch, match="truncated"):
        read_layout(path)


@pytest.mark.parametrize("content", [b"PK\x03\x04 a zip, as torch.save writes it", b"<html>not found</html>" * 9])
def test_not_safetensors(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ReleaseMismatch, match="not safetensors"):
        read_layout(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ReleaseNotFound, match="tocsin encoder pull"):
        read_layout(tmp_path / "model.safetensors")
