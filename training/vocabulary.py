"""In: MiniLM's tokenizer and weights, domain sentences. Out: a smaller tokenizer, and which old pieces it keeps.

Stops at ids: the embeddings of the kept pieces are rounded in `text_tower`.
"""

import copy
import json
import re
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from training import minilm_source as source

MAX_TOKENS = 64
"""Word pieces read of a sentence, both ends included: CLOSP's own limit."""

VOCABULARY = 16_200
"""Pieces kept of 30,522, 204 bytes each: what is left of 12 MB."""

FREQUENT = 11_000
"""Ids below are kept whatever they mean: BERT's pieces are sorted by frequency."""

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Pieces that are no words."""

Spec = dict[str, object]
"""A parsed `tokenizer.json`."""


def tokenised(spec: Spec, sentences: list[str]) -> source.Batch:
    """Encode and pad sentences with a tokenizer's specification."""
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding(pad_id=0)
    encoded = tokenizer.encode_batch(sentences)
    mask = torch.tensor([e.attention_mask for e in encoded], dtype=torch.bool)
    return source.Batch(torch.tensor([e.ids for e in encoded]), mask)


def vocabulary_of(spec: Spec) -> dict[str, int]:
    """Piece to id."""
    return cast(dict[str, dict[str, int]], spec["model"])["vocab"]


@torch.no_grad()
def relevance(weights: source.Weights, spec: Spec, words: list[str], topics: list[str]) -> NDArray[np.float32]:
    """How near each word is to the nearest topic, in MiniLM's own sentence space: float32, (words,)."""

    def vectors(sentences: list[str]) -> torch.Tensor:
        parts = (tokenised(spec, sentences[i : i + 512]) for i in range(0, len(sentences), 512))
        return torch.cat([source.sentence_vectors(weights, part.ids, part.mask) for part in parts])

    nearest: NDArray[np.float32] = (vectors(words) @ vectors(topics).T).amax(dim=1).numpy()
    return nearest


def kept_ids(weights: source.Weights, spec: Spec, sentences: list[str], topics: list[str]) -> list[int]:
    """Which pieces stay: special, used, frequent, ends of words, then the words nearest to the topics.

    Only ASCII pieces are kept: MiniLM was trained on English, and accents are stripped before.
    """
    vocabulary = vocabulary_of(spec)
    plain = re.compile(r"(##)?[\x21-\x7e]+")
    pieces = {p: i for p, i in vocabulary.items() if plain.fullmatch(p) and not p.startswith("[unused")}
    used = set(torch.unique(tokenised(spec, sentences).ids).tolist())
    sure = used | {vocabulary[p] for p in SPECIAL} | {i for p, i in pieces.items() if i < FREQUENT or p[:2] == "##"}
    words = [p for p, i in pieces.items() if i not in sure]
    nearest = relevance(weights, spec, words, topics)
    best = np.argsort(-nearest, kind="stable")[: max(VOCABULARY - len(sure), 0)]
    return sorted(sure | {vocabulary[words[i]] for i in best})


def pruned(original: Spec, ids: list[int]) -> Spec:
    """The tokenizer with these pieces only, ids renumbered, truncation at 64, no fixed padding."""
    spec = copy.deepcopy(original)
    new = {old: number for number, old in enumerate(ids)}
    model = cast(dict[str, dict[str, int]], spec["model"])
    model["vocab"] = {p: new[i] for p, i in model["vocab"].items() if i in new}
    for token in cast(list[dict[str, int]], spec["added_tokens"]):
        token["id"] = new[token["id"]]
    ends = cast(dict[str, dict[str, dict[str, list[int]]]], spec["post_processor"])["special_tokens"]
    for end in ends.values():
        end["ids"] = [new[i] for i in end["ids"]]
    spec["padding"] = None
    spec["truncation"] = {"direction": "Right", "max_length": MAX_TOKENS, "strategy": "LongestFirst", "stride": 0}
    return spec
