"""Sentences are drawn by label, and a chip answers one as far as it shows all that is asked for."""

import numpy as np
import torch

from training.bank import PAIRS, STRANGERS, answers, bank_of, wanted
from training.captions import Caption
from training.label_sets import captions_of_sets, label_sets
from training.phrases import LABELS

CAPTIONS = [
    Caption("water", (0,)),
    Caption("a lake", (0,)),
    Caption("trees", (1,)),
    Caption("water and trees", (0, 1)),
    Caption("an invoice", ()),
]


def test_every_label_is_drawn_equally_often() -> None:
    bank = bank_of(CAPTIONS, np.zeros((5, 384), np.float32), torch.device("cpu"))
    odds = bank.odds.numpy()
    assert abs(odds[0] + odds[1] - odds[2]) < 1e-6
    assert abs(odds[3] - PAIRS) < 1e-6 and abs(odds[4] - STRANGERS) < 1e-6
    assert sorted(bank.draw(5, torch.Generator().manual_seed(0)).tolist()) == [0, 1, 2, 3, 4]


def test_a_chip_answers_as_far_as_it_shows_all_that_is_asked() -> None:
    asked = torch.zeros(4, 12)
    asked[0, 0] = asked[1, 1] = asked[2, 0] = asked[2, 1] = 1
    present = torch.zeros(1, 12)
    present[0, 0], present[0, 1] = 0.8, 0.3
    torch.testing.assert_close(answers(asked, present), torch.tensor([[0.8, 0.3, 0.3, 1.0]]))
    targets, weights = wanted(asked, present, torch.ones(1, 12))
    assert targets[0, 3] == 0  # nothing answers a stranger
    assert weights[0, 3] < weights[0, 0]


def test_captions_of_sets_join_names_as_crisislandmark_does() -> None:
    texts, rows = captions_of_sets()
    assert texts[rows[0b11]] == f"{LABELS[0]}. {LABELS[1]}"
    assert texts[rows[0]] == "nothing"
    assert len(set(texts)) == len(texts)
    sets = label_sets(lambda sentences: np.arange(len(sentences), dtype=np.float32)[:, None], torch.device("cpu"))
    present = torch.zeros(1, 12)
    present[0, :2] = 0.9
    assert sets.vectors_of(present)[0, 0] == rows[0b11]
