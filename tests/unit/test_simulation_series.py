"""Series: nothing happens before the last look, and what happens then is what was asked for."""

import numpy as np
import pytest

from schemas.errors import UsageError
from simulation.chips import Chips
from simulation.series import DISTRACTORS, EVENTS, KINDS, kinds_of, make_series

CRISES = {"burn": "Burned Area", "flood": "Flooded Area", "quake": "Earthquake Damage"}
RED, NIR, SWIR1, SWIR2 = 3, 7, 11, 12
CASES = [(sensor, kind) for sensor in ("s2", "s1") for kind in kinds_of(sensor)]


def _index(chips: Chips, plus: int, minus: int) -> float:
    one, two = np.nanmedian(chips.pixels[:, plus]), np.nanmedian(chips.pixels[:, minus])
    return float((one - two) / (one + two))


def _vh_db(chips: Chips) -> float:
    return float(10 * np.log10(np.nanmedian(chips.pixels[:, 1])))


@pytest.mark.parametrize(("sensor", "kind"), CASES)
def test_crises_come_with_the_last_look_and_distractors_never_have_one(sensor, kind) -> None:
    series = make_series(3, seed=5, sensor=sensor, kind=kind, looks=3)
    assert [chips.pixels.shape[0] for chips in series] == [3, 3, 3]
    for chips in series[:-1]:
        assert not chips.fractions[:, 9:].any() and all(a["event"] == "none" for a in chips.attributes)
    last = series[-1]
    if kind in EVENTS:
        assert last.fractions[:, 9:].any() and all("distractor" not in a for a in last.attributes)
        assert any(CRISES[kind] in names | unsure for names, unsure in zip(last.labels, last.ambiguous, strict=True))
    else:
        assert not last.fractions[:, 9:].any()
        assert not any(names & set(CRISES.values()) for names in last.ambiguous)
        assert all(a["distractor"] == kind for chips in series for a in chips.attributes)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_the_same_seed_gives_the_same_series(sensor) -> None:
    one, longer, other = (
        make_series(n, seed=s, sensor=sensor, kind="flood", looks=3) for n, s in ((2, 5), (3, 5), (2, 6))
    )
    for left, right in zip(one, longer, strict=True):
        assert np.array_equal(left.pixels, right.pixels[:2], equal_nan=True) and left.labels == right.labels[:2]
    assert not np.array_equal(one[0].pixels, other[0].pixels, equal_nan=True)


@pytest.mark.parametrize(("sensor", "gaps"), [("s2", {5, 10, 15}), ("s1", {6, 12})])
def test_looks_are_days_apart_and_the_last_is_day_zero(sensor, gaps) -> None:
    series = make_series(4, seed=5, sensor=sensor, kind="none", looks=4)
    for place in range(4):
        days = [chips.attributes[place]["days_before_last"] for chips in series]
        assert days[-1] == 0 and set(-np.diff(days)) <= gaps
        assert len(set(-np.diff(days))) == 1 or sensor == "s2"


def test_looks_at_one_place_resemble_each_other_more_than_other_places() -> None:
    first, second = make_series(8, seed=5, sensor="s1", kind="none", looks=2)
    logs = [
        np.log(np.nan_to_num(c.pixels, nan=0.05)).reshape(8, 2, 12, 10, 12, 10).mean((3, 5)) for c in (first, second)
    ]
    apart = np.abs(logs[0][:, None] - logs[1][None]).mean((2, 3, 4))
    assert (apart.argmin(axis=1) == np.arange(8)).mean() >= 0.75


def test_no_two_looks_have_the_same_noise() -> None:
    first, second = make_series(1, seed=5, sensor="s1", kind="permanent water", looks=2)
    assert np.nanstd(np.log(first.pixels / second.pixels)) > 0.2


def test_a_fire_is_younger_than_the_look_before() -> None:
    series = make_series(6, seed=5, sensor="s2", kind="burn", looks=3)
    for place, words in enumerate(series[-1].attributes):
        assert 0 <= words["age_days"] <= series[-2].attributes[place]["days_before_last"]
    assert _index(series[-1], NIR, SWIR2) < _index(series[-2], NIR, SWIR2) - 0.1


@pytest.mark.parametrize("kind", ["reservoir", "tide"])
def test_water_covers_at_the_last_look_what_lay_bare_before(kind) -> None:
    *before, last = make_series(5, seed=5, sensor="s2", kind=kind, looks=4)
    for chips in before:
        grown = last.fractions[:, 0] - chips.fractions[:, 0]
        assert (grown > -0.02).all() and grown.mean() > 0.1
    radar = make_series(5, seed=5, sensor="s1", kind=kind, looks=4)
    assert _vh_db(radar[-1]) < _vh_db(radar[-2])


def test_permanent_water_stays() -> None:
    series = make_series(5, seed=5, sensor="s1", kind="permanent water", looks=3)
    assert np.allclose(series[0].fractions[:, 0], series[-1].fractions[:, 0], atol=0.01)
    assert (series[-1].fractions[:, 0] > 0.05).all()


@pytest.mark.parametrize("kind", ["harvest", "clear-cut"])
def test_plants_go_between_the_last_two_looks(kind) -> None:
    *_, before, after = make_series(8, seed=5, sensor="s2", kind=kind, looks=3)
    assert _index(after, NIR, SWIR2) < _index(before, NIR, SWIR2) - 0.03


def test_ploughing_darkens_and_wets_the_ground() -> None:
    *_, before, after = make_series(8, seed=5, sensor="s2", kind="ploughing", looks=3)
    assert np.nanmedian(after.pixels[:, RED]) < 0.9 * np.nanmedian(before.pixels[:, RED])


def test_paddies_are_flooded_and_no_crisis() -> None:
    *_, before, after = make_series(6, seed=5, sensor="s2", kind="paddies", looks=3)
    assert np.nanmedian(after.pixels[:, SWIR1]) < 0.6 * np.nanmedian(before.pixels[:, SWIR1])
    assert after.fractions[:, 3].mean() > before.fractions[:, 3].mean() + 0.2


def test_snow_melts_and_brightens_the_radar() -> None:
    *_, before, after = make_series(6, seed=5, sensor="s1", kind="snow melt", looks=3)
    assert before.fractions[:, 8].mean() > 0.5 and after.fractions[:, 8].mean() < 0.05
    assert _vh_db(after) > _vh_db(before) + 1


def test_cloud_hides_the_last_look_only() -> None:
    *_, before, after = make_series(5, seed=5, sensor="s2", kind="cloud", looks=3)
    assert np.mean([a["cloud"] for a in after.attributes]) > 0.4
    assert np.mean([a["cloud"] for a in before.attributes]) < 0.2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 0}, "0 places cannot be drawn"),
        ({"looks": 1}, "1 looks are no series"),
        ({"sensor": "s3"}, "'s3' is no sensor"),
        ({"kind": "meteor"}, "no series of s1 is called 'meteor': choose from burn"),
        ({"kind": "cloud"}, "no series of s1 is called 'cloud'"),
        ({"biomes": ("moon",)}, "no biome is called 'moon'"),
        ({"kind": "paddies", "biomes": ("alpine",)}, "there is no 'paddies' in alpine"),
    ],
)
def test_bad_requests_say_what_to_do(asked, message) -> None:
    with pytest.raises(UsageError, match=message):
        make_series(**({"n": 2, "seed": 5, "sensor": "s1", "kind": "none"} | asked))


def test_kinds_are_events_and_distractors() -> None:
    assert KINDS == EVENTS + DISTRACTORS and set(kinds_of("s1")) == set(KINDS) - {"cloud"}
