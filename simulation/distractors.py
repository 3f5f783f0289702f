"""What changes a place between two acquisitions without a crisis: harvest, plough, saw, thaw, tide, sluice and cloud.

In: a biome, a calendar and noise. Out: a `Plan`: the ground at each look and what the season does.
Stops at plans: acquisitions are simulated in `simulation.series`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from simulation.biomes import Biome
from simulation.fields import BROAD, FieldPool, FloatArray, quantile, strips, voronoi
from simulation.labels import Cover
from simulation.layout import Mask, Place
from simulation.scenes import draw_place
from simulation.staging import (
    BARE_BELOW,
    BRIGHTNESS,
    DATE,
    DENSITY,
    FALLOW,
    IRRIGATION,
    MOISTURE,
    SOIL,
    STUBBLE,
    TURBIDITY,
    Traits,
    from_shore,
    repaint,
    retrait,
    rows_of,
    some_of,
)

SIDE: Final = 120
"""Pixels along one side, as `chips.SIDE`."""
TRIES: Final = 8
"""Places drawn until one has enough of what is to change."""


@dataclass(frozen=True)
class Plan:
    """The ground and the season of one series.

    Attributes:
        place: The ground at the last look.
        day: Day of the growing year of the last look.
        earlier: The ground at the looks before it, oldest first; empty is `place` at all of them.
        snow: Snow at the earlier looks, 0-1.
        thawed_to: Snow at the last look, 0-1; None is as before it.
        wetness: Range of soil moisture; None leaves it to the weather.
        wetness_at_last: Range at the last look; None is as before it.
        wind: Range of wind over water; None leaves it to chance.
        cloud_share: Cloud over the last look; None leaves it to chance.
        green_shift: Anomaly of the year's greenness.
        murk: Standard deviation of the waters' turbidity trait from look to look.
    """

    place: Place
    day: float
    earlier: tuple[Place, ...] = ()
    snow: float = 0.0
    thawed_to: float | None = None
    wetness: tuple[float, float] | None = None
    wetness_at_last: tuple[float, float] | None = None
    wind: tuple[float, float] | None = None
    cloud_share: float | None = None
    green_shift: float = 0.0
    murk: float = 0.15

    @property
    def snow_at_last(self) -> float:
        """Snow at the last look, 0-1."""
        return self.snow if self.thawed_to is None else self.thawed_to

    def ground(self, look: int, rng: np.random.Generator) -> Place:
        """The ground at a look, its waters a little clearer or muddier than at the others."""
        place = self.earlier[look] if look < len(self.earlier) else self.place
        water = rows_of(place, Cover.WATER)
        if not water.any():
            return place
        traits = place.traits.copy()
        traits[water, TURBIDITY] = np.clip(traits[water, TURBIDITY] + np.float32(rng.normal(0, self.murk)), 0, 0.999)
        return replace(place, traits=traits)


@dataclass(frozen=True)
class Sketch:
    """What a plan is drawn from.

    Attributes:
        rng: Source of randomness.
        pool: Noise fields.
        biome: Kind of landscape.
        before: Days from each look to the last one, the last is 0.
    """

    rng: np.random.Generator
    pool: FieldPool
    biome: Biome
    before: tuple[float, ...]

    def place(self, *scenes: str, cover: Cover | None = None, least: float = 0.0, most: float = 1.0) -> Place:
        """A place of one of the scenes; of some tries, the first with the cover's share in range, else the last."""
        for _ in range(TRIES):
            scene = str(self.rng.choice(scenes)) if scenes else None
            place = draw_place(self.rng, self.pool, (SIDE, SIDE), scene, self.biome)
            if cover is None or least <= float(place.is_cover(cover).mean()) <= most:
                break
        return place

    def snow(self, day: float) -> float:
        """Snow of a season, as `chips._weather` has it."""
        winter = 1 - np.sin(np.pi * day / 365.0)
        return (
            float(self.rng.uniform(0.2, 1.0)) if self.rng.random() < self.biome.snow * min(1.3 * winter, 1.0) else 0.0
        )

    def shift(self) -> float:
        """Anomaly of the year's greenness."""
        return float(self.rng.normal(0, 0.15))


def _none(sketch: Sketch) -> Plan:
    day = float(sketch.rng.uniform(0, 365))
    return Plan(sketch.place(), day, snow=sketch.snow(day), green_shift=sketch.shift())


def _permanent_water(sketch: Sketch) -> Plan:
    place = sketch.place("lake", "coast", "river", "lake", cover=Cover.WATER, least=0.1)
    return Plan(place, float(sketch.rng.uniform(0, 365)), green_shift=sketch.shift(), murk=0.25)


