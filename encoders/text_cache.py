"""In: sentences and what embeds them. Out: their vectors, each computed once.

Stops at memory: a restart forgets. Standing queries and searches ask for the same words again and again.
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock

import numpy as np

from encoders.interface import DIMENSION, Vectors

KEPT = 10_000
"""Sentences: 15 MB of vectors."""


class TextCache:
    """Vectors by the hash of their sentence, the longest unused forgotten first; safe to share between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Vectors] = OrderedDict()
        self._lock = Lock()

    def vectors(self, sentences: list[str], embed: Callable[[list[str]], Vectors]) -> Vectors:
        """The sentences' vectors; `embed` is asked once for those that are not here, each of them once."""
        keys = [blake2b(sentence.encode(), digest_size=16).digest() for sentence in sentences]
        with self._lock:
            known = {key: self._kept[key] for key in keys if key in self._kept}
        fresh = {key: sentence for key, sentence in zip(keys, sentences, strict=True) if key not in known}
        if fresh:
            known |= dict(zip(fresh, embed([*fresh.values()]), strict=True))
        self._keep({key: known[key] for key in keys})
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, DIMENSION), np.float32)

    def _keep(self, used: dict[bytes, Vectors]) -> None:
        with self._lock:
            for key, vector in used.items():
                self._kept[key] = vector
                self._kept.move_to_end(key)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
