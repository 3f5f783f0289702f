"""In: the committed release. Out: Tocsin-nano behind `encoders.interface.Encoder`, on ONNX Runtime alone.

Stops at vectors: how it was trained is in `training`, what it is good for in `docs/model-cards/nano.md`.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from pathlib import Path
from typing import Self

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from encoders.checks import check_pixels, check_sentences
from encoders.interface import DIMENSION, Pixels, Vectors
from encoders.nano_background import Background, read_background
from encoders.nano_captions import Captions, read_captions
from encoders.nano_planes import reduced, specification
from encoders.nano_text import TextHead, TextTower, session_options
from encoders.prompts import ensemble, frames_of
from encoders.runtime import available_cores
from encoders.text_cache import TextCache
from encoders.tuned import Conditions, read_tuned
from schemas.errors import ReleaseMismatch, ReleaseNotFound

FOLDER = Path(__file__).parent / "weights" / "nano"
"""The release that is committed."""

SAME_THING = 0.8
"""Cosine with a label's name from which a sentence asks for that label."""

CHIPS_PER_RUN = 8
"""Small enough for a core's caches: 6 MB of optical pixels. Larger batches are slower.
`tocsin encoder tune` measures what holds for a machine."""

FILES = ("s1.onnx", "s2.onnx", "text.onnx", "text_head.npz", "tokenizer.json")
"""What a release consists of, besides `release.json`, in the order of its hash."""


BACKGROUND = "background.npz"
"""What ordinary ground looks like to the release, beside its files; `training.background` writes it."""
CAPTIONS = "captions.npz"
"""Sentences that the release surely understands, beside its files; `training.known` writes it."""


class Nano:
    """Tocsin-nano.

    Args:
        folder: of the release.
        threads: chips are encoded in so many at once, each with a network of one thread: layers this small gain
            nothing from sharing one; ``None`` takes what was tuned, else the cores of this process.

    Raises:
        ReleaseNotFound: the folder lacks a file.
        ReleaseMismatch: the files are not those that `release.json` names.
    """

    sensors: tuple[str, ...] = ("s2", "s1")
    """Sensor keys it accepts."""
    device: None = None
    """It computes on the processor."""

    def __init__(self, folder: Path = FOLDER, threads: int | None = None) -> None:
        self.release: str = verified_release(folder)
        self._folder = folder
        self.conditions = Conditions.here(self.release)
        tuned = read_tuned(self.conditions)
        self._threads = threads or (tuned.threads if tuned else available_cores())
        self.chips_per_run: int = tuned.chips_per_run if tuned else CHIPS_PER_RUN
        self._images = {
            sensor: onnxruntime.InferenceSession(
                str(folder / f"{sensor}.onnx"), session_options(1), providers=["CPUExecutionProvider"]
            )
            for sensor in self.sensors
        }
        self._tower = TextTower(folder, threads)
        self._head = TextHead(folder)
        self._texts = TextCache()
        self._captions: Captions | None = None
        facts = json.loads((folder / "release.json").read_text("utf-8"))
        self._frames = frames_of(facts)
        self._labels: list[str] = facts["labels"]
        self._calibration: dict[str, dict[str, tuple[float, float]]] = facts.get("calibration", {})

    def images(self, pixels: Pixels, sensor: str, present_bands: Sequence[str] | None = None) -> Vectors:
        """Embed chips; see `encoders.interface.Encoder.images`.

        An odd last row or column is not read. A chip of zeros is a valid, black chip.
        """
        present = check_pixels(pixels, sensor, present_bands)
        if len(pixels) == 0:
            return np.empty((0, DIMENSION), np.float32)
        rounds = math.ceil(len(pixels) / (self.chips_per_run * self._threads))
        parts = np.array_split(pixels, min(rounds * self._threads, len(pixels)))  # so that no thread waits for another
        if self._threads == 1 or len(parts) == 1:
            return np.concatenate([self._run(part, sensor, present) for part in parts])
        with ThreadPoolExecutor(min(self._threads, len(parts))) as workers:
            return np.concatenate(list(workers.map(lambda part: self._run(part, sensor, present), parts)))

    def texts(self, sentences: list[str]) -> Vectors:
        """Embed sentences in the frames that the release names; see `encoders.interface.Encoder.texts`.

        Raises:
            Rejected: a sentence is empty or blank.
            NotUnderstood: most of a sentence is in another alphabet, or no words.
        """
        check_sentences(sentences)
        return self._texts.vectors(sentences, self._embed)

    def _embed(self, sentences: list[str]) -> Vectors:
        return ensemble(sentences, self._frames, lambda framed: self._head(self._tower.vectors(framed)))

    def in_runs_of(self, chips: int) -> Self:
        """The same encoder with so many chips a run."""
        other = copy(self)
        other.chips_per_run = chips
        return other

    def background(self, sensor: str) -> Background | None:
        """Vectors of ordinary simulated places on which nothing happened, and how they changed within weeks.

        Args:
            sensor: ``"s2"`` or ``"s1"``.

        Returns:
            float32 (places, 384), unit rows, and float32 (places, 384), later less earlier; ``None`` if the file is
            not there or was made with another release.
        """
        return read_background(self._folder / BACKGROUND, self.release, sensor)

    def captions(self) -> Captions | None:
        """Sentences that the release surely understands; ``None`` if the file is not there or is another release's."""
        if self._captions is None:
            self._captions = read_captions(self._folder / CAPTIONS, self.release)
        return self._captions

    def words(self, sentences: list[str]) -> Vectors:
        """Sentences as language, before the head that says what they look like: float32, (n, 384), unit rows.

        Raises:
            Rejected: a sentence is empty or blank, or not understood.
        """
        check_sentences(sentences)
        return self._tower.vectors(sentences)

    def read_share(self, sentence: str) -> float:
        """Share of a sentence that is read, 0-1: past 64 word pieces nothing is.

        Raises:
            Rejected: half a character.
        """
        return self._tower.read_share(sentence)

    def score_at(self, sensor: str, vector: Vectors, chance: float) -> float | None:
        """The cosine from which a chip shows what a sentence asks for with a given probability, or more.

        Args:
            sensor: ``"s2"`` or ``"s1"``.
            vector: float32 (384,), of a sentence.
            chance: 0-1, over simulated places in which every label is about equally frequent.

        Returns:
            By the calibration that came with the release; ``None`` for a sentence about none of its labels, of which
            the release cannot say what its cosines mean.
        """
        nearest = self._head.nearest(vector)
        if nearest is None or nearest[1] < SAME_THING or sensor not in self._calibration:
            return None
        slope, intercept = self._calibration[sensor][self._labels[nearest[0]]]
        return (math.log(chance / (1 - chance)) - intercept) / slope * nearest[1] if slope > 0 else None

    def _run(self, pixels: Pixels, sensor: str, present: NDArray[np.bool_]) -> Vectors:
        planes = reduced(pixels, present, sensor)
        inputs = {"means": planes.means, "spread": planes.spread, "valid": planes.valid}
        vectors: Vectors = self._images[sensor].run(None, inputs)[0]
        return vectors


