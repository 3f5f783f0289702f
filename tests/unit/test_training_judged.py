"""Grades from shares, and the figures that rest on them."""

import numpy as np
import pytest

from training.crises import against
from training.indices import index_names
from training.judged import Gallery, graded
from training.phrases import LABELS
from training.retrieval import hold_out, largest_loss, words_of


def shares(**of: float) -> np.ndarray:
    return np.array([of.get(name.replace(" ", "_"), 0.0) for name in LABELS], np.float32)


def test_grades_are_thirds_above_what_a_label_needs() -> None:
    for share, grade in ((0.09, 0), (0.11, 1), (0.39, 1), (0.41, 2), (0.69, 2), (0.71, 3), (1.0, 3)):
        assert graded(shares(Trees=share))[LABELS.index("Trees")] == grade
    for share, grade in ((0.39, 0), (0.41, 1), (0.61, 2), (0.81, 3)):
        assert graded(shares(Burned_Area=share))[LABELS.index("Burned Area")] == grade


def test_what_lies_between_is_left_out_and_strict_counts_it() -> None:
    share = np.array([0.9, 0.8, 0.7, 0.6, 0.05, 0.05, 0.0, 0.0, 0.5], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6, 0.95, 0.94, 0.1, 0.2, 0.05], np.float32)
    fractions = np.zeros((9, 12), np.float32)
    fractions[:, LABELS.index("Trees")] = share
    ambiguous = np.zeros((9, 12), np.bool_)
    ambiguous[8, LABELS.index("Trees")] = True
    vectors = np.zeros((9, 384), np.float32)
    vectors[:, 0] = scores
    queries = np.zeros((12, 384), np.float32)
    queries[:, 0] = 1
    places = [str(i) for i in range(9)]
    indices = dict.fromkeys(index_names("s2"), -scores)
    gallery = Gallery("x", "s2", vectors, graded(fractions), ~ambiguous, places, indices, [], fractions, ambiguous)
    row = hold_out(gallery, queries).rows["Trees"]
    assert (row["right (AP)"], row["of (AP)"], row["of (AP strict)"]) == (4, 6, 8)
    assert row["AP"] == 1
    assert row["AP strict"] == pytest.approx((1 / 3 + 2 / 4 + 3 / 5 + 4 / 6) / 4)


def test_a_tie_with_a_lookalike_counts_against_the_event() -> None:
    figures = against(np.array([0.9, 0.5], np.float32), np.array([0.5, 0.95, 0.1], np.float32))
    assert figures["median rank"] == pytest.approx((2 + 3) / 2)
    assert figures["AP"] == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert figures["ranked first"] == 0


def test_the_worst_paraphrase_counts() -> None:
    assert largest_loss([0.9, 0.95, 0.8]) == pytest.approx(0.1)
    assert largest_loss([0.9, 0.95]) == 0


def test_queries_are_the_names_in_lower_case() -> None:
    assert words_of(("Crops", "Flooded Area")) == "crops and flooded area"
