"""Sentences are embedded once, and forgotten when many others have come."""

import numpy as np
import pytest

from encoders import text_cache
from encoders.interface import Vectors
from encoders.text_cache import TextCache


class Embedding:
    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, sentences: list[str]) -> Vectors:
        self.asked.append(sentences)
        return np.array([np.full(384, len(each)) for each in sentences], np.float32)


def test_each_sentence_is_asked_for_once() -> None:
    cache, embed = TextCache(), Embedding()
    first = cache.vectors(["fire", "flood", "fire"], embed)
    second = cache.vectors(["smoke", "fire"], embed)
    assert embed.asked == [["fire", "flood"], ["smoke"]]
    assert first[:, 0].tolist() == [4, 5, 4]
    assert second[:, 0].tolist() == [5, 4]
    assert cache.vectors([], embed).shape == (0, 384)


def test_what_was_not_used_for_longest_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_cache, "KEPT", 2)
    cache, embed = TextCache(), Embedding()
    for sentence in ("one", "two", "one", "three", "one", "two"):
        cache.vectors([sentence], embed)
    assert embed.asked == [["one"], ["two"], ["three"], ["two"]]


def test_a_failure_is_not_remembered() -> None:
    cache, embed = TextCache(), Embedding()

    def fail(_sentences: list[str]) -> Vectors:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.vectors(["fire"], fail)
    cache.vectors(["fire"], embed)
    assert embed.asked == [["fire"]]
