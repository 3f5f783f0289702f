"""In: a trained model and a text tower. Out: the files that `encoders.nano` runs, checked against torch.

Stops at the folder: whether the model is any good is `evaluate`'s matter.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from encoders.bands import BANDS
from encoders.nano_pixels import gaps_filled
from schemas.errors import ReleaseMismatch
from training.nano_model import NanoImage, NanoModel, reduce_chips
from training.phrases import LABELS

TOLERANCE = 2e-3
"""Largest difference of an embedding's component that half-precision weights may cause."""

FILES = ("s1.onnx", "s2.onnx", "text.onnx", "text_head.npz", "tokenizer.json")
"""What a release consists of, besides `release.json`."""


class _FromPixels(nn.Module):
    """An image encoder with the reduction to 20 m in front."""

    def __init__(self, encoder: NanoImage) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, pixels: Tensor, valid: Tensor) -> Tensor:
        vectors: Tensor = self.encoder(reduce_chips(pixels, valid, self.encoder.fine, self.encoder.radar))
        return vectors


def _halved(model: onnx.ModelProto) -> None:
    """Store large float32 constants as float16, widened by a Cast that the runtime folds at load time."""
    for constant in list(model.graph.initializer):
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < 256:
            continue
        half = numpy_helper.from_array(values.astype(np.float16), f"{constant.name}_half")
        widen = onnx.helper.make_node("Cast", [half.name], [constant.name], to=onnx.TensorProto.FLOAT)
        model.graph.initializer.remove(constant)
        model.graph.initializer.append(half)
        model.graph.node.insert(0, widen)


def _probe(sensor: str) -> tuple[Tensor, Tensor]:
    """Chips that meet every branch: noise, no data, absent bands."""
    random = torch.Generator().manual_seed(5)
    pixels = torch.rand(6, len(BANDS[sensor]), 120, 120, generator=random) ** 2 * 0.5
    pixels[1, :, :50] = float("nan")
    pixels[2, 0, ::3] = float("nan")
    filled, valid = gaps_filled(pixels.numpy(), np.ones(len(BANDS[sensor]), np.bool_))
    valid[3:, -1] = 0
    return torch.from_numpy(filled), torch.from_numpy(valid)


def export_images(model: NanoModel, sensor: str, path: Path) -> float:
    """Write one sensor's encoder and compare it with torch.

    Returns:
        Largest difference of any component.

    Raises:
        ReleaseMismatch: the file computes something else.
    """
    network = _FromPixels(model.images[sensor]).eval()  # type: ignore[arg-type]
    pixels, valid = _probe(sensor)
    count, half_h, half_w = (torch.export.Dim(name, min=1 if name == "n" else 8) for name in ("n", "half_h", "half_w"))
    axes = ({0: count, 2: 2 * half_h, 3: 2 * half_w}, {0: count, 2: half_h, 3: half_w})
    program = torch.onnx.export(
        network,
        (pixels, valid),
        dynamo=True,
        opset_version=20,
        input_names=["pixels", "valid"],
        output_names=["vectors"],
        dynamic_shapes=axes,
        verbose=False,
    )
    if program is None:
        raise ReleaseMismatch(f"torch exported nothing for {sensor}")
    proto = program.model_proto
    _halved(proto)
    onnx.save(proto, path)
    with torch.no_grad():
        wanted = network(pixels, valid).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {"pixels": pixels.numpy(), "valid": valid.numpy()})[0]
    difference = float(np.abs(got - wanted).max())
    if not difference < TOLERANCE:
        raise ReleaseMismatch(f"{path.name} differs from torch by {difference:.2g}: more than {TOLERANCE:.2g}")
    return difference


def content_hash(folder: Path) -> str:
    """SHA-256 over the release's files in order."""
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def export_release(model: NanoModel, folder: Path, facts: dict[str, object]) -> str:
    """Write everything but the text tower, which must lie there already.

    Args:
        model: trained.
        folder: of the release.
        facts: what else `release.json` shall say: command, calibration.

    Returns:
        The release's name.
    """
    differences = {sensor: export_images(model, sensor, folder / f"{sensor}.onnx") for sensor in ("s2", "s1")}
    weight, bias = model.text.map.weight.detach().numpy(), model.text.map.bias.detach().numpy()
    np.savez(folder / "text_head.npz", weight=weight.astype(np.float16), bias=bias.astype(np.float16))
    digest = content_hash(folder)
    release = f"nano-0.1+{digest[:12]}"
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    content = {
        "release": release,
        "sha256": digest,
        "labels": LABELS,
        "bytes": sizes,
        "parity": {sensor: float(f"{value:.2g}") for sensor, value in differences.items()},
        **facts,
    }
    (folder / "release.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return release
