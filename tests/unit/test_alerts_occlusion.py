"""What bands bring: shares add up, nothing is said of bands that say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from alerts.evidence.chips import Seen
from alerts.evidence.occlusion import GROUPS, occlude
from alerts.evidence.scores import Scorer
from encoders.bands import BANDS, BANDS_S2
from schemas.messages import CellState, Chip, Mode


class Curved:
    """An encoder whose bands work together: component 0 is NIR times SWIR, so neither is worth anything alone."""

    release, sensors, device = "fake", ("s2", "s1"), None

    def __init__(self):
        self.batches: list[int] = []

    def images(self, pixels, sensor, present_bands=None):
        self.batches.append(len(pixels))
        have = [BANDS[sensor].index(band) for band in present_bands or BANDS[sensor]]
        means = np.array([[np.nanmean(chip[i]) if i in have else 0 for i in range(len(chip))] for chip in pixels])
        out = np.zeros((len(pixels), 384), np.float32)
        out[:, 0] = means[:, 7] * means[:, 12] if sensor == "s2" else means[:, 1]
        out[:, 1] = 1
        return out


QUERY = Scorer(np.eye(1, 384, dtype=np.float32), Mode.PRESENCE)


def seen(bands: dict[str, float], sensor: str = "s2") -> Seen:
    pixels = np.full((len(BANDS[sensor]), 120, 120), np.nan, np.float32)
    for band, value in bands.items():
        pixels[BANDS[sensor].index(band)] = value
    chip = Chip(cell="33TWN4512", state=CellState.SEEN, valid_fraction=1, cloud_fraction=0)
    return Seen(None, pixels, chip, tuple(bands))  # type: ignore[arg-type] # no acquisition is asked for


def test_what_works_together_is_shared_alike():
    """Neither alone brings anything, and without either nothing is left: each gets half."""
    after, before = seen({"B02": 5, "B08": 1, "B12": 1}), seen({"B02": 1, "B08": 0, "B12": 0})
    found = occlude("33TWN4512", "s2", after, before, Curved(), QUERY, None)
    assert (found.score, found.before) == (1, 0)
    shares = {share.name: (share.drop, share.alone, share.share) for share in found.groups}
    assert shares == {
        "near infrared": (1, 0, 0.5),
        "short-wave infrared": (1, 0, 0.5),
        "visible": (0, 0, 0),
    }
    assert {share.name: share.drop for share in found.bands} == {"B02": 0, "B08": 1, "B12": 1}
    assert all(share.share is None for share in found.bands)


@pytest.mark.parametrize("seed", range(5))
def test_shares_add_up_to_the_difference(seed: int):
    random = np.random.default_rng(seed)
    after, before = (seen(dict(zip(BANDS_S2, random.uniform(0, 1, 13), strict=True))) for _ in range(2))
    found = occlude("33TWN4512", "s2", after, before, Curved(), QUERY, None)
    assert sum(share.share or 0 for share in found.groups) == pytest.approx(found.score - found.before, abs=5e-4)


def test_every_band_belongs_to_one_group():
    for sensor, groups in GROUPS.items():
        assert sorted(band for bands in groups.values() for band in bands) == sorted(BANDS[sensor])


def test_appearance_takes_the_baseline_off():
    scorer = Scorer(QUERY.vectors, Mode.APPEARANCE)
    baseline = np.full(384, 0.25, np.float32)
    after, before = seen({"B08": 1, "B12": 1}), seen({"B08": 0, "B12": 0})
    found = occlude("33TWN4512", "s2", after, before, Curved(), scorer, baseline)
    assert (found.score, found.before) == (0.75, -0.25)


def test_several_wordings_score_by_the_best():
    vectors = np.eye(2, 384, dtype=np.float32)[::-1]
    scorer = Scorer.stored(vectors.astype("<f4").tobytes(), Mode.PRESENCE)
    assert scorer.presence(np.eye(3, 384, dtype=np.float32)).tolist() == [1, 1, 0]


def test_without_a_before_bands_are_missing_and_a_lone_band_is_everything():
    found = occlude("33TWN4512", "s1", seen({"VH": 0.5}, "s1"), None, Curved(), QUERY, None)
    assert (found.method, found.before) == ("missing", None)
    assert [(share.name, share.drop, share.alone) for share in found.groups] == [("VH", 0.5, None)]


def test_bands_that_the_earlier_scene_lacks_are_not_compared():
    after, before = seen({"B02": 5, "B08": 1, "B12": 1}), seen({"B08": 0, "B12": 1})
    found = occlude("33TWN4512", "s2", after, before, Curved(), QUERY, None)
    assert {share.name for share in found.bands} == {"B08", "B12"}


def test_no_data_before_leaves_the_pixels_of_now():
    after, before = seen({"B08": 1, "B12": 1}), seen({"B08": 0, "B12": 1})
    before.pixels[7, :60] = np.nan
    found = occlude("33TWN4512", "s2", after, before, Curved(), QUERY, None)
    assert found.bands[0].name == "B08" and found.bands[0].drop == pytest.approx(0.5)
