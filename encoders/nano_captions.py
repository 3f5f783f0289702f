"""In: sentences that a release surely understands, with their vectors. Out: the small file of them, and back.

Stops at storage: `training.known` chooses sentences and limits, `alerts.lint` holds what people write against them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.interface import Vectors

VERSION = 1
"""Of the file."""

LEVELS = 127
"""Greatest int8 code."""

RANKS = {"vectors": 40, "words": 56}
"""Directions kept of 384: with them the lint is as often right as with all, in 0.1 MB instead of 2."""


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
    """Write the vectors as int8 coordinates in their own leading directions."""
    codes = coded("vectors", captions.vectors) | coded("words", captions.words)
    np.savez_compressed(
        path,
        version=np.int64(VERSION),
        release=np.str_(release),
        sentences=np.array(captions.sentences, dtype=np.str_),
        labels=np.array(captions.labels, dtype=np.str_),
        nearest=np.float64(captions.nearest),
        nearest_words=np.float64(captions.nearest_words),
        sensors=np.array(list(captions.spread), dtype=np.str_),
        spread=np.array(list(captions.spread.values()), dtype=np.float64),
        **codes,  # type: ignore[arg-type]
    )


def coded(name: str, vectors: Vectors) -> dict[str, NDArray[np.generic]]:
    """Unit rows as int8: coordinates and directions, the scale of each direction."""
    left, sizes, directions = np.linalg.svd(vectors, full_matrices=False)
    rank = RANKS[name]
    places, directions = left[:, :rank] * sizes[:rank], directions[:rank]
    steps = np.maximum(np.abs(places).max(axis=0), 1e-6) / LEVELS
    turns = np.abs(directions).max(axis=1) / LEVELS
    return {
        f"{name}_places": np.round(places / steps).astype(np.int8),
        f"{name}_directions": np.round(directions / turns[:, None]).astype(np.int8),
        f"{name}_scales": (steps * turns).astype(np.float32),
    }


def decoded(name: str, arrays: Mapping[str, NDArray[np.generic]]) -> Vectors:
    """The unit rows that `coded` took, nearly."""
    places = arrays[f"{name}_places"].astype(np.float32) * arrays[f"{name}_scales"].astype(np.float32)
    vectors: Vectors = places @ arrays[f"{name}_directions"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def read_captions(path: Path, release: str) -> Captions | None:
    """What `write_captions` wrote; `None` if there is no file, it is of a later format, or another release made it."""
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        if int(arrays["version"]) != VERSION or str(arrays["release"]) != release:
            return None
        return Captions(
            tuple(arrays["sentences"].tolist()),
            tuple(arrays["labels"].tolist()),
            decoded("vectors", arrays),
            decoded("words", arrays),
            float(arrays["nearest"]),
            float(arrays["nearest_words"]),
            dict(zip(arrays["sensors"].tolist(), arrays["spread"].tolist(), strict=True)),
        )
