"""A coherent made-up landscape of some kilometres: hills, a river plain, fields, a town, a lake, woods and scrub.

In: a seed and a size in kilometres. Out: a `Landscape`: one large `layout.Place` and where its named parts lie.
Stops at what is permanent: fires and floods are in `simulation.events`, acquisitions in `simulation.world`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.biomes import BIOMES, Biome
from simulation.fields import BROAD, GRAIN, MEDIUM, SMOOTH, FieldPool, FloatArray, quantile, strips
from simulation.labels import Cover
from simulation.layout import Canvas, Mask, Place, town

MARGIN_PX: Final = 10
"""Pixels of ground beyond the outermost cells, so that each cell's 120 px window is full."""
GRID_PX: Final = 6
"""Sides are multiples of this, so that the 60 m grid fits."""

HARVEST_DAY: Final = 186.0
"""Day of the growing year on which the late block of grain is ripe; it is cut and ploughed four days later, on 29 June
in the north."""


@dataclass(frozen=True)
class Landscape:
    """A large place and its parts.

    Attributes:
        place: The ground at 10 m, row 0 in the north.
        size_km: Cells along each side.
        lake: bool, (rows, columns): the permanent lake.
        river: bool, (rows, columns).
        late_fields: bool, (rows, columns): grain that is cut and ploughed four days after `HARVEST_DAY`.
        hills: float32, (rows, columns), 0 in the plain to 1 in the wooded hills.
    """

    place: Place
    size_km: int
    lake: Mask
    river: Mask
    late_fields: Mask
    hills: FloatArray


def make_landscape(seed: int, size_km: int, pool: FieldPool) -> Landscape:
    """The landscape of a seed.

    The north-west is hilly and wooded, a river runs from west to east through fields in the south, a lake lies in the
    north-east and a small town between them.

    Args:
        seed: The same seed makes the same landscape.
        size_km: Cells along each side, at least 2.
        pool: Noise fields.

    Returns:
        A landscape whose side is `size_km` cells and the margin, rounded up to the 60 m grid.

    Raises:
        ValueError: `size_km` is below 2.
    """
    if size_km < 2:
        raise ValueError(f"a landscape of {size_km} km has no room for a hill and a river: take 2 km or more")
    side = -(-(size_km * 100 + 2 * MARGIN_PX) // GRID_PX) * GRID_PX
    rng = np.random.default_rng([seed, 0x1A4D])
    canvas = Canvas(rng, pool, _biome("mediterranean"), (side, side))
    y, x = np.indices((side, side), dtype=np.float32) / np.float32(side)
    wobble = canvas.noise(SMOOTH)
    hills = np.clip((np.float32(0.78) - x - y + np.float32(0.06) * wobble) * np.float32(4) + np.float32(0.5), 0, 1)
    _fields(canvas)
    late = (x > 0.62) & (y > 0.42) & (y < 0.56)
    _late_fields(canvas, late)
    _woods(canvas, hills)
    town(canvas, np.hypot(x - 0.62, (y - 0.36) * np.float32(1.3)) < 0.07, 0.8)
    distance = np.abs(y - np.float32(0.78) - np.float32(0.035) * canvas.noise(SMOOTH)) * np.float32(side)
    river = distance < max(2.0, side / 250)
    canvas.fill(river, Cover.WATER, traits={0: 0.5, 1: 0.3})
    shore = np.hypot(x - np.float32(0.83), y - np.float32(0.19)) + np.float32(0.012) * canvas.noise(BROAD)
    lake = shore < 0.115
    canvas.fill(lake, Cover.WATER, traits={0: 0.2, 1: 0.4})
    return Landscape(_place(canvas, hills, distance / side, lake), size_km, lake, river, late & ~river & ~lake, hills)


def _biome(name: str) -> Biome:
    return next(biome for biome in BIOMES if biome.name == name)


def _fields(canvas: Canvas) -> None:
    numbers = strips(canvas.rng, canvas.shape, 16.0, 42.0, canvas.noise(SMOOTH) * np.float32(5))
    kinds = np.array([Cover.CROPS, Cover.GRASS, Cover.TREES], np.uint8)
    picks = canvas.rng.choice(3, int(numbers.max()) + 1, p=[0.74, 0.2, 0.06])
    canvas.paint(None, numbers, kinds[picks])


def _late_fields(canvas: Canvas, where: Mask) -> None:
    numbers = strips(canvas.rng, canvas.shape, 22.0, 40.0, np.zeros(canvas.shape, np.float32))
    cut = {2: 0.2, 3: 0.5 + (HARVEST_DAY - 165.0) / 50.0, 5: 0.0, 7: 0.2, 8: 0.6}
    canvas.paint(where, numbers, np.full(int(numbers.max()) + 1, Cover.CROPS, np.uint8), traits=cut)


def _woods(canvas: Canvas, hills: FloatArray) -> None:
    wild = hills > 0.35
    canvas.fill(wild, Cover.SHRUB, stands=4)
    texture = canvas.noise(BROAD) + np.float32(0.2) * canvas.noise(MEDIUM) + hills
    canvas.fill(wild & (texture > quantile(texture[wild], 0.42)), Cover.TREES, stands=4)
    canvas.fill(wild & (texture < quantile(texture[wild], 0.10)), Cover.GRASS, stands=2)


def _place(canvas: Canvas, hills: FloatArray, from_river: FloatArray, lake: Mask) -> Place:
    scale = np.float32(np.sqrt(canvas.shape[0] / 1000))
    ridges = np.float32(55) * canvas.noise(SMOOTH) - np.float32(45) * np.abs(canvas.noise(SMOOTH))
    rolling = np.float32(4) * canvas.noise(BROAD)
    plain = np.clip(from_river * np.float32(90), 0, 40)
    elevation = scale * (hills * (np.float32(160) + ridges) + rolling * (np.float32(0.15) + hills) + plain)
    elevation = elevation - elevation.min()
    elevation[lake] = float(np.median(elevation[lake])) if lake.any() else 0.0
    lowness = from_river * np.float32(8) + np.float32(0.12) * canvas.noise(BROAD) + hills * np.float32(4)
    lowness[lake] = 9.0
    return Place(
        canvas.biome,
        "landscape",
        canvas.regions,
        np.array(canvas.covers, np.uint8),
        np.array(canvas.labels, np.uint8),
        np.concatenate(canvas.traits),
        elevation.astype(np.float32),
        lowness.astype(np.float32),
        canvas.noise(GRAIN),
        canvas.noise(MEDIUM),
    )
