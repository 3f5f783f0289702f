"""What fire, water and earthquakes do to the ground, pixel by pixel.

In: a place, noise fields and the event's strength. Out: `Disturbance` layers that both sensors look through.
Stops at the ground: reflectance of burnt and flooded pixels is mixed here, backscatter in `simulation.backscatter`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.endmembers import SPECTRA, Material
from simulation.fields import FloatArray
from simulation.labels import Cover
from simulation.layout import Place
from simulation.spectra import WAVELENGTHS, choose_material
from simulation.varieties import variants

M = Material
NIR, SWIR2 = 8, 12

FUEL: Final = {
    Cover.WATER: 0.0,
    Cover.TREES: 1.0,
    Cover.GRASS: 0.9,
    Cover.FLOODED_VEGETATION: 0.1,
    Cover.CROPS: 0.45,
    Cover.SHRUB: 1.0,
    Cover.BUILT: 0.0,
    Cover.BARE: 0.12,
    Cover.SNOW: 0.0,
}
"""Relative share of a cover that can burn. Source: fuel models of Scott and Burgan 2005 (RMRS-GTR-153), NB types 0."""

VISIBLE_DNBR: Final = 0.10
"""Drop of the normalised burn ratio from which a burn counts as visible. Source: Key and Benson 2006, FIREMON landscape
assessment (RMRS-GTR-164-CD), low severity from 0.10."""


@dataclass(frozen=True)
class Disturbance:
    """Layers of what happened, on the pixels of a place.

    Attributes:
        severity: float32, (rows, columns), 0 unburnt to 1 consumed; None without a fire.
        burn_age_days: Days since the fire.
        char_darkness: 0 grey char to 1 black char.
        ash: 0 none to 1 much white ash when fresh.
        water: float32, (rows, columns), 0 dry to 1 wholly under open water; None without a flood.
        turbidity: 0 clear to 1 loaded with sediment.
        wind: Roughness of the open water, 0 calm to 1 strong wind.
        damage: float32, (rows, columns), 0 intact to 1 collapsed; None without an earthquake.
    """

    severity: FloatArray | None = None
    burn_age_days: float = 0.0
    char_darkness: float = 0.5
    ash: float = 0.3
    water: FloatArray | None = None
    turbidity: float = 0.6
    wind: float = 0.2
    damage: FloatArray | None = None


NOTHING: Final = Disturbance()
"""Nothing has happened."""


def per_cover(values: dict[Cover, float]) -> FloatArray:
    """float32, (covers,): the mapping's values in the order of `Cover`."""
    return np.array([values[cover] for cover in Cover], np.float32)


def fuel(place: Place) -> FloatArray:
    """float32, (rows, columns): share of each pixel that can burn, 0-1."""
    burnable: FloatArray = per_cover(FUEL)[place.cover][place.regions]
    return burnable


def floodable(place: Place) -> FloatArray:
    """Share of each pixel that becomes open water when the ground is flooded, 0-1.

    Canopies and roofs stay above the water: closed forest hides most of it from above, buildings half of it.

    Returns:
        float32, (rows, columns); 0 where there is permanent water.
    """
    open_share = {
        Cover.WATER: 0.0,
        Cover.TREES: 0.35,
        Cover.GRASS: 0.97,
        Cover.FLOODED_VEGETATION: 0.6,
        Cover.CROPS: 0.95,
        Cover.SHRUB: 0.7,
        Cover.BUILT: 0.5,
        Cover.BARE: 1.0,
        Cover.SNOW: 0.0,
    }
    share: FloatArray = per_cover(open_share)[place.cover][place.regions]
    return share


def disturb(image: FloatArray, place: Place, event: Disturbance, greenup: float) -> tuple[FloatArray, FloatArray]:
    """The reflectance of a place after what happened to it.

    Args:
        image: float32, (13, rows, columns), reflectance of the undisturbed place; changed in place.
        place: The ground.
        event: What happened.
        greenup: Greenness of the season 0-1, for plants that grow back.

    Returns:
        The image, and float32 (rows, columns): 1 where a burn is visible, else 0.
    """
    visible = np.zeros(place.shape, np.float32)
    if event.damage is not None:
        _collapse(image, place, event.damage)
    if event.severity is not None:
        before = _nbr(image)
        _burn(image, place, event, event.severity, greenup)
        visible = ((before - _nbr(image)) > VISIBLE_DNBR).astype(np.float32)
    if event.water is not None:
        _flood(image, place, event, event.water)
        visible *= event.water < 0.5
    return image, visible


def _nbr(image: FloatArray) -> FloatArray:
    ratio: FloatArray = (image[NIR] - image[SWIR2]) / (image[NIR] + image[SWIR2] + np.float32(1e-4))
    return ratio


