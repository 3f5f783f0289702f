"""What a crisis is taken for, one stage per kind: ploughed fields, dark rock, shadows, calm lakes, paddies, quarries.

In: a biome and noise. Out: a `staging.Stage`: the ground, the day, the sky and the beam of one look without an event.
Stops at stages: which kinds resemble which event, and their chips, are in `simulation.lookalikes`.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Final

import numpy as np

from simulation import distractors, wet_guises
from simulation.biomes import Biome
from simulation.chips import SIDE
from simulation.drawing import Draw, Painter
from simulation.endmembers import Material
from simulation.labels import Cover
from simulation.optics import clouds
from simulation.spectra import conditions
from simulation.staging import (
    BARE_BELOW,
    BRIGHTNESS,
    DATE,
    DENSITY,
    FALLOW,
    IRRIGATION,
    MOISTURE,
    SHADE,
    SOIL,
    STUBBLE,
    TREE,
    Stage,
    Traits,
    from_shore,
    has,
    repaint,
    span_of,
    steepen,
)

M = Material


def _ploughed(draw: Draw) -> Stage:
    """Fields turned over lately: bare, moist, darker than the ground usually is."""
    place = draw.place("farmland")
    bare: Traits = {
        FALLOW: (0.0, BARE_BELOW - 0.01),
        IRRIGATION: (0.0, 0.8),
        BRIGHTNESS: (0.0, 0.45),
        MOISTURE: (0.5, 1),
    }
    place = draw.retrait(place, bare, Cover.CROPS, share=float(draw.rng.uniform(0.6, 1.0)))
    return draw.stage(place, draw.weather(draw.day((60, 115), (255, 325)), wetness=(0.4, 1.0)))


def _bare_soil(draw: Draw) -> Stage:
    """Dry open ground, or fields that lie idle in the dry season."""
    fields = draw.rng.random() < 0.5
    place = draw.place("farmland" if fields else "barren")
    place = draw.retrait(place, {FALLOW: (0.0, BARE_BELOW - 0.01), IRRIGATION: (0.0, 0.8)}, Cover.CROPS)
    return draw.stage(place, draw.weather(draw.day((0, 365)), wetness=(0.0, 0.5)))


def _dark_conifer(draw: Draw) -> Stage:
    """Closed stands of conifers with much shadow between the crowns, in the darker half of the year more than not."""
    place = draw.place("forest")
    traits: Traits = {TREE: span_of(draw.biome.trees, M.CONIFER), DENSITY: (0.6, 1.0), SHADE: (0.75, 1.0)}
    place = draw.retrait(place, traits | {BRIGHTNESS: (0.0, 0.5)}, Cover.TREES)
    if draw.rng.random() < 0.4:
        place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(8, 25)))
    return draw.stage(place, draw.weather(draw.day((30, 120), (230, 320), (120, 230))))


def _terrain_shadow(draw: Draw) -> Stage:
    """Steep slopes turned away from a low sun."""
    place = draw.place("forest", "shrubland", "pasture", "barren")
    place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(28, 45)))
    stage = draw.stage(place, draw.weather(draw.day((0, 70), (290, 365))))
    zenith = max(stage.sky.sun_zenith_deg, float(draw.rng.uniform(55, 75)))
    return replace(stage, sky=replace(stage.sky, sun_zenith_deg=zenith, cloud_share=0.0))


def _cloud_shadow(draw: Draw) -> Stage:
    """A chip of which much lies in the shadow of a cloud: of a dozen skies, the one that shades most without hiding."""
    stage = draw.stage(
        draw.place("forest", "shrubland", "pasture", "farmland", "mixed"), draw.weather(draw.day((0, 365)))
    )
    best, most = stage.sky, -1.0
    for _ in range(12):
        sky = replace(
            stage.sky,
            cloud_share=float(draw.rng.uniform(0.15, 0.45)),
            sun_zenith_deg=max(stage.sky.sun_zenith_deg, float(draw.rng.uniform(35, 65))),
            cirrus=0.0,
        )
        _, shadow = clouds((SIDE, SIDE), sky, draw.pool, deepcopy(draw.rng))
        if float(shadow.mean()) > most:
            best, most, state = sky, float(shadow.mean()), deepcopy(draw.rng.bit_generator.state)
    draw.rng.bit_generator.state = state  # `see` draws its clouds first: it will cast this very shadow
    return replace(stage, sky=best)


def _dark_rock(draw: Draw) -> Stage:
    """Lava, shale or basaltic soil, more or less weathered."""
    place = draw.place("barren")
    soil = span_of(draw.biome.soils, *_dark_rocks(draw.biome, draw.rng))
    place = draw.retrait(place, {SOIL: soil, BRIGHTNESS: (0.0, 0.7), DENSITY: (0.0, 0.6)}, Cover.BARE)
    if draw.rng.random() < 0.5:
        place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(5, 25)))
    return draw.stage(place, draw.weather(draw.day((0, 365)), wetness=(0.0, 0.6)))


def _dark_rocks(biome: Biome, rng: np.random.Generator) -> list[Material]:
    found: list[Material] = [material for material, _ in biome.soils if material in DARK_ROCKS]
    rng.shuffle(found)
    return found


def _dry_hills(draw: Draw) -> Stage:
    """Withered grass and scrub on hills under a low sun, at the end of the dry season."""
    place = draw.place("pasture", "shrubland")
    place = draw.retrait(place, {DATE: (0.0, 0.3)}, Cover.GRASS, Cover.SHRUB)
    place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(12, 28)))
    dry = 250.0 if draw.biome.summer_green <= draw.biome.winter_green else 70.0
    now = conditions(
        draw.biome,
        float((dry + draw.rng.normal(0, 20)) % 365),
        wetness=float(draw.rng.uniform(0, 0.25)),
        snow=0.0,
        green_shift=float(draw.rng.normal(-0.3, 0.1)),
    )
    return draw.stage(place, now)


def _harvest(draw: Draw) -> Stage:
    """Grain fields within weeks of the combine: straw stands on some, others are stubble or turned already."""
    place = draw.place("farmland")
    cut: Traits = {SOIL: (0.0, 0.49), DATE: (0.2, 0.6), STUBBLE: (0.0, 0.15), IRRIGATION: (0, 0.8), FALLOW: (0.13, 1)}
    place = draw.retrait(place, cut, Cover.CROPS, share=0.85)
    standing = {STUBBLE: (0.6, 1.0)}
    place = draw.retrait(place, standing, Cover.CROPS, share=float(draw.rng.uniform(0.1, 0.4)))
    return draw.stage(place, draw.weather(draw.day((185, 215)), wetness=(0.0, 0.5)))


def _clear_cut(draw: Draw) -> Stage:
    """A forest with felled compartments."""
    plan = distractors.PAINTERS["clear-cut"](distractors.Sketch(draw.rng, draw.pool, draw.biome, (0.0,)))
    return draw.stage(plan.place, draw.weather(plan.day))


def _intact_town(draw: Draw) -> Stage:
    return draw.stage(draw.place("town"), draw.weather(draw.day((0, 365))))


def _quarry(draw: Draw) -> Stage:
    """Open pits: fresh broken rock in steep benches."""
    place = draw.place("forest", "pasture", "farmland", "shrubland")
    soil = span_of(draw.biome.soils, M.LIMESTONE, M.ROCK, M.SHALE, M.SOIL_LIGHT, M.SOIL_GREY)
    pit = draw.blob(float(draw.rng.uniform(0.25, 0.7)))
    place = repaint(place, pit, Cover.BARE, {SOIL: soil, DENSITY: (0.0, 0.1), BRIGHTNESS: (0.4, 1.0)}, draw.rng)
    step = float(draw.rng.uniform(8, 15))
    depth = np.minimum(from_shore(pit), 12) * np.float32(step / 3)
    benches = np.floor(depth / np.float32(step)) * np.float32(step)
    place = replace(place, elevation_m=(place.elevation_m - benches * pit).astype(np.float32))
    return draw.stage(place, draw.weather(draw.day((0, 365))))


def _rock(draw: Draw) -> Stage:
    """Bare rock and scree, rough at every scale."""
    place = draw.place("barren")
    soil = span_of(draw.biome.soils, M.ROCK, M.LIMESTONE, M.SHALE, M.LAVA)
    place = draw.retrait(place, {SOIL: soil, DENSITY: (0.0, 0.4)}, Cover.BARE)
    place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(10, 35)))
    return draw.stage(place, draw.weather(draw.day((0, 365))))


DARK_ROCKS: Final = (M.LAVA, M.SHALE, M.SOIL_BASALT)
"""Ground that is dark in all bands."""

PAINTERS: Final[dict[str, Painter]] = {
    "ploughed": _ploughed,
    "bare soil": _bare_soil,
    "dark conifer": _dark_conifer,
    "terrain shadow": _terrain_shadow,
    "cloud shadow": _cloud_shadow,
    "dark rock": _dark_rock,
    "dry hills": _dry_hills,
    "harvest": _harvest,
    "clear-cut": _clear_cut,
    "permanent water": wet_guises.permanent_water,
    "calm lake": wet_guises.calm_lake,
    "paddies": wet_guises.paddies,
    "tide": wet_guises.tide,
    "dark roofs": wet_guises.dark_roofs,
    "wet soil": wet_guises.wet_soil,
    "wet snow": wet_guises.wet_snow,
    "smooth soil": wet_guises.smooth_soil,
    "radar shadow": wet_guises.radar_shadow,
    "asphalt": wet_guises.asphalt,
    "intact town": _intact_town,
    "quarry": _quarry,
    "rock": _rock,
}
"""Stage by kind."""

DRY_GRASS_BELOW: Final = 0.45
"""Greenness of grass below which a biome's dry season turns it brown."""

FITS: Final[dict[str, Callable[[Biome], bool]]] = {
    "dark conifer": lambda b: has(b.trees, M.CONIFER),
    "dark rock": lambda b: has(b.soils, *DARK_ROCKS),
    "rock": lambda b: has(b.soils, M.ROCK, M.LIMESTONE, M.SHALE, M.LAVA),
    "smooth soil": lambda b: has(b.soils, M.SAND, M.SALT),
    "clear-cut": distractors.FITS["clear-cut"],
    "wet snow": lambda b: b.snow >= 0.2,
    "paddies": lambda b: b.name in ("tropical", "monsoon", "temperate", "mediterranean"),
    "dry hills": lambda b: min(b.summer_green, b.winter_green) < DRY_GRASS_BELOW,
}
"""Which biomes have a kind; those not named occur everywhere."""
