"""What is outside an encoder's understanding, said before anybody waits for an alert.

Flows in: a sentence, the encoder, perhaps a sample of the archive. Flows out: warnings with what to write instead, and
known sentences near by. Stops before the query: it warns and never refuses.

    far        no known caption lies near: the vector means nothing that was learnt
    flat       every place scores alike: no threshold can tell one from another
    negation   a "no" that is not heard, and the like: number, date, place
    alphabet   letters that the encoder cannot read: it will refuse the sentence
    long       the end of it is not read

How far is too far, and how flat too flat, comes with the release (`training.known`); `benchmarks.lint` says how often
that is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from alerts.budgets.calibrate import TextEncoder
from alerts.budgets.thresholds import WithBackground
from alerts.wording import Unseen, unseen
from archive.interface import Archive, ArchiveFilter
from encoders.nano_captions import Captions
from schemas.errors import Rejected
from schemas.messages import Sensor

Floats = NDArray[np.float32]
Kind = Literal["far", "flat", "negation", "number", "date", "place", "alphabet", "long"]

NEAR_SHOWN = 3
"""Known sentences that are proposed, each of another label."""
SAMPLE_POINTS = 1000
"""Points of the archive that scores are spread over."""
LEAST_SAMPLE = 100
"""With fewer the archive says nothing about spreads."""
LEAST_SPREAD = 1e-4
"""Places over which known sentences spread less are all the same place: they say nothing about a sentence."""
SAME = 0.9
"""Cosine from which two sentences ask for the same: what was left out between them has not been heard."""


@runtime_checkable
class WithCaptions(Protocol):
    """An encoder that brings sentences which it surely understands; not every release does."""

    def captions(self) -> Captions | None:
        """They, or none."""

    def words(self, sentences: list[str]) -> Floats:
        """Sentences as language alone, float32 (n, 384), unit rows."""


@runtime_checkable
class WithReading(Protocol):
    """An encoder that can say how much of a sentence it reads."""

    def read_share(self, sentence: str) -> float:
        """Share that is read, 0-1."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One warning.

    Attributes:
        kind: Of which sort.
        what: Is wrong.
        why: It matters.
        instead: What to write or do.
    """

    kind: Kind
    what: str
    why: str
    instead: str

    def __str__(self) -> str:
        return f"{self.what}: {self.why}; {self.instead}"


@dataclass(frozen=True, slots=True)
class Lint:
    """What there is to say of a sentence.

    Attributes:
        sentence: As asked.
        doubts: Warnings, the gravest first; none: nothing speaks against it.
        near: Known sentences that lie nearest, one a label, and their cosine; none where the release brings none.
        nearest: Cosine of the nearest; none likewise.
        spread: By sensor, the spread of its scores over ordinary places, as a share of what known sentences have.
    """

    sentence: str
    doubts: tuple[Doubt, ...]
    near: tuple[tuple[str, float], ...] = ()
    nearest: float | None = None
    spread: Mapping[str, float] = field(default_factory=dict)


def lint(
    sentence: str, encoder: TextEncoder, *, sensors: Sequence[Sensor] = ("s1", "s2"), archive: Archive | None = None
) -> Lint:
    """Look at a sentence.

    Args:
        sentence: As a person wrote it.
        encoder: Of the release that will be asked.
        sensors: That the query watches.
        archive: A sample of it is scored besides the release's own background.

    Raises:
        StoreUnavailable: the archive does not answer.
    """
    sentence = " ".join(sentence.split())
    captions, words = None, None
    try:
        vector = encoder.texts([sentence])[0]
        if isinstance(encoder, WithCaptions):
            captions, words = encoder.captions(), encoder.words([sentence])[0]
    except Rejected as error:
        return Lint(sentence, (_alphabet(str(error)),))
    doubts: list[Doubt] = []
    near: tuple[tuple[str, float], ...] = ()
    nearest, spread = None, {}
    if captions is not None:
        near = _near(captions.vectors @ vector, captions)
        spoken = near if words is None else _near(captions.words @ words, captions)
        nearest, language, proposal = near[0][1], spoken[0][1], _proposal(spoken)
        if nearest < captions.nearest:
            doubts.append(_far(f'nearest "{near[0][0]}", cosine {nearest:.2f}', captions.nearest, proposal))
        elif words is not None and language < captions.nearest_words:
            doubts.append(_far(f"its words' highest cosine is {language:.2f}", captions.nearest_words, proposal))
        spread = _spreads(vector, captions, encoder, sensors)
        flat = _spreads(vector, captions, encoder, sensors, archive) if archive is not None else spread
        for found, place in ((spread, "ordinary places"), (flat, "the archive")):
            if found and all(share < captions.spread[sensor] for sensor, share in found.items()):
                doubts.append(_flat(found, place, proposal))
                break
    if captions is None or sentence.casefold() not in {known.casefold() for known in captions.sentences}:
        doubts += [_unseen(each, vector, encoder) for each in unseen(sentence)]
    if isinstance(encoder, WithReading) and (read := encoder.read_share(sentence)) < 1:
        doubts.append(
            Doubt("long", f"{1 - read:.0%} of the sentence is not read", "it is too long", "say it in ten words")
        )
    return Lint(sentence, tuple(doubts), near, nearest, spread)


def _near(cosines: Floats, captions: Captions) -> tuple[tuple[str, float], ...]:
    """The captions of the highest cosines, the best of each label only."""
    found: dict[str, tuple[str, float]] = {}
    for row in np.argsort(-cosines).tolist():
        found.setdefault(captions.labels[row], (captions.sentences[row], float(cosines[row])))
        if len(found) == NEAR_SHOWN:
            break
    return tuple(found.values())


def _spreads(
    vector: Floats,
    captions: Captions,
    encoder: TextEncoder,
    sensors: Sequence[Sensor],
    archive: Archive | None = None,
) -> dict[str, float]:
    """Spread of a sentence's scores by sensor, in medians of the known captions'; sensors without places left out."""
    found: dict[str, float] = {}
    for sensor in sensors:
        places = _places(sensor, encoder, archive)
        if places is not None and sensor in captions.spread:
            usual = float(np.median((captions.vectors @ places.T).std(axis=1)))
            if usual >= LEAST_SPREAD:
                found[sensor] = float((places @ vector).std()) / usual
    return found


def _places(sensor: Sensor, encoder: TextEncoder, archive: Archive | None) -> Floats | None:
    """Vectors of the archive's own places, or of the release's."""
    if archive is not None:
        wanted = ArchiveFilter(sensors=(sensor,))
        _, vectors = archive.history(release=encoder.release, filter=wanted, max_points=SAMPLE_POINTS)
        return vectors if len(vectors) >= LEAST_SAMPLE else None
    background = encoder.background(sensor) if isinstance(encoder, WithBackground) else None
    return None if background is None else background[0]


def _proposal(near: Sequence[tuple[str, float]]) -> str:
    return "try " + ", ".join(f'"{sentence}"' for sentence, _ in near)


def _far(measured: str, limit: float, proposal: str) -> Doubt:
    return Doubt(
        "far",
        f"the encoder knows nothing like it ({measured}, good sentences reach {limit:.2f})",
        "what it scores high is chance",
        proposal,
    )


def _flat(found: Mapping[str, float], place: str, proposal: str) -> Doubt:
    shares = ", ".join(f"{sensor} {share:.0%}" for sensor, share in found.items())
    return Doubt(
        "flat",
        f"over {place} its scores hardly differ ({shares} of a known sentence's spread)",
        "no threshold tells places apart",
        proposal,
    )


def _alphabet(reason: str) -> Doubt:
    return Doubt("alphabet", reason, "a query of it never alarms", 'say it in English, such as "flooded fields"')


def _unseen(each: Unseen, vector: Floats, encoder: TextEncoder) -> Doubt:
    """What the words change, measured by leaving them out."""
    words = ", ".join(f'"{word}"' for word in each.words)
    try:
        cosine = float(encoder.texts([each.rest])[0] @ vector) if each.rest else None
    except Rejected:
        cosine = None
    if cosine is None:
        heard = "nothing is left without it"
    elif cosine >= SAME:
        heard = f'the encoder hears "{each.rest}" (cosine {cosine:.2f})'
    else:
        heard = f"it bends the sentence (cosine {cosine:.2f} without it) in no known direction"
    return Doubt(each.kind, f"{_NAMES[each.kind]} {words}", f"{_WHY[each.kind]}, {heard}", _INSTEAD[each.kind])


_NAMES = {"negation": "the negation", "number": "the number", "date": "the date", "place": "the name"}
_WHY = {
    "negation": "a 'no' is not understood",
    "number": "sizes and counts cannot be seen in a chip",
    "date": "a picture does not know its date",
    "place": "a picture does not know where it is",
}
_INSTEAD = {
    "negation": "say what is there, and leave the rest to appearance mode",
    "number": "leave it out; the alert lists cells of one square kilometre",
    "date": "leave it out, or use --since and --until of a test",
    "place": "leave it out and give the place as --bbox or --area",
}
