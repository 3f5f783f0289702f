"""In: a tower's ONNX file and prepared chips. Out: the same tower with int8 products, and whether it may be used.

Stops at one file. What an int8 tower computes is close to the original, not equal: it is a release of its own, and a
gate compares what it is for, how chips rank, instead of digits. Weights are rounded per output channel, activations
by the running mean of their extremes over the chips; the head stays outside and is never rounded.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from encoders.runtime import EngineRefused, Inputs

COSINE_FLOOR = 0.999
"""Least mean cosine between the vectors of a chip before and after."""

NEIGHBOURS = 10
"""So many nearest chips of each chip are compared."""

RECALL_FLOOR = 0.85
"""Least share of the nearest chips that stay among the nearest. Random networks keep 0.8-0.9."""

SMOOTHING = 0.1
"""Weight of a batch in the running mean of extremes: single bright pixels must not set the scale."""


class _Batches:
    """The reader that ONNX Runtime's calibration pulls from."""

    def __init__(self, batches: Sequence[Inputs]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32] | NDArray[np.int64]] | None:
        """The next batch, ``None`` after the last."""
        batch = next(self._left, None)
        return None if batch is None else dict(batch)


def quantise(source: Path, target: Path, batches: Sequence[Inputs]) -> None:
    """Write a tower with int8 products.

    Args:
        source: its ONNX file in fp32.
        target: file to write.
        batches: what it will see, in its own units; about 250 chips.

    Raises:
        EngineRefused: ONNX Runtime cannot quantise this graph.
    """
    from onnxruntime import quantization  # noqa: PLC0415 - brings onnx, which a plain installation lacks

    with _quiet():
        try:
            quantization.quantize_static(
                str(source),
                str(target),
                _Batches(batches),
                quant_format=quantization.QuantFormat.QDQ,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                per_channel=True,
                calibrate_method=quantization.CalibrationMethod.MinMax,
                extra_options={"CalibMovingAverage": True, "CalibMovingAverageConstant": SMOOTHING},
            )
        except (RuntimeError, ValueError) as error:
            raise EngineRefused(f"{source} cannot be computed in int8: {error}") from error


def check_ranking(found: NDArray[np.float32], reference: NDArray[np.float32], engine: str, tower: str) -> float:
    """Refuse an int8 engine that ranks chips otherwise than the reference.

    Args:
        found, reference: float32, (n, 384), unit rows of the same n > `NEIGHBOURS` chips.
        engine: its name.
        tower: its name within the model.

    Returns:
        1 - mean cosine, for the record.

    Raises:
        EngineRefused: the cosines or the recall are below their floors; the message says by how much.
    """
    cosine = float((found * reference).sum(axis=1).mean())
    recall = neighbours_kept(found, reference)
    if not (cosine >= COSINE_FLOOR and recall >= RECALL_FLOOR):
        raise EngineRefused(
            f"{engine} refused for {tower}: mean cosine to fp32 {cosine:.5f}, {COSINE_FLOOR} is asked; "
            f"{recall:.0%} of the {NEIGHBOURS} nearest chips stay, {RECALL_FLOOR:.0%} are asked"
        )
    return 1 - cosine


def neighbours_kept(found: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    """Share of each chip's `NEIGHBOURS` nearest others by the reference that are nearest by `found` too."""
    near, truly = _nearest(found), _nearest(reference)
    return float(np.mean([len(set(one) & set(two)) / NEIGHBOURS for one, two in zip(near, truly, strict=True)]))


def _nearest(vectors: NDArray[np.float32]) -> NDArray[np.int_]:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest: NDArray[np.int_] = np.argsort(-cosines, axis=1)[:, :NEIGHBOURS]
    return nearest


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's advice to preprocess, which our export has done, from the operator."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
