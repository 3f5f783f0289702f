"""In: MiniLM's weights and calibration sentences. Out: `text.onnx` and `tokenizer.json`, four bits a weight.

Stops at MiniLM's own sentence vectors: the projection into the shared space is trained with the images.
"""

import json
import pydoc_data.topics
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from training import minilm_source as source
from training.four_bit import Packed, gptq, packed_rows
from training.text_graph import write_graph
from training.vocabulary import Spec, kept_ids, pruned, tokenised

CALIBRATION = 400
"""Domain sentences that calibrate the rounding; half as many generic ones join, the other half measures it."""


def generic_sentences(count: int, seed: int) -> list[str]:
    """Plain English that is always at hand: sentences of Python's own language reference."""
    text = " ".join(pydoc_data.topics.topics.values())
    sentences = [s.strip() for s in re.split(r"[.:;\n]\s+", text) if 20 < len(s.strip()) < 90]
    return [str(s) for s in np.random.default_rng(seed).choice(sorted(set(sentences)), count, replace=False)]


def _hessians(weights: source.Weights, index: int, x: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """Second moments of the inputs of one layer's linear maps, float32 (in, in)."""
    moments: dict[str, Tensor] = {}

    def watch(name: str, value: Tensor) -> None:
        moments[name] = value.T @ value / len(value)

    source.layer(weights, index, x, mask, watch)
    return moments


@torch.no_grad()
def quantised(weights: source.Weights, batch: source.Batch) -> tuple[source.Weights, dict[str, Packed]]:
    """Round every linear map to four bits, layer after layer, each seeing what the rounded ones before it give.

    Args:
        weights: float32, with the pruned word embeddings already in place.
        batch: calibration sentences.

    Returns:
        Weights with rounded values (to compare with), and the packed form of each linear map and of the words.
    """
    words = packed_rows(weights["embeddings.word_embeddings.weight"])
    rounded = weights | {"embeddings.word_embeddings.weight": words.values()}
    packed = {"words": words}
    x = source.embedded_tokens(rounded, batch.ids)
    for index in range(source.LAYERS):
        for stage in (("self.query", "self.key", "self.value"), ("attention.output",), ("intermediate",), ("output",)):
            moments = _hessians(rounded, index, x, batch.mask)
            for name in [n for n in moments if _stage_of(n, stage)]:
                packed[name] = gptq(weights[f"{name}.weight"], moments[name])
                rounded[f"{name}.weight"] = packed[name].values()
        x = source.layer(rounded, index, x, batch.mask)
    return rounded, packed


def _stage_of(name: str, stage: tuple[str, ...]) -> bool:
    """Whether a linear map is rounded in this stage of its layer."""
    part = name.split(".", 3)[3].removesuffix(".dense")
    return part in stage or part.removeprefix("attention.") in stage


def build_text_tower(folder: Path, sentences: list[str], topics: list[str], seed: int) -> dict[str, float]:
    """Write `text.onnx` and `tokenizer.json`.

    Args:
        folder: where to.
        sentences: domain sentences: their pieces stay in the vocabulary and they calibrate the rounding.
        topics: phrases that say what the domain is: words near them stay in the vocabulary.
        seed: of the choice of calibration sentences.

    Returns:
        Cosines of rounded against full-precision vectors on generic sentences that calibrated nothing.
    """
    weights, original = source.minilm_weights(), source.minilm_tokenizer()
    ids = kept_ids(weights, original, sentences, topics)
    spec = pruned(original, ids)
    words = "embeddings.word_embeddings.weight"
    small = weights | {words: weights[words][torch.tensor(ids)]}
    generic = generic_sentences(CALIBRATION, seed)
    chosen = [str(s) for s in np.random.default_rng(seed).choice(sentences, min(CALIBRATION, len(sentences)), False)]
    rounded, packed = quantised(small, tokenised(spec, chosen + generic[: CALIBRATION // 2]))
    write_graph(folder / "text.onnx", small, packed)
    (folder / "tokenizer.json").write_text(json.dumps(spec, ensure_ascii=False, separators=(",", ":")), "utf-8")
    return _fidelity(weights, rounded, original, spec, generic[CALIBRATION // 2 :])


@torch.no_grad()
def _fidelity(
    full: source.Weights, rounded: source.Weights, original: Spec, spec: Spec, sentences: list[str]
) -> dict[str, float]:
    """Mean and least cosine between the sentence vectors of two models."""
    before, after = tokenised(original, sentences), tokenised(spec, sentences)
    wanted = source.sentence_vectors(full, before.ids, before.mask)
    cosines = (source.sentence_vectors(rounded, after.ids, after.mask) * wanted).sum(dim=1)
    return {"mean": round(float(cosines.mean()), 4), "least": round(float(cosines.min()), 4)}
