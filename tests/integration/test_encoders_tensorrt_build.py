"""TensorRT-RTX itself builds CLOSP-RN and nano for GPUs that are not here."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnxscript", reason="needs the [torch] extra")

from benchmarks import recipe
from encoders.checks import check_pixels
from encoders.closp import layout
from encoders.closp_build import ClospBuilder, assemble
from encoders.nano import FOLDER
from encoders.nano_planes import reduced
from encoders.runtime import EngineRefused, Inputs
from encoders.runtimes import nvidia
from encoders.runtimes.engine_files import read_engine
from encoders.runtimes.onnx_files import stamp_model
from encoders.runtimes.tensorrt import TensorRtEngine, invalidity
from encoders.runtimes.tensorrt_build import Built, build

TARGETS = (80, 86, 89, 120)
"""From Ampere to Blackwell."""

BUCKETS = (1, 32)


@pytest.fixture(autouse=True)
def rtx() -> None:
    try:
        nvidia.bindings("tensorrt-rtx")
    except ImportError as error:
        pytest.skip(f"TensorRT-RTX is not installed ({error}): pip install 'tocsin[tensorrt-rtx]'")


@pytest.fixture(scope="module")
def closp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CLOSP-RN's S2 tower as ONNX, from recipe weights."""
    path = tmp_path_factory.mktemp("closp") / "s2.onnx"
    ClospBuilder(assemble("closp-rn", recipe.weights(layout("closp-rn"))), heads={}).export("s2", path, lowered=False)
    stamp_model(path, "closp-rn-recipe-s2")
    return path


@pytest.fixture
def nano(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """One of nano's image networks, stamped."""
    path = tmp_path / f"{request.param}.onnx"
    path.write_bytes((FOLDER / f"{request.param}.onnx").read_bytes())
    stamp_model(path, f"nano-{request.param}")
    return path


def planes(sensor: str) -> Inputs:
    chips = recipe.chips(sensor, 2)
    made = reduced(chips, check_pixels(chips, sensor, None), sensor)
    return {"means": made.means, "spread": made.spread, "valid": made.valid}


def built(tower: Path, precision: str, targets: tuple[int, ...] = TARGETS) -> Built:
    example = {"pixels": np.zeros((1, 13, 120, 120), dtype=np.float32)}
    return build(
        tower,
        "tensorrt-rtx",
        model="closp-rn-recipe-s2",
        example=example,
        precision=precision,
        buckets=BUCKETS,
        targets=targets,
    )


@pytest.mark.parametrize(("precision", "megabytes"), [("fp32", 104), ("fp16", 53), ("bf16", 53)])
def test_closp_is_built_for_four_architectures_at_once(
    closp: Path, tmp_path: Path, precision: str, megabytes: int
) -> None:
    made = built(closp, precision)
    description, plan = read_engine(made.write(tmp_path))
    assert description.gpu == "sm80-sm86-sm89-sm120"
    assert description.buckets == BUCKETS
    assert len(plan) / 1e6 == pytest.approx(megabytes, rel=0.1)


@pytest.mark.parametrize("target", TARGETS)
def test_closp_is_built_for_each_architecture(closp: Path, target: int) -> None:
    assert built(closp, "fp16", (target,)).description.gpu == f"sm{target}"


@pytest.mark.parametrize("nano", ["s2", "s1"], indirect=True)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_nano_is_built_for_four_architectures(nano: Path, precision: str) -> None:
    example = planes(nano.stem)
    made = build(
        nano,
        "tensorrt-rtx",
        model=f"nano-{nano.stem}",
        example=example,
        precision=precision,
        buckets=BUCKETS,
        targets=TARGETS,
    )
    assert made.description.shapes == {name: each.shape[1:] for name, each in example.items()}
    assert len(made.plan) > 500_000


@pytest.mark.parametrize("nano", ["s1"], indirect=True)
def test_text_tower_that_the_library_does_not_know_is_refused(tmp_path: Path, nano: Path) -> None:
    path = tmp_path / "text.onnx"
    path.write_bytes((FOLDER / "text.onnx").read_bytes())
    stamp_model(path, "nano-text")
    tokens = np.ones((1, 64), dtype=np.int64)
    with pytest.raises(EngineRefused, match="cannot read nano-text: "):
        build(
            path,
            "tensorrt-rtx",
            model="nano-text",
            example={"input_ids": tokens, "attention_mask": tokens},
            targets=TARGETS,
        )


@pytest.mark.parametrize("nano", ["s1"], indirect=True)
def test_architecture_that_is_not_served_is_refused(nano: Path) -> None:
    with pytest.raises(EngineRefused, match=r"builds for SM 75, 80, 86, 89, 120, .*not for SM 90"):
        build(nano, "tensorrt-rtx", model="nano-s1", example=planes("s1"), targets=(90,))


@pytest.mark.parametrize("nano", ["s1"], indirect=True)
def test_shape_that_does_not_fit_the_graph_is_refused(nano: Path) -> None:
    example = planes("s1") | {"means": np.zeros((1, 7, 60, 60), dtype=np.float32)}
    with pytest.raises(EngineRefused, match="cannot build nano-s1 in fp32: "):
        build(nano, "tensorrt-rtx", model="nano-s1", example=example, targets=TARGETS)


@pytest.mark.parametrize("nano", ["s1"], indirect=True)
def test_engine_does_not_open_without_a_gpu(nano: Path, tmp_path: Path) -> None:
    reason = nvidia.unavailable("tensorrt-rtx")
    if reason is None:
        pytest.skip("there is a GPU here")
    path = build(nano, "tensorrt-rtx", model="nano-s1", example=planes("s1"), targets=TARGETS).write(tmp_path)
    with pytest.raises(EngineRefused, match=r"sm80-sm86-sm89-sm120, cannot run here: no "):
        TensorRtEngine(path, "nano-s1")


def test_library_says_itself_that_a_plan_is_damaged() -> None:
    assert invalidity(nvidia.bindings("tensorrt-rtx"), b"no plan at all" * 10) == "malformed engine"
