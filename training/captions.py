"""In: the phrase lists and labels of chips. Out: sentences, and which labels each sentence asks for.

Stops before the text tower: nothing here knows about vectors.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.phrases import COMBINED, HELD_OUT, LABELS, REGIONS, SEASONS, TRAINED, UNRELATED

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
)
"""Sentence frames; all ask for the phrase they hold."""


@dataclass(frozen=True, slots=True)
class Caption:
    """A sentence and what it asks for.

    Attributes:
        text: the sentence.
        labels: indices into `LABELS`; all of them must be there. Empty: it asks for something no chip shows.
    """

    text: str
    labels: tuple[int, ...]


def phrases_of(label: str) -> list[str]:
    """Phrases of a label that training sees: the listed ones, and pairs of words that are not held out."""
    first, second = COMBINED[label]
    pairs = [f"{a} {b}" for a in first for b in second]
    unseen = {phrase for phrases in HELD_OUT.values() for phrase in phrases}
    listed = {phrase for phrases in TRAINED.values() for phrase in phrases}
    return list(TRAINED[label]) + [pair for pair in pairs if pair not in unseen | listed]


def single_captions(held_out: bool = False) -> list[Caption]:
    """Every listed phrase of every label as it stands.

    Args:
        held_out: the validation phrases instead of the training ones.
    """
    lists = HELD_OUT if held_out else TRAINED
    return [Caption(phrase, (LABELS.index(label),)) for label, phrases in lists.items() for phrase in phrases]


def combined_captions() -> list[Caption]:
    """Every pair of words that is a phrase of a label."""
    return [Caption(phrase, (i,)) for i, label in enumerate(LABELS) for phrase in phrases_of(label)]


def unrelated_captions() -> list[Caption]:
    """Sentences that no chip answers."""
    return [Caption(text, ()) for text in UNRELATED]


def _dressed(phrase: str, random: np.random.Generator) -> str:
    """The phrase in a random frame, now and then with a season or a place."""
    if random.random() < 0.35:
        phrase = f"{phrase} {random.choice(SEASONS + REGIONS)}"
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
        joined = str(random.choice((" and ", ". ", ", ", " next to ", " with "))).join(words)
        captions.append(Caption(_dressed(joined, random), pair))
    return captions


def training_bank(seed: int, dressed: int = 1500, mixed: int = 500) -> list[Caption]:
    """The sentences an image is compared with in training, duplicates removed.

    Args:
        seed: of the draws.
        dressed: single-label sentences with frames, seasons and places.
        mixed: sentences about two labels.
    """
    random = np.random.default_rng(seed)
    drawn = dressed_captions(dressed, random) + mixed_captions(mixed, random)
    return list({c.text: c for c in combined_captions() + unrelated_captions() + drawn}.values())


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
