"""Geometry and state of one radar acquisition.

In: nothing. Out: `Beam` and the constants of the product.
Stops at numbers: what they do to a place is in the other `radar_…` modules and `simulation.backscatter`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

DECIBEL: Final = np.float32(np.log(10) / 10)
"""Natural logarithm of one decibel of power."""

LOOKS: Final = 4.4
"""Equivalent number of looks of IW GRD high resolution. Source: Sentinel-1 Product Definition (S1-RS-MDA-52-7440)."""

MIDDLE_DEG: Final = 38.0
"""Incidence angle to which the class means belong: the middle of the IW swath."""


@dataclass(frozen=True)
class Beam:
    """Geometry and state of one radar acquisition.

    Attributes:
        incidence_deg: Incidence angle on level ground, 29-46 in IW.
        look_azimuth_deg: Direction in which the radar looks, clockwise from north (ascending about 80, descending 280).
        noise_db: Noise-equivalent power added to the signal, decibel; residual after the product's noise removal.
        looks: Equivalent number of looks of the product.
        terrain: Share of the slope's effect that the terrain correction left, 0-1.
        wind: Roughness of permanent water, 0 calm to 1 strong wind.
        gain_db: Calibration and sigma/gamma naught difference, decibel.
        stripes: Strength of interference stripes, decibel; 0 for none.
        border: Share of the columns that hold border noise instead of signal, 0-1.
    """

    incidence_deg: float = MIDDLE_DEG
    look_azimuth_deg: float = 80.0
    noise_db: float = -27.0
    looks: float = LOOKS
    terrain: float = 0.3
    wind: float = 0.25
    gain_db: float = 0.0
    stripes: float = 0.0
    border: float = 0.0

    @property
    def looks_east(self) -> bool:
        """True for a beam whose far range lies in the east (ascending passes)."""
        return bool(np.sin(np.radians(self.look_azimuth_deg)) >= 0)
