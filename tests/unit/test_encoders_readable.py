"""Text that is no query: other alphabets, signs, noise, too long; and text that looks odd but is one."""

from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from encoders.nano import FOLDER
from encoders.nano_text import TextTower
from encoders.readable import spelt
from schemas.errors import NotUnderstood, Rejected


@pytest.fixture(scope="module")
def tower() -> TextTower:
    return TextTower(Path(FOLDER), 1)


@pytest.mark.parametrize(
    ("sentence", "alphabet"),
    [
        ("лесной пожар", "Cyrillic"),
        ("حريق الغابة", "Arabic"),
        ("森林火灾", "Chinese"),
        ("もりのかじ", "Japanese"),
        ("산불", "Korean"),
        ("πυρκαγιά", "Greek"),
        ("जंगल की आग", "Devanagari"),
        ("wildfir\u0435", "Cyrillic and Latin"),
    ],
)
def test_another_alphabet_is_not_understood_and_named(tower: TextTower, sentence: str, alphabet: str) -> None:
    with pytest.raises(NotUnderstood, match=f"sentence 1, .*{alphabet} letters.*ask in English"):
        tower.vectors(["fire", sentence])


@pytest.mark.parametrize("sentence", ["🔥🔥", "<>", "?!", "12345", "\x00\x01", "...", "—"])
def test_signs_are_no_words(tower: TextTower, sentence: str) -> None:
    with pytest.raises(NotUnderstood, match="holds no words"):
        tower.vectors([sentence])


def test_a_word_without_end_is_not_understood(tower: TextTower) -> None:
    with pytest.raises(NotUnderstood, match=r"'aaaa.*\.\.\.'.*Latin letters"):
        tower.vectors(["a" * 5000])


def test_half_a_character_is_rejected(tower: TextTower) -> None:
    with pytest.raises(Rejected, match="half a character at 5"):
        tower.vectors(["fire \ud83d"])


@pytest.mark.parametrize("sentence", ["", "   ", "\n\t", "\u00a0"])
def test_blank_text_is_rejected(tower: TextTower, sentence: str) -> None:
    with pytest.raises(Rejected, match="sentence 0 is empty"):
        tower.vectors([sentence])


def test_not_understood_goes_to_the_dead_letters_as_rejected() -> None:
    assert issubclass(NotUnderstood, Rejected)


@pytest.mark.parametrize(
    "sentence", ["incêndio florestal", "überflutet", "Überschwemmte Straße", "orman yangını", "w", "山火 wildfire burn"]
)
def test_accents_and_a_foreign_word_among_known_ones_are_read(tower: TextTower, sentence: str) -> None:
    assert np.isfinite(tower.vectors([sentence])).all()


def test_letters_beyond_accents_are_spelt_out(tower: TextTower) -> None:
    assert spelt("Straße Łódź Tromsø ‘wood’") == "Strasse lódź Tromso 'wood'"
    np.testing.assert_array_equal(tower.vectors(["überflutete Straße"]), tower.vectors(["uberflutete strasse"]))


def test_control_characters_and_case_change_nothing(tower: TextTower) -> None:
    np.testing.assert_array_equal(tower.vectors(["burnt\x00 FOREST\r"]), tower.vectors(["burnt forest"]))


def test_the_share_of_a_long_text_that_is_read_is_told(tower: TextTower) -> None:
    assert tower.read_share("burnt forest near the river") == 1
    assert tower.read_share("fire " * 62) == 1
    assert tower.read_share("fire " * 124) == pytest.approx(0.5)
    with capture_logs() as logs:
        tower.vectors(["fire " * 124, "fire"])
    assert [(log["event"], log["read"], log["pieces"]) for log in logs] == [("sentence is too long", 62, 124)]


def test_unknown_words_past_the_end_count_too(tower: TextTower) -> None:
    with pytest.raises(NotUnderstood):
        tower.vectors(["fire " * 62 + "пожар " * 80])
