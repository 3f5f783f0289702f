"""In: prepared chips, word-piece ids, places. Out: their vectors in CLOSP's shared space, not yet of unit length.

Stops at tensors: no files, no units, no tokenizer; `encoders.closp_release` has those.

Source: Rege Cambrin et al. 2025, arXiv 2507.10403. Checked against the authors' code to 1e-5.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.bands import BANDS
from encoders.interface import DIMENSION
from encoders.location import OUTPUTS as LOCATION_OUTPUTS
from encoders.location import LocationEncoder
from encoders.minilm import MiniLM
from encoders.resnet import OUTPUTS as RESNET_OUTPUTS
from encoders.resnet import ResNet50
from encoders.vit import SIZE_PX, VisionTransformer


@dataclass(frozen=True, slots=True)
class Transformer:
    """Shape of a ViT backbone: token width, blocks, heads, outputs of its linear head (0: no head)."""

    width: int
    depth: int
    heads: int
    outputs: int = 0


@dataclass(frozen=True, slots=True)
class Variant:
    """One published combination of backbones; ``None`` is a ResNet-50."""

    s1: Transformer | None = None
    s2: Transformer | None = None
    located: bool = False


SMALL = Transformer(width=384, depth=12, heads=6)
LARGE = Transformer(width=1024, depth=24, heads=16)

VARIANTS: dict[str, Variant] = {
    "closp-rn": Variant(),
    "closp-vs": Variant(s1=SMALL, s2=Transformer(width=384, depth=12, heads=6, outputs=1000)),
    "closp-vl": Variant(s1=LARGE, s2=LARGE),
    "geoclosp-rn": Variant(located=True),
}
"""The four published models. Only the S2 backbone of VS kept its classifier."""


class FeatureTower(nn.Module):
    """Backbone of one sensor up to its last linear layers, as one module to export; these are `encoders.heads`'."""

    def __init__(self, backbone: ResNet50 | VisionTransformer, size_px: int | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.size_px = size_px

    def forward(self, pixels: Tensor) -> Tensor:
        """Vectors of chips.

        Args:
            pixels: float32, (n, bands, h, w); S2: reflectance with B10 zero, S1: VV and VH in dB; no NaN.

        Returns:
            float32, (n, features).
        """
        if self.size_px is not None:
            pixels = functional.interpolate(
                pixels, (self.size_px, self.size_px), mode="bilinear", align_corners=True, antialias=False
            )
        return self.backbone.features(pixels)


class TextTower(nn.Module):
    """MiniLM and the choice of its first token, as one module to export."""

    def __init__(self, text_model: MiniLM) -> None:
        super().__init__()
        self.text_model = text_model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(n, tokens) int64 ids and mask to (n, 384), of any length."""
        states: Tensor = self.text_model(input_ids, attention_mask)
        return states[:, 0]


class Closp(nn.Module):
    """The whole model, with the parameter names of the authors' checkpoints.

    Args:
        variant: a key of `VARIANTS`.
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        shape = VARIANTS[variant]
        self.s1_encoder = _backbone("s1", shape.s1)
        self.s2_encoder = _backbone("s2", shape.s2)
        self.text_model = MiniLM()
        self.s2_projection = nn.Linear(_width(shape.s2), DIMENSION)
        self.s1_projection = nn.Linear(_width(shape.s1), DIMENSION)
        self.sizes_px = {"s1": SIZE_PX if shape.s1 else None, "s2": SIZE_PX if shape.s2 else None}
        if shape.located:
            self.location_encoder = LocationEncoder()
            self.location_projection = nn.Linear(LOCATION_OUTPUTS, DIMENSION)

    def image_tower(self, sensor: str) -> FeatureTower:
        """The part that sees chips of ``"s1"`` or ``"s2"``; shares its weights with the model."""
        backbone = self.s1_encoder if sensor == "s1" else self.s2_encoder
        return FeatureTower(backbone, self.sizes_px[sensor]).eval()

    def images(self, pixels: Tensor, sensor: str) -> Tensor:
        """Vectors of chips.

        Args:
            pixels: float32, (n, bands, h, w); S2: reflectance with B10 zero, S1: VV and VH in dB; no NaN.
            sensor: ``"s1"`` or ``"s2"``.

        Returns:
            float32, (n, 384), of any length.
        """
        backbone = self.s1_encoder if sensor == "s1" else self.s2_encoder
        projection = self.s1_projection if sensor == "s1" else self.s2_projection
        last = backbone.fc if isinstance(backbone, ResNet50) else backbone.head
        vectors: Tensor = projection(last(self.image_tower(sensor)(pixels)))
        return vectors

    def text_tower(self) -> TextTower:
        """The part that embeds sentences; shares its weights with the model."""
        return TextTower(self.text_model).eval()

    def locations(self, lon_lat: Tensor) -> Tensor:
        """GeoCLOSP only: (n, 2) degrees, WGS84, to (n, 384), of any length."""
        vectors: Tensor = self.location_projection(self.location_encoder(lon_lat))
        return vectors


def empty(variant: str) -> Closp:
    """The model without storage for its weights, ready for ``load_state_dict(..., assign=True)``."""
    with torch.device("meta"):
        return Closp(variant).eval()


def layout(variant: str) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of a checkpoint, by its key."""
    return {key: tuple(each.shape) for key, each in empty(variant).state_dict().items()}


def _backbone(sensor: str, shape: Transformer | None) -> ResNet50 | VisionTransformer:
    bands = len(BANDS[sensor])
    if shape is None:
        return ResNet50(bands)
    return VisionTransformer(bands, shape.width, shape.depth, shape.heads, shape.outputs)


def _width(shape: Transformer | None) -> int:
    if shape is None:
        return RESNET_OUTPUTS
    return shape.outputs or shape.width
