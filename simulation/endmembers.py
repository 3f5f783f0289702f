"""Published spectra of pure materials at the thirteen Sentinel-2 bands.

In: nothing. Out: `SPECTRA`, one row of surface reflectance per `Material`.
Stops at pure materials: mixtures that make a land cover are drawn in `simulation.spectra`.

Sources, by tag in the table:
  E  earthlib 1.1.0 (C. Anderson, MIT licence), which resamples the Joint Fire Science Program burn severity library
     (char, ash, scorched needles, bark, litter), the ICRAF-ISRIC world soil library (cluster means of 4,168 soils),
     the UCSB Santa Barbara urban library (roofs, roads, concrete) and PROSAIL canopies (Jacquemoud et al. 2009).
     Averaged over the band passes of the Sentinel-2 User Handbook.
  S  SPOT/Sentinel-2 scale canopy reflectance, shadow between crowns included: Rautiainen et al. 2018, Remote Sensing
     10, 1723 (boreal and hemiboreal stands); Asner 1998, Remote Sensing of Environment 64, 234 (grass, litter,
     shrubland); Roberts et al. 1998, Remote Sensing of Environment 65, 267 (chaparral, grassland, oak).
  W  Water-leaving reflectance: Dekker et al. 2001 (inland waters); Doxaran et al. 2002, Remote Sensing of
     Environment 81, 149 (turbid estuary); Pope and Fry 1997 and Kou et al. 1993 (absorption of pure water: near zero
     beyond 0.9 um).
  N  Snow and ice: Dozier and Painter 2004, Annual Review of Earth and Planetary Sciences 32, 465; Warren 1982.
  R  Rocks and salt: Kokaly et al. 2017, USGS Spectral Library Version 7, Data Series 1035.
  I  Representative of, not read line by line from: Stoner and Baumgardner 1981, Soil Science Society of America Journal
     45, 1161 (the five shapes of soil curves: organic, iron-affected, calcareous, dark basic); Nagler et al. 2000,
     Remote Sensing of Environment 71, 207 (weathered against fresh litter); Okin et al. 2001 (grey desert shrubs);
     Vane et al. 1993 and Asner 1998 (deep shade transmits in the infrared only); Sulik and Long 2016 (flowering oilseed
     rape); Dekker et al. 2001 and Kutser et al. 2005 (glacial flour, humic lakes);
     Potter and Rossman 1977, Science 196, 1446 (varnished desert pavement); Painter et al. 2013 (dust on snow).
Values are thousandths of reflectance. B10 (1.375 um) is water vapour's: the surface is not seen there, so it holds the
value interpolated between B09 and B11 and is replaced when the atmosphere is added.
"""

from enum import IntEnum
from typing import Final

import numpy as np

from simulation.fields import FloatArray


class Material(IntEnum):
    """A pure material: row of `SPECTRA`."""

    BROADLEAF = 0
    CONIFER = 1
    RAINFOREST = 2
    OAK = 3
    GREEN_GRASS = 4
    GREEN_CROP = 5
    CHAPARRAL = 6
    DRY_GRASS = 7
    STRAW = 8
    TWIGS = 9
    SOIL_DARK = 10
    SOIL_BROWN = 11
    SOIL_RED = 12
    SOIL_LIGHT = 13
    SAND = 14
    ROCK = 15
    LAVA = 16
    SALT = 17
    CLEAR_WATER = 18
    GREEN_WATER = 19
    TURBID_WATER = 20
    FLOOD_WATER = 21
    FRESH_SNOW = 22
    OLD_SNOW = 23
    ICE = 24
    RED_TILE = 25
    CONCRETE = 26
    ASPHALT = 27
    BRIGHT_ROOF = 28
    DARK_ROOF = 29
    RUBBLE = 30
    CHAR = 31
    BLACK_CHAR = 32
    ASH = 33
    SCORCHED = 34
    SOIL_BASALT = 35
    SOIL_GREY = 36
    SOIL_YELLOW = 37
    SOIL_PEAT = 38
    LIMESTONE = 39
    SHALE = 40
    GREY_GRASS = 41
    BLEACHED_GRASS = 42
    GOLDEN_GRASS = 43
    SHADE = 44
    HEATH = 45
    SAGE = 46
    RAPE_FLOWER = 47
    RICE = 48
    GLACIAL_WATER = 49
    TANNIN_WATER = 50
    DIRTY_SNOW = 51
    PAVEMENT = 52