def _reservoir(sketch: Sketch) -> Plan:
    """A reservoir that was drawn down to a rim of mud and stones, and is full at the last look.

    The bed falls from the shore, unevenly; the level sinks slowly until the last look but one.
    """
    rng = sketch.rng
    place = sketch.place("lake", cover=Cover.WATER, least=0.35)
    lake = place.is_cover(Cover.WATER)
    depth = _bed(lake, sketch)
    lowest = float(rng.uniform(0.45, 0.9))
    levels = np.sort(lowest * rng.uniform(0.7, 1.0, len(sketch.before) - 1))
    rim: Traits = {DENSITY: (0.0, 0.2), MOISTURE: (0.3, 1.0)}
    mud = repaint(place, np.zeros(place.shape, bool), Cover.BARE, rim, rng)  # one bed, the same at every look
    earlier = tuple(_exposed(mud, lake & (depth < quantile(depth[lake], float(level)))) for level in levels)
    return Plan(place, float(rng.uniform(60, 300)), earlier, green_shift=sketch.shift())


def _tide(sketch: Sketch) -> Plan:
    """A flat shore: low or middling tides at the earlier looks, high water at the last."""
    rng = sketch.rng
    place = sketch.place("coast", cover=Cover.WATER, least=0.35)
    place = retrait(place, rows_of(place, Cover.WATER), {TURBIDITY: (0.5, 1.0)}, rng)
    sea = place.is_cover(Cover.WATER)
    depth = _bed(sea, sketch)
    flats = float(rng.uniform(0.4, 0.95))
    shares = flats * rng.uniform(0.35, 1.0, len(sketch.before) - 1)
    flat: Traits = {BRIGHTNESS: (0.0, 0.5), MOISTURE: (0.9, 1.0), DENSITY: (0.0, 0.1)}
    mud = repaint(place, np.zeros(place.shape, bool), Cover.BARE, flat, rng)
    earlier = tuple(_exposed(mud, sea & (depth < quantile(depth[sea], float(share)))) for share in shares)
    return Plan(place, float(rng.uniform(0, 365)), earlier, wetness=(0.5, 1.0), green_shift=sketch.shift(), murk=0.1)


def _bed(water: Mask, sketch: Sketch) -> FloatArray:
    """Depth of the bed in arbitrary units: deeper away from the shore, with bars and channels."""
    rough = np.float32(sketch.rng.uniform(1.5, 5)) * sketch.pool.draw(sketch.rng, BROAD, water.shape)
    return (from_shore(water) + rough).astype(np.float32)


def _exposed(place: Place, mask: Mask) -> Place:
    """The place with its last region, the bed, laid bare where the mask says."""
    regions = place.regions.copy()
    regions[mask] = len(place.cover) - 1
    return replace(place, regions=regions)


def _harvest(sketch: Sketch) -> Plan:
    """Fields of one crop that are ripe before, and cut between the last two looks."""
    rng = sketch.rng
    winter = bool(rng.random() < 0.6)
    day = float(rng.uniform(168, 192) if winter else rng.uniform(250, 278))
    place = sketch.place("farmland", cover=Cover.CROPS, least=0.5)
    rows = some_of(rows_of(place, Cover.CROPS), float(rng.uniform(0.5, 0.95)), rng)
    kind: Traits = {SOIL: (0.0, 0.49) if winter else (0.51, 0.99), IRRIGATION: (0.0, 0.84), FALLOW: (BARE_BELOW, 1.0)}
    place = retrait(place, rows, kind | {STUBBLE: (0.0, 0.06)}, rng)
    cut = day - rng.uniform(0.02, 0.98, len(rows)) * sketch.before[-2]
    ripe = cut - 4 - 90 * place.traits[:, STUBBLE]
    traits = place.traits.copy()
    date = np.clip((ripe - (165 if winter else 250)) / 50 + 0.5, 0, 0.999).astype(np.float32)
    traits[:, DATE] = np.where(rows, date, traits[:, DATE])
    return Plan(replace(place, traits=traits), day, green_shift=sketch.shift(), wetness=(0.0, 0.7))


