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
from encoders.nano_planes import reduced, specification
from encoders.prompts import prompts_entry
from schemas.errors import ReleaseMismatch
from training.nano_model import NanoImage, NanoModel, Reduced
from training.phrases import LABELS
from training.text_head import save_head

TOLERANCE = 5e-3
"""Largest difference of an embedding's component that eight-bit weights may cause: a cosine of 0.995 or better."""

LARGE = 1024
"""Numbers from which a constant is stored in eight bits."""

VERSION = "0.2"
"""Of the architecture and the training data; the hash after it tells releases apart."""

INPUTS = ("means", "spread", "valid")
"""Names of an image graph's inputs: the fields of `encoders.nano_planes.Planes`."""

FILES = ("s1.onnx", "s2.onnx", "text.onnx", "text_head.npz", "tokenizer.json")
"""What a release consists of, besides `release.json`."""


class _FromPlanes(nn.Module):
    """An image encoder with plain tensors at its door."""

    def __init__(self, encoder: NanoImage) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, means: Tensor, spread: Tensor, valid: Tensor) -> Tensor:
        vectors: Tensor = self.encoder(Reduced(means, spread, valid))
        return vectors


def _narrowed(model: onnx.ModelProto) -> None:
    """Store large float32 constants as int8 with a scale for each row, widened by nodes that the runtime folds.

    A quarter of the size, at an error of 0.2 % of a row's largest weight: `export_images` says what that does.
    """
    for constant in list(model.graph.initializer):
        values = numpy_helper.to_array(constant)
        if values.dtype != np.float32 or values.size < LARGE or values.ndim < 2:
            continue
        axes = tuple(range(1, values.ndim))
        scale = (np.maximum(np.abs(values).max(axis=axes, keepdims=True), 1e-12) / 127).astype(np.float32)
        codes = numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{constant.name}_codes")
        scales = numpy_helper.from_array(scale, f"{constant.name}_scale")
        widen = onnx.helper.make_node("Cast", [codes.name], [f"{constant.name}_wide"], to=onnx.TensorProto.FLOAT)
        weigh = onnx.helper.make_node("Mul", [f"{constant.name}_wide", scales.name], [constant.name])
        model.graph.initializer.remove(constant)
        model.graph.initializer.extend([codes, scales])
        model.graph.node.insert(0, weigh)
        model.graph.node.insert(0, widen)


def strip(model: onnx.ModelProto) -> None:
    """Take out what the exporter notes for whoever debugs it: stack traces with paths of the machine, half the file."""
    model.graph.doc_string = ""
    for noted in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del noted.metadata_props[:]
    for noted in (*model.graph.input, *model.graph.output):
        del noted.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ""


def _probe(sensor: str) -> dict[str, Tensor]:
    """Chips that meet every branch: noise, no data, absent bands."""
    pixels = np.random.default_rng(5).uniform(0, 0.7, (6, len(BANDS[sensor]), 120, 120)).astype(np.float32) ** 2
    pixels[1, :, :50] = np.nan
    pixels[2, 0, ::3] = np.nan
    planes = reduced(pixels, np.ones(len(BANDS[sensor]), np.bool_), sensor)
    planes.valid[3:, -1], planes.means[3:, -1] = 0, 0
    return {name: torch.from_numpy(getattr(planes, name)) for name in INPUTS}


def export_images(model: NanoModel, sensor: str, path: Path) -> float:
    """Write one sensor's encoder and compare it with torch.

    Returns:
        Largest difference of any component.

    Raises:
        ReleaseMismatch: the file computes something else.
    """
    network = _FromPlanes(model.images[sensor]).eval()  # type: ignore[arg-type]
    chips = _probe(sensor)
    axes = {0: torch.export.Dim("n"), 2: torch.export.Dim("h", min=8), 3: torch.export.Dim("w", min=8)}
    program = torch.onnx.export(
        network,
        tuple(chips.values()),
        dynamo=True,
        opset_version=20,
        input_names=INPUTS,
        output_names=["vectors"],
        dynamic_shapes=(axes,) * len(INPUTS),
        verbose=False,
    )
    if program is None:
        raise ReleaseMismatch(f"torch exported nothing for {sensor}")
    proto = program.model_proto
    _narrowed(proto)
    strip(proto)
    onnx.save(proto, path)
    with torch.no_grad():
        wanted = network(**chips).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    got = session.run(None, {name: plane.numpy() for name, plane in chips.items()})[0]
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
    save_head(model.text, folder / "text_head.npz")
    digest = content_hash(folder)
    release = f"nano-{VERSION}+{digest[:12]}"
    sizes = {name: (folder / name).stat().st_size for name in FILES}
    content = {
        "release": release,
        "sha256": digest,
        "labels": LABELS,
        "prompts": prompts_entry(),
        "preparation": specification(),
        "bytes": sizes,
        "parity": {sensor: float(f"{value:.2g}") for sensor, value in differences.items()},
        **facts,
    }
    (folder / "release.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    return release
