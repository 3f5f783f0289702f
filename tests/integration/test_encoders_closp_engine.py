"""CLOSP through the real exporter and the real runtimes, from a checkpoint on disk to unit vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from benchmarks import recipe
from encoders.backends import OnnxRuntime, OpenVino
from encoders.closp_release import TOWERS, load_closp
from encoders.engines import Request, Runtime, checked_engine, compare
from encoders.interface import Encoder
from encoders.nano import FOLDER
from encoders.runtime import EngineRefused, disagreement
from encoders.runtimes import openvino, quantised
from encoders.words import VOCABULARY
from schemas.errors import SettingsError
from simulation.chips import make_chips

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnxscript", reason="needs the [torch] extra")

from encoders import closp, closp_build

needs_openvino = pytest.mark.skipif(openvino.unavailable() is not None, reason="needs the [openvino] extra")


@pytest.mark.parametrize("runtime", [OnnxRuntime, pytest.param(OpenVino, marks=needs_openvino)])
@pytest.mark.parametrize("variant", ["closp-vs", pytest.param("closp-rn", marks=pytest.mark.slow)])
def test_engine_agrees_with_torch_at_other_sizes_and_batches(
    tmp_path: Path, variant: str, runtime: type[Runtime]
) -> None:
    model = closp_build.assemble(variant, recipe.weights(closp.layout(variant)))
    builder = closp_build.ClospBuilder(model, {}, threads=1)
    engine = checked_engine(runtime(), Request("s1", variant, tmp_path, threads=1), lambda: builder)
    assert compare(engine, "s1", builder) < 1e-5
    chips = np.log10(recipe.chips("s1", 5, 90)) * np.float32(10.0)
    assert disagreement(engine.run({"pixels": chips}), builder.reference("s1").run({"pixels": chips})) < 1e-5


@pytest.fixture
def weights(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    from safetensors.numpy import save_file

    path = tmp_path / "model.safetensors"
    save_file(recipe.weights(closp.layout(getattr(request, "param", "closp-rn"))), path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["closp-rn", "closp-vs", "geoclosp-rn", "closp-vl"], indirect=True)
def test_checkpoint_to_vectors(tmp_path: Path, weights: Path, minilm_tokenizer: Path) -> None:
    def opened(backend: str) -> Encoder:
        return load_closp(weights, minilm_tokenizer, engines=tmp_path / "engines", threads=1, backend=backend)

    engine, torch = opened("onnxruntime"), opened("torch")
    assert engine.release == torch.release
    for sensor in ("s2", "s1"):
        chips = recipe.chips(sensor, 3)
        assert disagreement(engine.images(chips, sensor), torch.images(chips, sensor)) < 1e-5
    sentences = recipe.sentences(5)
    assert disagreement(engine.texts(sentences), torch.texts(sentences)) < 1e-5
    with capture_logs() as logs:
        opened("onnxruntime")
    assert [each["event"] for each in logs] == ["encoder loaded"]
    assert len(list((tmp_path / "engines").glob("*.engine"))) == len(TOWERS)


@pytest.mark.slow
def test_int8_is_built_once_and_is_a_release_of_its_own(
    tmp_path: Path, weights: Path, minilm_tokenizer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "engines"
    monkeypatch.setattr(quantised, "RECALL_FLOOR", 0.7)  # random networks tell chips apart by noise

    def opened(**how: object) -> Encoder:
        return load_closp(weights, minilm_tokenizer, engines=folder, threads=1, backend="onnxruntime", **how)

    with pytest.raises(SettingsError, match="tocsin encoder build"):
        opened(precision="int8")
    opened(precision="int8", chips=lambda sensor: make_chips(384, seed=90, sensor=sensor).pixels)
    rounded, exact = opened(precision="int8"), opened()
    assert rounded.release == f"{exact.release}-int8"
    chips = make_chips(8, seed=4, sensor="s2").pixels
    assert (rounded.images(chips, "s2") * exact.images(chips, "s2")).sum(axis=1).mean() > 0.999
    np.testing.assert_array_equal(rounded.texts(["flood"]), exact.texts(["flood"]))


@pytest.mark.slow
def test_int8_that_ranks_otherwise_is_refused(tmp_path: Path, weights: Path, minilm_tokenizer: Path) -> None:
    """Calibrated on chips a hundred times too dark, every activation of a real chip is cut off."""

    def chips(sensor: str) -> np.ndarray:
        found = make_chips(384, seed=90, sensor=sensor).pixels
        found[: -closp_build.CHECKED] *= np.float32(0.01)
        return found

    with pytest.raises(EngineRefused, match=r"mean cosine to fp32 0\.\d+, 0\.999 is asked"):
        load_closp(
            weights, minilm_tokenizer, engines=tmp_path, threads=1, backend="onnxruntime", precision="int8", chips=chips
        )
    assert list(tmp_path.glob("*s2*")) == []


@pytest.mark.slow
def test_a_retrained_projection_needs_no_new_engine(tmp_path: Path, weights: Path, minilm_tokenizer: Path) -> None:
    from safetensors.numpy import load_file, save_file

    before = load_closp(weights, minilm_tokenizer, engines=tmp_path / "engines", threads=1)
    tensors = load_file(weights)
    tensors["s2_projection.weight"] = tensors["s2_projection.weight"] * np.float32(-1.5)
    save_file(tensors, weights)
    with capture_logs() as logs:
        after = load_closp(weights, minilm_tokenizer, engines=tmp_path / "engines", threads=1)
    assert [each["event"] for each in logs] == ["encoder loaded"]
    assert after.release != before.release
    chips = recipe.chips("s2", 2)
    torch = load_closp(weights, minilm_tokenizer, engines=tmp_path / "none", threads=1, backend="torch")
    assert disagreement(after.images(chips, "s2"), torch.images(chips, "s2")) < 1e-5
    assert disagreement(after.images(chips, "s2"), before.images(chips, "s2")) > 1e-3


@pytest.fixture
def minilm_tokenizer(tmp_path: Path) -> Path:
    """Nano's tokenizer, filled up to MiniLM's number of word pieces."""
    document = json.loads((FOLDER / "tokenizer.json").read_text("utf-8"))
    known: dict[str, int] = document["model"]["vocab"]
    known |= {f"[filler{number}]": number for number in range(len(known), VOCABULARY)}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document), "utf-8")
    return path
