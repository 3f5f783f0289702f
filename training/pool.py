"""In: a sensor, a seed and a count. Out: simulated chips reduced to 20 m, kept on disk as float16.

Stops at storage: augmentation is in `augment`, the reduction itself is `encoders.nano_planes`'s.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import structlog
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from encoders.bands import BANDS
from encoders.nano_planes import FINE, reduced
from simulation.chips import Attributes, Sensor, make_chips
from training.phrases import LABELS
from training.whereabouts import lon_lat_of

CHUNK = 200
"""Chips simulated at a time: 150 MB of float32 pixels."""

SIDE = 60
"""Pixels of 20 m along one side of a chip."""

FADING_DAYS = 250.0
"""After so many days a burn shows 1/e of its first strength: char fades within a year or two.

Source: Pereira et al. 1999, persistence of the char signal (as in `simulation.disturbance`)."""

SEVERITY = {"low": 0.5, "moderate": 0.9, "high": 1.0}
"""How plainly a fresh burn shows, by the simulator's words."""

DONE = "done.npy"
"""Which chunks of a folder are written: an interrupted run goes on where it stopped."""

_log = structlog.get_logger("training")


@dataclass(frozen=True, slots=True)
class Pool:
    """Simulated chips at 20 m with what is known of them.

    Attributes:
        sensor: ``"s2"`` or ``"s1"``.
        means: float16, (n, bands, 60, 60), reflectance or decibel, 0 where nothing is valid.
        spread: float16, (n, fine, 60, 60), texture inside each 20 m pixel.
        valid: float16, (n, 1, 60, 60), share of valid 10 m pixels.
        fractions: float32, (n, 12), share of the visible chip per label.
        unsure: bool, (n, 12), labels that are neither present nor absent.
        clearness: float32, (n, 12), 0-1, how plainly a label shows; below 1 for slight and for old burns.
        lon_lat: float32, (n, 2), degrees, where such a place could be; fires where fires are known.
        moved: float32, (n, 2), likewise, but fires where none was before.
    """

    sensor: Sensor
    means: NDArray[np.float16]
    spread: NDArray[np.float16]
    valid: NDArray[np.float16]
    fractions: NDArray[np.float32]
    unsure: NDArray[np.bool_]
    clearness: NDArray[np.float32]
    lon_lat: NDArray[np.float32]
    moved: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.means)


def clearness(attributes: Attributes) -> NDArray[np.float32]:
    """How plainly each label of a chip shows, (12,), 0-1.

    What a slight or an old burn looks like, dry scrub on dark soil looks like as well: one image cannot tell, and who
    watches for fires asks for fresh ones. Its presence is graded accordingly.
    """
    clear = np.ones(len(LABELS), np.float32)
    if attributes.get("event") == "burn":
        strength = SEVERITY[str(attributes["severity"])]
        clear[LABELS.index("Burned Area")] = strength * np.exp(-float(attributes["age_days"]) / FADING_DAYS)
    return clear


def _arrays(sensor: Sensor, count: int) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
    """Shape and type of each array of a pool."""
    bands, fine = len(BANDS[sensor]), len(FINE[sensor])
    return {
        "means": ((count, bands, SIDE, SIDE), np.float16),
        "spread": ((count, fine, SIDE, SIDE), np.float16),
        "valid": ((count, 1, SIDE, SIDE), np.float16),
        "fractions": ((count, len(LABELS)), np.float32),
        "unsure": ((count, len(LABELS)), np.bool_),
        "clearness": ((count, len(LABELS)), np.float32),
        "lon_lat": ((count, 2), np.float32),
        "moved": ((count, 2), np.float32),
    }


def _chunk(sensor: Sensor, seed: int, biomes: tuple[str, ...] | None) -> dict[str, NDArray[np.generic]]:
    """Simulate and reduce some chips."""
    chips = make_chips(CHUNK, seed=seed, sensor=sensor, biomes=biomes)
    planes = reduced(chips.pixels, np.ones(len(BANDS[sensor]), np.bool_), sensor)
    random = np.random.default_rng([seed, 0x10CA])
    return {
        "means": planes.means.astype(np.float16),
        "spread": planes.spread.astype(np.float16),
        "valid": planes.valid.max(axis=1, keepdims=True).astype(np.float16),
        "fractions": chips.fractions,
        "unsure": np.array([[name in names for name in LABELS] for names in chips.ambiguous], dtype=np.bool_),
        "clearness": np.stack([clearness(words) for words in chips.attributes]),
        "lon_lat": np.array([lon_lat_of(words, random, moved=False) for words in chips.attributes], np.float32),
        "moved": np.array([lon_lat_of(words, random, moved=True) for words in chips.attributes], np.float32),
    }


def _write_chunk(folder: Path, sensor: Sensor, seed: int, biomes: tuple[str, ...] | None, number: int) -> int:
    """Simulate one chunk into its place in the arrays (runs in a process of its own)."""
    rows = slice(number * CHUNK, (number + 1) * CHUNK)
    for name, values in _chunk(sensor, seed * 100_000 + number, biomes).items():
        array = open_memmap(folder / f"{name}.npy", mode="r+")
        array[rows] = values
    return number


def simulate_pool(
    folder: Path, sensor: Sensor, count: int, seed: int, *, biomes: tuple[str, ...] | None = None, workers: int = 1
) -> Pool:
    """Chips from the cache, the missing ones simulated first.

    Args:
        folder: of the cache; one folder a pool.
        sensor: ``"s2"`` or ``"s1"``.
        count: chips, rounded up to whole chunks.
        seed: of the first chunk; later chunks count on.
        biomes: names to draw from; ``None`` is all that training may see.
        workers: processes that simulate at once.

    Returns:
        The pool, its arrays mapped from disk.
    """
    chunks = -(-count // CHUNK)
    tag = "all" if biomes is None else "-".join(name.replace(" ", "_") for name in biomes)
    home = folder / f"{sensor}-{tag}-{seed}-{chunks}"
    shapes = _arrays(sensor, chunks * CHUNK)
    if not (home / DONE).is_file():
        home.mkdir(parents=True, exist_ok=True)
        for name, (shape, kind) in shapes.items():
            open_memmap(home / f"{name}.npy", mode="w+", dtype=kind, shape=shape)
        np.save(home / DONE, np.zeros(chunks, np.bool_))
    done = open_memmap(home / DONE, mode="r+")
    missing = [number for number in range(chunks) if not done[number]]
    work = partial(_write_chunk, home, sensor, seed, biomes)
    if workers == 1 or len(missing) < 2:
        for number in missing:
            done[work(number)] = True
    else:
        with ProcessPoolExecutor(workers) as processes:
            for number in processes.map(work, missing):
                done[number] = True
    if missing:
        _log.info("chips simulated", sensor=sensor, chips=chunks * CHUNK, biomes=tag)
    arrays = {each.name: np.load(home / f"{each.name}.npy", mmap_mode="r") for each in fields(Pool)[1:]}
    return Pool(sensor=sensor, **arrays)