def burnt_spectra(
    age_days: float, darkness: float, ash: float, soil: FloatArray, table: FloatArray = SPECTRA
) -> tuple[FloatArray, FloatArray]:
    """Spectra of consumed and of scorched ground at a given age.

    White ash is washed away within weeks; char fades into the soil below within a year or two.
    Source: Smith et al. 2005, Remote Sensing of Environment 97, 92 (ash and char fractions against severity);
    Lewis et al. 2011, Fire Ecology 7, 109; Pereira et al. 1999 (persistence of the char signal).

    Args:
        age_days: Days since the fire.
        darkness: 0 grey char to 1 black char.
        ash: 0-1, white ash when fresh.
        soil: float32, (13,), reflectance of the bare ground.
        table: float32, (materials, 13): the place's own materials.

    Returns:
        Two float32 arrays (13,): consumed, scorched.
    """
    char = (1 - darkness) * table[M.CHAR] + darkness * table[M.BLACK_CHAR]
    white = 0.3 * ash * np.exp(-age_days / 20.0)
    black = (1 - white) * (0.38 + 0.6 * np.exp(-age_days / 250.0))
    consumed = white * table[M.ASH] + black * char + (1 - white - black) * soil
    fallen = 1 - float(np.exp(-age_days / 180.0))
    scorched = (1 - fallen) * table[M.SCORCHED] + fallen * (0.5 * table[M.TWIGS] + 0.5 * soil)
    return consumed.astype(np.float32), scorched.astype(np.float32)


LOAD: Final = {
    Cover.WATER: 0.0,
    Cover.TREES: 1.0,
    Cover.GRASS: 0.35,
    Cover.FLOODED_VEGETATION: 0.6,
    Cover.CROPS: 0.4,
    Cover.SHRUB: 0.75,
    Cover.BUILT: 0.5,
    Cover.BARE: 0.25,
    Cover.SNOW: 0.0,
}
"""How much char a cover leaves where it burns: with little fuel it is a thin film through which the ground shows.
Source: fuel loads of Scott and Burgan 2005 (grass 0.5-3 t/ha, shrub and timber 5-20 t/ha) in the order of magnitude,
and Smith et al. 2005: char covers 10-60 % of burnt savanna, most of the rest is soil and stubble."""


def _burn(image: FloatArray, place: Place, event: Disturbance, severity: FloatArray, greenup: float) -> None:
    """Mixes char, ash, scorched leaves, bared soil and regrowth into burnt pixels.

    Under a thin fuel the char is a film: the near infrared falls with the leaves and the film, the shortwave infrared
    less, because the soil laid bare is bright there and char is too (Smith et al. 2005; Pereira 1999, IEEE Transactions
    on Geoscience and Remote Sensing 37, 217).
    """
    table = variants(place.traits, place.biome)
    soils = choose_material(place.biome.soils, place.traits[:, 2])
    soil = table[np.bincount(soils[place.regions[::8, ::8].ravel()]).argmax()] * np.float32(0.92)
    consumed, scorched = burnt_spectra(event.burn_age_days, event.char_darkness, event.ash, soil, table)
    stubble = (np.float32(0.65) * soil + np.float32(0.35) * table[M.DRY_GRASS]).astype(np.float32)
    load = np.clip(per_cover(LOAD)[place.cover] * (0.6 + 0.8 * place.traits[:, 14]), 0, 1)[place.regions]
    film = load + np.float32(0.8) * (severity - np.float32(0.45)) + np.float32(0.9 * (event.char_darkness - 0.5))
    film = np.clip(film, 0.12, 1).astype(np.float32)
    brown = np.clip(1.6 * severity * (1 - severity), 0, 0.4) * load
    black = np.clip(1.35 * severity - 0.12, 0, 0.97) * (severity > 0.02)
    regrown = np.float32((1 - np.exp(-event.burn_age_days / 500.0)) * greenup)
    mottle = np.clip(1 + np.float32(0.08) * place.grain + np.float32(0.12) * place.patches, 0.5, 1.7)
    charred = black * mottle * (1 - regrown)
    image *= 1 - np.clip(black + brown * (1 - black), 0, 1)
    image += (charred * film) * consumed[:, None, None]
    image += (charred * (1 - film)) * stubble[:, None, None]
    image += (black * (regrown * mottle)) * table[M.GREEN_GRASS][:, None, None]
    image += (brown * (1 - black)) * scorched[:, None, None]


def _flood(image: FloatArray, place: Place, event: Disturbance, water: FloatArray) -> None:
    table = variants(place.traits, place.biome)
    clear = (table[M.CLEAR_WATER] + table[M.GREEN_WATER]) / 2
    loaded = table[M.FLOOD_WATER] * (0.35 + 0.65 * event.turbidity) + table[M.TURBID_WATER] * 0.2
    spectrum = (1 - event.turbidity) * clear + event.turbidity * loaded
    plume = np.clip(1 + np.float32(0.12) * place.patches, 0.5, 1.6)
    glint = np.float32(0.012 * event.wind) * (0.55 / WAVELENGTHS) ** 0.2
    wet_ground = 1 - np.float32(0.35) * (water > 0)
    image *= (1 - water) * wet_ground
    image += (water * plume) * spectrum[:, None, None] + water * glint[:, None, None]


def _collapse(image: FloatArray, place: Place, damage: FloatArray) -> None:
    built = place.is_cover(Cover.BUILT).astype(np.float32)
    rubble = np.clip(1 + np.float32(0.2) * place.grain, 0.4, 1.8) * np.float32(1.05)
    share = np.float32(0.85) * damage * (0.25 + 0.75 * built)
    image *= 1 - share
    image += (share * rubble) * variants(place.traits, place.biome)[M.RUBBLE][:, None, None]
