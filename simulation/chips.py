"""Training chips: labelled Sentinel-1 or Sentinel-2 windows of places that never were.

In: how many, a seed and a sensor. Out: pixels, label sets, fractions and attributes for captions.
Stops at chips: no captions are written and nothing is trained here; larger coherent areas are in `simulation.world`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from simulation.backscatter import Beam, RadarView, illuminate
from simulation.biomes import ALL_BIOMES, BIOMES, Biome
from simulation.disturbance import NOTHING, Disturbance
from simulation.fields import FieldPool, FloatArray, pool_for
from simulation.happenings import draw_event
from simulation.labels import (
    BURNED,
    BURNED_FRACTION,
    DAMAGED,
    DAMAGED_FRACTION,
    FLOODED,
    FLOODED_FRACTION,
    LABEL_FRACTION,
    LABELS,
    S1_BANDS,
    S2_BANDS,
    Cover,
)
from simulation.layout import Place
from simulation.optics import OpticalView, Sky, see
from simulation.scenes import draw_place
from simulation.spectra import Conditions, crop_stage, snow_share
from simulation.weather import draw_beam, draw_fire_weather, draw_sky, draw_weather

Sensor = Literal["s1", "s2"]
Attributes = Mapping[str, str | float]

SIDE: Final = 120
"""Pixels along one side of a chip at 10 m: the window of one cell."""

SHARES: Final = {"none": 0.53, "burn": 0.22, "flood": 0.16, "quake": 0.09}
"""How often a chip has had which event. Many more than on Earth: they are what the model is for."""

UNSEEN_SHARE: Final = 0.05
"""Share of a radar chip under dry snow, or ploughed, from which "Snow and Ice" or "Bare" is in doubt."""


FIRE_PRONE: Final = ("mediterranean", "savanna", "steppe", "desert", "dry chaco", "monsoon")
"""Biomes whose dry season looks like fire country."""

UNBURNT: Final = 0.5
"""Share of the uneventful chips there that are brown hills and dry scrub in fire weather: what a burn is mistaken
for."""


@dataclass(frozen=True)
class Chips:
    """A batch of labelled chips.

    Attributes:
        sensor: `s1` or `s2`.
        bands: Names in the order of the pixels' second axis.
        pixels: float32, (n, bands, 120, 120): reflectance 0-1 without the offset, or gamma naught in linear power;
            NaN is no data.
        fractions: float32, (n, 12): share of the visible chip that each of `LABELS` covers. Water includes flood water;
            burnt ground counts as its former cover only where little was consumed.
        labels: Per chip, the names that count as present.
        ambiguous: Per chip, names neither present nor absent: of events, and on radar also of snow and bare ground.
        attributes: Per chip, words and numbers for captions.
    """

    sensor: Sensor
    bands: tuple[str, ...]
    pixels: FloatArray
    fractions: FloatArray
    labels: list[frozenset[str]]
    ambiguous: list[frozenset[str]]
    attributes: list[Attributes]

    def __len__(self) -> int:
        return len(self.pixels)


def make_chips(n: int, *, seed: int, sensor: Sensor, biomes: tuple[str, ...] | None = None) -> Chips:
    """Independent random chips.

    Args:
        n: How many.
        seed: The same arguments give the same chips.
        sensor: `s2` for thirteen optical bands, `s1` for VV and VH.
        biomes: Names of the biomes to draw from; None is `biomes.BIOMES`, `biomes.HELD_OUT_BIOMES` are unseen ones.

    Returns:
        The batch.
    """
    pool = pool_for(seed)
    chosen = [b for b in (BIOMES if biomes is None else ALL_BIOMES) if biomes is None or b.name in biomes]
    batch = ShotBatch(sensor, n)
    for number in range(n):
        rng = np.random.default_rng([seed, number, 0 if sensor == "s2" else 1])
        biome = chosen[int(rng.integers(len(chosen)))]
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        place, now = draw_somewhere(rng, pool, biome, kind)
        event, words = draw_event(kind, place, now, pool, rng)
        batch.add(shoot(sensor, place, now, event=event, words=words, pool=pool, rng=rng))
    return batch.chips()


def make_pairs(n: int, *, seed: int, sensor: Sensor, event: str | None = None) -> tuple[Chips, Chips]:
    """The same places before and after something, or before and after nothing but time.

    Args:
        n: How many places.
        seed: The same arguments give the same pairs.
        sensor: `s2` or `s1`.
        event: `burn`, `flood`, `quake` or `none` (only season, crops, snow, sun and clouds change); None draws.

    Returns:
        Chips before, chips after; row i of both is one place.
    """
    pool = pool_for(seed)
    before, after = ShotBatch(sensor, n), ShotBatch(sensor, n)
    for number in range(n):
        rng = np.random.default_rng([seed, number, 2 if sensor == "s2" else 3])
        kind = event or str(rng.choice(list(SHARES), p=list(SHARES.values())))
        place, now = draw_somewhere(rng, pool, BIOMES[int(rng.integers(len(BIOMES)))], kind)
        later = draw_weather(place.biome, (now.day + rng.uniform(5, 45)) % 365, rng)
        later = replace(later, snow=0.0) if kind == "burn" else later
        happened, words = draw_event(kind, place, later, pool, rng)
        before.add(shoot(sensor, place, now, event=NOTHING, words={"event": "none"}, pool=pool, rng=rng))
        after.add(shoot(sensor, place, later, event=happened, words=words, pool=pool, rng=rng))
    return before.chips(), after.chips()


@dataclass(frozen=True)
class Shot:
    """One look at a place, and what is known of it.

    Attributes:
        pixels: float32, (bands, rows, columns), as in `Chips`.
        fractions: float32, (12,), share of the seen ground per label.
        attributes: words and numbers for captions.
        hidden: names that this sensor can neither show nor deny.
    """

    pixels: FloatArray
    fractions: FloatArray
    attributes: Attributes
    hidden: frozenset[str]


def draw_somewhere(rng: np.random.Generator, pool: FieldPool, biome: Biome, kind: str) -> tuple[Place, Conditions]:
    """A random place where an event of the kind could be, and the conditions of a day on which it could be.

    Of the uneventful places in fire-prone biomes, `UNBURNT` are such as fires would have, too.

    Args:
        rng: Source of randomness.
        pool: Fields to cut from.
        biome: Kind of landscape.
        kind: `none`, `burn`, `flood` or `quake`.
    """
    scene = None
    dry = kind == "none" and biome.name in FIRE_PRONE and rng.random() < UNBURNT
    if kind == "quake":
        scene = "town"
    elif kind == "flood" and rng.random() < 0.6:
        scene = str(rng.choice(["farmland", "river", "pasture", "lake", "mixed", "town"]))
    elif (kind == "burn" or dry) and rng.random() < 0.85:
        scene = str(rng.choice(["forest", "shrubland", "pasture", "mixed", "barren"], p=[0.28, 0.30, 0.28, 0.1, 0.04]))
    place = draw_place(rng, pool, (SIDE, SIDE), scene, biome)
    if kind == "burn" or dry:
        return place, draw_fire_weather(biome, rng)
    return place, draw_weather(biome, rng.uniform(0, 365), rng)


def shoot(
    sensor: Sensor,
    place: Place,
    now: Conditions,
    *,
    event: Disturbance,
    words: Attributes,
    pool: FieldPool,
    rng: np.random.Generator,
    sky: Sky | None = None,
    beam: Beam | None = None,
) -> Shot:
    """One look of one sensor.

    Args:
        sensor: `s2` or `s1`.
        place: The ground.
        now: Conditions of the day.
        event: What happened before.
        words: What captions may say of it.
        pool: Fields of clouds and speckle.
        rng: Source of randomness.
        sky: Of an optical look; None draws one.
        beam: Of a radar look; None draws one.
    """
    attributes: dict[str, str | float] = {
        "biome": place.biome.name,
        "scene": place.scene,
        "season": season_of(now.day),
        "snow": round(now.snow, 2),
        **words,
    }
    hidden: frozenset[str] = frozenset()
    if sensor == "s2":
        sky = sky or draw_sky(place.biome, now.day, rng)
        if event.severity is not None and event.burn_age_days < 10 and rng.random() < 0.3:
            sky = replace(sky, smoke=float(rng.uniform(0.1, 0.7)))
        view = see(place, now, event, sky, pool=pool, rng=rng)
        attributes["cloud"] = round(float(view.cloud.mean()), 3)
        pixels, fractions = view.pixels, _optical_fractions(place, now, event, view)
    else:
        radar = illuminate(place, now, event, beam or draw_beam(rng), pool=pool, rng=rng)
        pixels = radar.pixels
        fractions, hidden = _radar_fractions(place, now, event, radar)
    if rng.random() < 0.04:
        _cut_edge(pixels, rng)
    return Shot(pixels, fractions, attributes, hidden)


def _radar_fractions(
    place: Place, now: Conditions, event: Disturbance, radar: RadarView
) -> tuple[FloatArray, frozenset[str]]:
    """Fractions of what a radar can show, and the names that one image of it can neither show nor deny.

    Under dry snow the ground is what is seen, so it keeps its names; a ploughed field may be called bare ground.
    """
    permanent = float((radar.snow_hidden * place.is_cover(Cover.SNOW)).mean())
    seasonal = float(radar.snow_hidden.mean()) - permanent
    seen_through = replace(now, snow=0.0) if seasonal > UNSEEN_SHARE else now
    clear = np.ones(place.shape, np.float32)
    fractions = cover_fractions(place, seen_through, event, radar.burn_visible, radar.flood_visible, clear)
    fractions[Cover.SNOW] = max(float(fractions[Cover.SNOW]) - permanent, 0.0)
    leaf, straw = crop_stage(place.traits, now)
    ploughed = (place.label == Cover.CROPS) & (leaf + straw < 0.25)
    unsure = {"Snow and Ice": seasonal + permanent, "Bare": float(ploughed[place.regions].mean())}
    return fractions, _hidden(event) | {name for name, share in unsure.items() if share > UNSEEN_SHARE}


def _hidden(event: Disturbance) -> frozenset[str]:
    """Names of events that a radar may show otherwise than by darkness: flooded forest, burnt grass."""
    layers = {"Flooded Area": event.water, "Burned Area": event.severity}
    return frozenset(name for name, layer in layers.items() if layer is not None and float((layer > 0.2).mean()) > 0.05)


def _optical_fractions(place: Place, now: Conditions, event: Disturbance, view: OpticalView) -> FloatArray:
    clear = (view.cloud < 0.5).astype(np.float32)
    under = np.zeros(place.shape, np.float32) if event.water is None else (event.water > 0.3).astype(np.float32)
    return cover_fractions(place, now, event, view.burn_visible, under, clear)


def cover_fractions(
    place: Place,
    now: Conditions,
    event: Disturbance,
    burn_visible: FloatArray,
    flood_visible: FloatArray,
    seen: FloatArray,
) -> FloatArray:
    """Share of the seen ground that each label covers.

    Args:
        place: The ground.
        now: Conditions of the day; regions more than half white count as snow.
        event: What happened.
        burn_visible: float32, (rows, columns), 1 where a burn shows.
        flood_visible: float32, (rows, columns), 1 where a flood shows.
        seen: float32, (rows, columns), 1 where the ground is seen.

    Returns:
        float32, (12,); zeros if nothing is seen.
    """
    total = float(seen.sum())
    out = np.zeros(len(LABELS), np.float32)
    if total < 1:
        return out
    label = place.label.copy()
    label[snow_share(place.cover, place.traits, now) > 0.5] = Cover.SNOW
    kept = seen.copy()
    if event.severity is not None:
        out[BURNED] = float((burn_visible * seen).sum()) / total
        kept *= 1 - burn_visible * (event.severity > 0.4)
    if event.water is not None:
        out[FLOODED] = float((flood_visible * seen).sum()) / total
        kept *= 1 - flood_visible * (event.water > 0.6)
    if event.damage is not None:
        town = (place.label == Cover.BUILT)[place.regions]
        out[DAMAGED] = float(((event.damage > 0.3) * town * seen).sum()) / total
    out[: len(Cover)] = np.bincount(label[place.regions].ravel(), weights=kept.ravel(), minlength=len(Cover)) / total
    out[Cover.WATER] += out[FLOODED]
    return out


def judge(fractions: FloatArray) -> tuple[frozenset[str], frozenset[str]]:
    """Names that are present, and event names that are neither present nor absent, from one chip's fractions."""
    needed = np.full(len(LABELS), LABEL_FRACTION, np.float32)
    needed[[FLOODED, DAMAGED, BURNED]] = (FLOODED_FRACTION, DAMAGED_FRACTION, BURNED_FRACTION)
    present = frozenset(name for name, have, need in zip(LABELS, fractions, needed, strict=True) if have >= need)
    events = [i for i in (FLOODED, DAMAGED, BURNED) if 0.01 < fractions[i] < needed[i]]
    return present, frozenset(LABELS[i] for i in events)


