"""In: the phrase lists and labels of chips. Out: sentences, and which labels each sentence asks for.

Stops before the text tower: nothing here knows about vectors.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from training.held_out import HELD_OUT
from training.languages import FOREIGN, FOREIGN_FRAMES
from training.phrases import COMBINED, LABELS, REGIONS, SEASONS, TRAINED
from training.strangers import OTHER_EVENTS, OTHER_SENSES, UNRELATED

TEMPLATES: tuple[str, ...] = (
    "{}",
    "{}.",
    "a satellite image of {}",
    "satellite image showing {}",
    "{} seen from space",
    "an aerial view of {}",
    "Sentinel-2 image of {}",
    "radar image of {}",
    "there is {} here",
    "a place with {}",
    "show me {}",
    "find {}",
    "I am looking for {}",
    "any sign of {}",
    "signs of {}",
    "areas with {}",
    "map of {}",
    "tell me when you see {}",
    "new: {}",
    "is there {}?",
    "report of {}",
)
"""Sentence frames; all ask for the phrase they hold."""

JOINTS: tuple[str, ...] = (" and ", ". ", ", ", " next to ", " with ", " beside ", " near ")
"""What stands between two phrases of a sentence that asks for both."""

WHOLE_LIST = 150
"""Phrases of a label that the bank holds as they stand: the events' products would outnumber everything else."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence and what it asks for.

    Attributes:
        text: the sentence.
        labels: indices into `LABELS`; all of them must be there. Empty: it asks for something no chip shows.
    """

    text: str
    labels: tuple[int, ...]


@cache
def _withheld(phrase: str) -> bool:
    """Whether a phrase contains one that is kept for validation."""
    framed = f" {phrase.lower()} "
    return any(f" {unseen.lower()} " in framed for phrases in HELD_OUT.values() for unseen in phrases)


@cache
def phrases_of(label: str) -> tuple[str, ...]:
    """Phrases of a label that training sees, the listed ones first, then the products; held-out ones are left out."""
    listed = {phrase for phrases in TRAINED.values() for phrase in phrases}
    ways = [" ".join(words) for slots in COMBINED[label] for words in product(*slots)]
    phrases = dict.fromkeys([*TRAINED[label], *(way for way in ways if way not in listed)])
    return tuple(phrase for phrase in phrases if not _withheld(phrase))


def single_captions(held_out: bool = False) -> list[Caption]:
    """Every listed phrase of every label as it stands.

    Args:
        held_out: the validation phrases instead of the training ones.
    """
    if held_out:
        return [Caption(phrase, (LABELS.index(label),)) for label in LABELS for phrase in HELD_OUT[label]]
    listed = [(label, phrase) for label in LABELS for phrase in TRAINED[label]]
    return [Caption(phrase, (LABELS.index(label),)) for label, phrase in listed if not _withheld(phrase)]


def combined_captions(random: np.random.Generator) -> list[Caption]:
    """The listed phrases of each label, filled up with random products."""
    captions = []
    for index, label in enumerate(LABELS):
        phrases = phrases_of(label)
        listed = [phrase for phrase in phrases if phrase in TRAINED[label]]
        rest = [phrase for phrase in phrases if phrase not in TRAINED[label]]
        count = min(max(WHOLE_LIST - len(listed), 0), len(rest))
        drawn = [str(phrase) for phrase in random.choice(rest, count, replace=False)]
        captions += [Caption(phrase, (index,)) for phrase in listed + drawn]
    return captions


def unrelated_captions() -> list[Caption]:
    """Sentences that no chip answers."""
    return [Caption(text, ()) for text in UNRELATED + OTHER_SENSES + OTHER_EVENTS]


def misspelt(phrase: str, random: np.random.Generator) -> str:
    """The phrase with one slip of the fingers in one of its words of five letters or more, or as it was.

    Args:
        phrase: words with blanks between them.
        random: source of every draw.
    """
    words = phrase.split(" ")
    long = [i for i, word in enumerate(words) if len(word) >= 5]
    if not long:
        return phrase
    chosen = int(random.choice(long))
    word, at = words[chosen], int(random.integers(1, len(words[chosen]) - 1))
    slips = (
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
    )
    words[chosen] = slips[int(random.integers(len(slips)))]
    return " ".join(words)


def misspelt_captions(count: int, random: np.random.Generator) -> list[Caption]:
    """Random phrases with a slip, every label equally often.

    Args:
        count: how many sentences.
        random: source of every draw.
    """
    words = [phrases_of(label) for label in LABELS]
    labels = random.integers(0, len(LABELS), count)
    return [Caption(misspelt(str(random.choice(words[i])), random), (int(i),)) for i in labels]


def _dressed(phrase: str, random: np.random.Generator) -> str:
    """The phrase in a random frame, now and then with a season, a place, or both."""
    if random.random() < 0.4:
        phrase = f"{phrase} {random.choice(SEASONS + REGIONS)}"
    if random.random() < 0.1:
        phrase = f"{phrase} {random.choice(SEASONS)}"
    return str(random.choice(TEMPLATES)).format(phrase)


def dressed_captions(count: int, random: np.random.Generator) -> list[Caption]:
    """Random single-label sentences: every label equally often, phrase, frame, season and place drawn.

    Args:
        count: how many sentences.
        random: source of every draw.
    """
    words = [phrases_of(label) for label in LABELS]
    labels = random.integers(0, len(LABELS), count)
    return [Caption(_dressed(str(random.choice(words[i])), random), (int(i),)) for i in labels]


def dressed_strangers(count: int, random: np.random.Generator) -> list[Caption]:
    """Sentences that no chip answers in the frames of those that chips do: a frame, a place, a season mean nothing.

    Args:
        count: how many sentences.
        random: source of every draw.
    """
    texts = (*UNRELATED, *OTHER_SENSES, *OTHER_EVENTS, "something", "a place", "an area", "anything at all")
    return [Caption(_dressed(str(random.choice(texts)), random), ()) for _ in range(count)]


def foreign_captions(random: np.random.Generator) -> list[Caption]:
    """Every phrase of the other languages as it stands and in one frame of its language."""
    captions = []
    for language, words in FOREIGN.items():
        for label, phrases in words.items():
            for phrase in phrases:
                frame = str(random.choice(FOREIGN_FRAMES[language]))
                captions += [Caption(text, (LABELS.index(label),)) for text in (phrase, frame.format(phrase))]
    return captions


def mixed_captions(count: int, random: np.random.Generator) -> list[Caption]:
    """Random sentences that ask for two labels at once, joined as people and as CrisisLandMark join them.

    Args:
        count: how many sentences.
        random: source of every draw.
    """
    phrases, captions = [phrases_of(label) for label in LABELS], []
    for _ in range(count):
        pair = tuple(sorted(int(i) for i in random.choice(len(LABELS), 2, replace=False)))
        words = [str(random.choice(phrases[i])) for i in pair]
        random.shuffle(words)
        captions.append(Caption(_dressed(str(random.choice(JOINTS)).join(words), random), pair))
    return captions


def training_bank(
    seed: int, dressed: int = 5000, mixed: int = 1500, strangers: int = 600, slips: int = 900
) -> list[Caption]:
    """The sentences an image is compared with in training, duplicates removed.

    Args:
        seed: of the draws.
        dressed: single-label sentences with frames, seasons and places.
        mixed: sentences about two labels.
        strangers: framed sentences that no chip answers.
        slips: misspelt phrases.
    """
    random = np.random.default_rng(seed)
    drawn = combined_captions(random) + dressed_captions(dressed, random) + mixed_captions(mixed, random)
    drawn += foreign_captions(random) + unrelated_captions() + dressed_strangers(strangers, random)
    drawn += misspelt_captions(slips, random)
    unique = {c.text: c for c in drawn}
    return [c for c in unique.values() if not _withheld(c.text)]


def asked_labels(captions: Iterable[Caption]) -> NDArray[np.float32]:
    """float32, (m, 12): 1 for the labels that each sentence asks for."""
    identity = np.eye(len(LABELS), dtype=np.float32)
    return np.stack([identity[list(c.labels)].sum(axis=0) for c in captions])


def targets(captions: Iterable[Caption], presence: NDArray[np.float32]) -> NDArray[np.float32]:
    """How well each chip answers each sentence.

    Args:
        captions: m sentences.
        presence: float32, (n, 12), 0-1, how surely each label of `LABELS` is there.

    Returns:
        float32, (n, m): the least sure of the labels that a sentence asks for; 0 for unrelated sentences.
    """
    columns = [presence[:, list(c.labels)].min(axis=1) if c.labels else np.zeros(len(presence)) for c in captions]
    return np.stack(columns, axis=1).astype(np.float32)
