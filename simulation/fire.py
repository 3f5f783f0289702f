"""How a fire runs: over fuel, with the wind and uphill, until it dies at a road, a river, a field or the night.

In: fuel, relief and wind of a place. Out: when the front arrives at each pixel, and how hard it burns there.
Stops at the ground's loss: what burnt ground looks like is in `simulation.disturbance` and `backscatter`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from simulation.fields import BROAD, PATCH, SMOOTH, FieldPool, FloatArray, block_mean, enlarge, gradient

GRID: Final = 4
"""Pixels along one side of a cell of the front: 40 m, a third of the narrowest scar that a chip shows."""

PASSES: Final = 44
"""Sweeps of the front over its grid; each carries it one cell on. 44 cross a chip one and a half times."""

SLOPE_FACTOR: Final = 5.275
"""Rothermel's slope coefficient at a packing ratio of 1: rate grows by 5.275 tan² of the slope.
Source: Rothermel 1972, USDA INT-115, equation 51."""

STEPS: Final = (
    (-1, 0),
    (1, 0),
    (0, -1),
    (0, 1),
    (-1, -1),
    (-1, 1),
    (1, -1),
    (1, 1),
    (-2, -1),
    (-2, 1),
    (2, -1),
    (2, 1),
    (-1, -2),
    (-1, 2),
    (1, -2),
    (1, 2),
)
"""Rows (south) and columns (east) from where the fire comes: sixteen directions keep an ellipse an ellipse."""

FAR: Final = np.float32(1e6)
"""Arrival where no front comes."""


@dataclass(frozen=True)
class Wind:
    """What drives a front.

    Attributes:
        toward_deg: Direction the wind blows to, clockwise from north.
        length_to_breadth: Of the ellipse that it draws on level ground of one fuel, 1 (calm) to 5 (strong wind).
            Source: Anderson 1983, USDA INT-305; Alexander 1985: 1 to 6 up to 40 km/h.
    """

    toward_deg: float
    length_to_breadth: float

    @property
    def eccentricity(self) -> float:
        """Of the ellipse, 0-1."""
        return float(np.sqrt(1 - 1 / self.length_to_breadth**2))


def arrival(fuel: FloatArray, elevation_m: FloatArray, wind: Wind, start: tuple[int, int]) -> FloatArray:
    """When the front arrives, by the fastest way: fuel, wind and slope set its speed in each direction.

    Args:
        fuel: float32, (rows, columns) of the grid, relative rate 0-1; below 0.03 nothing carries fire.
        elevation_m: float32, (rows, columns) of the grid.
        wind: What drives it.
        start: Row and column of the ignition.

    Returns:
        float32, (rows, columns), in cells at the head's full speed; `FAR` where it does not come.

    Source: minimum travel time, Finney 2002, Canadian Journal of Forest Research 32, 1420.
    """
    east, south = gradient(elevation_m, 10.0 * GRID)
    rate = np.where(fuel < 0.03, np.float32(1e-5), fuel)
    angle, bent = np.radians(wind.toward_deg), wind.eccentricity
    costs = []
    for down, right in STEPS:
        length = float(np.hypot(down, right))
        along = (-down * np.cos(angle) + right * np.sin(angle)) / length
        climb = np.clip((east * right + south * down) / length, -0.6, 0.8)
        uphill = 1 + np.sign(climb) * np.minimum(SLOPE_FACTOR * climb**2, 3) * np.where(climb < 0, 0.2, 1)
        speed = rate * uphill * np.float32((1 - bent) / (1 - bent * along))
        costs.append((length / np.maximum(speed, 1e-6)).astype(np.float32))
    return _swept(costs, start, fuel.shape)


def _swept(costs: list[FloatArray], start: tuple[int, int], shape: tuple[int, ...]) -> FloatArray:
    edge, (rows, columns) = 2, shape
    times = np.full((rows + 2 * edge, columns + 2 * edge), FAR, np.float32)
    times[start[0] + edge, start[1] + edge] = 0
    inner = times[edge:-edge, edge:-edge]
    for _ in range(PASSES):
        for (down, right), cost in zip(STEPS, costs, strict=True):
            came = times[edge - down : edge - down + rows, edge - right : edge - right + columns]
            np.minimum(inner, came + cost, out=inner)
    return inner.copy()


@dataclass(frozen=True)
class Run:
    """One fire over a place.

    Attributes:
        arrival: float32, (rows, columns) at 10 m, smooth; `FAR` or near it where it never comes.
        intensity: float32, (rows, columns), about 1 on average: uphill, with the wind and in heavy fuel it burns
            harder; streaks run with the wind, drainage lines burn less.
    """

    arrival: FloatArray
    intensity: FloatArray


def run(fuel: FloatArray, elevation_m: FloatArray, wind: Wind, pool: FieldPool, rng: np.random.Generator) -> Run:
    """A fire from a random ignition, held by firebreaks more often than not.

    Args:
        fuel: float32, (rows, columns) at 10 m, share of each pixel that can burn.
        elevation_m: float32, (rows, columns) at 10 m.
        wind: What drives it.
        pool: Fields for what is not known of fuel and weather.
        rng: Source of randomness.
    """
    shape = (fuel.shape[0], fuel.shape[1])
    barrier = block_mean((fuel < 0.13).astype(np.float32), GRID)
    held = np.float32(2.6 if rng.random() < 0.7 else 0.8)
    lumpy = np.exp(np.float32(rng.uniform(0.2, 0.9)) * block_mean(pool.draw(rng, BROAD, shape), GRID))
    coarse = block_mean(fuel, GRID) * np.clip(1 - held * barrier, 0.01, 1) * lumpy
    height = block_mean(elevation_m, GRID)
    rows, columns = coarse.shape
    burnable = np.argwhere(coarse > 0.2)
    start = burnable[int(rng.integers(len(burnable)))] if len(burnable) else np.array([rows // 2, columns // 2])
    times = np.minimum(arrival(coarse.astype(np.float32), height, wind, (int(start[0]), int(start[1]))), 500)
    ragged = np.float32(1 + 0.02 * float(np.median(times))) * (
        np.float32(rng.uniform(0.5, 2.5)) * pool.draw(rng, BROAD, shape)
        + np.float32(0.25) * pool.draw(rng, PATCH, shape)
    )
    front = (enlarge(times, GRID, smooth=True) + ragged).astype(np.float32)
    return Run(front, _intensity(fuel, elevation_m, wind, pool, rng))


def _intensity(
    fuel: FloatArray, elevation_m: FloatArray, wind: Wind, pool: FieldPool, rng: np.random.Generator
) -> FloatArray:
    """Streaks with the wind, slopes facing it, drainage lines spared.

    Source: fireline intensity grows with rate of spread and fuel, Byram 1959; severity by topography after
    Holden et al. 2009, International Journal of Wildland Fire 18, 577.
    """
    shape = (fuel.shape[0], fuel.shape[1])
    east, south = gradient(elevation_m, 10.0)
    angle = np.radians(wind.toward_deg)
    uphill = np.clip(east * np.float32(np.sin(angle)) - south * np.float32(np.cos(angle)), -0.6, 0.6)
    broad = pool.draw(rng, SMOOTH, shape)
    y, x = np.indices(shape, dtype=np.float32)
    across = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) + np.float32(2.5) * broad
    streaks = np.sin(across * np.float32(2 * np.pi / rng.uniform(9, 30)) + np.float32(1.5) * broad)
    weight = np.float32(rng.uniform(0, 0.10))
    result: FloatArray = (1 + np.float32(0.5) * uphill + weight * streaks + np.float32(0.08) * broad).astype(np.float32)
    return result
