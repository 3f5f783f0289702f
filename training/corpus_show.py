"""What is in a corpus: counts, and whether all of it can be read.

In: a folder. Out: counts by label, split, sensor, source; what is wrong with it. Stops at counting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from training.corpus_facts import facts_of, label_named
from training.crisislandmark import open_corpus
from training.phrases import LABELS


@dataclass
class Contents:
    """Counts of chips.

    Attributes:
        chips: All of them.
        labels: Per label, and per label and sensor; a chip may have several labels.
        splits, sensors, sources: Each chip once.
        problems: What cannot be used, in one line each.
    """

    chips: int = 0
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    sensors: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def add(self, labels: frozenset[str], split: str, sensor: str, source: str) -> None:
        """Count a chip."""
        self.chips += 1
        self.labels.update((label, sensor) for label in labels)
        self.splits[split] += 1
        self.sensors[sensor] += 1
        self.sources[source] += 1

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        by_label = {
            label: {sensor: self.labels[label, sensor] for sensor in sorted(self.sensors)}
            for label in LABELS
            if any(self.labels[label, sensor] for sensor in self.sensors)
        }
        return {
            "chips": self.chips,
            "labels": by_label,
            "splits": dict(sorted(self.splits.items())),
            "sensors": dict(sorted(self.sensors.items())),
            "sources": dict(sorted(self.sources.items())),
            "problems": self.problems,
        }


def list_contents(folder: Path) -> Contents:
    """Count what the table lists, without reading pixels.

    Args:
        folder: Of a corpus.

    Raises:
        NotFound, UnreadableAsset, SettingsError: as `open_corpus`.
    """
    corpus = open_corpus(folder)
    contents = Contents()
    for entry in corpus.entries.values():
        facts = facts_of(entry.key, entry.file or "")
        labels = frozenset(label for text in entry.labels or () if (label := label_named(text)) is not None)
        unknown = ("unknown", "unknown")
        contents.add(labels, entry.split, *((facts.sensor, facts.name) if facts else unknown))
    contents.problems = corpus.problems
    return contents


def check_contents(folder: Path, tell: Callable[[int], None] = lambda _: None) -> Contents:
    """Read every chip and count those that can be used.

    Args:
        folder: Of a corpus.
        tell: Called with the number of chips read so far.

    Raises:
        NotFound, UnreadableAsset, SettingsError: as `open_corpus` and `Corpus.chips`.
    """
    corpus = open_corpus(folder)
    contents = Contents(problems=corpus.problems)
    for sample in corpus.chips():
        contents.add(sample.labels, sample.split, sample.sensor, sample.source)
        tell(contents.chips)
    return contents
