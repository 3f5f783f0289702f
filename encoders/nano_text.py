"""In: sentences and the folder of a release. Out: MiniLM's sentence vectors in four bits, and the head's unit vectors.

Stops at vectors: which frames a query is put into is `prompts`', what may be asked is `readable`'s.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import structlog
from numpy.typing import NDArray
from tokenizers import Tokenizer

from encoders.readable import check_understood, read, spelt
from schemas.errors import Rejected, ReleaseMismatch

MAX_SENTENCES = 64
"""Sentences a run: bounds the memory of attention."""

FORMATS = (1, 2)
"""Formats of `text_head.npz` that can be read."""

UNKNOWN = "[UNK]"
"""The piece that stands for words that the tokenizer cannot spell."""

_log = structlog.get_logger("encoders")

_NOTHING = np.zeros(0, np.float32)


class TextTower:
    """MiniLM-L6 with four-bit weights on ONNX Runtime.

    Args:
        folder: of a release; `text.onnx` and `tokenizer.json` are read.
        threads: of the runtime; ``None`` leaves it to the runtime.

    Raises:
        ReleaseMismatch: the tokenizer is not a word-piece tokenizer.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._session = onnxruntime.InferenceSession(
            str(folder / "text.onnx"), session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_padding(pad_id=0)
        self._reader = Tokenizer.from_file(str(folder / "tokenizer.json"))  # pads nothing: what it counts is there
        unknown = self._reader.token_to_id(UNKNOWN)
        if unknown is None:
            raise ReleaseMismatch(f"tokenizer.json of {folder} has no {UNKNOWN}: it is none of this model's")
        self._unknown = unknown

    def read_share(self, sentence: str) -> float:
        """Share of a sentence's word pieces that is read, 0-1: past 64 pieces, both ends included, nothing is.

        Raises:
            Rejected: half a character.
        """
        return read(self._reader, spelt(sentence), self._unknown).share

    def vectors(self, sentences: list[str]) -> NDArray[np.float32]:
        """MiniLM's sentence vectors: float32, (n, 384), unit rows.

        Past 64 word pieces nothing is read: a warning is logged, and `read_share` says how much was.

        Raises:
            Rejected: a sentence is empty or blank, or holds half a character.
            NotUnderstood: it holds no words, or mostly words that are unknown: another alphabet, signs, emoji.
        """
        for number, sentence in enumerate(sentences):
            if not sentence.strip():
                raise Rejected(f"sentence {number} is empty: say in words what to look for")
        sentences = [spelt(sentence) for sentence in sentences]
        for number, sentence in enumerate(sentences):
            found = read(self._reader, sentence, self._unknown)
            check_understood(found, sentence, number)
            if found.read < found.pieces:
                _log.warning("sentence is too long", sentence=sentence[:80], read=found.read, pieces=found.pieces)
        order = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))
        out = np.empty((len(sentences), 384), np.float32)
        for start in range(0, len(order), MAX_SENTENCES):
            rows = order[start : start + MAX_SENTENCES]
            out[rows] = self._run([sentences[i] for i in rows])
        return out

    def _run(self, sentences: list[str]) -> NDArray[np.float32]:
        encoded = self._tokenizer.encode_batch(sentences)
        ids = np.array([e.ids for e in encoded], np.int64)
        mask = np.array([e.attention_mask for e in encoded], np.int64)
        vectors: NDArray[np.float32] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        return vectors


class TextHead:
    """The trained map from MiniLM's sentence vectors into the shared space.

    Format 1 is affine, in half precision; format 2 has eight bits and a scale for each row, and adds a hidden layer and
    a pull towards the names of the labels that a sentence is surely about. What each part is for is said in
    `training.text_head`.

    Args:
        folder: of a release; `text_head.npz` is read. Without a version it is the affine map of format 1.

    Raises:
        ReleaseMismatch: a format that this build does not know.
    """

    def __init__(self, folder: Path) -> None:
        with np.load(folder / "text_head.npz") as stored:
            version = int(stored["version"]) if "version" in stored else 1
            if version not in FORMATS:
                raise ReleaseMismatch(f"text_head.npz of {folder} has format {version}, this build reads {FORMATS}")
            parts = {name: stored[name].astype(np.float32) for name in stored.files if name != "version"}
        for name in [name for name in parts if name.endswith("_scale")]:
            parts[name.removesuffix("_scale")] *= parts[name]
        self._pull, self._sure_from, self._sharpness = parts.get("pull", np.zeros(3, np.float32))
        self._weight, self._bias = parts["weight"], parts["bias"]
        width = len(self._bias)
        self._inner = (parts.get("inner_weight", np.zeros((0, width), np.float32)), parts.get("inner_bias", _NOTHING))
        self._outer = parts.get("outer_weight", np.zeros((width, 0), np.float32))
        self._names = parts.get("prototypes", np.zeros((0, width), np.float32))

    def __call__(self, sentences: NDArray[np.float32]) -> NDArray[np.float32]:
        """MiniLM's vectors, float32 (n, 384), to unit vectors of the shared space, float32 (n, 384)."""
        weight, bias = self._inner
        bent = np.maximum(sentences @ weight.T + bias, 0) @ self._outer.T
        heard = unit(sentences @ self._weight.T + self._bias + bent)
        if not len(self._names):
            return heard
        cosines = heard @ self._names.T
        odds = np.exp((cosines - cosines.max(axis=1, keepdims=True)) * self._sharpness)
        sure = np.maximum(cosines - self._sure_from, 0) * odds / odds.sum(axis=1, keepdims=True)
        return unit(heard + self._pull * sure @ self._names)

    def nearest(self, vector: NDArray[np.float32]) -> tuple[int, float] | None:
        """The label whose name a sentence lies nearest to: its index and the cosine; `None` for format 1.

        Args:
            vector: float32, (384,), of the sentence, from `__call__`.
        """
        if not len(self._names):
            return None
        cosines = self._names @ vector
        return int(cosines.argmax()), float(cosines.max())


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1."""
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Options of every session: so many threads, and they sleep when there is nothing to do."""
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
