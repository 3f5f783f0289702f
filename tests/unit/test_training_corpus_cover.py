"""Labels of a land-cover map: shares, gaps, ground under an event."""

from contextlib import ExitStack

import numpy as np
import pytest

from encoders.assets import Fetcher
from encoders.settings import EncoderSettings
from training.corpus_cover import LAND_LABELS, WORLDCOVER, LandCover


@pytest.fixture
def cover() -> LandCover:
    return LandCover([], Fetcher(EncoderSettings()), ExitStack())


def chip(**shares: float) -> np.ndarray:
    """Columns of classes: c10=0.5 is half of the chip in class 10; the rest is water."""
    out = np.full((120, 120), 80, np.float32)
    start = 0
    for name, share in shares.items():
        out[:, start : start + round(share * 120)] = np.nan if name == "gap" else int(name[1:])
        start += round(share * 120)
    return out


def test_a_label_is_present_from_a_tenth(cover: LandCover) -> None:
    labels = cover.labels(chip(c10=0.1, c30=0.09, c40=0.5))
    assert labels is not None
    assert labels.present == {"Trees", "Crops", "Water"}
    assert labels.absent == LAND_LABELS - labels.present and not labels.unknown


def test_wetland_and_mangroves_are_one_label(cover: LandCover) -> None:
    labels = cover.labels(chip(c90=0.0833, c95=0.0833))
    assert labels is not None and "Flooded Vegetation" in labels.present


def test_moss_may_be_three_things(cover: LandCover) -> None:
    labels = cover.labels(chip(c100=0.5, c60=0.2))
    assert labels is not None
    assert labels.present == {"Water", "Bare"} and labels.unknown == {"Grass", "Shrub and Scrub"}


def test_ground_under_an_event_makes_nothing_present_and_nothing_absent(cover: LandCover) -> None:
    classes = chip(c10=0.5, c40=0.25)
    hidden = np.zeros((120, 120), bool)
    hidden[:, :60] = True
    labels = cover.labels(classes, hidden)
    assert labels is not None
    assert labels.present == {"Crops", "Water"} and labels.unknown == {"Trees"} and "Trees" not in labels.absent


def test_gaps_say_nothing(cover: LandCover) -> None:
    assert cover.labels(chip(gap=0.2)) is None
    assert cover.labels(chip(gap=0.05)) is not None
    assert cover.labels(np.full((120, 120), np.nan, np.float32)) is None


def test_every_class_leads_to_our_labels() -> None:
    assert frozenset().union(*WORLDCOVER.values()) == LAND_LABELS