def _ploughing(sketch: Sketch) -> Plan:
    """Stubble and leys that are turned over between the last two looks: dark moist clods afterwards."""
    rng = sketch.rng
    place = sketch.place("farmland", cover=Cover.CROPS, least=0.5)
    rows = some_of(rows_of(place, Cover.CROPS), float(rng.uniform(0.5, 0.95)), rng)
    day = float(rng.uniform(205, 255))
    stubble: Traits = {SOIL: (0.0, 0.49), DATE: (0.2, 0.9), STUBBLE: (0.98, 1.0), IRRIGATION: (0.0, 0.84)}
    place = retrait(place, rows, stubble | {FALLOW: (BARE_BELOW, 1.0), MOISTURE: (0.0, 0.6)}, rng)
    leys = some_of(rows, 0.3, rng)[place.regions]
    earlier = repaint(place, leys, Cover.GRASS, {}, rng, label=Cover.CROPS, split=True)
    turned: Traits = {FALLOW: (0.0, BARE_BELOW - 0.01), BRIGHTNESS: (0.0, 0.45), MOISTURE: (0.6, 1.0)}
    place = retrait(place, rows, turned, rng)
    return Plan(place, day, (earlier,) * (len(sketch.before) - 1), green_shift=sketch.shift())


def _clear_cut(sketch: Sketch) -> Plan:
    """Compartments of a forest that are felled between the last two looks: slash on bare ground, or its grass."""
    rng = sketch.rng
    place = sketch.place("forest", cover=Cover.TREES, least=0.5)
    if rng.random() < 0.5:
        warp = np.zeros(place.shape, np.float32)
        numbers = strips(rng, place.shape, float(rng.uniform(12, 40)), float(rng.uniform(20, 70)), warp)
    else:
        numbers = voronoi(rng, place.shape, int(rng.integers(6, 30)), np.zeros(place.shape, np.float32))
    felled = rng.random(int(numbers.max()) + 1) < rng.uniform(0.25, 0.8)
    felled[int(rng.integers(len(felled)))] = True
    mask = felled[numbers] & place.is_cover(Cover.TREES)
    ground = Cover.BARE if rng.random() < 0.6 else Cover.SHRUB if rng.random() < 0.4 else Cover.GRASS
    traits: Traits = {DENSITY: (0.5, 1.0)} if ground == Cover.BARE else {DENSITY: (0.0, 0.4)}
    after = repaint(place, mask, ground, traits, rng)
    return Plan(after, float(rng.uniform(60, 320)), (place,) * (len(sketch.before) - 1), green_shift=sketch.shift())


def _snow_melt(sketch: Sketch) -> Plan:
    """Snow at all looks but the last."""
    rng = sketch.rng
    place = sketch.place("farmland", "pasture", "forest", "mixed", "shrubland")
    return Plan(
        place,
        float(rng.uniform(75, 115)),
        snow=float(rng.uniform(0.8, 1.0)),
        thawed_to=float(rng.choice([0.0, rng.uniform(0, 0.2)])),
        wetness=(0.5, 1.0),
        green_shift=sketch.shift(),
    )


def _paddies(sketch: Sketch) -> Plan:
    """Rice fields that lie fallow or in clods, and are flooded between the last two looks."""
    rng = sketch.rng
    place = sketch.place("farmland", "paddies", cover=Cover.CROPS, least=0.25)
    fields = rows_of(place, Cover.CROPS, Cover.FLOODED_VEGETATION)
    rows = some_of(fields, float(rng.uniform(0.5, 0.95)), rng)
    clods: Traits = {FALLOW: (0.0, BARE_BELOW - 0.01), IRRIGATION: (0.0, 0.84)}
    earlier = repaint(place, rows[place.regions], Cover.CROPS, clods, rng, label=Cover.CROPS, split=True)
    water: Traits = {TURBIDITY: (0.5, 1.0)}
    after = repaint(place, rows[place.regions], Cover.WATER, water, rng, label=Cover.FLOODED_VEGETATION, split=True)
    return Plan(
        after,
        float(rng.uniform(95, 180)),
        (earlier,) * (len(sketch.before) - 1),
        wind=(0.0, 0.4),
        green_shift=sketch.shift(),
    )


def _cloud(sketch: Sketch) -> Plan:
    """Nothing on the ground, but cloud over most of the last look."""
    plan = _none(sketch)
    return replace(plan, cloud_share=float(sketch.rng.uniform(0.6, 1.0)))


PAINTERS: Final[dict[str, Callable[[Sketch], Plan]]] = {
    "none": _none,
    "permanent water": _permanent_water,
    "reservoir": _reservoir,
    "harvest": _harvest,
    "ploughing": _ploughing,
    "clear-cut": _clear_cut,
    "snow melt": _snow_melt,
    "tide": _tide,
    "paddies": _paddies,
    "cloud": _cloud,
}
"""Plan by kind of distractor."""

FITS: Final[dict[str, Callable[[Biome], bool]]] = {
    "snow melt": lambda biome: biome.snow >= 0.2,
    "paddies": lambda biome: biome.name in ("tropical", "monsoon", "temperate", "mediterranean"),
    "clear-cut": lambda biome: biome.name not in ("desert", "steppe", "tundra"),
}
"""Which biomes have a kind; those not named occur everywhere."""
