"""In: sentences and the folder of a release. Out: MiniLM's sentence vectors, computed in four bits.

Stops before the shared space: the affine map into it is `encoders.nano`'s.
"""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from schemas.errors import Rejected

MAX_SENTENCES = 64
"""Sentences a run: bounds the memory of attention."""


class TextTower:
    """MiniLM-L6 with four-bit weights on ONNX Runtime.

    Args:
        folder: of a release; `text.onnx` and `tokenizer.json` are read.
        threads: of the runtime; ``None`` leaves it to the runtime.
    """

    def __init__(self, folder: Path, threads: int | None = None) -> None:
        self._session = onnxruntime.InferenceSession(
            str(folder / "text.onnx"), session_options(threads), providers=["CPUExecutionProvider"]
        )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_padding(pad_id=0)

    def vectors(self, sentences: list[str]) -> NDArray[np.float32]:
        """MiniLM's sentence vectors: float32, (n, 384), unit rows; past 64 word pieces nothing is read.

        Raises:
            Rejected: a sentence is empty or blank.
        """
        for number, sentence in enumerate(sentences):
            if not sentence.strip():
                raise Rejected(f"sentence {number} is empty: say in words what to look for")
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


def session_options(threads: int | None) -> onnxruntime.SessionOptions:
    """Options of every session: so many threads, and they sleep when there is nothing to do."""
    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
