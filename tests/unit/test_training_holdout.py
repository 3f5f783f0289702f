"""The simulated hold-out: which chips count, and that none was ever trained on."""

import numpy as np

from simulation.biomes import ALL_BIOMES, HELD_OUT_BIOMES
from simulation.chips import make_chips
from training.holdout import (
    ABSENT,
    SEED_OF_LOOKALIKES,
    SEED_OF_PAIRS,
    SEED_OF_SERIES,
    SEED_OF_SETS,
    biomes_of,
    example_of,
    held_out,
    thresholds,
)
from training.phrases import LABELS


def test_every_biome_is_in_one_set() -> None:
    trained, unseen = set(biomes_of("training biomes")), set(biomes_of("held-out biomes"))
    assert unseen == set(HELD_OUT_BIOMES)
    assert not trained & unseen
    assert trained | unseen == {biome.name for biome in ALL_BIOMES}


def test_no_seed_is_one_of_training() -> None:
    seeds = [*SEED_OF_SETS.values(), SEED_OF_PAIRS, SEED_OF_LOOKALIKES, SEED_OF_SERIES]
    assert min(seeds) >= 500_000
    assert len(set(seeds)) == len(seeds)
    assert all(seed % 100_000 == 50_000 for seed in seeds)  # chunk 50 000 of a pool: 12.5 million chips


def test_chips_are_of_their_set_and_do_not_depend_on_how_many_are_asked_for() -> None:
    few, more = list(held_out("held-out biomes", "s1", 3)), list(held_out("held-out biomes", "s1", 5))
    assert [e.place for e in more[:3]] == [e.place for e in few]
    np.testing.assert_array_equal(few[2].pixels, more[2].pixels)
    assert all(any(f"({name}," in e.name for name in HELD_OUT_BIOMES) for e in more)
    assert len({e.place for e in more}) == 5


def test_between_absent_and_present_nobody_knows() -> None:
    chips = make_chips(1, seed=1, sensor="s2")
    burned, trees, water = (LABELS.index(name) for name in ("Burned Area", "Trees", "Water"))
    chips.fractions[0] = 0
    chips.fractions[0, [burned, trees, water]] = (0.3, 0.6, ABSENT)
    found = example_of(chips, 0, "made")
    assert not found.known[burned]
    assert (found.known[trees], found.gains[trees]) == (True, 3)
    assert (found.known[water], found.gains[water]) == (True, 0)
    chips.fractions[0, burned] = 0.4
    assert example_of(chips, 0, "made").gains[burned] == 2


def test_what_the_simulator_calls_ambiguous_is_left_out() -> None:
    chips = make_chips(1, seed=1, sensor="s1")
    chips.fractions[0] = 0
    chips.ambiguous[0] = frozenset({"Flooded Area"})
    known = example_of(chips, 0, "made").known
    assert not known[LABELS.index("Flooded Area")]
    assert known.sum() == 11


def test_thresholds_are_those_that_the_simulator_judges_by() -> None:
    chips = make_chips(60, seed=9, sensor="s2")
    for row in range(60):
        example = example_of(chips, row, "made")
        assert {LABELS[i] for i in np.flatnonzero(example.gains)} == chips.labels[row]
    assert thresholds()[LABELS.index("Burned Area")] == np.float32(0.4)
