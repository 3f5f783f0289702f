"""Weights travel, and a release computes what they compute."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from encoders.nano import FOLDER, Nano
from encoders.nano_text import TextTower
from schemas.errors import ReleaseMismatch
from training.export import export_images
from training.nano_model import NanoModel
from training.phrases import LABELS
from training.text_head import TextHead
from training.train_nano import export, save
from training.unreleased import Unreleased


@pytest.fixture(scope="module")
def model() -> NanoModel:
    torch.manual_seed(4)
    names = TextTower(FOLDER, 1).vectors([name.lower() for name in LABELS])
    made = NanoModel(TextHead(torch.zeros(384), torch.from_numpy(names)))
    with torch.no_grad():  # trained layers are not at their start: the norms and the hidden layer do something
        for layer in made.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.5, 1.5)
        made.text.outer.weight.normal_(0, 0.02)
    return made.eval()


# torch.onnx warns of its own renaming of axes, and of pytree's future
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_release_computes_what_its_weights_compute(model: NanoModel, tmp_path: Path) -> None:
    for name in ("text.onnx", "tokenizer.json"):
        shutil.copy(FOLDER / name, tmp_path / name)
    save(model, {"command": "none", "calibration": {}}, tmp_path / "weights.pt")
    release = export(tmp_path / "weights.pt", tmp_path)
    shipped, raw = Nano(tmp_path, threads=1), Unreleased(tmp_path / "weights.pt", tmp_path)
    assert shipped.release == release
    chips = np.random.default_rng(1).uniform(0, 0.5, (3, 13, 120, 120)).astype(np.float32)
    chips[1, :, :40] = np.nan
    radar = np.random.default_rng(2).uniform(0.001, 0.3, (3, 2, 120, 120)).astype(np.float32)
    for pixels, sensor in ((chips, "s2"), (radar, "s1")):
        cosines = (shipped.images(pixels, sensor) * raw.images(pixels, sensor)).sum(axis=1)
        assert cosines.min() > 0.995
    assert (shipped.texts(["burned area"]) * raw.texts(["burned area"])).sum() > 0.9


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_an_export_that_computes_something_else_is_refused(
    model: NanoModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.export.TOLERANCE", 1e-9)
    with pytest.raises(ReleaseMismatch, match=r"s1\.onnx differs from torch by"):
        export_images(model, "s1", tmp_path / "s1.onnx")


def test_weights_of_another_architecture_say_which_layers(model: NanoModel, tmp_path: Path) -> None:
    save(model, {}, tmp_path / "weights.pt")
    saved = torch.load(tmp_path / "weights.pt", weights_only=True)
    del saved["state"]["images.s2.attention.weight"]
    torch.save(saved, tmp_path / "weights.pt")
    with pytest.raises(RuntimeError, match=r"images\.s2\.attention\.weight"):
        Unreleased(tmp_path / "weights.pt", FOLDER)
