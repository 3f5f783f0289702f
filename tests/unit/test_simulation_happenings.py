"""Random events on chips: layers in range, on ground that can carry them, with words that agree."""

import numpy as np
import pytest

from simulation.disturbance import NOTHING, Disturbance
from simulation.fields import FieldPool, pool_for
from simulation.happenings import Words, draw_burn, draw_event, draw_flood, draw_quake
from simulation.labels import Cover
from simulation.layout import Place
from simulation.scenes import draw_place
from simulation.spectra import conditions

SEEDS = range(12)


@pytest.fixture(scope="module")
def pool() -> FieldPool:
    return pool_for(5)


def _place(pool: FieldPool, seed: int, scene: str) -> Place:
    return draw_place(np.random.default_rng([5, seed]), pool, (120, 120), scene, None)


def _draw(kind: str, pool: FieldPool, seed: int, scene: str, *, snow: float = 0.0) -> tuple[Place, Disturbance, Words]:
    place = _place(pool, seed, scene)
    now = conditions(place.biome, 200.0, wetness=0.2, snow=snow, green_shift=0.0)
    return place, *draw_event(kind, place, now, pool, np.random.default_rng(seed))


@pytest.mark.parametrize(("kind", "scene"), [("burn", "forest"), ("flood", "river"), ("quake", "town")])
def test_an_event_is_one_layer_from_zero_to_one(pool: FieldPool, kind: str, scene: str) -> None:
    for seed in SEEDS:
        _, event, words = _draw(kind, pool, seed, scene)
        layers = {"burn": event.severity, "flood": event.water, "quake": event.damage}
        layer = layers.pop(kind)
        assert words["event"] == kind and list(layers.values()) == [None, None]
        assert layer is not None and layer.shape == (120, 120) and layer.dtype == np.float32
        assert layer.min() >= 0 and 0 < layer.max() <= 1


def test_nothing_happens_when_nothing_is_asked_for(pool: FieldPool) -> None:
    _, event, words = _draw("none", pool, 1, "forest")
    assert event is NOTHING and words == {"event": "none"}


@pytest.mark.parametrize("kind", ["burn", "flood"])
def test_nothing_burns_or_floods_under_full_snow(pool: FieldPool, kind: str) -> None:
    _, event, words = _draw(kind, pool, 1, "forest", snow=1.0)
    assert event is NOTHING and words == {"event": "none"}


def test_water_and_houses_do_not_burn(pool: FieldPool) -> None:
    spared = 0
    for seed in SEEDS:
        for scene in ("lake", "town"):
            place = _place(pool, seed, scene)
            event, _ = draw_burn(place, pool, np.random.default_rng(seed))
            hard = place.is_cover(Cover.WATER, Cover.BUILT)
            assert event.severity is not None and event.severity[hard].sum() == 0
            spared += int(hard.sum())
    assert spared > 10000


def test_burns_differ_in_size_age_and_strength(pool: FieldPool) -> None:
    place = _place(pool, 3, "forest")
    drawn = [draw_burn(place, pool, np.random.default_rng(seed)) for seed in range(60)]
    shares = [float((event.severity > 0.1).mean()) for event, _ in drawn if event.severity is not None]
    ages = [event.burn_age_days for event, _ in drawn]
    assert min(shares) < 0.4 and max(shares) > 0.85
    assert min(ages) < 10 and max(ages) > 120
    assert {words["severity"] for _, words in drawn} == {"low", "moderate", "high"}
    assert all(words["age_days"] == round(event.burn_age_days) for event, words in drawn)


def test_floods_lie_on_the_lower_ground(pool: FieldPool) -> None:
    partial = 0
    for seed in SEEDS:
        place = _place(pool, seed, "river")
        event, words = draw_flood(place, pool, np.random.default_rng(seed))
        assert event.water is not None and words["turbidity"] == round(event.turbidity, 2)
        wet = event.water > 0.3
        if 0.05 < wet.mean() < 0.7:
            partial += 1
            dry = ~wet & ~place.is_cover(Cover.WATER)  # the river itself is lowest of all, and no flood
            assert place.lowness[wet].mean() < place.lowness[dry].mean()
    assert partial >= 3


def test_only_what_a_map_calls_built_is_damaged(pool: FieldPool) -> None:
    for seed in SEEDS:
        place = _place(pool, seed, "town")
        event, _ = draw_quake(place, pool, np.random.default_rng(seed))
        outside = (place.label != Cover.BUILT)[place.regions]
        assert event.damage is not None and event.damage[outside].sum() == 0
        assert event.damage[~outside].mean() > 0.2


@pytest.mark.parametrize("kind", ["burn", "flood", "quake"])
def test_the_same_seed_gives_the_same_event(pool: FieldPool, kind: str) -> None:
    one, same, other = (_draw(kind, pool, seed, "town" if kind == "quake" else "pasture") for seed in (2, 2, 9))
    assert one[2] == same[2] and one[2] != other[2]
    for layer in ("severity", "water", "damage"):
        first, second = getattr(one[1], layer), getattr(same[1], layer)
        assert (first is None and second is None) or np.array_equal(first, second)
