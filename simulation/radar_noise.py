"""What the instrument and the processor add: noise floor, speckle, interference stripes and border noise.

In: linear power without noise and the beam. Out: the product's linear power.
Stops at the product: nothing here knows what lies on the ground.
"""

from typing import Final

import numpy as np

from simulation.fields import FieldPool, FloatArray, fractal
from simulation.layout import Mask
from simulation.radar_beam import LOOKS, Beam

SPECKLE_SIDE: Final = 0.24
"""Side weight of the blur that gives speckle the correlation of 20 x 22 m resolution on 10 m pixels: Sentinel-1 Product
Definition (S1-RS-MDA-52-7440)."""

NOISE_RAMP_DB: Final = 0.8
"""How far the noise floor departs from its mean across a chip: the antenna pattern and what denoising leaves of it.
Source: representative of Park et al. 2018, IEEE TGRS 56, 1555 (IW noise varies by several decibels over a swath)."""

SHADOW_GAIN: Final = np.float32(0.004)
"""Share of the power that leaks into shadow from the side lobes and neighbours, -24 dB: representative of the
point-target side lobes in the Sentinel-1 Product Definition."""

BORDER_POWER: Final = np.float32(2e-4)
"""Power of border noise, far below the noise floor. Source: Ali et al. 2018, IEEE JSTARS 11, 4770."""


def receive(
    power: FloatArray, beam: Beam, shaded: Mask | None, *, pool: FieldPool, rng: np.random.Generator
) -> FloatArray:
    """The product that the processor makes of the power.

    Args:
        power: float32, (2, rows, columns), linear; changed in place.
        beam: State of the radar.
        shaded: bool, (rows, columns), radar shadow; None for none.
        pool: Fields of speckle.
        rng: Noise and speckle of this acquisition.

    Returns:
        float32, (2, rows, columns), linear power.
    """
    rows, columns = power.shape[1:]
    if shaded is not None:
        power *= np.where(shaded, SHADOW_GAIN, np.float32(1))
    if beam.stripes > 0:
        stripes = np.float32(beam.stripes) * (fractal(rng, (rows, 1), 1.0) > 1.3)
        power *= (10 ** (stripes / 10)).astype(np.float32)
    ramp = np.linspace(-1, 1, columns, dtype=np.float32) * np.float32(rng.uniform(-NOISE_RAMP_DB, NOISE_RAMP_DB))
    floor = (10 ** ((beam.noise_db + ramp) / 10)).astype(np.float32)
    power[0] += floor
    power[1] += np.float32(0.9) * floor
    for band in range(2):
        power[band] *= speckle(pool, rng, (rows, columns), beam.looks)
    power *= np.float32(10 ** (beam.gain_db / 10))
    if beam.border > 0:
        edge = slice(0, round(beam.border * columns)) if beam.looks_east else slice(-round(beam.border * columns), None)
        power[:, :, edge] *= BORDER_POWER / power[:, :, edge].mean()
    return power


def speckle(pool: FieldPool, rng: np.random.Generator, shape: tuple[int, int], looks: float) -> FloatArray:
    """Multi-look speckle: gamma distributed with mean 1 and variance 1 / looks, correlated over 20 m.

    Args:
        pool: Holds a large plane of speckle at `LOOKS`.
        rng: Chooses the crop.
        shape: Rows and columns.
        looks: Equivalent number of looks.

    Returns:
        float32, `shape`.
    """
    plane = pool.speckle(rng, shape, LOOKS, SPECKLE_SIDE)
    if abs(looks - LOOKS) < 0.05:
        return plane
    powered: FloatArray = np.exp(np.log(plane) * np.float32(np.sqrt(LOOKS / looks)))
    result: FloatArray = np.divide(powered, powered.mean(), dtype=np.float32)
    return result
