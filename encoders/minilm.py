"""In: word-piece ids and their mask. Out: the last hidden state of MiniLM-L6, before any pooling.

Stops at the architecture: words become ids in `encoders.words`. Parameter names are those of the checkpoints.

Source: Wang et al. 2020, arXiv 2002.10957; layers as in BERT, Devlin et al. 2018, arXiv 1810.04805.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH = 384
"""Width of every token."""

LAYERS = 6
"""Transformer layers."""

HEADS = 12
"""Attention heads a layer."""

VOCABULARY = 30522
"""Word pieces of BERT's uncased vocabulary."""

POSITIONS = 512
"""Longest text the positions allow; CLOSP reads 64."""

NORM_EPS = 1e-12
"""Epsilon of the layer norms in BERT."""


class Embeddings(nn.Module):
    """Sum of word, position and segment vectors."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, WIDTH)
        self.position_embeddings = nn.Embedding(POSITIONS, WIDTH)
        self.token_type_embeddings = nn.Embedding(2, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(n, tokens) int64 to (n, tokens, 384); every token belongs to segment 0."""
        positions = self.position_embeddings.weight[: input_ids.shape[1]]
        segment = self.token_type_embeddings.weight[0]
        summed: Tensor = self.LayerNorm(self.word_embeddings(input_ids) + positions + segment)
        return summed


class SelfAttention(nn.Module):
    """Queries, keys and values of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(n, tokens, 384) to the same shape; `bias` (n, 1, 1, tokens) is added to the attention scores."""
        mixed = functional.scaled_dot_product_attention(
            _split(self.query(x)), _split(self.key(x)), _split(self.value(x)), attn_mask=bias
        )
        return mixed.transpose(1, 2).flatten(2)


class AddAndNorm(nn.Module):
    """A linear layer, its shortcut, and the norm after both."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, WIDTH)
        self.LayerNorm = nn.LayerNorm(WIDTH, eps=NORM_EPS)

    def forward(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """(n, tokens, width) and (n, tokens, 384) to (n, tokens, 384)."""
        normed: Tensor = self.LayerNorm(self.dense(x) + shortcut)
        return normed


class Attention(nn.Module):
    """Self-attention with its output layer; the split in two follows the checkpoints' names."""

    def __init__(self) -> None:
        super().__init__()
        self.self = SelfAttention()
        self.output = AddAndNorm(WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(n, tokens, 384) to the same shape."""
        mixed: Tensor = self.output(self.self(x, bias), x)
        return mixed


class Widening(nn.Module):
    """The first layer of the MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, 4 * WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(n, tokens, 384) to (n, tokens, 1536)."""
        return functional.gelu(self.dense(x))


class Layer(nn.Module):
    """One transformer layer with its norms after the shortcuts."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.intermediate = Widening()
        self.output = AddAndNorm(4 * WIDTH)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(n, tokens, 384) to the same shape."""
        attended = self.attention(x, bias)
        mixed: Tensor = self.output(self.intermediate(attended), attended)
        return mixed


class Layers(nn.Module):
    """The stack of layers, under the name that the checkpoints give it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.ModuleList(Layer() for _ in range(LAYERS))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """(n, tokens, 384) to the same shape."""
        for layer in self.layer:
            x = layer(x, bias)
        return x


class Pooler(nn.Module):
    """Present in the checkpoints, unused by CLOSP: kept so that loading can be strict."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(WIDTH, WIDTH)


class MiniLM(nn.Module):
    """MiniLM-L6 with 384 wide tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.encoder = Layers()
        self.pooler = Pooler()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Last hidden state.

        Args:
            input_ids: int64, (n, tokens), tokens at most 512.
            attention_mask: int64, (n, tokens), 1 for a word piece, 0 for padding.

        Returns:
            float32, (n, tokens, 384).
        """
        x = self.embeddings(input_ids)
        bias = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        states: Tensor = self.encoder(x, bias)
        return states


def _split(x: Tensor) -> Tensor:
    """(n, tokens, 384) to (n, heads, tokens, 32)."""
    return x.reshape(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)
