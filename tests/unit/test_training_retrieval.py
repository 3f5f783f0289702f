"""Rankings of made chips, whose figures can be worked out by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from training.contact_sheets import BestPictures
from training.figures import Figure
from training.phrases import LABELS
from training.retrieval import paraphrases, retrieval
from training.scored import Example, Scored, grade, score

BURNED = LABELS.index("Burned Area")


def scored(gains: list[float], scores: list[float], graded: bool = True) -> Scored:
    """Chips of which only burns are known, each a place of its own."""
    count = len(gains)
    vectors, queries = np.zeros((count, 384), np.float32), np.zeros((12, 384), np.float32)
    vectors[:, 0], queries[:, 0] = scores, 1
    all_gains, known = np.zeros((count, 12), np.float32), np.zeros((count, 12), np.bool_)
    all_gains[:, BURNED], known[:, BURNED] = gains, True
    return Scored(
        sensor="s2",
        names=[f"chip {i}" for i in range(count)],
        places=[f"place {i}" for i in range(count)],
        vectors=vectors,
        queries=queries,
        gains=all_gains,
        known=known,
        graded=np.full((count, 12), graded),
        indices=dict.fromkeys(("-NBR", "-NBR on land", "NDWI", "NDVI", "NDSI"), -vectors[:, 0]),
        pictures=BestPictures("s2", 12),
    )


def value(figures: list[Figure], subject: str, measure: str) -> float:
    return next(f.value.value for f in figures if (f.subject, f.measure) == (subject, measure))


GAINS = [3.0, 0.0, 1.0, 2.0, 0.0, 1.0]
SCORES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]


def test_precision_and_recall_by_hand() -> None:
    found = retrieval(scored(GAINS, SCORES), "clear")
    assert value(found, "Burned Area", "AP") == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 6) / 4)
    assert value(found, "Burned Area", "recall@10") == 1
    assert value(found, "Burned Area", "positives") == 4
    assert value(found, "mean", "mAP") == value(found, "Burned Area", "AP")


def test_gains_are_graded_where_fractions_are_known_and_binary_elsewhere() -> None:
    discounts = 1 / np.log2(np.arange(2, 8))
    graded = np.dot(GAINS, discounts) / np.dot(sorted(GAINS, reverse=True), discounts)
    assert value(retrieval(scored(GAINS, SCORES), "clear"), "Burned Area", "nDCG@10") == pytest.approx(graded)
    binary = discounts[[0, 2, 3, 5]].sum() / discounts[:4].sum()
    found = retrieval(scored(GAINS, SCORES, graded=False), "as labelled")
    assert value(found, "Burned Area", "nDCG@10") == pytest.approx(binary)


def test_one_positive_without_a_fraction_makes_a_list_binary() -> None:
    chips = scored(GAINS, SCORES)
    chips.graded[5, BURNED] = False
    binary = retrieval(scored(GAINS, SCORES, graded=False), "known")
    assert value(retrieval(chips, "known"), "Burned Area", "nDCG@10") == value(binary, "Burned Area", "nDCG@10")


def test_grades_follow_the_share_that_is_covered() -> None:
    np.testing.assert_array_equal(grade(np.array([0.1, 0.25, 0.49, 0.5, 1.0], np.float32)), [1, 2, 2, 3, 3])


def test_an_index_stands_beside_the_model() -> None:
    found = retrieval(scored([1, 1, 1, 1, 0, 0], SCORES), "clear")  # the made index ranks the other way round
    assert value(found, "Burned Area", "AP") == 1
    assert value(found, "Burned Area by -NBR", "AP") == pytest.approx((1 / 3 + 2 / 4 + 3 / 5 + 4 / 6) / 4)
    assert value(found, "mean", "mAP") == 1


def test_a_label_with_three_positives_says_nothing() -> None:
    found = retrieval(scored([1, 1, 1, 0], [0.4, 0.3, 0.2, 0.1]), "clear")
    assert {f.measure for f in found if f.subject == "Burned Area"} == {"positives", "items"}


def test_unknown_chips_are_left_out_or_negatives() -> None:
    chips = scored([0.0, *GAINS], [1.0, *SCORES])
    chips.known[0, BURNED] = False
    assert value(retrieval(chips, "known"), "Burned Area", "items") == 6
    assert value(retrieval(chips, "known"), "Burned Area", "AP") == pytest.approx(
        value(retrieval(scored(GAINS, SCORES), "known"), "Burned Area", "AP")
    )
    counted = value(retrieval(chips.all_known(), "unknown as negative"), "Burned Area", "AP")
    assert counted == pytest.approx((1 / 2 + 2 / 4 + 3 / 5 + 4 / 7) / 4)


def test_an_interval_holds_its_value_and_one_place_has_no_width() -> None:
    random = np.random.default_rng(1)
    gains = (random.random(80) < 0.3).astype(np.float32).tolist()
    chips = scored(gains, (np.array(gains) + random.normal(0, 1, 80)).tolist())
    found = next(f.value for f in retrieval(chips, "clear") if f.measure == "mAP")
    assert found.low < found.value < found.high
    one = replace(chips, places=["here"] * 80)
    found = next(f.value for f in retrieval(one, "clear") if f.measure == "mAP")
    assert found.low == found.value == found.high


class Words:
    """An encoder whose sentences point along one axis each: the label's own words along the first."""

    release = "fake"
    sensors = ("s2", "s1")

    def texts(self, sentences: list[str]) -> np.ndarray:
        vectors = np.zeros((len(sentences), 384), np.float32)
        for row, sentence in enumerate(sentences):
            vectors[row, 1 if sentence == "charred forest" else 0] = 1
        return vectors

    def images(self, pixels: np.ndarray, sensor: str, present_bands: list[str] | None = None) -> np.ndarray:
        out = np.zeros((len(pixels), 384), np.float32)
        out[:, 0] = 1
        return out


def test_the_largest_loss_is_that_of_the_worst_phrase() -> None:
    chips = scored(GAINS, SCORES)
    chips.vectors[:, 1] = [0, 0.9, 0, 0, 0.8, 0]  # "charred forest" ranks both negatives first
    found = paraphrases(chips, Words(), "clear")  # type: ignore[arg-type]
    own, other = value(found, "Burned Area: burned area", "AP"), value(found, "Burned Area: charred forest", "AP")
    assert other == pytest.approx((1 / 3 + 2 / 4 + 3 / 5 + 4 / 6) / 4)
    assert value(found, "all", "largest loss") == pytest.approx(own - other)


def test_chips_that_cannot_be_embedded_are_named() -> None:
    def example(name: str, pixels: np.ndarray, present: tuple[str, ...] = ("B02", "B03")) -> Example:
        nothing = np.zeros(12, np.float32)
        return Example(name, name, "s2", pixels, present, nothing, nothing == 0, nothing == 0)

    good = np.full((13, 40, 40), 0.1, np.float32)
    empty, small = np.full((13, 40, 40), np.nan, np.float32), np.zeros((13, 8, 8), np.float32)
    left_out: list[str] = []
    examples = [example("good", good), example("empty", empty), example("small", small), example("zeros", good * 0)]
    found = score(Words(), [*examples, example("bandless", good, ())], left_out)  # type: ignore[arg-type]
    assert found["s2"].names == ["good", "zeros"]
    assert [line.split(":")[0] for line in left_out] == ["empty", "small", "bandless"]
    assert "s1" not in found
    assert not math.isnan(found["s2"].indices["NDWI"][1])