_TABLE: Final[dict[Material, tuple[int, ...]]] = {
    # B01 B02 B03 B04 B05 B06 B07 B08 B8A B09 B10 B11 B12
    Material.BROADLEAF: (19, 24, 47, 26, 80, 255, 335, 355, 368, 365, 250, 172, 75),  # S
    Material.CONIFER: (11, 14, 26, 17, 43, 125, 162, 173, 185, 188, 130, 82, 37),  # S
    Material.RAINFOREST: (14, 18, 38, 19, 66, 240, 320, 340, 355, 350, 230, 150, 60),  # S
    Material.OAK: (24, 30, 50, 42, 84, 180, 220, 235, 250, 255, 210, 180, 100),  # S
    Material.GREEN_GRASS: (28, 37, 76, 46, 122, 295, 370, 390, 408, 410, 310, 235, 125),  # S
    Material.GREEN_CROP: (21, 30, 68, 29, 112, 345, 435, 455, 468, 460, 300, 185, 78),  # E
    Material.CHAPARRAL: (24, 30, 48, 50, 82, 145, 172, 190, 203, 212, 195, 188, 112),  # S
    Material.DRY_GRASS: (52, 72, 112, 155, 182, 208, 232, 257, 270, 290, 330, 365, 255),  # E
    Material.STRAW: (74, 100, 145, 200, 228, 254, 280, 302, 314, 340, 420, 450, 320),  # E
    Material.TWIGS: (42, 56, 78, 104, 122, 142, 158, 178, 188, 205, 240, 270, 185),  # E
    Material.SOIL_DARK: (40, 47, 69, 104, 119, 132, 143, 155, 160, 178, 220, 252, 238),  # E
    Material.SOIL_BROWN: (55, 68, 106, 160, 180, 197, 212, 222, 227, 245, 290, 330, 298),  # E
    Material.SOIL_RED: (55, 70, 122, 228, 257, 280, 295, 300, 300, 314, 360, 405, 348),  # E
    Material.SOIL_LIGHT: (105, 130, 186, 247, 269, 287, 303, 316, 321, 334, 370, 405, 375),  # E
    Material.SAND: (150, 190, 275, 365, 392, 413, 430, 437, 440, 450, 490, 530, 480),  # E
    Material.ROCK: (100, 115, 142, 165, 176, 184, 192, 200, 203, 208, 225, 245, 225),  # R
    Material.LAVA: (48, 52, 60, 68, 71, 74, 77, 80, 82, 86, 98, 112, 112),  # R
    Material.SALT: (330, 390, 450, 480, 490, 495, 500, 500, 500, 495, 470, 440, 350),  # R
    Material.CLEAR_WATER: (24, 22, 16, 8, 6, 5, 4, 4, 3, 3, 2, 2, 1),  # W
    Material.GREEN_WATER: (22, 26, 50, 26, 36, 14, 14, 11, 9, 6, 3, 3, 2),  # W
    Material.TURBID_WATER: (42, 58, 98, 96, 92, 50, 48, 38, 28, 16, 8, 6, 4),  # W
    Material.FLOOD_WATER: (52, 68, 108, 126, 126, 92, 92, 78, 62, 36, 20, 17, 11),  # W
    Material.FRESH_SNOW: (930, 940, 930, 920, 915, 905, 895, 880, 870, 850, 400, 110, 85),  # N
    Material.OLD_SNOW: (700, 720, 720, 700, 690, 660, 640, 610, 590, 550, 200, 45, 38),  # N
    Material.ICE: (480, 500, 470, 400, 370, 330, 300, 260, 235, 190, 80, 15, 12),  # N
    Material.RED_TILE: (50, 56, 90, 190, 213, 235, 244, 242, 241, 265, 360, 440, 430),  # E
    Material.CONCRETE: (170, 195, 236, 262, 270, 278, 286, 289, 290, 297, 330, 370, 370),  # E
    Material.ASPHALT: (66, 72, 80, 87, 89, 91, 93, 96, 98, 100, 112, 124, 122),  # E
    Material.BRIGHT_ROOF: (335, 367, 394, 430, 440, 445, 447, 445, 443, 440, 430, 420, 348),  # E
    Material.DARK_ROOF: (64, 70, 82, 100, 104, 107, 109, 111, 111, 111, 112, 112, 108),  # E
    Material.RUBBLE: (125, 143, 174, 205, 213, 221, 228, 233, 235, 244, 275, 305, 295),  # E
    Material.CHAR: (40, 44, 54, 67, 69, 72, 74, 76, 78, 89, 140, 185, 208),  # E
    Material.BLACK_CHAR: (18, 19, 20, 24, 25, 27, 29, 32, 34, 38, 65, 98, 142),  # E
    Material.ASH: (92, 104, 122, 145, 155, 163, 171, 182, 186, 200, 255, 302, 320),  # E
    Material.SCORCHED: (30, 38, 56, 96, 120, 145, 165, 185, 194, 212, 230, 246, 139),  # E
    Material.SOIL_BASALT: (30, 34, 44, 58, 64, 70, 76, 84, 88, 96, 120, 142, 132),  # I
    Material.SOIL_GREY: (105, 122, 150, 178, 190, 200, 208, 216, 220, 228, 255, 285, 262),  # I
    Material.SOIL_YELLOW: (50, 70, 130, 205, 228, 245, 255, 262, 264, 282, 335, 385, 330),  # I
    Material.SOIL_PEAT: (22, 26, 36, 54, 66, 80, 95, 112, 122, 140, 190, 215, 165),  # I
    Material.LIMESTONE: (200, 225, 255, 275, 282, 288, 293, 297, 298, 302, 320, 340, 300),  # I
    Material.SHALE: (50, 56, 66, 76, 81, 85, 89, 94, 96, 100, 112, 126, 118),  # I
    Material.GREY_GRASS: (62, 80, 108, 135, 152, 168, 184, 202, 212, 230, 275, 310, 240),  # I
    Material.BLEACHED_GRASS: (85, 112, 165, 225, 252, 276, 296, 316, 326, 345, 400, 435, 315),  # I
    Material.GOLDEN_GRASS: (50, 68, 118, 190, 218, 242, 262, 286, 298, 318, 372, 412, 275),  # I
    Material.SHADE: (4, 4, 5, 4, 5, 12, 15, 16, 17, 17, 12, 7, 4),  # I
    Material.HEATH: (20, 25, 36, 42, 68, 130, 160, 175, 186, 192, 170, 150, 85),  # I
    Material.SAGE: (42, 52, 75, 88, 112, 158, 180, 198, 210, 222, 230, 240, 165),  # I
    Material.RAPE_FLOWER: (30, 40, 150, 130, 180, 360, 430, 450, 460, 455, 310, 215, 95),  # I
    Material.RICE: (26, 34, 62, 36, 96, 250, 310, 325, 332, 315, 200, 115, 48),  # I
    Material.GLACIAL_WATER: (80, 100, 115, 80, 72, 38, 36, 30, 24, 14, 7, 5, 4),  # I
    Material.TANNIN_WATER: (8, 9, 11, 11, 11, 9, 8, 7, 6, 5, 3, 3, 2),  # I
    Material.DIRTY_SNOW: (330, 360, 370, 365, 365, 355, 345, 330, 320, 290, 120, 45, 42),  # I
    Material.PAVEMENT: (60, 72, 100, 140, 155, 168, 180, 190, 194, 210, 265, 315, 295),  # I
}

