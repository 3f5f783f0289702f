"""What is known of chips of the feed and of a corpus, where they are, and which of them a sheet shows."""

from dataclasses import replace

import numpy as np
import pytest

from training.contact_sheets import BestPictures, coloured
from training.crisislandmark import Sample
from training.examples import _of_sample, items_of, place_at, windows_of
from training.feed import FIRES, LabelledChip, places_of
from training.phrases import LABELS

WATER, BURNED, TREES = (LABELS.index(name) for name in ("Water", "Burned Area", "Trees"))

LAKE = LabelledChip(
    item="LAKE_1",
    level="item",
    source="made",
    sensor="s2",
    pixels=np.full((13, 40, 40), 0.1, np.float32),
    present=("B02", "B03"),
    labels=frozenset({"Water"}),
    absent=frozenset({"Burned Area"}),
    state="",
    offset=(0, 0),
    place="LAKE",
    fractions={"Water": 0.6},
)


def test_what_a_map_settles_is_known_and_what_nobody_says_is_not() -> None:
    (found,) = items_of([LAKE])
    assert found.known[[WATER, BURNED, TREES]].all()  # a map that shows water shows trees too, where they are
    assert not found.known[LABELS.index("Flooded Area")]
    assert (found.gains[WATER], found.gains[TREES], found.place) == (3, 0, "LAKE")


def test_a_label_without_a_fraction_is_worth_one_and_not_graded() -> None:
    (found,) = items_of([replace(LAKE, fractions={})])
    assert (found.gains[WATER], found.graded[WATER]) == (1, False)


def test_of_windows_only_crises_are_known_and_doubtful_ones_are_left_out() -> None:
    burnt = replace(LAKE, source=FIRES, level="window", state="positive", labels=frozenset({"Burned Area"}))
    found = list(windows_of([burnt, replace(burnt, state="ambiguous"), replace(burnt, level="item"), LAKE]))
    assert [e.name for e in found] == ["LAKE_1 0,0", "LAKE_1"]
    assert [e.gains[BURNED] > 0 for e in found] == [True, False]
    assert all(e.known[BURNED] and not e.known[: len(LABELS[:9])].any() for e in found)


def row(item: str, box: list[float] | None) -> dict[str, object]:
    return {"item_id": item, "level": "item", "bbox_lon_lat": box}


def test_items_on_the_same_ground_are_one_place_along_a_chain() -> None:
    rows = [
        row("c", [0.0, 0.0, 1.0, 1.0]),
        row("a", [0.5, 0.0, 1.5, 1.0]),
        row("b", [1.2, 0.0, 2.2, 1.0]),
        row("neighbour", [2.15, 0.0, 3.15, 1.0]),
        row("nowhere", None),
    ]
    assert places_of(rows) == {"a": "a", "b": "a", "c": "a", "neighbour": "neighbour", "nowhere": "nowhere"}


def test_squares_of_a_corpus() -> None:
    assert place_at((13.51, 45.01)) == place_at((13.549, 45.049)) != place_at((13.551, 45.01))
    assert place_at((-0.01, -0.01)) != place_at((0.01, 0.01))
    assert place_at(None) == ""


def test_a_sample_without_coordinates_is_a_place_of_its_own() -> None:
    sample = Sample(
        "cabuar_7", "s2", LAKE.pixels, LAKE.present, frozenset({"Trees"}), None, "test", "cabuar", None, None
    )
    found = _of_sample(sample)
    assert (found.place, found.gains[TREES], found.gains[WATER]) == ("cabuar_7", 1, 0)
    assert found.known.all()
    assert not found.graded.any()
    assert _of_sample(replace(sample, lon_lat=(13.51, 45.01))).place == place_at((13.51, 45.01))


def test_a_sheet_keeps_the_best_in_order_and_says_who_is_right() -> None:
    best = BestPictures("s2", 2, shown=3)
    scores = [0.3, 0.9, 0.1, 0.5, 0.7]
    for number, score in enumerate(scores):
        gains = np.array([float(number == 1), 0], np.float32)
        known = np.array([number != 3, True])
        best.offer(f"chip {number}", LAKE.pixels, np.array([score, -score], np.float32), gains, known)
    sheet = best.sheet(0)
    assert [(s.name, s.verdict) for s in sheet] == [("chip 1", "right"), ("chip 4", "wrong"), ("chip 3", "unknown")]
    assert [s.name for s in best.sheet(1)] == ["chip 2", "chip 0", "chip 3"]
    assert set(sheet[0].pictures) == {"true colour", "false colour"}


@pytest.mark.parametrize(("side", "shown"), [(40, 40), (120, 120), (512, 103), (1000, 100)])
def test_pictures_have_a_size_that_fits_a_page(side: int, shown: int) -> None:
    picture = coloured(np.full((2, side, side), 0.05, np.float32), "s1")["radar"]
    assert picture.shape == (shown, shown, 3)
    assert picture.dtype == np.uint8
