"""Look-alikes: they lack the event, they look like it, and bad requests are named."""

import numpy as np
import pytest

from schemas.errors import UsageError
from simulation.chips import make_chips
from simulation.labels import LABELS
from simulation.lookalikes import KINDS, kinds_for, make_lookalikes

EVENTS = {"Burned Area", "Flooded Area", "Earthquake Damage"}
ALL = [(sensor, kind) for sensor in ("s2", "s1") for kind in sorted({k for by in KINDS.values() for k in by[sensor]})]
BLUE, NIR, SWIR2 = 1, 7, 12


@pytest.mark.parametrize(("sensor", "kind"), ALL)
def test_no_lookalike_has_an_event(sensor, kind) -> None:
    chips = make_lookalikes(3, seed=5, sensor=sensor, kind=kind)
    assert chips.pixels.shape == (3, 13 if sensor == "s2" else 2, 120, 120)
    assert np.nanmin(chips.pixels) > 0 and np.isfinite(chips.pixels).mean() > 0.5
    assert not EVENTS & {name for names in [*chips.labels, *chips.ambiguous] for name in names}
    assert not chips.fractions[:, 9:].any()
    assert all(a["lookalike"] == kind and a["event"] == "none" for a in chips.attributes)


@pytest.mark.parametrize("sensor", ["s1", "s2"])
def test_the_same_seed_gives_the_same_chips_and_a_longer_batch_starts_with_the_shorter(sensor) -> None:
    kind = kinds_for("Flooded Area", sensor)[0]
    one, longer, other = (make_lookalikes(n, seed=s, sensor=sensor, kind=kind) for n, s in ((2, 5), (4, 5), (2, 6)))
    assert np.array_equal(one.pixels, longer.pixels[:2], equal_nan=True)
    assert one.attributes == longer.attributes[:2]
    assert not np.array_equal(one.pixels, other.pixels, equal_nan=True)


def test_burn_lookalikes_are_darker_in_the_infrared_than_land_is() -> None:
    land = make_chips(40, seed=5, sensor="s2", biomes=("temperate", "boreal"))
    quiet = [i for i, names in enumerate(land.labels) if names and not names & (EVENTS | {"Water", "Snow and Ice"})]
    usual = np.nanmedian(land.pixels[quiet, NIR])
    for kind in ("ploughed", "dark conifer", "terrain shadow", "cloud shadow"):
        chips = make_lookalikes(8, seed=5, sensor="s2", kind=kind, biomes=("temperate", "boreal"))
        assert np.nanquantile(chips.pixels[:, NIR], 0.3) < usual, kind


def test_a_cloud_shadow_darkens_part_of_each_chip() -> None:
    chips = make_lookalikes(6, seed=5, sensor="s2", kind="cloud shadow")
    for pixels, words in zip(chips.pixels, chips.attributes, strict=True):
        land = pixels[SWIR2][pixels[BLUE] < 0.25]  # not the cloud itself
        assert np.nanquantile(land, 0.05) < 0.6 * np.nanquantile(land, 0.9), words
        assert 0.05 < words["cloud"] < 0.6


@pytest.mark.parametrize("kind", ["calm lake", "wet snow", "smooth soil", "radar shadow", "paddies", "asphalt"])
def test_flood_lookalikes_are_dark_to_the_radar(kind) -> None:
    chips = make_lookalikes(8, seed=5, sensor="s1", kind=kind)
    town = make_lookalikes(8, seed=5, sensor="s1", kind="intact town")
    dark = 10 * np.log10(np.nanquantile(chips.pixels[:, 1], 0.2))
    assert dark < 10 * np.log10(np.nanquantile(town.pixels[:, 1], 0.2)) - 1.5
    assert dark < -19


def test_what_a_lookalike_shows_is_still_labelled() -> None:
    labels = make_lookalikes(6, seed=5, sensor="s1", kind="calm lake").labels
    assert sum("Water" in names for names in labels) >= 5
    assert all("Built" in names for names in make_lookalikes(4, seed=5, sensor="s2", kind="intact town").labels)
    assert set(LABELS) >= {name for names in labels for name in names}


def test_held_out_biomes_may_be_named() -> None:
    chips = make_lookalikes(3, seed=5, sensor="s2", kind="ploughed", biomes=("monsoon",))
    assert {words["biome"] for words in chips.attributes} == {"monsoon"}


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"n": 0}, "0 look-alikes"),
        ({"kind": "wet snow"}, "no look-alike of s2 is called 'wet snow': choose from ploughed"),
        ({"sensor": "s3"}, "'s3' is no sensor"),
        ({"biomes": ("moon",)}, "no biome is called 'moon'"),
        ({"kind": "dark conifer", "biomes": ("desert",)}, "there is no 'dark conifer' in desert: try temperate"),
    ],
)
def test_bad_requests_say_what_to_do(asked, message) -> None:
    with pytest.raises(UsageError, match=message):
        make_lookalikes(**({"n": 2, "seed": 5, "sensor": "s2", "kind": "ploughed"} | asked))


def test_only_events_have_lookalikes() -> None:
    with pytest.raises(UsageError, match="'Trees' has no look-alikes: choose from Burned Area"):
        kinds_for("Trees", "s2")
