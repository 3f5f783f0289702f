"""Where things lie: made-up land cover with parcels, towns, rivers, lakes, coasts and relief.

In: a random generator, a pool of fields, a biome and a size. Out: a `Place`, which never changes afterwards.
Stops at geography: seasons, events and sensors see a place through `simulation.spectra`, `disturbance`, `optics`.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulation.biomes import Biome
from simulation.fields import (
    BROAD,
    GRAIN,
    MEDIUM,
    PATCH,
    SMOOTH,
    FieldPool,
    FloatArray,
    IntArray,
    block_mean,
    blur3,
    enlarge,
    gradient,
    quantile,
    standardise,
    strips,
    voronoi,
)
from simulation.labels import Cover
from simulation.spectra import TRAITS

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Place:
    """A piece of ground at 10 m, as it always is.

    Attributes:
        biome: Kind of landscape.
        scene: Word for the layout (`farmland`, `town`, …), for captions.
        regions: int32, (rows, columns): which region each pixel belongs to.
        cover: uint8, (regions,): physical cover, values of `Cover`.
        label: uint8, (regions,): cover as a land-cover map would call it (a garden in a town is built-up).
        traits: float32, (regions, `TRAITS`): uniform 0-1, kept for life.
        elevation_m: float32, (rows, columns).
        lowness: float32, (rows, columns): height above the nearest drainage in arbitrary units, low floods first.
        grain: float32, (rows, columns): fine texture, zero mean, unit variance.
        patches: float32, (rows, columns): coarse texture, zero mean, unit variance.
    """

    biome: Biome
    scene: str
    regions: IntArray
    cover: NDArray[np.uint8]
    label: NDArray[np.uint8]
    traits: FloatArray
    elevation_m: FloatArray
    lowness: FloatArray
    grain: FloatArray
    patches: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.regions.shape[0], self.regions.shape[1]

    def is_cover(self, *covers: Cover) -> Mask:
        """bool, (rows, columns): pixels of any of these physical covers."""
        mask: Mask = np.isin(self.cover, [int(c) for c in covers])[self.regions]
        return mask


@dataclass
class Canvas:
    """A place while it is being painted, layer over layer."""

    rng: np.random.Generator
    pool: FieldPool
    biome: Biome
    shape: tuple[int, int]
    regions: IntArray = field(init=False)
    covers: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    traits: list[FloatArray] = field(default_factory=list)
    drainage: FloatArray | None = None
    hills: FloatArray = field(init=False)

    def __post_init__(self) -> None:
        self.regions = np.zeros(self.shape, np.int32)
        self.hills = dissected(self.rng, self.pool, self.shape)

    def noise(self, kind: int) -> FloatArray:
        """A fresh field of the pool's given kind."""
        return self.pool.draw(self.rng, kind, self.shape)

    def paint(self, mask: Mask | None, numbers: IntArray, covers: NDArray[np.uint8], **fixed: object) -> None:
        """Covers the masked pixels with new regions.

        Args:
            mask: Pixels to paint; None paints everything.
            numbers: int32, (rows, columns): index of each pixel's new region, into `covers`.
            covers: uint8, (new regions,).
            **fixed: `label` (a `Cover` to call them all) and `traits` (mapping of column to value), both optional.
        """
        offset = len(self.covers)
        if mask is None:
            self.regions = (numbers + offset).astype(np.int32)
        else:
            self.regions[mask] = numbers[mask] + offset
        label = fixed.get("label")
        self.covers.extend(int(c) for c in covers)
        self.labels.extend([int(label)] * len(covers) if isinstance(label, Cover) else (int(c) for c in covers))
        traits = self.rng.random((len(covers), TRAITS)).astype(np.float32)
        columns = fixed.get("traits")
        if isinstance(columns, dict):
            for column, value in columns.items():
                traits[:, column] = value
        self.traits.append(traits)

    def fill(self, mask: Mask | None, cover: Cover, stands: int = 1, **fixed: object) -> None:
        """Covers the masked pixels with one cover in a few stands that differ by their traits."""
        if stands == 1:
            numbers = np.zeros(self.shape, np.int32)
        else:
            level = self.noise(BROAD) * np.float32(0.9) + np.float32(stands / 2)
            numbers = np.clip(level, 0, stands - 1).astype(np.int32)
        self.paint(mask, numbers, np.full(stands, cover, np.uint8), **fixed)

    def place(self, scene: str) -> Place:
        """The finished place, with relief."""
        rng, rows = self.rng, self.shape[0]
        relief = self.biome.relief_m * float(np.exp(rng.normal(0, 0.6))) * np.sqrt(rows / 120)
        broad, middle = self.noise(SMOOTH), self.noise(BROAD)
        height = broad + np.float32(0.12) * middle
        if rng.random() < 0.5:  # ridges and incised valleys instead of rounded hills
            height -= np.float32(rng.uniform(0.4, 1.0)) * np.abs(self.noise(SMOOTH))
        lowness = height + np.float32(0.7) * standardise(self.hills)
        if self.drainage is not None:
            height = height * np.float32(0.5) + self.drainage
            lowness = np.float32(0.2) * middle + self.drainage
        water = np.isin(np.array(self.covers), [Cover.WATER, Cover.FLOODED_VEGETATION])[self.regions]
        flat = 0.25 if self.drainage is not None or water.mean() > 0.3 or scene in FLAT_SCENES else 1.0
        elevation = np.float32(relief * 0.25 * flat) * height
        rugged = np.clip(self.biome.relief_m / 140 * np.exp(rng.normal(-0.3, 0.7)), 0.02, 1) * STEEPEST
        elevation += np.float32(rugged * (0.12 if flat < 1 else 1.0)) * self.hills
        east, south = gradient(elevation.astype(np.float32), 10.0)
        steep = quantile(np.hypot(east, south).astype(np.float32), 0.95)
        elevation = elevation * np.float32(min(1.0, REPOSE / max(steep, 1e-6)))
        return Place(
            self.biome,
            scene,
            self.regions,
            np.array(self.covers, np.uint8),
            np.array(self.labels, np.uint8),
            np.concatenate(self.traits),
            np.where(water, elevation.min(), elevation).astype(np.float32) if water.any() else elevation,
            lowness,
            self.noise(GRAIN),
            self.noise(MEDIUM),
        )


