"""A place's own variety of every material: no two soils, swards or lakes are alike.

In: the persistent traits of a place and its biome. Out: a table like `SPECTRA`, the same at every acquisition.
Stops at pure materials: their mixtures are in `simulation.spectra`.
"""

from typing import Final

import numpy as np

from simulation.biomes import Biome
from simulation.endmembers import BURNT, LEAVES, LITTER, SNOWS, SOILS, SPECTRA, WATERS, WORKS, Material
from simulation.fields import FloatArray
from simulation.labels import S2_WAVELENGTHS_UM

M = Material
_LOG: Final = np.log(np.array(S2_WAVELENGTHS_UM) / 0.85)


def _bump(centre_um: float, width_um: float) -> FloatArray:
    bump: FloatArray = np.exp(-0.5 * ((np.array(S2_WAVELENGTHS_UM) - centre_um) / width_um) ** 2).astype(np.float32)
    return bump


BASIS: Final[dict[str, FloatArray]] = {
    "gain": np.ones(len(_LOG), np.float32),
    "tilt": _LOG.astype(np.float32),
    "curve": (_LOG**2 - 0.4).astype(np.float32),
    "blue": _bump(0.45, 0.07),
    "pigment": np.clip(_bump(0.45, 0.08) + _bump(0.665, 0.045), 0, 1).astype(np.float32),
    "green": _bump(0.56, 0.035),
    "edge": _bump(0.715, 0.025),
    "plateau": _bump(0.86, 0.085),
    "water": np.array([0, 0, 0, 0, 0, 0.02, 0.03, 0.05, 0.06, 0.12, 0.5, 0.6, 1.0], np.float32),
    "swir2": _bump(2.19, 0.15),
    "iron": (_bump(0.49, 0.05) + np.float32(0.35) * _bump(0.88, 0.06)).astype(np.float32),
    "ripple": np.sin(np.pi * _LOG / 0.45).astype(np.float32),
}
"""Shapes (13,) that a spectrum's logarithm varies along: brightness, colour, absorption by pigments, the red edge
(whose position moves B05), the infrared plateau, liquid water (Ceccato et al. 2001), clay and cellulose at 2.1-2.3 um,
iron oxides at 0.5 and 0.88 um, and a smooth remainder."""

_SPREAD: Final[dict[tuple[int, ...], dict[str, float]]] = {
    LEAVES: {"gain": 0.13, "tilt": 0.05, "pigment": 0.25, "green": 0.12, "edge": 0.14, "plateau": 0.10, "water": 0.25}
    | {"swir2": 0.06, "blue": 0.10},
    LITTER: {"gain": 0.20, "tilt": 0.12, "curve": 0.06, "blue": 0.12, "plateau": 0.05, "water": 0.08, "swir2": 0.10},
    SOILS: {"gain": 0.28, "tilt": 0.17, "curve": 0.08, "iron": 0.16, "blue": 0.08, "water": 0.06, "swir2": 0.07}
    | {"ripple": 0.03},
    WATERS: {"gain": 0.30, "tilt": 0.30, "blue": 0.15, "green": 0.20, "plateau": 0.25, "ripple": 0.05},
    SNOWS: {"gain": 0.07, "plateau": 0.05, "water": 0.25, "blue": 0.03},
    WORKS: {"gain": 0.22, "tilt": 0.10, "curve": 0.05, "blue": 0.06, "ripple": 0.04},
    BURNT: {"gain": 0.25, "tilt": 0.16, "curve": 0.08, "blue": 0.08, "swir2": 0.10, "water": 0.08},
    (int(M.SHADE),): {"gain": 0.5, "tilt": 0.2, "plateau": 0.2},
}
"""Standard deviations of the logarithm along each shape. Representative of: leaves, PROSAIL runs over chlorophyll
20-70 ug/cm2, water 0.005-0.03 cm, leaf area 1-6 (Feret et al. 2008, Remote Sensing of Environment 112, 3030; Berger et
al. 2018, Remote Sensing 10, 85); soils, the spread within an order of Stoner and Baumgardner 1981 and Brown et al.
2006, Geoderma 132, 273 (a quarter in albedo); litter, Nagler et al. 2000; water, an octave in constituents (Dekker et
al. 2001); snow, grain radius 0.1-1 mm (Dozier and Painter 2004); char, Smith et al. 2005 and Lewis et al. 2011."""

_SIGMA: Final = np.zeros((len(M), len(BASIS)), np.float32)
for _rows, _spread in _SPREAD.items():
    for _name, _value in _spread.items():
        _SIGMA[list(_rows), list(BASIS).index(_name)] = _value
_SHAPES: Final = np.stack(list(BASIS.values()))
_KIN: Final[dict[Material, tuple[Material, ...]]] = {
    M.DRY_GRASS: (M.DRY_GRASS, M.GREY_GRASS, M.BLEACHED_GRASS, M.GOLDEN_GRASS),
    M.STRAW: (M.STRAW, M.GOLDEN_GRASS, M.GREY_GRASS),
    M.CONIFER: (M.CONIFER, M.CONIFER, M.SHADE),
    M.RAINFOREST: (M.RAINFOREST, M.RAINFOREST, M.BROADLEAF),
    M.OAK: (M.OAK, M.OAK, M.CHAPARRAL),
    M.GREEN_GRASS: (M.GREEN_GRASS, M.GREEN_GRASS, M.GREEN_CROP, M.HEATH),
}
"""Materials whose place-wide kind lies somewhere between several rows: a sward is more or less bleached, a stand more
or less dark."""


def seed_of(traits: FloatArray) -> list[int]:
    """Numbers that are a place's own for life, from its first region's persistent traits (columns 8 up)."""
    return [int(value) for value in np.ascontiguousarray(traits[0, 8:], np.float32).view(np.uint32)]


def variants(traits: FloatArray, biome: Biome) -> FloatArray:
    """The spectra of one place's materials.

    Args:
        traits: float32, (regions, `spectra.TRAITS`), uniform 0-1; only the first row is used, as a seed.
        biome: Decides which shrubs stand for `CHAPARRAL`.

    Returns:
        float32, (materials, 13), reflectance 0.0005-0.98, rows as in `Material`.
    """
    rng = np.random.default_rng(seed_of(traits))
    drawn = np.clip(rng.standard_normal(_SIGMA.shape, dtype=np.float32), -2.2, 2.2)
    table: FloatArray = SPECTRA * np.exp((drawn * _SIGMA) @ _SHAPES)
    shrubs = tuple(material for material, _ in biome.shrubs)
    shares = np.array([share for _, share in biome.shrubs])
    kin = {material: (list(rows), np.full(len(rows), 0.6)) for material, rows in _KIN.items()}
    kin[M.CHAPARRAL] = (list(shrubs), shares * 1.2)
    pure = table.copy()
    for material, (rows, weights) in kin.items():
        table[material] = rng.dirichlet(weights).astype(np.float32) @ pure[rows]
    return np.clip(table, 0.0005, 0.98).astype(np.float32)
