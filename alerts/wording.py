"""Words that no picture answers: negations, numbers, dates, names of places.

Flows in: a sentence. Flows out: the words of each kind, and the sentence without them. Stops before any vector: what
the words do to one is `alerts.lint`'s matter.

Sentence encoders hardly hear a "no": "no flooding" lies next to "flooding" (Alhamoud et al. 2025, Vision-Language
Models Do Not Understand Negation, CVPR). Numbers, dates and names are not in a picture of 1.2 km.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["negation", "number", "date", "place"]

_MONTHS = "january|february|march|april|june|july|august|september|october|november|december"
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_SPANS = "day|days|week|weeks|month|months|year|years|hour|hours|night|morning|evening|weekend"
_COUNTS = (
    "two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|hundreds|thousand|"
    "thousands|million|millions|dozen|dozens|half|twice|double|percent"
)
_UNITS = "m|km|km2|ha|hectares|hectare|acres|metres|meters|kilometres|kilometers|miles|feet|°c|%|mm|cm"

_PATTERNS: dict[Kind, re.Pattern[str]] = {
    "negation": re.compile(
        r"\b(?:no|not|never|none|nothing|without|non|neither|nor|cannot|except|excluding|unless|lack of|lacking|"
        r"absence of|free of|free from|instead of|other than|rather than|but not)\b|\b\w+n't\b|(?<=\w)-free\b",
        re.IGNORECASE,
    ),
    "date": re.compile(
        rf"\b(?:(?:in|on|of|since|until|before|after|by)\s+)?(?:(?:early|late|mid)[ -])?(?:(?:{_MONTHS}|{_DAYS})\b"
        rf"(?:\s+\d{{1,2}}(?:st|nd|rd|th)?)?(?:,?\s+(?:19|20)\d\d)?|(?:19|20)\d\d(?:-\d\d){{0,2}}\b)"
        r"|\b(?:(?:for|in|over|during|within)\s+)?(?:the\s+)?(?:last|past|next|this|previous|coming)\s+(?:\w+\s+)?"
        rf"(?:{_SPANS})\b"
        r"|\b(?:yesterday|today|tomorrow|tonight|recently|currently|now|right now|ago)\b"
        r"|\bin\s+May\b",
        re.IGNORECASE,
    ),
    "number": re.compile(
        rf"(?<![\w-])(?:(?:more|less|fewer|over|under|at least|at most|about|around|nearly)\s+(?:than\s+)?)?"
        rf"(?:\d[\d.,]*(?:\s*(?:{_UNITS})(?!\w))?|(?:{_COUNTS})\b)(?!-?\w)",
        re.IGNORECASE,
    ),
    "place": re.compile(
        r"\b(?:(?:[Ii]n|[Nn]ear|[Aa]t|[Oo]f|[Oo]ff|[Aa]round|[Aa]long|[Ff]rom|[Oo]n|[Oo]ver|[Bb]y)\s+)?(?:[Tt]he\s+)?"
        r"(?<![.!?] )(?P<name>[A-Z][\w'-]*[a-z][\w'-]*(?:\s+[A-Z][\w'-]*[a-z][\w'-]*)*)"
    ),
}
_SEEN_BY = re.compile(r"^(?:Sentinel|Landsat|Copernicus|Arctic|Antarctic|Alpine|Mediterranean|SAR)\b")
"""Capital letters that name no place where one could draw an area, or a kind of landscape."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """Words of one kind.

    Attributes:
        kind: What they are.
        words: As they stand in the sentence, in order.
        rest: The sentence without them; empty where nothing is left.
    """

    kind: Kind
    words: tuple[str, ...]
    rest: str


def unseen(sentence: str) -> list[Unseen]:
    """Words that a picture cannot answer, a kind at a time: negation, number, date, place.

    A capital at the beginning names nothing, and neither do they where every word has one. A number within a date is
    not told again.
    """
    found = []
    dates = _PATTERNS["date"].sub(" ", sentence)
    for kind in ("negation", "number", "date", "place"):
        text = dates if kind in ("number", "place") else sentence
        words = _places(text) if kind == "place" else [hit.group().strip() for hit in _PATTERNS[kind].finditer(text)]
        words = [word for word in words if word]
        if words:
            found.append(Unseen(kind, tuple(dict.fromkeys(words)), _without(sentence, words)))
    return found


def _places(sentence: str) -> list[str]:
    words = re.findall(r"[^\W\d_]{3,}", sentence)
    if words and all(word[0].isupper() for word in words):
        return []
    names = []
    for hit in _PATTERNS["place"].finditer(sentence):
        begins = not sentence[: hit.start()].strip(" \"'([") and hit["name"] == hit.group()
        if not begins and not _SEEN_BY.match(hit["name"]):
            names.append(hit.group().strip())
    return names


def _without(sentence: str, words: list[str]) -> str:
    for word in words:
        sentence = sentence.replace(word, " ", 1)
    return re.sub(r"\s+([,.;:!?])", r"\1", " ".join(sentence.split())).strip(" ,;:-")
