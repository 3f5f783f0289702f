"""In: chips at 20 m, MiniLM's sentence vectors. Out: unit vectors of the shared space.

Stops at tensors: sentences are `text_tower`'s, files are `export`'s. Everything here survives export to ONNX.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.nano_planes import FINE

DIMENSION = 384
"""Length of an embedding."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """`encoders.nano_planes.Planes` as tensors.

    Attributes:
        means: float32, (n, bands, h, w), reflectance, or decibel for radar; 0 where nothing is valid.
        spread: float32, (n, fine, h, w), texture inside the pixel.
        valid: float32, (n, bands, h, w), share of valid 10 m pixels; 0 for absent bands.
    """

    means: Tensor
    spread: Tensor
    valid: Tensor


class Pixelwise(nn.Module):
    """Two 1 x 1 layers over the channels of each 20 m pixel: the spectrum, read before anything is blurred."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, width, h, w), at least 0."""
        return functional.relu(self.layers(x))


class Mixing(nn.Module):
    """A 1 x 1 layer with its norm."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, width, h, w), at least 0."""
        return functional.relu(self.layers(x))


class Around(nn.Module):
    """A 3 x 3 filter per channel, a 1 x 1 mix, and a shortcut past both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = Mixing(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same shape."""
        mixed: Tensor = x + self.mix(self.around(x))
        return mixed


def _halved(x: Tensor) -> Tensor:
    """Mean and greatest of each 2 x 2: (n, 2 x channels, h / 2, w / 2)."""
    return torch.cat([functional.avg_pool2d(x, 2), functional.max_pool2d(x, 2)], dim=1)


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """Mean of each channel over the valid pixels: (n, channels)."""
    flat = weight.flatten(2).transpose(1, 2)
    total: Tensor = torch.bmm(x.flatten(2), flat)[..., 0] / flat.sum(dim=1).clamp(min=1e-3)
    return total


class NanoImage(nn.Module):
    """The image encoder of one sensor: pixelwise at 20 m, filters at 40 and 80 m, pooled, projected.

    Args:
        sensor: ``"s2"`` or ``"s1"``.
        widths: channels at 20, 40 and 80 m.
        hidden: width of the layer before the embedding.
    """

    def __init__(self, sensor: str, widths: tuple[int, int, int] = (32, 80, 160), hidden: int = 256) -> None:
        super().__init__()
        self.radar = sensor == "s1"
        bands = 2 if self.radar else 13
        fine, middle, coarse = widths
        self.pixelwise = Pixelwise((bands + 1 if self.radar else 2 * bands) + bands + len(FINE[sensor]), fine)
        self.middle = nn.Sequential(Mixing(2 * fine, middle), Around(middle))
        self.coarse = nn.Sequential(Mixing(2 * middle, coarse), Around(coarse), Around(coarse))
        pooled = fine + 2 * middle + 2 * coarse
        self.head = nn.Sequential(nn.Linear(pooled, hidden), nn.ReLU(), nn.Linear(hidden, DIMENSION))

    def channels(self, reduced: Reduced) -> Tensor:
        """What the network sees: reflectance and its logarithm (or decibel and VH/VV), masks, texture."""
        means, there = reduced.means, (reduced.valid > 0).to(reduced.means.dtype)
        if self.radar:
            both = there.amin(dim=1, keepdim=True)
            ratio = (means[:, 1:2] - means[:, 0:1] + 7) / 4 * both
            return torch.cat([(means + 14) / 6 * there, ratio, reduced.valid, reduced.spread * 2], dim=1)
        logarithm = (torch.log(means + 0.02) + 2) * there
        return torch.cat([(means - 0.15) * 5 * there, logarithm, reduced.valid, reduced.spread * 20], dim=1)

    def forward(self, reduced: Reduced) -> Tensor:
        """Unit vectors, (n, 384)."""
        weight = reduced.valid.amax(dim=1, keepdim=True)
        fine = self.pixelwise(self.channels(reduced)) * (weight > 0).to(weight.dtype)
        middle = self.middle(_halved(fine))
        coarse = self.coarse(_halved(middle))
        half = functional.avg_pool2d(weight, 2)
        quarter = functional.avg_pool2d(half, 2)
        means = [_mean(fine, weight), _mean(middle, half), _mean(coarse, quarter)]
        greatest = [(x * (w > 0.5).to(x.dtype)).amax(dim=(2, 3)) for x, w in ((middle, half), (coarse, quarter))]
        return functional.normalize(self.head(torch.cat(means + greatest, dim=1)), dim=-1)


class TextHead(nn.Module):
    """An affine map from MiniLM's sentence vectors into the shared space, shared by both sensors.

    It starts as the identity around the mean of the training sentences: what all of them have in common says nothing.
    """

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.map = nn.Linear(DIMENSION, DIMENSION)
        with torch.no_grad():
            self.map.weight.copy_(torch.eye(DIMENSION))
            self.map.bias.copy_(-mean)

    def forward(self, sentences: Tensor) -> Tensor:
        """MiniLM's vectors (n, 384) to unit vectors (n, 384)."""
        return functional.normalize(self.map(sentences), dim=-1)


class NanoModel(nn.Module):
    """Everything that is trained: both image encoders, the text head, the loss's temperature and bias."""

    def __init__(self, text_mean: Tensor) -> None:
        super().__init__()
        self.images = nn.ModuleDict({"s2": NanoImage("s2"), "s1": NanoImage("s1", widths=(24, 64, 128))})
        self.text = TextHead(text_mean)
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-3.0))
        self.text_log_scale = nn.Parameter(torch.tensor(2.3))
        self.text_bias = nn.Parameter(torch.tensor(-4.0))
