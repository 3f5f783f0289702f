"""In: sentences. Out: word-piece ids and masks of MiniLM's vocabulary, padded to the longest of the batch.

Stops before the text tower.
"""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from schemas.errors import ReleaseMismatch, ReleaseNotFound

LONGEST: Final = 64
"""Word pieces that are read, first and last marker included: CLOSP's training length."""

VOCABULARY = 30522
"""Word pieces of the uncased vocabulary that both text towers were trained with."""


class Words:
    """A tokenizer with our length and padding.

    Args:
        path: a `tokenizer.json`. Its own truncation and padding (128 in the published file) are overruled.

    Raises:
        ReleaseNotFound: no such file.
        ReleaseMismatch: not a tokenizer, or one of another vocabulary.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise ReleaseNotFound(f"no tokenizer at {path}: run `tocsin encoder pull`, it fetches one with the weights")
        self._tokenizer = _read(path)
        if self._tokenizer.get_vocab_size() != VOCABULARY:
            found = self._tokenizer.get_vocab_size()
            raise ReleaseMismatch(f"{path} knows {found} word pieces, the text tower {VOCABULARY}: wrong tokenizer")
        self._tokenizer.enable_truncation(LONGEST)
        self._tokenizer.enable_padding()

    def ids(self, sentences: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ids and mask, both int64, (n, tokens) with tokens at most 64; mask 1 is a word piece, 0 padding."""
        encodings = self._tokenizer.encode_batch(sentences)
        ids = np.array([each.ids for each in encodings], dtype=np.int64)
        mask = np.array([each.attention_mask for each in encodings], dtype=np.int64)
        return ids, mask


def _read(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust library raises bare Exception and nothing narrower
        raise ReleaseMismatch(f"{path} is not a tokenizer ({error}): pull the release again") from error