def season_of(day: float) -> str:
    """Season of a day of the local growing year that starts at mid-winter."""
    return ("winter", "spring", "summer", "autumn")[int(((day + 45) % 365) // 91.25) % 4]


def _cut_edge(pixels: FloatArray, rng: np.random.Generator) -> None:
    rows, columns = np.indices(pixels.shape[-2:], dtype=np.float32) / np.float32(pixels.shape[-1])
    angle = rng.uniform(0, 2 * np.pi)
    across = (rows - 0.5) * np.float32(np.cos(angle)) + (columns - 0.5) * np.float32(np.sin(angle))
    pixels[:, across > rng.uniform(0.1, 0.45)] = np.nan


class ShotBatch:
    """Shots collected into one array as they come."""

    def __init__(self, sensor: Sensor, n: int) -> None:
        self._sensor: Sensor = sensor
        self._bands = S2_BANDS if sensor == "s2" else S1_BANDS
        self._pixels = np.empty((n, len(self._bands), SIDE, SIDE), np.float32)
        self._fractions = np.zeros((n, len(LABELS)), np.float32)
        self._attributes: list[Attributes] = []
        self._hidden: list[frozenset[str]] = []

    def add(self, shot: Shot) -> None:
        row = len(self._attributes)
        self._pixels[row], self._fractions[row] = shot.pixels, shot.fractions
        self._attributes.append(shot.attributes)
        self._hidden.append(shot.hidden)

    def chips(self) -> Chips:
        judged = [judge(fractions) for fractions in self._fractions]
        return Chips(
            sensor=self._sensor,
            bands=self._bands,
            pixels=self._pixels,
            fractions=self._fractions,
            labels=[present for present, _ in judged],
            ambiguous=[(unsure | more) - present for (present, unsure), more in zip(judged, self._hidden, strict=True)],
            attributes=self._attributes,
        )