SPECTRA: Final[FloatArray] = np.array([_TABLE[material] for material in Material], np.float32) / np.float32(1000)
"""float32, (materials, 13), surface reflectance 0-1, bands in the order of `labels.S2_BANDS`."""


def _named(*names: str) -> tuple[int, ...]:
    return tuple(int(Material[name]) for name in names)


LEAVES: Final = _named(
    *("BROADLEAF", "CONIFER", "RAINFOREST", "OAK", "CHAPARRAL", "HEATH"),
    *("GREEN_GRASS", "GREEN_CROP", "RAPE_FLOWER", "RICE"),
)
"""Rows that hold leaves."""
LITTER: Final = _named("DRY_GRASS", "STRAW", "TWIGS", "GREY_GRASS", "BLEACHED_GRASS", "GOLDEN_GRASS", "SAGE")
"""Rows that hold dry plants (and shrubs that are mostly wood)."""
SOILS: Final = _named(
    *("SOIL_DARK", "SOIL_BROWN", "SOIL_RED", "SOIL_LIGHT", "SAND", "ROCK", "LAVA", "SALT"),
    *("SOIL_BASALT", "SOIL_GREY", "SOIL_YELLOW", "SOIL_PEAT", "LIMESTONE", "SHALE", "PAVEMENT"),
)
"""Rows that hold ground, which darkens when it is wet."""
WATERS: Final = _named("CLEAR_WATER", "GREEN_WATER", "TURBID_WATER", "FLOOD_WATER", "GLACIAL_WATER", "TANNIN_WATER")
"""Rows that hold water."""
SNOWS: Final = _named("FRESH_SNOW", "OLD_SNOW", "ICE", "DIRTY_SNOW")
"""Rows that hold snow and ice."""
WORKS: Final = _named("RED_TILE", "CONCRETE", "ASPHALT", "BRIGHT_ROOF", "DARK_ROOF", "RUBBLE")
"""Rows that hold what people built."""
BURNT: Final = _named("CHAR", "BLACK_CHAR", "ASH", "SCORCHED")
"""Rows that hold what a fire leaves."""
