"""What a flood is taken for, one stage per kind: lakes, paddies, tides, dark roofs, wet soil, wet snow, radar shadow.

In: a `drawing.Draw`. Out: a `staging.Stage`: the ground, the day, the sky and the beam of one look without an event.
Stops at stages: they are gathered by kind in `simulation.guises`.
"""

from dataclasses import replace

import numpy as np

from simulation.biomes import Biome
from simulation.chips import SIDE
from simulation.drawing import Draw
from simulation.endmembers import Material
from simulation.fields import BROAD, quantile
from simulation.labels import Cover
from simulation.staging import (
    BARE_BELOW,
    BRIGHTNESS,
    DENSITY,
    FALLOW,
    IRRIGATION,
    MOISTURE,
    ROOF,
    SOIL,
    STUBBLE,
    TREE,
    TURBIDITY,
    Stage,
    Traits,
    from_shore,
    repaint,
    rows_of,
    some_of,
    span_of,
    steepen,
)

M = Material


def permanent_water(draw: Draw) -> Stage:
    """A lake, a river or the sea, of any colour and under any wind."""
    place = draw.waters("lake", "coast", "river", "lake")
    return draw.stage(place, draw.weather(draw.day((0, 365)), snow=None))


def calm_lake(draw: Draw) -> Stage:
    """A lake without a breath of wind."""
    stage = draw.stage(draw.waters("lake"), draw.weather(draw.day((0, 365))))
    return replace(stage, beam=replace(stage.beam, wind=float(draw.rng.uniform(0, 0.05))))


def paddies(draw: Draw) -> Stage:
    """Rice fields between flooding and the rice's rise above the water."""
    place = draw.place("farmland", "paddies")
    rows = some_of(rows_of(place, Cover.CROPS, Cover.FLOODED_VEGETATION), float(draw.rng.uniform(0.5, 1.0)), draw.rng)
    water: Traits = {TURBIDITY: (0.55, 1.0), DENSITY: (0.0, 0.6)}
    place = repaint(
        place, rows[place.regions], Cover.WATER, water, draw.rng, label=Cover.FLOODED_VEGETATION, split=True
    )
    young = some_of(rows, 0.4, draw.rng)[place.regions % len(rows)]
    sprouts: Traits = {DENSITY: (0.0, 0.3), TREE: (0.0, 0.7)}
    place = repaint(
        place, young & (place.regions >= len(rows)), Cover.FLOODED_VEGETATION, sprouts, draw.rng, split=True
    )
    stage = draw.stage(place, draw.weather(draw.day((110, 190)), wetness=(0.6, 1.0)))
    return replace(stage, beam=replace(stage.beam, wind=float(draw.rng.uniform(0, 0.3))))


def tide(draw: Draw) -> Stage:
    """A flat shore at some state of the tide: mud that glistens, muddy water over the rest."""
    place = draw.waters("coast")
    depth = from_shore(place.is_cover(Cover.WATER)) + 6 * draw.pool.draw(draw.rng, BROAD, place.shape)
    sea = place.is_cover(Cover.WATER)
    if sea.any():
        flats = sea & (depth < quantile(depth[sea], float(draw.rng.uniform(0.1, 0.7))))
        mud: Traits = {BRIGHTNESS: (0.0, 0.5), MOISTURE: (0.9, 1.0), DENSITY: (0.0, 0.2)}
        place = repaint(place, flats, Cover.BARE, mud, draw.rng)
    place = draw.retrait(place, {TURBIDITY: (0.5, 1.0)}, Cover.WATER)
    return draw.stage(place, draw.weather(draw.day((0, 365)), wetness=(0.6, 1.0)))


def dark_roofs(draw: Draw) -> Stage:
    """Roofs of tar and slate: the fifth of the seven roofs that `spectra` chooses from."""
    place = draw.place("town")
    place = draw.retrait(place, {ROOF: (4.05 / 7, 4.95 / 7), BRIGHTNESS: (0.0, 0.5)}, Cover.BUILT, share=0.85)
    return draw.stage(place, draw.weather(draw.day((0, 365))))


def wet_soil(draw: Draw) -> Stage:
    """Bare fields soaked by rain that did not stay on them."""
    place = draw.place("farmland")
    soaked: Traits = {
        FALLOW: (0.0, BARE_BELOW - 0.01),
        IRRIGATION: (0.0, 0.8),
        BRIGHTNESS: (0.0, 0.4),
        MOISTURE: (0.9, 1),
    }
    place = draw.retrait(place, soaked, Cover.CROPS, share=0.9)
    return draw.stage(place, draw.weather(draw.day((0, 110), (270, 365)), wetness=(0.9, 1.0)))


def wet_snow(draw: Draw) -> Stage:
    """Snow that melts over fields, pastures and screes."""
    place = draw.place("pasture", "farmland", "barren", "ice")
    return draw.stage(
        place, draw.weather(draw.day((85, 130)), wetness=(0.6, 1.0), snow=float(draw.rng.uniform(0.85, 1)))
    )


def smooth_soil(draw: Draw) -> Stage:
    """A dry lake bed or a sheet of sand: smooth at the scale of the wavelength."""
    place = draw.place("barren")
    smooth: Traits = {SOIL: span_of(draw.biome.soils, *_smooth(draw.biome, draw.rng)), MOISTURE: (0.7, 1.0)}
    place = draw.retrait(place, smooth | {BRIGHTNESS: (0.0, 0.5), STUBBLE: (0.0, 0.5)}, Cover.BARE)
    return draw.stage(place, draw.weather(draw.day((0, 365)), wetness=(0.0, 0.2)))


def _smooth(biome: Biome, rng: np.random.Generator) -> list[Material]:
    found: list[Material] = [material for material, _ in biome.soils if material in (M.SAND, M.SALT)]
    rng.shuffle(found)
    return found


def radar_shadow(draw: Draw) -> Stage:
    """Mountains whose far slopes the beam does not reach."""
    place = draw.place("forest", "shrubland", "pasture", "barren")
    place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(38, 58)))
    stage = draw.stage(place, draw.weather(draw.day((0, 365))))
    return replace(stage, beam=replace(stage.beam, incidence_deg=float(draw.rng.uniform(37, 45)), terrain=1.0))


def asphalt(draw: Draw) -> Stage:
    """Runways, aprons and car parks."""
    place = draw.place("farmland", "pasture", "town")
    rng = draw.rng
    rows, columns = np.indices(place.shape, dtype=np.float32) - np.float32(SIDE / 2)
    angle = rng.uniform(0, np.pi)
    across = rows * np.float32(np.cos(angle)) + columns * np.float32(np.sin(angle))
    along = columns * np.float32(np.cos(angle)) - rows * np.float32(np.sin(angle))
    paved = np.abs(across - np.float32(rng.uniform(-30, 30))) < rng.uniform(2.5, 6)
    for _ in range(int(rng.integers(2, 6))):
        at_u, at_v = rng.uniform(-45, 45, 2)
        wide, long = rng.uniform(6, 22, 2)
        paved |= (np.abs(across - np.float32(at_u)) < wide) & (np.abs(along - np.float32(at_v)) < long)
    traits: Traits = {ROOF: (0.36, 0.37), DENSITY: (0.0, 0.0)}
    place = repaint(place, paved, Cover.BUILT, traits, rng, label=Cover.BUILT)
    return draw.stage(place, draw.weather(draw.day((0, 365))))
