"""Places repainted on purpose: new regions, other traits, steeper relief, drained shores.

In: a `layout.Place` and what to change. Out: another place; the given one stays as it is.
Stops at the ground: which changes make a look-alike or a series is in `simulation.lookalikes` and `simulation.series`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.errors import UsageError
from simulation.backscatter import Beam
from simulation.biomes import ALL_BIOMES, BIOMES, Biome, Odds
from simulation.endmembers import Material
from simulation.fields import BROAD, SMOOTH, FieldPool, FloatArray, gradient
from simulation.labels import Cover
from simulation.layout import Mask, Place
from simulation.optics import Sky
from simulation.spectra import TRAITS, Conditions

# Columns of `Place.traits` that are set here; `simulation.spectra` and `simulation.backscatter` say what they do.
TURBIDITY: Final = 0
TREE: Final = 0
ROOF: Final = 0
DENSITY: Final = 1
SOIL: Final = 2
DATE: Final = 3
BRIGHTNESS: Final = 4
STUBBLE: Final = 5
MOISTURE: Final = 6
IRRIGATION: Final = 7
FALLOW: Final = 8
SHADE: Final = 12

BARE_BELOW: Final = 0.12
"""A field whose `FALLOW` trait is below this carries next to no plants (`spectra.crop_stage`)."""

Traits = dict[int, tuple[float, float]]
"""Columns of traits and the ranges that they are drawn from, uniform, one number per region."""


@dataclass(frozen=True)
class Stage:
    """A place and the circumstances of one look at it.

    Attributes:
        place: The ground.
        now: Conditions of the day.
        sky: What the optical sensor looks through.
        beam: What the radar looks with.
    """

    place: Place
    now: Conditions
    sky: Sky
    beam: Beam


def choose_biomes(names: tuple[str, ...] | None, fits: Callable[[Biome], bool], kind: str) -> list[Biome]:
    """The biomes to draw from.

    Args:
        names: Names of biomes, held-out ones too; None is `biomes.BIOMES`.
        fits: Says whether the kind occurs in a biome.
        kind: What is to be simulated, for the message.

    Returns:
        At least one biome.

    Raises:
        UsageError: A name is unknown, or the kind occurs in none of the named biomes.
    """
    known = {biome.name: biome for biome in ALL_BIOMES}
    unknown = sorted(set(names or ()) - known.keys())
    if unknown:
        raise UsageError(f"no biome is called {unknown[0]!r}: choose from {', '.join(known)}")
    offered = list(BIOMES) if names is None else [known[name] for name in names]
    chosen = [biome for biome in offered if fits(biome)]
    if not chosen:
        where = [biome.name for biome in ALL_BIOMES if fits(biome)]
        raise UsageError(f"there is no {kind!r} in {', '.join(b.name for b in offered)}: try {', '.join(where)}")
    return chosen


def retrait(place: Place, rows: Mask, ranges: Traits, rng: np.random.Generator) -> Place:
    """The place with other traits in some of its regions.

    Args:
        place: The ground.
        rows: bool, (regions,).
        ranges: What to draw anew.
        rng: Source of randomness.

    Returns:
        A changed copy. The first region keeps columns 8 up: they are the seed of the place's materials.
    """
    traits = place.traits.copy()
    for column, (low, high) in ranges.items():
        drawn = rng.uniform(low, high, len(traits)).astype(np.float32)
        drawn[0] = traits[0, column] if column >= 8 else drawn[0]
        traits[:, column] = np.where(rows, drawn, traits[:, column])
    return replace(place, traits=traits)


def repaint(
    place: Place,
    mask: Mask,
    cover: Cover,
    ranges: Traits,
    rng: np.random.Generator,
    *,
    label: Cover | None = None,
    split: bool = False,
) -> Place:
    """The place with other ground on some pixels.

    Args:
        place: The ground.
        mask: bool, (rows, columns): pixels to paint.
        cover: What they become.
        ranges: Traits of the new regions that are not left to chance.
        rng: Source of randomness.
        label: What a land-cover map calls them; None is the cover itself.
        split: Keep the borders of the regions below (fields stay fields) instead of painting one region.

    Returns:
        A changed copy; relief and texture stay.
    """
    count = len(place.cover) if split else 1
    regions = place.regions.copy()
    regions[mask] = (place.regions[mask] if split else 0) + len(place.cover)
    new = rng.random((count, TRAITS)).astype(np.float32)
    for column, (low, high) in ranges.items():
        new[:, column] = rng.uniform(low, high, count)
    return replace(
        place,
        regions=regions,
        cover=np.concatenate([place.cover, np.full(count, cover, np.uint8)]),
        label=np.concatenate([place.label, np.full(count, cover if label is None else label, np.uint8)]),
        traits=np.concatenate([place.traits, new]),
    )


def rows_of(place: Place, *covers: Cover) -> Mask:
    """bool, (regions,): regions of any of these physical covers."""
    rows: Mask = np.isin(place.cover, [int(cover) for cover in covers])
    return rows


def some_of(rows: Mask, share: float, rng: np.random.Generator) -> Mask:
    """A random share of the given regions."""
    kept: Mask = rows & (rng.random(len(rows)) < share)
    return kept


def steepen(place: Place, pool: FieldPool, rng: np.random.Generator, slope_deg: float) -> Place:
    """The place on relief whose steeper slopes (the 80th percentile) have the given angle.

    Args:
        place: The ground; permanent water keeps its level.
        pool: Noise for hills.
        rng: Source of randomness.
        slope_deg: Angle of the 80th percentile of the slopes, degrees.

    Returns:
        A changed copy.
    """
    hills = pool.draw(rng, SMOOTH, place.shape) - np.abs(pool.draw(rng, SMOOTH, place.shape))
    height = (hills + np.float32(0.15) * pool.draw(rng, BROAD, place.shape)).astype(np.float32)
    east, south = gradient(height, 10.0)
    steep = float(np.quantile(np.hypot(east, south), 0.8))
    scaled: FloatArray = height * np.float32(np.tan(np.radians(slope_deg)) / max(steep, 1e-6))
    water = place.is_cover(Cover.WATER)
    return replace(place, elevation_m=np.where(water, scaled.min(), scaled).astype(np.float32))


def span_of(options: Odds, *wanted: Material) -> tuple[float, float]:
    """The range of the uniform number by which `spectra.choose_material` picks a wanted material.

    Args:
        options: Materials and their odds.
        *wanted: Materials in order of preference.

    Returns:
        Low and high, 0-1, of the first wanted material that is an option; (0, 1) if none is.
    """
    edges = np.concatenate([[0.0], np.cumsum([share for _, share in options])])
    edges /= edges[-1]
    names = [material for material, _ in options]
    for material in wanted:
        if material in names:
            low, high = float(edges[names.index(material)]), float(edges[names.index(material) + 1])
            return low + 0.02 * (high - low), high - 0.02 * (high - low)
    return 0.0, 1.0


def has(options: Odds, *wanted: Material) -> bool:
    """Whether any of the wanted materials is an option."""
    return any(material in wanted for material, _ in options)


def from_shore(water: Mask) -> FloatArray:
    """Distance of water pixels from the nearest land, float32, (rows, columns), pixels; 0 on land; edges are no shore.

    Counted by peeling off one layer of pixels after the other, by turns over edges and over edges and corners, which
    comes within a tenth of the straight distance.
    """
    left: NDArray[np.bool_] = water.copy()
    distance = np.zeros(water.shape, np.float32)
    for step in range(water.shape[0]):
        if not left.any() or left.all():
            break
        distance += left
        wide = np.pad(left, 1, mode="edge")
        inner = wide[1:-1, 1:-1] & wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
        if step % 2:
            inner &= wide[:-2, :-2] & wide[:-2, 2:] & wide[2:, :-2] & wide[2:, 2:]
        left = inner
    return distance
