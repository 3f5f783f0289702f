"""Sentences: what they ask for, and that validation words stay out of training."""

import numpy as np

from training.captions import Caption, misspelt, phrases_of, single_captions, targets, training_bank
from training.held_out import HELD_OUT, NEAR_MISSES, OTHER_FIELDS, STRANGERS
from training.languages import FOREIGN, FOREIGN_HELD_OUT
from training.phrases import LABELS, TRAINED
from training.strangers import OTHER_EVENTS, OTHER_SENSES, UNRELATED

BANK = training_bank(0)


def test_every_label_has_words_to_train_and_to_validate() -> None:
    assert set(TRAINED) == set(HELD_OUT) == set(LABELS)
    assert all(len(TRAINED[name]) >= 10 and len(HELD_OUT[name]) >= 2 for name in LABELS)


def test_held_out_phrases_are_never_trained_on() -> None:
    bank = " | ".join(c.text.lower() for c in BANK)
    held_out = [c.text.lower() for c in single_captions(held_out=True)]
    assert len(held_out) >= 250
    assert [phrase for phrase in held_out if f" {phrase} " in f" {bank} "] == []


def test_held_out_sentences_of_other_kinds_are_never_trained_on() -> None:
    foreign = [p for words in FOREIGN_HELD_OUT.values() for phrases in words.values() for p in phrases]
    texts = {c.text.lower() for c in BANK}
    assert [p for p in (*foreign, *STRANGERS, *OTHER_FIELDS) if p.lower() in texts] == []


def test_no_phrase_belongs_to_two_labels() -> None:
    owners: dict[str, set[str]] = {}
    for label in LABELS:
        foreign = [p for words in FOREIGN.values() for p in words[label]]
        for phrase in (*phrases_of(label), *HELD_OUT[label], *foreign):
            owners.setdefault(phrase.lower(), set()).add(label)
    for phrase in (*UNRELATED, *OTHER_SENSES, *OTHER_EVENTS):
        owners.setdefault(phrase.lower(), set()).add("none")
    assert {phrase: labels for phrase, labels in owners.items() if len(labels) > 1} == {}


def test_phrases_have_no_line_breaks() -> None:
    assert [c.text for c in BANK if c.text != " ".join(c.text.split())] == []


def test_near_misses_name_two_labels() -> None:
    assert all(own in LABELS and other in LABELS and own != other for _, own, other in NEAR_MISSES)


def test_every_label_is_asked_for_about_equally_often() -> None:
    alone = [c.labels[0] for c in BANK if len(c.labels) == 1]
    counts = np.bincount(alone, minlength=len(LABELS))
    assert counts.min() > 0.6 * counts.max()
    assert 0.05 < np.mean([not c.labels for c in BANK]) < 0.2


def test_a_slip_changes_one_word_and_short_words_stay() -> None:
    random = np.random.default_rng(0)
    slips = {misspelt("burnt sea", random) for _ in range(40)}
    assert all(slip.endswith(" sea") and len(slip.split()) == 2 for slip in slips)
    assert {"brnt sea", "burnnt sea"} & slips
    assert misspelt("wet sea", random) == "wet sea"


def test_same_seed_same_bank_and_no_sentence_twice() -> None:
    bank = training_bank(4, dressed=200, mixed=100)
    assert bank == training_bank(4, dressed=200, mixed=100)
    assert len({c.text for c in bank}) == len(bank)


def test_a_mixture_asks_for_both_of_its_labels() -> None:
    presence = np.zeros((1, 12), np.float32)
    presence[0, [0, 3]] = (0.9, 0.4)
    asked = [Caption("a", (0,)), Caption("b", (0, 3)), Caption("c", (0, 5)), Caption("d", ())]
    np.testing.assert_allclose(targets(asked, presence), [[0.9, 0.4, 0.0, 0.0]])
