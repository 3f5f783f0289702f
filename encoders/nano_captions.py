"""In: sentences that a release surely understands, with their vectors. Out: the small file of them, and back.

Stops at storage: `training.known` chooses sentences and limits, `alerts.lint` holds what people write against them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from encoders.interface import Vectors

VERSION = 1
"""Of the file."""

LEVELS = 127
"""Greatest int8 code."""


@dataclass(frozen=True, slots=True, eq=False)
class Captions:
    """Sentences that a release was trained to understand, and how far others may be from them.

    Attributes:
        sentences: n of them.
        labels: What each asks for.
        vectors: float32, (n, 384), unit rows.
        words: The same before the head: as language, not as what is seen; float32, (n, 384), unit rows.
        nearest: Cosine with the nearest of `vectors` that good sentences reach.
        nearest_words: The same of `words`.
        spread: By sensor: spread of scores over ordinary places that good sentences reach, in medians of the spread
            that these have.
    """

    sentences: tuple[str, ...]
    labels: tuple[str, ...]
    vectors: Vectors
    words: Vectors
    nearest: float
    nearest_words: float
    spread: dict[str, float]


def write_captions(path: Path, release: str, captions: Captions) -> None:
    """Write the vectors as int8 with a scale for each row: 0.5 MB instead of 2; cosines differ by 0.002."""
    both = np.concatenate([captions.vectors, captions.words])
    scales = np.abs(both).max(axis=1) / LEVELS
    np.savez_compressed(
        path,
        version=np.int64(VERSION),
        release=np.str_(release),
        sentences=np.array(captions.sentences, dtype=np.str_),
        labels=np.array(captions.labels, dtype=np.str_),
        codes=np.round(both / scales[:, None]).astype(np.int8),
        scales=scales.astype(np.float32),
        nearest=np.float64(captions.nearest),
        nearest_words=np.float64(captions.nearest_words),
        sensors=np.array(list(captions.spread), dtype=np.str_),
        spread=np.array(list(captions.spread.values()), dtype=np.float64),
    )


def read_captions(path: Path, release: str) -> Captions | None:
    """What `write_captions` wrote; `None` if there is no file, it is of a later format, or another release made it."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if int(arrays["version"]) != VERSION or str(arrays["release"]) != release:
            return None
        both = arrays["codes"].astype(np.float32) * arrays["scales"][:, None]
        vectors, words = np.split(both / np.linalg.norm(both, axis=1, keepdims=True), 2)
        return Captions(
            tuple(arrays["sentences"].tolist()),
            tuple(arrays["labels"].tolist()),
            vectors,
            words,
            float(arrays["nearest"]),
            float(arrays["nearest_words"]),
            dict(zip(arrays["sensors"].tolist(), arrays["spread"].tolist(), strict=True)),
        )