def dissected(rng: np.random.Generator, pool: FieldPool, shape: tuple[int, int]) -> FloatArray:
    """Spurs and valleys of some hundred metres, as running water cuts them: float32, (rows, columns), unit slope rms.

    Ridged noise: the zero crossings of a fractal field become sharp crests or, turned over, incised valleys.
    Source: Ebert et al. 2003, Texturing and Modeling, chapter 16 (ridged multifractals, after Musgrave).
    """
    sharp, coarse = np.float32(rng.choice([-1.0, 1.0])), int(rng.choice([3, 6]))
    field_ = sharp * np.abs(pool.draw(rng, BROAD, shape)) + np.float32(0.3) * np.abs(pool.draw(rng, PATCH, shape))
    field_ = field_ + np.float32(rng.uniform(0.3, 1.5)) * pool.draw(rng, SMOOTH, shape)
    smooth = enlarge(block_mean(field_.astype(np.float32), coarse), coarse, smooth=True)
    smooth = blur3(blur3(smooth, 0.25), 0.25)
    east, south = gradient(smooth, 10.0)
    steepness = math.sqrt(float(np.mean(east**2 + south**2))) + 1e-9
    result: FloatArray = ((smooth - smooth.mean()) / np.float32(steepness)).astype(np.float32)
    return result


STEEPEST: Final = 0.45
"""Root mean square slope of the most rugged places, rise over run (24 degrees): where slopes stay stable, Burbank et
al. 1996, Nature 379, 505, give mean hillslopes of 20-32 degrees."""

REPOSE: Final = 0.78
"""Slope, rise over run, that nine tenths of rugged ground stay below: tan 38 degrees, the angle of repose of scree."""

