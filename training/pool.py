"""In: a sensor, a seed and a count. Out: simulated chips reduced to 20 m, cached on disk as float16.

Stops at storage: augmentation is in `augment`, the reduction itself is `encoders.nano_planes`'s.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray

from encoders.bands import BANDS
from encoders.nano_planes import reduced
from simulation.chips import Attributes, Sensor, make_chips
from simulation.labels import LABELS as SIMULATED_LABELS
from training.phrases import LABELS

CHUNK = 250
"""Chips simulated at a time: 190 MB of float32 pixels."""

FADING_DAYS = 250.0
"""After so many days a burn shows 1/e of its first strength: char fades within a year or two.

Source: Pereira et al. 1999, persistence of the char signal (as in `simulation.disturbance`)."""

SEVERITY = {"low": 0.5, "moderate": 0.9, "high": 1.0}
"""How plainly a fresh burn shows, by the simulator's words."""

_log = structlog.get_logger()


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
    """

    sensor: Sensor
    means: NDArray[np.float16]
    spread: NDArray[np.float16]
    valid: NDArray[np.float16]
    fractions: NDArray[np.float32]
    unsure: NDArray[np.bool_]
    clearness: NDArray[np.float32]

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


def _chunk(sensor: Sensor, count: int, seed: int, biomes: tuple[str, ...] | None) -> dict[str, NDArray[np.generic]]:
    """Simulate and reduce some chips."""
    chips = make_chips(count, seed=seed, sensor=sensor, biomes=biomes)
    planes = reduced(chips.pixels, np.ones(len(BANDS[sensor]), np.bool_), sensor)
    unsure = np.array([[name in names for name in LABELS] for names in chips.ambiguous], dtype=np.bool_)
    order = [SIMULATED_LABELS.index(name) for name in LABELS]
    return {
        "means": planes.means.astype(np.float16),
        "spread": planes.spread.astype(np.float16),
        "valid": planes.valid.max(axis=1, keepdims=True).astype(np.float16),
        "fractions": chips.fractions[:, order],
        "unsure": unsure,
        "clearness": np.stack([clearness(words) for words in chips.attributes]),
    }


def simulate_pool(folder: Path, sensor: Sensor, count: int, seed: int, biomes: tuple[str, ...] | None = None) -> Pool:
    """Chips from the cache, the missing ones simulated first.

    Args:
        folder: of the cache; one file a chunk.
        sensor: ``"s2"`` or ``"s1"``.
        count: chips, rounded up to whole chunks.
        seed: of the first chunk; later chunks count on.
        biomes: names to draw from; ``None`` is all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tag = "all" if biomes is None else "-".join(biomes)
    chunks = []
    for number in range(-(-count // CHUNK)):
        path = folder / f"{sensor}-{tag}-{seed}-{number}.npz"
        if not path.exists():
            part = path.with_suffix(".part.npz")
            np.savez(part, allow_pickle=False, **_chunk(sensor, CHUNK, seed * 100_000 + number, biomes))
            part.rename(path)
            _log.info("chips simulated", sensor=sensor, chips=(number + 1) * CHUNK, of=count)
        with np.load(path) as arrays:
            chunks.append({name: arrays[name] for name in arrays.files})
    joined = {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
    return Pool(sensor=sensor, **joined)
