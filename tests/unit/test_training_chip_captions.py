"""Sentences about one simulated chip: they ask only for what it shows, and know what the simulator noted."""

import numpy as np

from simulation.chips import make_chips
from training.chip_captions import BIOME_WORDS, chip_captions
from training.phrases import LABELS


def texts(labels: list[str], attributes: dict[str, str | float], seed: int = 0) -> str:
    return " | ".join(c.text for c in chip_captions(labels, attributes, 200, np.random.default_rng(seed)))


def test_captions_of_simulated_chips_ask_only_for_what_is_there() -> None:
    chips = make_chips(12, seed=5, sensor="s2")
    random = np.random.default_rng(0)
    for labels, attributes in zip(chips.labels, chips.attributes, strict=True):
        captions = chip_captions(sorted(labels), attributes, 6, random)
        assert len(captions) == (6 if labels else 0)
        assert all({LABELS[i] for i in c.labels} <= labels and 1 <= len(c.labels) <= 2 for c in captions)
        assert all("{" not in c.text and c.text for c in captions)
    assert {str(a["biome"]) for a in chips.attributes} <= set(BIOME_WORDS)


def test_severity_and_age_are_said_of_burns() -> None:
    said = texts(["Burned Area"], {"severity": "high", "age_days": 3})
    assert "severely burnt" in said and "fresh burn scar" in said
    assert "lightly burnt" not in said
    assert "lightly burnt" in texts(["Burned Area"], {"severity": "low", "age_days": 300})


def test_damage_is_a_number_for_earthquakes_and_mud_one_for_floods() -> None:
    assert "most buildings collapsed" in texts(["Earthquake Damage"], {"severity": 0.9})
    assert "some buildings collapsed" in texts(["Earthquake Damage"], {"severity": 0.4})
    assert "muddy flood water" in texts(["Flooded Area"], {"turbidity": 0.9})


def test_biome_and_season_are_words_around_it() -> None:
    said = texts(["Trees"], {"biome": "boreal", "season": "winter"})
    assert "in the boreal zone" in said and "in late winter" in said


def test_what_the_simulator_did_not_note_is_not_said() -> None:
    captions = chip_captions(["Burned Area", "Trees"], {"biome": "moon"}, 50, np.random.default_rng(1))
    assert len(captions) == 50
    assert {c.labels for c in captions} == {(1,), (11,), (1, 11)}


def test_same_draws_same_sentences() -> None:
    first, second = (chip_captions(["Water"], {}, 5, np.random.default_rng(3)) for _ in range(2))
    assert first == second
