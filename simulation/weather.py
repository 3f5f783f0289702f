"""What a place is seen through on some day: state of the ground, sun and air, radar beam.

In: a biome, a day of its growing year, randomness. Out: `Conditions`, a `Sky`, a `Beam`. Stops before pixels:
`optics` and `backscatter` see with them.
"""

import numpy as np

from simulation.backscatter import Beam
from simulation.biomes import Biome
from simulation.optics import Sky
from simulation.spectra import Conditions, conditions, season


def draw_fire_weather(biome: Biome, rng: np.random.Generator) -> Conditions:
    """A day on which a place could burn.

    Mostly the dry season: where the summer is the greener half of the year, fires come in its brown half too.
    """
    dry = 210.0 if biome.summer_green <= biome.winter_green or biome.name == "boreal" else 60.0
    day = float(rng.normal(dry, 40) % 365) if rng.random() < 0.7 else float(rng.uniform(0, 365))
    parched = conditions(
        biome, day, wetness=float(rng.beta(1.2, 4.0)), snow=0.0, green_shift=float(rng.normal(-0.15, 0.2))
    )
    return parched if rng.random() < 0.9 else draw_weather(biome, day, rng)


def draw_weather(biome: Biome, day: float, rng: np.random.Generator) -> Conditions:
    """Random snow, wetness and greenness for a biome and a day, 0-365, of the local growing year from mid-winter."""
    winter = 1 - np.sin(np.pi * day / 365.0)
    snowy = rng.random() < biome.snow * min(1.3 * winter, 1.0)
    snow = float(rng.choice([rng.uniform(0.2, 0.9), 1.0])) if snowy else 0.0
    wetness = float(rng.beta(1.2, 3.0) if biome.name in ("desert", "savanna", "steppe") else rng.beta(2.0, 2.5))
    wetness *= 0.35 + 0.65 * season(biome, day)  # where the grass is brown the ground is dry
    return conditions(biome, day, wetness=wetness, snow=snow, green_shift=float(rng.normal(0, 0.15)))


def draw_sky(biome: Biome, day: float, rng: np.random.Generator) -> Sky:
    """A random sun and atmosphere for a biome and a day of the local growing year.

    The sun's height is that of 10:30 local time; residual haze, over-correction, cirrus, clouds and smoke are drawn so
    that most acquisitions are fair and some are bad, as in an archive searched with a loose cloud filter.
    """
    declination = -23.4 * np.cos(2 * np.pi * day / 365.0)
    zenith = float(np.clip(abs(biome.latitude - declination) * 0.93 + rng.uniform(12, 22), 18, 80))
    azimuth = rng.uniform(135, 170) if rng.random() < 0.7 else rng.uniform(20, 70)
    top_of_atmosphere = rng.random() < 0.06
    return Sky(
        sun_zenith_deg=zenith,
        sun_azimuth_deg=azimuth,
        haze=float(rng.normal(0.0, 0.1)) if rng.random() < 0.86 else float(rng.uniform(0.15, 1.3)),
        rayleigh=float(rng.uniform(0.75, 1.15)) if top_of_atmosphere else float(rng.normal(-0.05, 0.05)),
        cloud_share=float(rng.uniform(0.01, 0.6)) if rng.random() < 0.14 else 0.0,
        cirrus=float(rng.uniform(0.05, 0.6)) if rng.random() < 0.08 else 0.0,
        blur=float(rng.choice([rng.uniform(0.10, 0.20), 0.25], p=[0.8, 0.2])),
        smooth=bool(rng.random() < 0.6),
        gain=float(np.exp(rng.normal(0, 0.07))),
        glint=float(rng.choice([0.0, rng.uniform(0, 0.03)], p=[0.75, 0.25])),
        adjacency=float(rng.uniform(0, 0.1)),
        coarse=bool(rng.random() < 0.15),
    )


def draw_beam(rng: np.random.Generator) -> Beam:
    """A random radar geometry and state, wide enough to hold different processors' products."""
    return Beam(
        incidence_deg=float(rng.uniform(30, 45)),
        look_azimuth_deg=float(rng.choice([80.0, 280.0]) + rng.normal(0, 4)),
        noise_db=float(rng.uniform(-34, -23)),
        looks=float(rng.choice([4.4, rng.uniform(4, 7), rng.uniform(8, 40)], p=[0.55, 0.25, 0.2])),
        terrain=float(rng.choice([rng.uniform(0.05, 0.4), 1.0], p=[0.82, 0.18])),
        wind=float(rng.beta(1.4, 2.3)),
        gain_db=float(rng.normal(0, 0.5)),
        stripes=float(rng.uniform(1, 4)) if rng.random() < 0.02 else 0.0,
        border=float(rng.uniform(0.02, 0.3)) if rng.random() < 0.01 else 0.0,
    )
