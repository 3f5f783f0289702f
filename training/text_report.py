"""In: a text tower and a text head. Out: how words that nobody trained on lie to the labels' own names.

Stops at figures: no image is looked at here; what the words find in images is `evaluate`'s.

    python -m training.text_report --release encoders/weights/nano            # the head as it lies there
    python -m training.text_report --release encoders/weights/nano --recipes  # heads compared, word families unseen
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from encoders.nano_text import TextHead as RuntimeHead
from encoders.nano_text import TextTower
from training.captions import Caption, phrases_of, single_captions, training_bank
from training.held_out import FRAMES, NEAR_MISSES, OTHER_FIELDS, STRANGERS
from training.languages import FOREIGN_HELD_OUT
from training.phrases import LABELS
from training.text_head import Recipe, pretrained

Vectors = NDArray[np.float32]
Head = Callable[[Vectors], Vectors]
"""MiniLM's vectors (n, 384) to unit vectors of the shared space (n, 384)."""

Figures = dict[str, float]

FAMILY_SHARE = 6
"""One in so many word stems is taken out of training at a time."""

RECIPES: dict[str, Recipe] = {
    "affine": Recipe(hidden=0, pull=0.0),
    "hidden 256": Recipe(pull=0.0),
    "hidden 256, pull": Recipe(),
    "hidden 256, pull, less noise": Recipe(noise=0.03),
    "hidden 256, pull, kin": Recipe(kin=True),
    "hidden 256, pull, fewer strangers": Recipe(strangers=0.15),
    "hidden 512, pull": Recipe(hidden=512),
}
"""What was compared; the docstring of `Recipe` names the parts, its defaults are what ships."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Sentences with MiniLM's vectors and the one label that each means.

    Attributes:
        vectors: float32, (n, 384).
        labels: int64, (n,), indices into `LABELS`.
    """

    vectors: Vectors
    labels: NDArray[np.int64]

    def taken(self, rows: NDArray[np.bool_] | slice) -> "Asked":
        """Some of them."""
        return Asked(self.vectors[rows], self.labels[rows])


def asked(tower: TextTower, captions: Sequence[Caption]) -> Asked:
    """Embed captions of one label each."""
    return Asked(tower.vectors([c.text for c in captions]), np.array([c.labels[0] for c in captions], np.int64))


def near_names(head: Head, names: Vectors, sentences: Asked) -> Figures:
    """How sentences lie to the labels' names.

    Returns:
        `right`: share whose own label's name is the nearest; `own`: mean cosine with it (1: behaves as the name does);
        `own p10`: its tenth percentile; `margin`: mean lead over the nearest other name.
    """
    cosines = head(sentences.vectors) @ head(names).T
    rows = np.arange(len(cosines))
    own = cosines[rows, sentences.labels]
    cosines[rows, sentences.labels] = -1
    other = cosines.max(axis=1)
    figures = {"right": (own > other).mean(), "own": own.mean(), "own p10": np.quantile(own, 0.1)}
    return {name: float(value) for name, value in figures.items()} | {"margin": float((own - other).mean())}


def far_from_names(head: Head, names: Vectors, strangers: Vectors) -> Figures:
    """How near strangers come to any label's name, and to each other."""
    heard = head(strangers)
    nearest = (heard @ head(names).T).max(axis=1)
    among = (heard @ heard.T)[~np.eye(len(heard), dtype=bool)]
    figures = {"nearest": nearest.mean(), "nearest p95": np.quantile(nearest, 0.95), "nearest max": nearest.max()}
    return {name: float(value) for name, value in figures.items()} | {"among": float(among.mean())}


