"""Engine files say themselves what they are; a damaged one is refused before a library sees it."""

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="needs the [torch] extra")

from encoders.runtime import EngineRefused
from encoders.runtimes.engine_files import Description, read_engine, write_engine

TURING = Description(
    backend="tensorrt-rtx",
    version="1.7.1.116",
    gpu="sm75",
    precision="fp16",
    model="closp-rn-0123456789ab-s2",
    buckets=(1, 8),
    shapes={"pixels": (13, 120, 120)},
    refittable=False,
)


def test_file_holds_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, TURING, b"plan\nwith\x00bytes")
    assert read_engine(path) == (TURING, b"plan\nwith\x00bytes")
    assert [each.name for each in tmp_path.iterdir()] == ["a.engine"]


def test_name_says_model_library_gpu_and_precision() -> None:
    assert TURING.key.startswith("closp-rn-0123456789ab-s2-tensorrt-rtx-1.7.1.116-sm75-fp16-")


@pytest.mark.parametrize(
    "other",
    [
        {"model": "closp-rn-0123456789ab-s1"},
        {"backend": "tensorrt"},
        {"version": "1.8.0.1"},
        {"gpu": "sm86"},
        {"precision": "bf16"},
        {"buckets": (1, 8, 32)},
        {"shapes": {"pixels": (13, 224, 224)}},
    ],
    ids=lambda each: next(iter(each)),
)
def test_another_engine_has_another_name(other: dict[str, object]) -> None:
    assert replace(TURING, **other).key != TURING.key


@pytest.mark.parametrize("left", [0, 1, 5, 40, 300])
def test_truncated_file(tmp_path: Path, left: int) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, TURING, bytes(200))
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(EngineRefused, match=r"a\.engine"):
        read_engine(path)


def test_truncated_file_says_what_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, TURING, bytes(200))
    path.write_bytes(path.read_bytes()[:-1])
    reason = r"a\.engine, built by tensorrt-rtx 1\.7\.1\.116 for sm75, is truncated: 199 of 200 bytes; build it again"
    with pytest.raises(EngineRefused, match=reason):
        read_engine(path)


def test_flipped_bit(tmp_path: Path) -> None:
    path = tmp_path / "a.engine"
    write_engine(path, TURING, bytes(200))
    content = path.read_bytes()
    path.write_bytes(content[:-7] + b"\x01" + content[-6:])
    with pytest.raises(EngineRefused, match="is damaged: build it again"):
        read_engine(path)


@pytest.mark.parametrize("content", [b"", b"ftrt\x00\x01", b"[1]\nplan", b'{"bytes": 1}\nplan', b"{" * 70000])
def test_no_engine_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.engine"
    path.write_bytes(content)
    with pytest.raises(EngineRefused, match="no engine file of ours"):
        read_engine(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="cannot be read"):
        read_engine(tmp_path / "a.engine")
