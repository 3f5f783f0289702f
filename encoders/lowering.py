"""In: a ResNet tower. Out: the same function, written so that a CPU runtime computes it near its GEMM rate.

Stops at algebra: the result equals the original up to the order of summation, which is checked when an engine is
built. Three rewrites, each for a layer that ONNX Runtime was measured to run at half of the GEMM rate or less:
batch norms are folded; the first convolution is split so that its larger part has whole blocks of 8 channels; the
last stage, whose planes are 4 x 4 px, becomes matrix products over batch and plane together.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from encoders.closp import FeatureTower
from encoders.resnet import Bottleneck, ResNet50

BLOCK_CHANNELS = 8
"""Channels that the runtime's convolution takes at once with AVX2."""


def lower(tower: FeatureTower) -> nn.Module:
    """An equivalent tower for the CPU; a ViT is already matrix products and comes back as it is."""
    if isinstance(tower.backbone, ResNet50):
        return LoweredTower(tower.backbone).eval()
    return tower


class LoweredTower(nn.Module):
    """ResNet-50 after the three rewrites."""

    def __init__(self, backbone: ResNet50) -> None:
        super().__init__()
        self.stem = SplitStem(fuse_conv_bn_eval(backbone.conv1, backbone.bn1))
        self.maxpool = backbone.maxpool
        self.convolutions = nn.Sequential(backbone.layer1, backbone.layer2, backbone.layer3)
        self.products = nn.Sequential(*(ProductBottleneck(block) for block in _bottlenecks(backbone.layer4)))

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, bands, h, w) to (n, 2048), as `FeatureTower`."""
        planes = self.convolutions(self.maxpool(functional.relu(self.stem(pixels))))
        features: Tensor = self.products(planes.permute(0, 2, 3, 1)).mean(dim=(1, 2))
        return features


class SplitStem(nn.Module):
    """One convolution as the sum of two over disjoint input bands; one alone where there are few bands."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.bands = conv.in_channels // BLOCK_CHANNELS * BLOCK_CHANNELS or conv.in_channels
        self.stride, self.padding = conv.stride, conv.padding
        weight, bias = conv.weight.detach(), conv.bias
        self.whole = _frozen(weight[:, : self.bands])
        self.rest = _frozen(weight[:, self.bands :])
        self.bias = bias

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, bands, h, w) to (n, 64, h / 2, w / 2)."""
        whole = functional.conv2d(pixels[:, : self.bands], self.whole, self.bias, self.stride, self.padding)
        if self.rest.shape[1] == 0:
            return whole
        return whole + functional.conv2d(pixels[:, self.bands :], self.rest, None, self.stride, self.padding)


class ProductConv(nn.Module):
    """A folded convolution, 1x1 or 3x3 with padding 1, as one matrix product over channels last."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        folded = fuse_conv_bn_eval(conv, norm)
        weight = folded.weight.detach()
        self.size, self.stride, self.width = weight.shape[2], conv.stride[0], weight.shape[0]
        self.matrix = _frozen(weight.permute(2, 3, 1, 0).reshape(-1, self.width))
        self.bias = _frozen(folded.bias if folded.bias is not None else torch.zeros(self.width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w, channels) to (n, h / stride, w / stride, width)."""
        gathered = _neighbours(x, self.stride) if self.size == 3 else x[:, :: self.stride, :: self.stride]
        return gathered @ self.matrix + self.bias


class ProductBottleneck(nn.Module):
    """A bottleneck whose convolutions are matrix products."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        self.reduce = ProductConv(block.conv1, block.bn1)
        self.mix = ProductConv(block.conv2, block.bn2)
        self.expand = ProductConv(block.conv3, block.bn3)
        self.shortcut: nn.Module = nn.Identity()
        if isinstance(block.downsample, nn.Sequential):
            self.shortcut = ProductConv(*block.downsample)

    def forward(self, x: Tensor) -> Tensor:
        """(n, h, w, channels) to (n, h / stride, w / stride, 4 width)."""
        inner = functional.relu(self.mix(functional.relu(self.reduce(x))))
        return functional.relu(self.expand(inner) + self.shortcut(x))


def _neighbours(x: Tensor, stride: int) -> Tensor:
    """The 3 x 3 surroundings of each kept pixel, zero outside: (n, h, w, c) to (n, h', w', 9 c)."""
    padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
    starts = [slice(start, start - 2 or None, stride) for start in range(3)]
    return torch.cat([padded[:, row, column] for row in starts for column in starts], dim=3)


def _bottlenecks(stage: nn.Sequential) -> list[Bottleneck]:
    return [block for block in stage if isinstance(block, Bottleneck)]


def _frozen(weight: Tensor) -> nn.Parameter:
    return nn.Parameter(weight.contiguous(), requires_grad=False)
