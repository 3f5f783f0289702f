"""The kinds of scenes that chips show, and how often each occurs in each biome.

In: a random generator, a pool of fields and a biome. Out: a `layout.Place` of one scene.
Stops at composition: how a parcel or a river is drawn is in `simulation.layout`.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from simulation.biomes import BIOMES, Biome
from simulation.fields import FieldPool
from simulation.labels import Cover
from simulation.layout import Canvas, Place, blob, coast, gullies, lake, natural, parcels, pivots, river, road, town

Painter = Callable[[Canvas], None]


def _mix(canvas: Canvas, main: Cover, *others: Cover, low: float = 0.55) -> dict[Cover, float]:
    share = float(canvas.rng.uniform(low, 1.0))
    rest = canvas.rng.dirichlet(np.full(len(others), 0.7)) * (1 - share)
    return {main: share} | {cover: float(part) for cover, part in zip(others, rest, strict=True) if part > 0.02}


def _farmland(canvas: Canvas) -> None:
    parcels(canvas, _mix(canvas, Cover.CROPS, Cover.GRASS, Cover.TREES, Cover.BARE, low=0.6))
    if canvas.rng.random() < 0.35:
        canvas.fill(blob(canvas, canvas.rng.uniform(0.03, 0.3)), Cover.TREES, stands=2)


def _pivots(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.GRASS, Cover.BARE, Cover.SHRUB, low=0.2))
    pivots(canvas)


def _forest(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.TREES, Cover.GRASS, Cover.SHRUB))
    if canvas.rng.random() < 0.3:
        cuts = _mix(canvas, Cover.TREES, Cover.GRASS, Cover.BARE, Cover.SHRUB, low=0.7)
        parcels(canvas, cuts, blob(canvas, canvas.rng.uniform(0.2, 0.8)))


def _pasture(canvas: Canvas) -> None:
    mix = _mix(canvas, Cover.GRASS, Cover.TREES, Cover.SHRUB)
    if canvas.rng.random() < 0.5:
        natural(canvas, mix)
    else:
        parcels(canvas, mix)


def _shrubland(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.SHRUB, Cover.GRASS, Cover.BARE, Cover.TREES))


def _barren(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.BARE, Cover.SHRUB, Cover.GRASS))


def _mixed(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.TREES, Cover.GRASS, Cover.SHRUB, low=0.3))
    parcels(canvas, _mix(canvas, Cover.CROPS, Cover.GRASS), blob(canvas, canvas.rng.uniform(0.2, 0.6)))


def _town(canvas: Canvas) -> None:
    around = _mix(canvas, Cover.GRASS, Cover.TREES, Cover.CROPS, Cover.SHRUB, low=0.2)
    if canvas.biome.name == "desert":
        around = {Cover.BARE: 0.8, Cover.SHRUB: 0.2}
    natural(canvas, around)
    everywhere = canvas.rng.random() < 0.4
    town(canvas, None if everywhere else blob(canvas, canvas.rng.uniform(0.25, 0.9)), canvas.rng.uniform(0.5, 0.95))


def _wetland(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.FLOODED_VEGETATION, Cover.WATER, Cover.GRASS, Cover.TREES, low=0.4))


def _paddies(canvas: Canvas) -> None:
    parcels(canvas, _mix(canvas, Cover.FLOODED_VEGETATION, Cover.CROPS, Cover.WATER, Cover.GRASS, low=0.5))


def _ice(canvas: Canvas) -> None:
    natural(canvas, _mix(canvas, Cover.SNOW, Cover.BARE, Cover.GRASS, Cover.TREES, low=0.4))


def _lake(canvas: Canvas) -> None:
    _surroundings(canvas)
    lake(canvas, canvas.rng.uniform(0.12, 0.85))


def _coast(canvas: Canvas) -> None:
    _surroundings(canvas)
    coast(canvas, 1.0 if canvas.rng.random() < 0.35 else canvas.rng.uniform(0.15, 1.0))


def _river(canvas: Canvas) -> None:
    _surroundings(canvas)
    river(canvas, canvas.rng.uniform(4, 22))


def _surroundings(canvas: Canvas) -> None:
    names = ("forest", "shrubland", "barren") if canvas.biome.name == "desert" else tuple(_AROUND_WATER)
    _AROUND_WATER[str(canvas.rng.choice(names))](canvas)


_AROUND_WATER: Final[dict[str, Painter]] = {
    "forest": _forest,
    "farmland": _farmland,
    "pasture": _pasture,
    "shrubland": _shrubland,
    "barren": _barren,
    "town": _town,
}

SCENES: Final[dict[str, Painter]] = {
    "farmland": _farmland,
    "pivots": _pivots,
    "forest": _forest,
    "pasture": _pasture,
    "shrubland": _shrubland,
    "barren": _barren,
    "mixed": _mixed,
    "town": _town,
    "wetland": _wetland,
    "paddies": _paddies,
    "ice": _ice,
    "lake": _lake,
    "coast": _coast,
    "river": _river,
}
"""Painters by scene name."""

_USUAL: Final = {
    "farmland": 3.0,
    "forest": 2.0,
    "pasture": 1.6,
    "shrubland": 1.2,
    "barren": 0.9,
    "mixed": 1.4,
    "town": 1.4,
    "wetland": 2.4,
    "lake": 0.9,
    "coast": 1.0,
    "river": 0.8,
}
_ODDS: Final[dict[str, dict[str, float]]] = {
    "temperate": _USUAL | {"paddies": 0.6},
    "boreal": _USUAL | {"forest": 4.0, "farmland": 0.6, "ice": 1.5},
    "mediterranean": _USUAL | {"shrubland": 3.5, "pasture": 2.6, "paddies": 0.5, "farmland": 3.0},
    "savanna": _USUAL | {"shrubland": 3.0, "pasture": 3.0, "pivots": 0.2},
    "tropical": _USUAL | {"forest": 3.5, "paddies": 3.0},
    "desert": {"barren": 3.0, "shrubland": 3.0, "pivots": 0.8, "town": 0.9, "coast": 0.3, "lake": 0.3, "river": 0.3},
    "steppe": _USUAL | {"pasture": 3.0, "pivots": 0.8, "barren": 1.5},
    "alpine": {"ice": 4.5, "forest": 2.0, "pasture": 2.0, "barren": 2.5, "shrubland": 1.2, "lake": 0.5, "river": 0.3},
    "tundra": {"shrubland": 3.0, "pasture": 3.0, "barren": 1.5, "wetland": 2.0, "ice": 2.0, "lake": 1.5, "river": 0.8},
    "oceanic heath": _USUAL | {"shrubland": 3.5, "pasture": 3.0, "coast": 1.6},
    "monsoon": _USUAL | {"farmland": 3.0, "paddies": 2.5},
    "dry chaco": _USUAL | {"shrubland": 3.5, "forest": 3.0, "farmland": 2.5, "coast": 0.0},
}
"""Relative frequency of scenes per biome, chosen so that each of the nine covers is common, not as on Earth."""


def draw_place(
    rng: np.random.Generator, pool: FieldPool, shape: tuple[int, int], scene: str | None, biome: Biome | None
) -> Place:
    """A random place.

    Args:
        rng: Source of randomness.
        pool: Fields to cut from.
        shape: Rows and columns.
        scene: Name in `SCENES`; None draws one that occurs in the biome.
        biome: Kind of landscape; None draws one.

    Returns:
        A place of the scene, sometimes with a road, a hamlet or a pond beside it.
    """
    biome = biome or BIOMES[int(rng.integers(len(BIOMES)))]
    if scene is None:
        names, odds = zip(*_ODDS[biome.name].items(), strict=True)
        scene = str(rng.choice(names, p=np.array(odds) / sum(odds)))
    canvas = Canvas(rng, pool, biome, shape)
    SCENES[scene](canvas)
    if scene in ("shrubland", "barren", "pasture", "forest") and rng.random() < 0.4:
        gullies(canvas, Cover(int(rng.choice([Cover.TREES, Cover.SHRUB, Cover.GRASS, Cover.BARE]))))
    for _ in range(int(rng.choice([0, 1, 2], p=[0.65, 0.25, 0.1]))):
        road(canvas)
    if scene in ("farmland", "pasture", "mixed") and rng.random() < 0.2:
        town(canvas, blob(canvas, rng.uniform(0.02, 0.12)), rng.uniform(0.3, 0.8))
    return canvas.place(scene)
