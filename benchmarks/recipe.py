"""In: the layout of a model. Out: deterministic weights for it, and deterministic chips and sentences.

Stops at arrays. Benchmarks and tests need no download: speed does not depend on what weights are, and a wrong
layer shows on random weights as well as on trained ones.
"""

import math
import zlib

import numpy as np
from numpy.typing import NDArray

from encoders.bands import BANDS
from encoders.weights import Layout, Tensors

TILE_PX = 4
"""Chips are drawn at this pixel size and repeated, so that neighbouring pixels agree as in a scene."""


def uniform(name: str, count: int) -> NDArray[np.float32]:
    """`count` numbers of [0, 1) that depend on `name` only: the upper 24 bits of Philox words, exact in float32."""
    words = np.random.Philox(key=zlib.crc32(name.encode())).random_raw((count + 1) // 2).view("<u4")[:count]
    return (words >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def weights(layout: Layout) -> Tensors:
    """A tensor for every key, scaled so that signals neither vanish nor explode through the layers."""
    return {key: _tensor(key, shape) for key, shape in layout.items()}


def chips(sensor: str, count: int, size_px: int = 120) -> NDArray[np.float32]:
    """float32, (count, bands, size, size): S2 reflectance 0.02-0.42, S1 linear power from -25 to -5 dB."""
    bands, tiles = len(BANDS[sensor]), math.ceil(size_px / TILE_PX)
    drawn = uniform(f"chips {sensor}", count * bands * tiles * tiles).reshape(count, bands, tiles, tiles)
    grown = drawn.repeat(TILE_PX, axis=2).repeat(TILE_PX, axis=3)[:, :, :size_px, :size_px]
    if sensor == "s2":
        return np.ascontiguousarray(grown * np.float32(0.4) + np.float32(0.02))
    return np.ascontiguousarray(np.float32(10.0) ** (grown * np.float32(2.0) - np.float32(2.5)))


def sentences(count: int) -> list[str]:
    """Queries of ordinary length, all different."""
    subjects = (
        "wildfire burn scar",
        "flooded fields along a river",
        "collapsed buildings",
        "smoke over conifer forest",
    )
    return [f"{subjects[index % len(subjects)]} in district {index}" for index in range(count)]


def _tensor(key: str, shape: tuple[int, ...]) -> NDArray[np.float32] | NDArray[np.int64]:
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.array(1, dtype=np.int64)
    drawn = uniform(key, math.prod(shape)).reshape(shape)
    centre, spread = _range(key, leaf, shape)
    return (drawn - np.float32(0.5)) * np.float32(2.0 * spread) + np.float32(centre)


def _range(key: str, leaf: str, shape: tuple[int, ...]) -> tuple[float, float]:
    """Centre and half width of a tensor's values."""
    if leaf == "running_var":
        return 1.0, 0.5
    if leaf in {"bias", "running_mean"}:
        return 0.0, 0.1
    if leaf in {"cls_token", "pos_embed"} or ("embeddings." in key and len(shape) == 2):
        return 0.0, 0.2
    if len(shape) == 1:
        return (0.3, 0.1) if ".bn3." in key else (1.0, 0.5)
    gain = 2.0 if len(shape) == 4 else 1.0
    return 0.0, math.sqrt(3.0 * gain / math.prod(shape[1:]))
