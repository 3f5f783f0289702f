"""In: a release of Tocsin-nano. Out: `background.npz` beside it: what ordinary ground looks like to that release.

Stops at vectors: `alerts.budgets.thresholds` turns them into thresholds for archives that hold too little of their own.

    python -m training.background --release encoders/weights/nano

Simulated places of all biomes and seasons, clear and hazy, on which nothing has happened, and the difference between
two looks at each, weeks apart. Not the sites, the seeds or the scenes of the demo.
"""

import argparse
from pathlib import Path
from typing import get_args

import structlog

from encoders.interface import Encoder, Vectors
from encoders.nano import BACKGROUND, Nano
from encoders.nano_background import write_background
from simulation.chips import Sensor, make_pairs

PLACES = 256
"""Places for each sensor: enough for the 97.5th percentile and robust deviations."""
SEED = 77_000
"""Far from the seeds of training and validation."""

log = structlog.get_logger(__name__)


def background_of(encoder: Encoder, sensor: Sensor, places: int, seed: int) -> tuple[Vectors, Vectors]:
    """Vectors of ordinary places, and how they differ from the same places weeks before.

    Args:
        encoder: The release.
        sensor: `s2` or `s1`.
        places: How many.
        seed: The same seed gives the same places.

    Returns:
        float32 (places, 384), unit rows; float32 (places, 384), later less earlier.
    """
    before, after = make_pairs(places, seed=seed, sensor=sensor, event="none")
    earlier, later = (encoder.images(chips.pixels, sensor, chips.bands) for chips in (before, after))
    return later, later - earlier


def main() -> None:
    """Write the file beside the release."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    folder: Path = parser.parse_args().release
    encoder = Nano(folder)
    sensors = {}
    for sensor in get_args(Sensor):
        sensors[sensor] = background_of(encoder, sensor, PLACES, SEED)
        log.info("background measured", sensor=sensor, places=PLACES)
    write_background(folder / BACKGROUND, encoder.release, sensors)


if __name__ == "__main__":
    main()
