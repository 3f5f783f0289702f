"""In: a sentence and the tokenizer of a release. Out: the sentence in letters it can spell, or a refusal that says why.

Stops before any vector. What is read of a long sentence is told, not refused.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tokenizers import Tokenizer

from schemas.errors import NotUnderstood, Rejected

LEAST_KNOWN = 0.5
"""Share of a sentence's letters that must be in words the tokenizer knows: below it the vector says nothing."""

SPELT: Final = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "ss",
        "æ": "ae",
        "Æ": "ae",
        "œ": "oe",
        "Œ": "oe",
        "ø": "o",
        "Ø": "o",
        "ł": "l",
        "Ł": "l",
        "đ": "d",
        "Đ": "d",
        "ð": "d",
        "Ð": "d",
        "þ": "th",
        "Þ": "th",
        "ı": "i",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "–": "-",
        "—": "-",
    }
)
"""Latin letters and marks that are no letter with an accent: the tokenizer strips accents, but not these."""

ALPHABETS: Final = {"CJK": "Chinese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""First words of Unicode names that are not what people call the writing."""

NAMED_WORDS = 3
"""Unknown words that a message quotes."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a tokenizer makes of a sentence.

    Attributes:
        letters: in the whole sentence.
        known: of them, in words that the tokenizer can spell.
        pieces: word pieces of the whole sentence, without the markers at its ends.
        read: of them, those that fit.
        unknown: the words that it cannot spell.
    """

    letters: int
    known: int
    pieces: int
    read: int
    unknown: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the sentence that is read, 0-1; what lies past the longest length is not."""
        return self.read / self.pieces if self.pieces else 0.0


def spelt(sentence: str) -> str:
    """The sentence with the letters of `SPELT` replaced: "Straße" becomes "Strasse"."""
    return sentence.translate(SPELT)


def read(tokenizer: Tokenizer, sentence: str, unknown_id: int) -> Reading:
    """What a tokenizer makes of a sentence.

    Args:
        tokenizer: of the release; its truncation counts.
        sentence: any text that `spelt` has gone over.
        unknown_id: id of the piece that stands for words it cannot spell.

    Raises:
        Rejected: halves of a character (lone surrogates), which are no text.
    """
    try:
        sentence.encode()
    except UnicodeEncodeError as error:
        raise Rejected(f"{sentence!r} holds half a character at {error.start}: send valid Unicode") from error
    first = tokenizer.encode(sentence)
    parts = [first, *first.overflowing]
    inside = [[i for i, special in enumerate(part.special_tokens_mask) if not special] for part in parts]
    spans = [
        part.offsets[i] for part, rows in zip(parts, inside, strict=True) for i in rows if part.ids[i] == unknown_id
    ]
    unknown = tuple(sentence[start:stop] for start, stop in spans)
    letters = _letters(sentence)
    known = letters - sum(_letters(word) for word in unknown)
    return Reading(letters, known, sum(map(len, inside)), len(inside[0]), unknown)


def check_understood(reading: Reading, sentence: str, number: int) -> None:
    """Refuse a sentence of which little is known.

    Args:
        reading: of the sentence.
        sentence: as asked.
        number: which of the sentences asked together, for the message.

    Raises:
        NotUnderstood: it has no letters (signs, emoji, control characters), or most of them are in unknown words.
    """
    if not reading.letters:
        raise NotUnderstood(f"sentence {number}, {_shown(sentence)}, holds no words: say in words what to look for")
    if reading.known < LEAST_KNOWN * reading.letters:
        words = ", ".join(_shown(word) for word in reading.unknown[:NAMED_WORDS])
        raise NotUnderstood(
            f"sentence {number}, {_shown(sentence)}, is not understood: {words} ({_alphabets(reading.unknown)}) is "
            "unknown to this encoder, which reads English in Latin letters: ask in English"
        )


def _letters(text: str) -> int:
    return sum(character.isalpha() for character in text)


def _shown(text: str) -> str:
    """At most forty characters of it, quoted."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _alphabets(words: Sequence[str]) -> str:
    """The writings of some words, by their Unicode names: "Cyrillic letters"; Latin words that are known to nobody."""
    names = {unicodedata.name(c, "UNKNOWN").split()[0].split("-")[0] for word in words for c in word if c.isalpha()}
    found = sorted({ALPHABETS.get(name, name.capitalize()) for name in names})
    return f"{' and '.join(found)} letters"