FLAT_SCENES: Final = ("farmland", "pivots", "paddies", "wetland", "town")


def natural(canvas: Canvas, shares: dict[Cover, float], mask: Mask | None = None) -> None:
    """Patches of natural covers in the given shares, cut from one noise field so that they neighbour in order."""
    fine = np.float32(canvas.rng.uniform(0.0, 0.35) ** 1.5) * canvas.noise(MEDIUM)
    texture = canvas.noise(BROAD if canvas.rng.random() < 0.7 else PATCH) + fine
    texture += np.float32(canvas.rng.choice([0.0, canvas.rng.uniform(0.3, 1.5)])) * standardise(canvas.hills)
    total, below = sum(shares.values()), 0.0
    items = list(shares.items())
    canvas.rng.shuffle(items)
    for number, (cover, share) in enumerate(items):
        low = quantile(texture, below / total)
        below += share
        part: Mask | None = None if number == 0 else texture >= low
        if mask is not None:
            part = mask if part is None else part & mask
        canvas.fill(part, cover, stands=int(canvas.rng.integers(2, 5)))


def parcels(canvas: Canvas, shares: dict[Cover, float], mask: Mask | None = None, **fixed: object) -> None:
    """Fields with straight or irregular borders, each with one cover and one history."""
    rng = canvas.rng
    warp = canvas.noise(BROAD) * np.float32(rng.choice([0.0, 1.5, 6.0]))
    width = float(np.exp(rng.uniform(np.log(7), np.log(34))))
    if rng.random() < 0.7:
        numbers = strips(rng, canvas.shape, width, width * rng.uniform(1.0, 4.5), warp)
    else:
        area = canvas.shape[0] * canvas.shape[1]
        numbers = voronoi(rng, canvas.shape, int(np.clip(area / (width * width * 2), 6, 90)), warp)
    kinds = list(shares)
    odds = np.array([shares[k] for k in kinds])
    picks = rng.choice(len(kinds), int(numbers.max()) + 1, p=odds / odds.sum())
    canvas.paint(mask, numbers, np.array([int(k) for k in kinds], np.uint8)[picks], **fixed)


