"""In: nothing. Out: the bands every encoder speaks of, in order, with wavelength and native sampling.

Stops at facts: no scaling, no resampling; asset names of a catalogue are `ingest`'s matter.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Band:
    """One band of a sensor.

    Attributes:
        name: the field's name, for example ``"B8A"`` or ``"VV"``.
        wavelength_nm: central wavelength, nanometres in vacuum.
        gsd_m: native ground sampling distance, metres.
    """

    name: str
    wavelength_nm: float
    gsd_m: float


SENTINEL_2: tuple[Band, ...] = (
    Band("B01", 442.7, 60.0),
    Band("B02", 492.7, 10.0),
    Band("B03", 559.8, 10.0),
    Band("B04", 664.6, 10.0),
    Band("B05", 704.1, 20.0),
    Band("B06", 740.5, 20.0),
    Band("B07", 782.8, 20.0),
    Band("B08", 832.8, 10.0),
    Band("B8A", 864.7, 20.0),
    Band("B09", 945.1, 60.0),
    Band("B10", 1373.5, 60.0),
    Band("B11", 1613.7, 20.0),
    Band("B12", 2202.4, 20.0),
)
"""MSI bands in product order. Source: Sentinel-2 User Guide, spectral bands of Sentinel-2A."""

SENTINEL_1: tuple[Band, ...] = (Band("VV", 55_465_763.0, 10.0), Band("VH", 55_465_763.0, 10.0))
"""C-SAR polarisations at 5.405 GHz; 10 m is the pixel spacing of an IW GRD or RTC product, not its resolution."""

BANDS_S2: tuple[str, ...] = tuple(band.name for band in SENTINEL_2)
"""Names of the 13 planes of an ``"s2"`` array, in order."""

BANDS_S1: tuple[str, ...] = tuple(band.name for band in SENTINEL_1)
"""Names of the 2 planes of an ``"s1"`` array, in order."""

BANDS: dict[str, tuple[str, ...]] = {"s2": BANDS_S2, "s1": BANDS_S1}
"""Band names per sensor key."""


def present_mask(sensor: str, present_bands: tuple[str, ...] | list[str] | None) -> NDArray[np.bool_]:
    """Which planes of a sensor's array hold measurements.

    Args:
        sensor: ``"s2"`` or ``"s1"``.
        present_bands: names of the real bands, any order; ``None`` means all.

    Returns:
        bool, ``(bands,)`` in the order of `BANDS`.

    Raises:
        ValueError: unknown sensor, unknown band, or no band at all.
    """
    if sensor not in BANDS:
        raise ValueError(f"unknown sensor {sensor!r}: use one of {', '.join(BANDS)}")
    names = BANDS[sensor]
    wanted = names if present_bands is None else tuple(present_bands)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise ValueError(f"unknown {sensor} band {', '.join(map(repr, unknown))}: use {', '.join(names)}")
    if not wanted:
        raise ValueError(f"present_bands is empty: a {sensor} chip without a band says nothing")
    return np.array([name in wanted for name in names], dtype=np.bool_)
