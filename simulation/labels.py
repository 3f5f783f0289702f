"""The twelve labels of CLOSP and the thirteen bands, as names and as indices.

In: nothing. Out: constants shared by spectra, backscatter, layouts and chips.
Stops at names: what a class looks like is in `simulation.spectra` and `simulation.backscatter`.
"""

from enum import IntEnum
from typing import Final


class Cover(IntEnum):
    """Land cover of a region of the ground: the nine classes of Dynamic World.

    Source: Brown et al. 2022, Dynamic World, Scientific Data 9, 251, table 1.
    """

    WATER = 0
    TREES = 1
    GRASS = 2
    FLOODED_VEGETATION = 3
    CROPS = 4
    SHRUB = 5
    BUILT = 6
    BARE = 7
    SNOW = 8


LABELS: Final = (
    "Water",
    "Trees",
    "Grass",
    "Flooded Vegetation",
    "Crops",
    "Shrub and Scrub",
    "Built",
    "Bare",
    "Snow and Ice",
    "Flooded Area",
    "Earthquake Damage",
    "Burned Area",
)
"""Label names in the order of every `fractions` array; the first nine are `Cover` by value."""

FLOODED: Final = 9
"""Index of "Flooded Area" in `LABELS`."""
DAMAGED: Final = 10
"""Index of "Earthquake Damage" in `LABELS`."""
BURNED: Final = 11
"""Index of "Burned Area" in `LABELS`."""

S2_BANDS: Final = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
"""Band order of every optical array."""

S1_BANDS: Final = ("VV", "VH")
"""Band order of every radar array."""

S2_WAVELENGTHS_UM: Final = (0.443, 0.490, 0.560, 0.665, 0.705, 0.740, 0.783, 0.842, 0.865, 0.945, 1.375, 1.610, 2.190)
"""Band centres in micrometres. Source: ESA Sentinel-2 User Handbook, table 1."""

S2_GSD_M: Final = (60, 10, 10, 10, 20, 20, 20, 10, 20, 60, 60, 20, 20)
"""Native ground sampling distance in metres. Source: ESA Sentinel-2 User Handbook, table 1."""

LABEL_FRACTION: Final = 0.10
"""A land-cover label is present from this share of the visible chip (the convention of the corpus's pseudo-labels)."""
FLOODED_FRACTION: Final = 0.20
"""A chip is flooded from this share of its area; between zero and this it is ambiguous."""
BURNED_FRACTION: Final = 0.40
"""A chip is burnt from this share of its area; between zero and this it is ambiguous."""
DAMAGED_FRACTION: Final = 0.15
"""A chip is damaged from this share of its area, since built-up land rarely fills a whole chip."""
