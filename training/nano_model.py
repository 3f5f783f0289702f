"""In: chips at 20 m, MiniLM's sentence vectors. Out: unit vectors of the shared space.

Stops at tensors: sentences are `text_tower`'s, files are `export`'s. Everything here survives export to ONNX.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from encoders.nano_planes import FINE
from training.text_head import TextHead

DIMENSION = 384
"""Length of an embedding."""

REGIONS = 4
"""Parts of a chip that are looked at by themselves: a burnt patch counts as one, however small its share."""


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


class Mixing(nn.Module):
    """A layer over the channels, with its norm, that also sees the mean of the whole chip.

    What burnt or flooded ground looks like depends on what lies around it: the mean makes contrast a linear matter.

    Args:
        channels: in.
        width: out.
        stride: 1 keeps the size, 2 halves it and weighs the four pixels of each 2 x 2 by themselves.
    """

    def __init__(self, channels: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.here = nn.Conv2d(channels, width, stride, stride, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.everywhere = nn.Linear(channels, width, bias=False)

    def forward(self, x: Tensor, mean: Tensor) -> Tensor:
        """(n, channels, h, w) and its mean (n, channels) to (n, width, h / stride, w / stride), at least 0."""
        return functional.relu(self.norm(self.here(x)) + self.everywhere(mean)[:, :, None, None])


class Around(nn.Module):
    """A 3 x 3 filter per channel, a 1 x 1 mix, and a shortcut past both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.around = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.mix = Mixing(width, width)

    def forward(self, x: Tensor, mean: Tensor) -> Tensor:
        """(n, width, h, w) and its mean (n, width) to the same shape."""
        mixed: Tensor = x + self.mix(self.around(x), mean)
        return mixed


def _mean(x: Tensor, weight: Tensor) -> Tensor:
    """Mean of each channel over the valid pixels: (n, channels)."""
    flat = weight.flatten(2).transpose(1, 2)
    total: Tensor = torch.bmm(x.flatten(2), flat)[..., 0] / flat.sum(dim=1).clamp(min=1e-3)
    return total


def _greatest(x: Tensor, weight: Tensor) -> Tensor:
    """Greatest of each channel over the mostly valid pixels: (n, channels)."""
    return (x * (weight > 0.5).to(x.dtype)).amax(dim=(2, 3))


class NanoImage(nn.Module):
    """The image encoder of one sensor: pixelwise at 20 m, filters at 40 and 80 m, pooled by region, projected.

    Args:
        sensor: ``"s2"`` or ``"s1"``.
        widths: channels at 20, 40 and 80 m.
        hidden: width of the layer before the embedding.
    """

    def __init__(self, sensor: str, widths: tuple[int, int, int] = (32, 80, 160), hidden: int = 512) -> None:
        super().__init__()
        self.radar = sensor == "s1"
        bands = 2 if self.radar else 13
        fine, middle, coarse = widths
        self.spectrum = nn.Conv2d((bands + 1 if self.radar else bands) + bands + len(FINE[sensor]), fine, 1)
        self.pixelwise = Mixing(fine, fine)
        self.narrow, self.middle = Mixing(fine, middle, 2), Around(middle)
        self.wide, self.coarse = Mixing(middle, coarse, 2), nn.ModuleList([Around(coarse), Around(coarse)])
        self.attention = nn.Conv2d(coarse, REGIONS, 1)
        pooled = fine + 2 * middle + 2 * coarse + REGIONS * coarse
        self.head = nn.Sequential(nn.Linear(pooled, hidden), nn.ReLU(), nn.Linear(hidden, DIMENSION))

    def channels(self, reduced: Reduced) -> Tensor:
        """What the network sees: logarithm of reflectance (or decibel and VH/VV), masks, texture."""
        means, there = reduced.means, (reduced.valid > 0).to(reduced.means.dtype)
        if self.radar:
            both = there.amin(dim=1, keepdim=True)
            ratio = (means[:, 1:2] - means[:, 0:1] + 7) / 4 * both
            return torch.cat([(means + 14) / 6 * there, ratio, reduced.valid, reduced.spread * 2], dim=1)
        logarithm = (torch.log(means + 0.02) + 2) * there
        return torch.cat([logarithm, reduced.valid, reduced.spread * 20], dim=1)

    def regions(self, x: Tensor, weight: Tensor) -> Tensor:
        """Means over `REGIONS` learnt parts of the chip: (n, regions x channels)."""
        logits = self.attention(x).flatten(2) + (weight.flatten(2) - 1) * 20
        parts = torch.softmax(logits, dim=2)
        return torch.bmm(parts, x.flatten(2).transpose(1, 2)).flatten(1)

    def forward(self, reduced: Reduced) -> Tensor:
        """Unit vectors, (n, 384)."""
        weight = reduced.valid.amax(dim=1, keepdim=True)
        half = functional.avg_pool2d(weight, 2)
        quarter = functional.avg_pool2d(half, 2)
        spectra = functional.relu(self.spectrum(self.channels(reduced)))
        fine = self.pixelwise(spectra, _mean(spectra, weight))
        over_fine = _mean(fine, weight)
        middle = self.narrow(fine, over_fine)
        middle = self.middle(middle, _mean(middle, half))
        over_middle = _mean(middle, half)
        coarse = self.wide(middle, over_middle)
        for layer in self.coarse:
            coarse = layer(coarse, _mean(coarse, quarter))
        pooled = [over_fine, over_middle, _mean(coarse, quarter), _greatest(middle, half), _greatest(coarse, quarter)]
        return functional.normalize(self.head(torch.cat([*pooled, self.regions(coarse, quarter)], dim=1)), dim=-1)


class NanoModel(nn.Module):
    """Everything that is trained: both image encoders, the text head, the loss's temperature and bias.

    Args:
        text: as it was trained on text alone.
    """

    def __init__(self, text: TextHead) -> None:
        super().__init__()
        self.images = nn.ModuleDict({"s2": NanoImage("s2"), "s1": NanoImage("s1", widths=(24, 72, 144))})
        self.text = text
        self.log_scale = nn.Parameter(torch.tensor(2.3))
        self.bias = nn.Parameter(torch.tensor(-3.0))
