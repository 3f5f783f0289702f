"""The measures that releases are accepted by, on the feed of real acquisitions."""

from pathlib import Path

import pytest

from encoders import load
from training.evaluate import evaluate_feed
from training.feed import places_of, read_rows


def test_the_measures_hold_the_chips_that_they_should(shared: Path) -> None:
    found = evaluate_feed(load("nano"), shared / "feed")
    counts = {name: (figures.get("positives"), figures.get("negatives")) for name, figures in found.items()}
    assert counts["burn S2, five bands"] == counts["burn S2, all bands"] == (25, 155)
    assert counts["flood S1"] == (7, 51)
    assert counts["flood S2"] == (7, 59)
    assert found["burn pairs in order"]["pairs"] == 7
    assert found["burn S2, five bands"]["-NBR"] == pytest.approx(0.7405, abs=1e-4)  # has nothing to do with a release
    assert found["flood S1"]["-VH"] == pytest.approx(0.8123, abs=1e-4)
    assert set(found["nDCG@10 S2, known"]) == set(found["nDCG@10 S2, unknown as negative"])
    assert "mean" in found["nDCG@10 S1, unknown as negative"]


def test_dates_and_sensors_of_one_place_are_one_place(shared: Path) -> None:
    places = places_of(read_rows(shared / "feed"))
    assert len({place for item, place in places.items() if "BOADELLA" in item}) == 1
    assert places["S1_S1F11_SPAIN7370579_20190917_rtc"] == places["S2_S1F11_SPAIN7370579_20190918_L1C"]
    assert places["S2_COMPOSITE_HURST_20250107_PRE_L2A"] == places["S2_COMPOSITE_HURST_20250107_POST_L2A"]
    assert len(set(places.values())) == 69
