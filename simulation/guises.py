"""What a crisis is taken for, one stage per kind: ploughed fields, dark rock, shadows, calm lakes, paddies, quarries.

In: a biome and noise. Out: a `staging.Stage`: the ground, the day, the sky and the beam of one look without an event.
Stops at stages: which kinds resemble which event, and their chips, are in `simulation.lookalikes`.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from simulation import distractors
from simulation.biomes import Biome
from simulation.chips import SIDE, _weather, draw_beam, draw_sky
from simulation.endmembers import Material
from simulation.fields import BROAD, MEDIUM, FieldPool, quantile
from simulation.labels import Cover
from simulation.layout import Mask, Place
from simulation.optics import clouds
from simulation.scenes import draw_place
from simulation.spectra import Conditions, conditions
from simulation.staging import (
    BARE_BELOW,
    BRIGHTNESS,
    DATE,
    DENSITY,
    FALLOW,
    IRRIGATION,
    MOISTURE,
    ROOF,
    SHADE,
    SOIL,
    STUBBLE,
    TREE,
    TURBIDITY,
    Stage,
    Traits,
    from_shore,
    has,
    repaint,
    retrait,
    rows_of,
    some_of,
    span_of,
    steepen,
)

M = Material

MOST_CLOUD: Final = 0.2
"""Largest share of a chip under cloud, but for cloud shadows, which need a cloud."""

Painter = Callable[["Draw"], Stage]


@dataclass(frozen=True)
class Draw:
    """What a kind is drawn from.

    Attributes:
        rng: Source of randomness.
        pool: Noise fields.
        biome: Kind of landscape.
    """

    rng: np.random.Generator
    pool: FieldPool
    biome: Biome

    def place(self, *scenes: str) -> Place:
        """A place of one of the scenes."""
        return draw_place(self.rng, self.pool, (SIDE, SIDE), str(self.rng.choice(scenes)), self.biome)

    def waters(self, *scenes: str) -> Place:
        """A place of one of the scenes with water on a sixth of it or more, or the last of some tries."""
        for _ in range(8):
            place = self.place(*scenes)
            if float(place.is_cover(Cover.WATER).mean()) > 1 / 6:
                break
        return place

    def day(self, *spans: tuple[float, float]) -> float:
        """A day of the growing year within one of the spans."""
        low, high = spans[int(self.rng.integers(len(spans)))]
        return float(self.rng.uniform(low, high))

    def weather(
        self, day: float, *, wetness: tuple[float, float] | None = None, snow: float | None = 0.0
    ) -> Conditions:
        """Weather of the day; snow None leaves it to the biome."""
        now = _weather(self.biome, day, self.rng)
        now = now if wetness is None else replace(now, wetness=float(self.rng.uniform(*wetness)))
        return now if snow is None else replace(now, snow=snow)

    def stage(self, place: Place, now: Conditions) -> Stage:
        """A stage under a fair sky: a look-alike under cloud would test nothing."""
        sky = draw_sky(self.biome, now.day, self.rng)
        sky = replace(sky, cloud_share=min(sky.cloud_share, MOST_CLOUD))
        return Stage(place, now, sky, draw_beam(self.rng))

    def retrait(self, place: Place, ranges: Traits, *covers: Cover, share: float = 1.0) -> Place:
        """Other traits in a share of the regions of the covers."""
        return retrait(place, some_of(rows_of(place, *covers), share, self.rng), ranges, self.rng)

    def blob(self, share: float) -> Mask:
        """A few smooth patches that cover the share."""
        texture = self.pool.draw(self.rng, BROAD, (SIDE, SIDE)) + np.float32(0.15) * self.pool.draw(
            self.rng, MEDIUM, (SIDE, SIDE)
        )
        mask: Mask = texture < quantile(texture, share)
        return mask


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


def _permanent_water(draw: Draw) -> Stage:
    """A lake, a river or the sea, of any colour and under any wind."""
    place = draw.waters("lake", "coast", "river", "lake")
    return draw.stage(place, draw.weather(draw.day((0, 365)), snow=None))


def _calm_lake(draw: Draw) -> Stage:
    """A lake without a breath of wind."""
    stage = draw.stage(draw.waters("lake"), draw.weather(draw.day((0, 365))))
    return replace(stage, beam=replace(stage.beam, wind=float(draw.rng.uniform(0, 0.05))))


def _paddies(draw: Draw) -> Stage:
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


def _tide(draw: Draw) -> Stage:
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


def _dark_roofs(draw: Draw) -> Stage:
    """Roofs of tar and slate: the fifth of the seven roofs that `spectra` chooses from."""
    place = draw.place("town")
    place = draw.retrait(place, {ROOF: (4.05 / 7, 4.95 / 7), BRIGHTNESS: (0.0, 0.5)}, Cover.BUILT, share=0.85)
    return draw.stage(place, draw.weather(draw.day((0, 365))))


def _wet_soil(draw: Draw) -> Stage:
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


def _wet_snow(draw: Draw) -> Stage:
    """Snow that melts over fields, pastures and screes."""
    place = draw.place("pasture", "farmland", "barren", "ice")
    return draw.stage(
        place, draw.weather(draw.day((85, 130)), wetness=(0.6, 1.0), snow=float(draw.rng.uniform(0.85, 1)))
    )


def _smooth_soil(draw: Draw) -> Stage:
    """A dry lake bed or a sheet of sand: smooth at the scale of the wavelength."""
    place = draw.place("barren")
    smooth: Traits = {SOIL: span_of(draw.biome.soils, *_smooth(draw.biome, draw.rng)), MOISTURE: (0.7, 1.0)}
    place = draw.retrait(place, smooth | {BRIGHTNESS: (0.0, 0.5), STUBBLE: (0.0, 0.5)}, Cover.BARE)
    return draw.stage(place, draw.weather(draw.day((0, 365)), wetness=(0.0, 0.2)))


def _smooth(biome: Biome, rng: np.random.Generator) -> list[Material]:
    found: list[Material] = [material for material, _ in biome.soils if material in (M.SAND, M.SALT)]
    rng.shuffle(found)
    return found


def _radar_shadow(draw: Draw) -> Stage:
    """Mountains whose far slopes the beam does not reach."""
    place = draw.place("forest", "shrubland", "pasture", "barren")
    place = steepen(place, draw.pool, draw.rng, float(draw.rng.uniform(38, 58)))
    stage = draw.stage(place, draw.weather(draw.day((0, 365))))
    return replace(stage, beam=replace(stage.beam, incidence_deg=float(draw.rng.uniform(37, 45)), terrain=1.0))


def _asphalt(draw: Draw) -> Stage:
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
    "permanent water": _permanent_water,
    "calm lake": _calm_lake,
    "paddies": _paddies,
    "tide": _tide,
    "dark roofs": _dark_roofs,
    "wet soil": _wet_soil,
    "wet snow": _wet_snow,
    "smooth soil": _smooth_soil,
    "radar shadow": _radar_shadow,
    "asphalt": _asphalt,
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