class Examination:
    """Everything held out, embedded once.

    Args:
        tower: of the release.
    """

    def __init__(self, tower: TextTower) -> None:
        random = np.random.default_rng(5)
        self.names = tower.vectors([name.lower() for name in LABELS])
        held = single_captions(held_out=True)
        framed = [Caption(str(random.choice(FRAMES[1:])).format(c.text), c.labels) for c in held]
        self.sets = {"held out": asked(tower, held), "held out, framed": asked(tower, framed)}
        for language, words in FOREIGN_HELD_OUT.items():
            captions = [Caption(p, (LABELS.index(label),)) for label, phrases in words.items() for p in phrases]
            self.sets[language] = asked(tower, captions)
        self.misses = tower.vectors([phrase for phrase, _, _ in NEAR_MISSES])
        self.pairs = np.array([[LABELS.index(label) for label in pair] for _, *pair in NEAR_MISSES])
        self.strangers = {
            "strangers": tower.vectors(list(STRANGERS)),
            "other fields": tower.vectors(list(OTHER_FIELDS)),
        }

    def figures(self, head: Head) -> dict[str, Figures]:
        """All figures of one head."""
        found = {name: near_names(head, self.names, sentences) for name, sentences in self.sets.items()}
        cosines = head(self.misses) @ head(self.names).T
        rows = np.arange(len(cosines))
        told = cosines[rows, self.pairs[:, 0]] > cosines[rows, self.pairs[:, 1]]
        found["near misses"] = {"right": float(told.mean())}
        return found | {name: far_from_names(head, self.names, v) for name, v in self.strangers.items()}


def stems(text: str) -> set[str]:
    """Beginnings of the longer words: "inundated" and "inundation" are one family."""
    return {word[:6] for word in re.findall(r"[a-z]+", text.lower()) if len(word) > 3}


def unseen_families(seed: int) -> set[str]:
    """A random sixth of the stems that belong to one label only."""
    owners: dict[str, set[str]] = {}
    for label in LABELS:
        for phrase in phrases_of(label):
            for stem in stems(phrase):
                owners.setdefault(stem, set()).add(label)
    single = sorted(stem for stem, labels in owners.items() if len(labels) == 1)
    return set(np.random.default_rng(seed).choice(single, len(single) // FAMILY_SHARE, replace=False).tolist())


def compared(tower: TextTower, recipes: dict[str, Recipe], seeds: Sequence[int]) -> dict[str, dict[str, Figures]]:
    """Means over seeds; each seed trains without other word families and is asked about them."""
    examination = Examination(tower)
    bank = training_bank(0)
    vectors = torch.from_numpy(tower.vectors([c.text for c in bank]))
    listed = [Caption(phrase, (i,)) for i, label in enumerate(LABELS) for phrase in phrases_of(label)]
    everything = asked(tower, listed)
    results: dict[str, dict[str, Figures]] = {}
    for name, recipe in recipes.items():
        runs = []
        for seed in seeds:
            families = unseen_families(seed)
            named = {label.lower() for label in LABELS}
            kept = [i for i, c in enumerate(bank) if c.text in named or not stems(c.text) & families]
            start = time.process_time()
            trained = pretrained([bank[i] for i in kept], vectors[kept], seed, recipe)
            used = time.process_time() - start
            unseen = everything.taken(np.array([bool(stems(c.text) & families) for c in listed]))
            head = as_numpy(trained)
            figures = examination.figures(head)
            figures["unseen families"] = near_names(head, examination.names, unseen)
            runs.append(figures | {"training": {"cpu_s": used}})
        results[name] = {
            part: {key: float(np.mean([run[part][key] for run in runs])) for key in runs[0][part]} for part in runs[0]
        }
    return results


def as_numpy(head: torch.nn.Module) -> Head:
    """A torch head as a function of arrays."""

    def heard(vectors: Vectors) -> Vectors:
        with torch.no_grad():
            found: Vectors = head(torch.from_numpy(vectors)).numpy()
        return found

    return heard


def main() -> None:
    """Report on a release's head, or on recipes."""
    parser = argparse.ArgumentParser(prog="python -m training.text_report", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--release", type=Path, required=True, help="folder with text.onnx, tokenizer.json, text_head.npz"
    )
    parser.add_argument("--recipes", action="store_true", help="train and compare heads instead")
    parser.add_argument("--seeds", type=int, default=3, help="heads a recipe")
    options = parser.parse_args()
    tower = TextTower(options.release, 1)
    torch.set_num_threads(1)
    found: object
    if options.recipes:
        found = compared(tower, RECIPES, range(options.seeds))
    else:
        found = Examination(tower).figures(RuntimeHead(options.release))
    sys.stdout.write(
        json.dumps(json.loads(json.dumps(found), parse_float=lambda x: round(float(x), 3)), indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
