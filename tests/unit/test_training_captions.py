"""Sentences: what they ask for, and that validation words stay out of training."""

import numpy as np

from training.captions import Caption, single_captions, targets, training_bank
from training.phrases import HELD_OUT, LABELS, TRAINED, UNRELATED


def test_every_label_has_words_to_train_and_to_validate() -> None:
    assert set(TRAINED) == set(HELD_OUT) == set(LABELS)
    assert all(len(TRAINED[name]) >= 10 and len(HELD_OUT[name]) >= 2 for name in LABELS)


def test_held_out_phrases_are_never_trained_on() -> None:
    bank = " | ".join(c.text for c in training_bank(0))
    held_out = [c.text for c in single_captions(held_out=True)]
    assert [phrase for phrase in held_out if f" {phrase} " in f" {bank} "] == []


def test_no_phrase_belongs_to_two_labels() -> None:
    phrases = [p for lists in (TRAINED, HELD_OUT) for name in LABELS for p in lists[name]] + list(UNRELATED)
    assert len(phrases) == len(set(phrases))


def test_same_seed_same_bank_and_no_sentence_twice() -> None:
    bank = training_bank(4)
    assert bank == training_bank(4)
    assert len({c.text for c in bank}) == len(bank)


def test_a_mixture_asks_for_both_of_its_labels() -> None:
    presence = np.zeros((1, 12), np.float32)
    presence[0, [0, 3]] = (0.9, 0.4)
    asked = [Caption("a", (0,)), Caption("b", (0, 3)), Caption("c", (0, 5)), Caption("d", ())]
    np.testing.assert_allclose(targets(asked, presence), [[0.9, 0.4, 0.0, 0.0]])