def pivots(canvas: Canvas) -> None:
    """Circular irrigated fields on a grid over the land that is there already."""
    rng = canvas.rng
    pitch = float(rng.uniform(42, 84))
    rows, columns = np.indices(canvas.shape, dtype=np.float32)
    rows, columns = rows + np.float32(rng.uniform(0, pitch)), columns + np.float32(rng.uniform(0, pitch))
    number = (rows // pitch).astype(np.int32) * 32 + (columns // pitch).astype(np.int32)
    inside = np.hypot(rows % pitch - pitch / 2, columns % pitch - pitch / 2) < pitch * 0.48
    canvas.paint(inside, number, np.full(int(number.max()) + 1, Cover.CROPS, np.uint8))


def town(canvas: Canvas, mask: Mask | None, density: float) -> None:
    """Streets, blocks, lots and gardens.

    Args:
        canvas: What to paint on.
        mask: Where the town is; None is everywhere.
        density: Share of lots that are built on, 0-1; the rest are gardens, which a map still calls built-up.
    """
    rng, lots = canvas.rng, 64
    angle = rng.uniform(0, np.pi)
    rows, columns = np.indices(canvas.shape, dtype=np.float32)
    bend = canvas.noise(BROAD) * np.float32(rng.choice([0.0, 2.0, 5.0]))
    u = rows * np.float32(np.cos(angle)) + columns * np.float32(np.sin(angle)) + bend + 400
    v = columns * np.float32(np.cos(angle)) - rows * np.float32(np.sin(angle)) + bend + 400
    big = rng.random() < 0.2
    lot_u, lot_v = rng.uniform(1.4, 3.2, 2) * (2.5 if big else 1.0)
    block_u, block_v = lot_u * rng.integers(2, 6), lot_v * rng.integers(3, 8)
    cell = ((u / lot_u).astype(np.int64) * 7919 + (v / lot_v).astype(np.int64) * 104729) % 1000003
    numbers = ((cell * 2654435761 >> 7) % lots).astype(np.int32)
    garden = rng.random(lots) > density
    green = np.where(rng.random(lots) < 0.6, Cover.TREES, Cover.GRASS)
    canvas.paint(mask, numbers, np.where(garden, green, Cover.BUILT).astype(np.uint8), label=Cover.BUILT)
    width = 2.0 if big else 1.1
    street = (u % block_u < width) | (v % block_v < width)
    streets = street if mask is None else street & mask
    canvas.fill(streets, Cover.BUILT, label=Cover.BUILT, traits={0: 0.36, 1: 0.0})


def blob(canvas: Canvas, share: float) -> Mask:
    """A few smooth patches that together cover the share of the scene."""
    texture = canvas.noise(BROAD) + np.float32(0.12) * canvas.noise(PATCH)
    return texture < quantile(texture, share)


def lake(canvas: Canvas, share: float) -> None:
    """Standing water in the lowest part, shores following the drainage that it sets."""
    texture = canvas.noise(BROAD) + np.float32(0.1) * canvas.noise(PATCH)
    level = quantile(texture, share)
    canvas.drainage = np.maximum(texture - np.float32(level), 0)
    canvas.fill(texture < level, Cover.WATER, stands=1 if canvas.rng.random() < 0.6 else 3)


def coast(canvas: Canvas, share: float) -> None:
    """Sea on one side, with a beach."""
    rng = canvas.rng
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(canvas.shape, dtype=np.float32) / np.float32(canvas.shape[0])
    across = rows * np.float32(np.cos(angle)) + columns * np.float32(np.sin(angle))
    texture = across + np.float32(0.08) * canvas.noise(BROAD)
    level = quantile(texture, share)
    canvas.drainage = np.maximum(texture - np.float32(level), 0) * np.float32(3)
    if rng.random() < 0.5:
        canvas.fill(texture < level + rng.uniform(0.01, 0.05), Cover.BARE)
    canvas.fill(texture < level, Cover.WATER, stands=1)


def river(canvas: Canvas, width: float) -> None:
    """A winding river, `width` pixels wide, towards which the land falls."""
    rng, rows = canvas.rng, canvas.shape[0]
    angle = rng.uniform(0, np.pi)
    y, x = np.indices(canvas.shape, dtype=np.float32)
    across = (y - rows / 2) * np.float32(np.cos(angle)) + (x - rows / 2) * np.float32(np.sin(angle))
    bends = canvas.noise(BROAD) * np.float32(rows * rng.uniform(0.06, 0.2))
    distance = np.abs(across + bends + np.float32(rng.uniform(-0.3, 0.3) * rows))
    canvas.drainage = distance / np.float32(rows * 0.25)
    canvas.fill(distance < width / 2, Cover.WATER)


def gullies(canvas: Canvas, cover: Cover) -> None:
    """Thin branching strips along a dry drainage network, greener or barer than the land around."""
    network = (standardise(canvas.hills) + np.float32(0.15) * np.abs(canvas.noise(PATCH))).astype(np.float32)
    canvas.fill(network < quantile(network, canvas.rng.uniform(0.02, 0.08)), cover)


def road(canvas: Canvas) -> None:
    """One straight or gently bent road."""
    rng, rows = canvas.rng, canvas.shape[0]
    angle = rng.uniform(0, np.pi)
    y, x = np.indices(canvas.shape, dtype=np.float32)
    across = (y - rows / 2) * np.float32(np.cos(angle)) + (x - rows / 2) * np.float32(np.sin(angle))
    bends = canvas.noise(BROAD) * np.float32(rng.uniform(0, 4))
    line = np.abs(across + bends + np.float32(rng.uniform(-0.4, 0.4) * rows)) < rng.uniform(0.5, 1.2)
    canvas.fill(line, Cover.BUILT, traits={0: rng.choice([0.36, 0.2]), 1: 0.0})
