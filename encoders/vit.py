"""In: float32 chips of 224 x 224. Out: the class token after the last norm, or what its head makes of it.

Stops at the architecture: no weights, no resizing. Parameter names are those of the published checkpoints.

Source: Dosovitskiy et al. 2020, arXiv 2010.11929; pre-norm blocks, exact GELU, learnt positions.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

SIZE_PX = 224
"""Side of the only chip size it takes: the learnt positions are 14 x 14 patches."""

PATCH_PX = 16
"""Side of a patch."""

NORM_EPS = 1e-6
"""Epsilon of the layer norms, as the checkpoints were trained with."""


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) to the same shape."""
        n, tokens, width = x.shape
        split = self.qkv(x).reshape(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(split[0], split[1], split[2])
        joined: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))
        return joined


class Mlp(nn.Module):
    """Two linear layers with a GELU between."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) to the same shape."""
        mixed: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return mixed


class Block(nn.Module):
    """Attention and MLP, each behind a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, width) to the same shape."""
        attended: Tensor = x + self.attn(self.norm1(x))
        mixed: Tensor = attended + self.mlp(self.norm2(attended))
        return mixed


class PatchEmbedding(nn.Module):
    """Cuts the chip into patches and maps each to a token."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(bands, width, PATCH_PX, stride=PATCH_PX)

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, 224, 224) to (n, 196, width)."""
        tokens: Tensor = self.proj(x).flatten(2).transpose(1, 2)
        return tokens


class VisionTransformer(nn.Module):
    """ViT with 16 px patches.

    Args:
        bands: planes of the chip.
        width: token width.
        depth: number of blocks.
        heads: attention heads a block.
        outputs: width of the linear head; 0 for none, then the class token itself comes out.
    """

    def __init__(self, bands: int, width: int, depth: int, heads: int, outputs: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (SIZE_PX // PATCH_PX) ** 2, width))
        self.patch_embed = PatchEmbedding(bands, width)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.head: nn.Module = nn.Linear(width, outputs) if outputs else nn.Identity()

    def features(self, x: Tensor) -> Tensor:
        """(n, bands, 224, 224) to (n, width): the class token, which the head reads."""
        patches = self.patch_embed(x)
        tokens = torch.cat([self.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)
        normed: Tensor = self.norm(self.blocks(tokens + self.pos_embed))
        return normed[:, 0]

    def forward(self, x: Tensor) -> Tensor:
        """(n, bands, 224, 224) to (n, outputs or width)."""
        outputs: Tensor = self.head(self.features(x))
        return outputs
