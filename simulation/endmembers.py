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
Values are rounded to three digits. B10 (1.375 um) is water vapour's: the surface is not seen there, so it holds the
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


_TABLE: Final[dict[Material, tuple[float, ...]]] = {
    # B01   B02   B03   B04   B05   B06   B07   B08   B8A   B09   B10   B11   B12
    Material.BROADLEAF: (
        0.019,
        0.024,
        0.047,
        0.026,
        0.080,
        0.255,
        0.335,
        0.355,
        0.368,
        0.365,
        0.250,
        0.172,
        0.075,
    ),  # S
    Material.CONIFER: (0.011, 0.014, 0.026, 0.017, 0.043, 0.125, 0.162, 0.173, 0.185, 0.188, 0.130, 0.082, 0.037),  # S
    Material.RAINFOREST: (
        0.014,
        0.018,
        0.038,
        0.019,
        0.066,
        0.240,
        0.320,
        0.340,
        0.355,
        0.350,
        0.230,
        0.150,
        0.060,
    ),  # S
    Material.OAK: (0.024, 0.030, 0.050, 0.042, 0.084, 0.180, 0.220, 0.235, 0.250, 0.255, 0.210, 0.180, 0.100),  # S
    Material.GREEN_GRASS: (
        0.028,
        0.037,
        0.076,
        0.046,
        0.122,
        0.295,
        0.370,
        0.390,
        0.408,
        0.410,
        0.310,
        0.235,
        0.125,
    ),  # S
    Material.GREEN_CROP: (
        0.021,
        0.030,
        0.068,
        0.029,
        0.112,
        0.345,
        0.435,
        0.455,
        0.468,
        0.460,
        0.300,
        0.185,
        0.078,
    ),  # E
    Material.CHAPARRAL: (
        0.024,
        0.030,
        0.048,
        0.050,
        0.082,
        0.145,
        0.172,
        0.190,
        0.203,
        0.212,
        0.195,
        0.188,
        0.112,
    ),  # S
    Material.DRY_GRASS: (
        0.052,
        0.072,
        0.112,
        0.155,
        0.182,
        0.208,
        0.232,
        0.257,
        0.270,
        0.290,
        0.330,
        0.365,
        0.255,
    ),  # E
    Material.STRAW: (0.074, 0.100, 0.145, 0.200, 0.228, 0.254, 0.280, 0.302, 0.314, 0.340, 0.420, 0.450, 0.320),  # E
    Material.TWIGS: (0.042, 0.056, 0.078, 0.104, 0.122, 0.142, 0.158, 0.178, 0.188, 0.205, 0.240, 0.270, 0.185),  # E
    Material.SOIL_DARK: (
        0.040,
        0.047,
        0.069,
        0.104,
        0.119,
        0.132,
        0.143,
        0.155,
        0.160,
        0.178,
        0.220,
        0.252,
        0.238,
    ),  # E
    Material.SOIL_BROWN: (
        0.055,
        0.068,
        0.106,
        0.160,
        0.180,
        0.197,
        0.212,
        0.222,
        0.227,
        0.245,
        0.290,
        0.330,
        0.298,
    ),  # E
    Material.SOIL_RED: (0.055, 0.070, 0.122, 0.228, 0.257, 0.280, 0.295, 0.300, 0.300, 0.314, 0.360, 0.405, 0.348),  # E
    Material.SOIL_LIGHT: (
        0.105,
        0.130,
        0.186,
        0.247,
        0.269,
        0.287,
        0.303,
        0.316,
        0.321,
        0.334,
        0.370,
        0.405,
        0.375,
    ),  # E
    Material.SAND: (0.150, 0.190, 0.275, 0.365, 0.392, 0.413, 0.430, 0.437, 0.440, 0.450, 0.490, 0.530, 0.480),  # E
    Material.ROCK: (0.100, 0.115, 0.142, 0.165, 0.176, 0.184, 0.192, 0.200, 0.203, 0.208, 0.225, 0.245, 0.225),  # R
    Material.LAVA: (0.048, 0.052, 0.060, 0.068, 0.071, 0.074, 0.077, 0.080, 0.082, 0.086, 0.098, 0.112, 0.112),  # R
    Material.SALT: (0.330, 0.390, 0.450, 0.480, 0.490, 0.495, 0.500, 0.500, 0.500, 0.495, 0.470, 0.440, 0.350),  # R
    Material.CLEAR_WATER: (
        0.024,
        0.022,
        0.016,
        0.008,
        0.006,
        0.005,
        0.004,
        0.004,
        0.003,
        0.003,
        0.002,
        0.002,
        0.001,
    ),  # W
    Material.GREEN_WATER: (
        0.022,
        0.026,
        0.050,
        0.026,
        0.036,
        0.014,
        0.014,
        0.011,
        0.009,
        0.006,
        0.003,
        0.003,
        0.002,
    ),  # W
    Material.TURBID_WATER: (
        0.042,
        0.058,
        0.098,
        0.096,
        0.092,
        0.050,
        0.048,
        0.038,
        0.028,
        0.016,
        0.008,
        0.006,
        0.004,
    ),  # W
    Material.FLOOD_WATER: (
        0.052,
        0.068,
        0.108,
        0.126,
        0.126,
        0.092,
        0.092,
        0.078,
        0.062,
        0.036,
        0.020,
        0.017,
        0.011,
    ),  # W
    Material.FRESH_SNOW: (
        0.930,
        0.940,
        0.930,
        0.920,
        0.915,
        0.905,
        0.895,
        0.880,
        0.870,
        0.850,
        0.400,
        0.110,
        0.085,
    ),  # N
    Material.OLD_SNOW: (0.700, 0.720, 0.720, 0.700, 0.690, 0.660, 0.640, 0.610, 0.590, 0.550, 0.200, 0.045, 0.038),  # N
    Material.ICE: (0.480, 0.500, 0.470, 0.400, 0.370, 0.330, 0.300, 0.260, 0.235, 0.190, 0.080, 0.015, 0.012),  # N
    Material.RED_TILE: (0.050, 0.056, 0.090, 0.190, 0.213, 0.235, 0.244, 0.242, 0.241, 0.265, 0.360, 0.440, 0.430),  # E
    Material.CONCRETE: (0.170, 0.195, 0.236, 0.262, 0.270, 0.278, 0.286, 0.289, 0.290, 0.297, 0.330, 0.370, 0.370),  # E
    Material.ASPHALT: (0.066, 0.072, 0.080, 0.087, 0.089, 0.091, 0.093, 0.096, 0.098, 0.100, 0.112, 0.124, 0.122),  # E
    Material.BRIGHT_ROOF: (
        0.335,
        0.367,
        0.394,
        0.430,
        0.440,
        0.445,
        0.447,
        0.445,
        0.443,
        0.440,
        0.430,
        0.420,
        0.348,
    ),  # E
    Material.DARK_ROOF: (
        0.064,
        0.070,
        0.082,
        0.100,
        0.104,
        0.107,
        0.109,
        0.111,
        0.111,
        0.111,
        0.112,
        0.112,
        0.108,
    ),  # E
    Material.RUBBLE: (0.125, 0.143, 0.174, 0.205, 0.213, 0.221, 0.228, 0.233, 0.235, 0.244, 0.275, 0.305, 0.295),  # E
    Material.CHAR: (0.040, 0.044, 0.054, 0.067, 0.069, 0.072, 0.074, 0.076, 0.078, 0.089, 0.140, 0.185, 0.208),  # E
    Material.BLACK_CHAR: (
        0.018,
        0.019,
        0.020,
        0.024,
        0.025,
        0.027,
        0.029,
        0.032,
        0.034,
        0.038,
        0.065,
        0.098,
        0.142,
    ),  # E
    Material.ASH: (0.092, 0.104, 0.122, 0.145, 0.155, 0.163, 0.171, 0.182, 0.186, 0.200, 0.255, 0.302, 0.320),  # E
    Material.SCORCHED: (0.030, 0.038, 0.056, 0.096, 0.120, 0.145, 0.165, 0.185, 0.194, 0.212, 0.230, 0.246, 0.139),  # E
}

SPECTRA: Final[FloatArray] = np.array([_TABLE[material] for material in Material], np.float32)
"""float32, (materials, 13), surface reflectance 0-1, bands in the order of `labels.S2_BANDS`."""
