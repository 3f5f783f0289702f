"""In: a release of Tocsin-nano. Out: `captions.npz` beside it: sentences that it surely understands, and limits.

Stops at the file: `alerts.lint` says what is outside, `benchmarks.lint` measures how well.

    python -m training.known --release encoders/weights/nano

The limits are as tight as 95 % of good sentences allow that must keep to all of them. They are taken from every second
held-out phrase, of which training has not seen a word; `benchmarks.lint` measures on the others, and no strange
sentence chooses anything.
"""

import argparse
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from encoders.interface import Vectors
from encoders.nano import CAPTIONS, Nano
from encoders.nano_captions import Captions, coded, decoded, write_captions
from training.captions import Caption, single_captions
from training.phrases import LABELS

KEPT_SHARE = 0.95
"""Share of the choosing sentences that all limits together let pass."""

log = structlog.get_logger(__name__)


def choosing() -> list[str]:
    """Good sentences that the limits are taken from."""
    return [caption.text for caption in _held_out()[0::2]]


def measuring() -> list[str]:
    """Good sentences that nothing was chosen with."""
    return [caption.text for caption in _held_out()[1::2]]


def known(encoder: Nano, backgrounds: dict[str, Vectors]) -> Captions:
    """The captions of training with their vectors, and the limits.

    Args:
        encoder: The release.
        backgrounds: Vectors of ordinary places by sensor, float32 (n, 384).
    """
    captions = list({caption.text: caption for caption in single_captions()}.values())
    texts = [caption.text for caption in captions]
    vectors, good = encoder.texts(texts), encoder.texts(choosing())
    words, good_words = encoder.words(texts), encoder.words(choosing())
    vectors, words = decoded("vectors", coded("vectors", vectors)), decoded("words", coded("words", words))
    measures = {
        "vectors": (good @ vectors.T).max(axis=1),
        "words": (good_words @ words.T).max(axis=1),
    }
    for sensor, places in backgrounds.items():
        usual = np.median((vectors @ places.T).std(axis=1))
        measures[sensor] = (good @ places.T).std(axis=1) / usual
    limits = tightest(measures, sensors=list(backgrounds))
    return Captions(
        tuple(caption.text for caption in captions),
        tuple(LABELS[caption.labels[0]] for caption in captions),
        vectors,
        words,
        limits["vectors"],
        limits["words"],
        {sensor: limits[sensor] for sensor in backgrounds},
    )


def tightest(measures: dict[str, NDArray[np.float32]], sensors: list[str]) -> dict[str, float]:
    """The same quantile of each measure, as high as keeps `KEPT_SHARE` of all sentences.

    Args:
        measures: Of n sentences, float32 (n,) each; a sentence is left out where one lies below its limit.
        sensors: Measures of which all must lie below.
    """
    count, limits = len(next(iter(measures.values()))), dict.fromkeys(measures, -np.inf)
    for rank in range(count):
        tighter = {name: float(np.sort(values)[rank]) for name, values in measures.items()}
        below = {name: values < tighter[name] for name, values in measures.items()}
        out = np.any([below[name] for name in measures if name not in sensors], axis=0)
        if sensors:
            out |= np.all([below[name] for name in sensors], axis=0)
        if out.mean() > 1 - KEPT_SHARE:
            break
        limits = tighter
    return limits


def main() -> None:
    """Write the file beside the release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    folder: Path = parser.parse_args().release
    encoder = Nano(folder)
    found = {sensor: encoder.background(sensor) for sensor in encoder.sensors}
    captions = known(encoder, {sensor: places[0] for sensor, places in found.items() if places is not None})
    write_captions(folder / CAPTIONS, encoder.release, captions)
    log.info("captions", sentences=len(captions.sentences), nearest=captions.nearest, words=captions.nearest_words)


def _held_out() -> list[Caption]:
    return single_captions(held_out=True)


if __name__ == "__main__":
    main()