def verified_release(folder: Path) -> str:
    """The release's name, after comparing its files with their hash.

    Raises:
        ReleaseNotFound: the folder lacks a file.
        ReleaseMismatch: the files are not those that `release.json` names, or it was trained on pixels prepared
            otherwise.
    """
    missing = [name for name in ("release.json", *FILES) if not (folder / name).is_file()]
    if missing:
        raise ReleaseNotFound(f"{folder} lacks {', '.join(missing)}: reinstall tocsin or train a release")
    facts = json.loads((folder / "release.json").read_text("utf-8"))
    _check_preparation(facts.get("preparation"), folder)
    digest = hashlib.sha256()
    for name in FILES:
        digest.update((folder / name).read_bytes())
    if digest.hexdigest() != facts["sha256"]:
        raise ReleaseMismatch(f"the files in {folder} are not those of {facts['release']}: reinstall tocsin")
    return str(facts["release"])


def _check_preparation(trained_with: object, folder: Path) -> None:
    """Releases that were written before they named it had the first."""
    now = specification()
    if trained_with != now and not (trained_with is None and now["version"] == 1):
        raise ReleaseMismatch(
            f"the release in {folder} was trained on pixels prepared otherwise than this build does: train it again, "
            "or use the build that it came with"
        )


def load_nano(threads: int | None = None, folder: Path = FOLDER) -> Nano:
    """Open a release.

    Args:
        threads: of the runtime; ``None`` leaves it to the runtime.
        folder: of the release; the committed one unless told otherwise.

    Raises:
        ReleaseNotFound: the weights are not installed.
        ReleaseMismatch: the weights are damaged.
    """
    return Nano(folder, threads)
