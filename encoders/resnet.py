"""In: float32 chips of any size. Out: the 1000 outputs of a ResNet-50's last layer, unnormalised.

Stops at the architecture: no weights, no preprocessing. Parameter names are those of the published checkpoints.

Source: He et al. 2015, arXiv 1512.03385, in the variant with the stride on the 3x3 convolution ("v1.5").
"""

from torch import Tensor, nn

BLOCKS = (3, 4, 6, 3)
"""Bottlenecks in each of the four stages of a ResNet-50."""

EXPANSION = 4
"""Output channels of a bottleneck over its inner width."""

OUTPUTS = 1000
"""Width of the last layer. CLOSP keeps the 1000-way classifier and projects from it."""


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand, and the shortcut around them."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        expanded = width * EXPANSION
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, expanded, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(expanded)
        self.act = nn.ReLU()
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels != expanded:
            shortcut = nn.Conv2d(channels, expanded, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(expanded))

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, 4 width, h / stride, w / stride)."""
        inner = self.act(self.bn1(self.conv1(x)))
        inner = self.act(self.bn2(self.conv2(inner)))
        joined: Tensor = self.act(self.bn3(self.conv3(inner)) + self.downsample(x))
        return joined


class ResNet50(nn.Module):
    """ResNet-50 with a free number of input bands."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(bands, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.act = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, BLOCKS[0], stride=1)
        self.layer2 = _stage(256, 128, BLOCKS[1], stride=2)
        self.layer3 = _stage(512, 256, BLOCKS[2], stride=2)
        self.layer4 = _stage(1024, 512, BLOCKS[3], stride=2)
        self.fc = nn.Linear(2048, OUTPUTS)

    def features(self, x: Tensor) -> Tensor:
        """(n, bands, h, w), h and w at least 32, to (n, 2048): what the last layer reads."""
        x = self.maxpool(self.act(self.bn1(self.conv1(x))))
        planes: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return planes.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, h, w), h and w at least 32, to (n, 1000)."""
        outputs: Tensor = self.fc(self.features(x))
        return outputs


def _stage(channels: int, width: int, blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(channels, width, stride)
    rest = [Bottleneck(width * EXPANSION, width, 1) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)
