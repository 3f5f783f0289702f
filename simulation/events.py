"""A fire and a flood that spread over a landscape, at known places and times.

In: a landscape, a start and how far to go. Out: `Fire` and `Flood`, which say what the ground is like at any moment.
Stops at the ground: which cells that makes true is told by `simulation.world`.
"""

import heapq
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from simulation.disturbance import floodable, fuel
from simulation.fields import BROAD, MEDIUM, PATCH, FieldPool, FloatArray, block_mean, enlarge, quantile
from simulation.landscape import Landscape

STEP_PX: Final = 6
"""Pixels along one side of a node of the spread model: 60 m."""
REACH: Final = 2.5
"""The front is followed until it has passed this many times the share that is to burn."""
WIND_FACTOR: Final = 1.1
"""How much faster fire runs with the wind than across it (exponent). Source: length-to-breadth about 2 to 3 in moderate
wind (Alexander 1985); spread by minimum travel time (Finney 2002, Canadian J. Forest Research 32, 1420)."""
SLOPE_FACTOR: Final = 0.69
"""Exponent that doubles the rate of spread for each 10 degrees uphill. Source: McArthur 1967, Noble et al. 1980."""
RECESSION_DAYS: Final = 25.0
"""Days in which the water goes down by one unit of height, from eight days after the peak."""


@dataclass(frozen=True)
class Fire:
    """A fire that burnt within a day.

    Attributes:
        started: When it broke out (UTC).
        severity: float32, (rows, columns), 0 unburnt to 1 consumed.
    """

    started: datetime
    severity: FloatArray

    def age_days(self, when: datetime) -> float:
        """Days since the fire; negative before it."""
        return (when - self.started).total_seconds() / 86400


@dataclass(frozen=True)
class Flood:
    """A flood that rises within a day, stands for eight and then goes down slowly.

    Attributes:
        started: When the river left its bed (UTC).
        height: float32, (rows, columns): height above the river in arbitrary units.
        level: Height that the water reached, same units.
        share: float32, (rows, columns), 0-1: how much of each pixel can become open water.
        turbidity: 0-1 at the peak; the load settles while the water stands.
    """

    started: datetime
    height: FloatArray
    level: float
    share: FloatArray
    turbidity: float

    def water(self, when: datetime) -> FloatArray | None:
        """Share of each pixel under water: float32, (rows, columns), 0-1; None before the flood and after it."""
        days = (when - self.started).total_seconds() / 86400
        if days < 0:
            return None
        level = self.level - max(0.0, days - 8.0) / RECESSION_DAYS
        depth = np.clip((np.float32(level) - self.height) * np.float32(25), 0, 1) * self.share
        return depth.astype(np.float32) if float(depth.max()) > 0.05 else None

    def turbidity_at(self, when: datetime) -> float:
        """Sediment load 0-1: half of it settles in five days."""
        days = max(0.0, (when - self.started).total_seconds() / 86400)
        return float(0.2 + (self.turbidity - 0.2) * 0.5 ** (days / 5.0))


def spread_fire(
    landscape: Landscape, started: datetime, share: float, pool: FieldPool, rng: np.random.Generator
) -> Fire:
    """A fire that starts in the wooded hills and runs with the wind until it has burnt its share of the land.

    Args:
        landscape: Where.
        started: When.
        share: Share of the whole area that burns, 0-1.
        pool: Noise fields.
        rng: Source of randomness.

    Returns:
        A severe fire with sharp edges and a few unburnt islands.
    """
    place = landscape.place
    load = fuel(place)
    coarse = np.maximum(block_mean(load, STEP_PX), 0.02)
    terrain = block_mean(place.elevation_m, STEP_PX)
    arrival = travel_time(coarse, terrain, wind_toward=(0.35, 0.94), start=_ignition(landscape), share=REACH * share)
    lobes = np.exp(np.float32(0.10) * pool.draw(rng, BROAD, place.shape))
    smooth = enlarge(arrival, STEP_PX, smooth=True) * lobes
    inside = smooth < quantile(smooth, share)
    patchy = 1 + np.float32(0.10) * pool.draw(rng, MEDIUM, place.shape)
    islands = pool.draw(rng, PATCH, place.shape) < 2.1
    severity = np.clip(np.float32(0.88) * patchy, 0, 1) * inside * islands * np.minimum(load * np.float32(1.3), 1)
    return Fire(started, severity.astype(np.float32))


def rise_flood(landscape: Landscape, started: datetime, share: float) -> Flood:
    """A flood that covers the lowest share of the area along the river.

    Args:
        landscape: Where.
        started: When.
        share: Share of the whole area that goes under, 0-1.

    Returns:
        A muddy flood.
    """
    place = landscape.place
    return Flood(started, place.lowness, quantile(place.lowness, share), floodable(place), 0.9)


def travel_time(
    load: FloatArray, terrain_m: FloatArray, *, wind_toward: tuple[float, float], start: tuple[int, int], share: float
) -> FloatArray:
    """When a fire reaches each node of a grid, by the shortest path of a spreading front.

    Args:
        load: float32, (rows, columns): relative rate of spread on level ground without wind, above 0.
        terrain_m: float32, (rows, columns): elevation in metres.
        wind_toward: Unit vector (south, east) that the wind blows to.
        start: Row and column of the ignition.
        share: The front is followed until it has passed this share of the nodes; the rest get a later time.

    Returns:
        float32, (rows, columns): arrival in arbitrary units.

    Source: minimum travel time, Finney 2002.
    """
    rows, columns = load.shape
    fuel_load, height = load.tolist(), terrain_m.tolist()
    arrival = {start: 0.0}
    passed: set[tuple[int, int]] = set()
    queue = [(0.0, start)]
    steps = [(dy, dx, math.hypot(dy, dx)) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
    while queue and len(passed) < share * rows * columns:
        time, (y, x) = heapq.heappop(queue)
        if (y, x) in passed:
            continue
        passed.add((y, x))
        for dy, dx, length in steps:
            v, u = y + dy, x + dx
            if not (0 <= v < rows and 0 <= u < columns):
                continue
            along = (dy * wind_toward[0] + dx * wind_toward[1]) / length
            slope_deg = math.degrees(math.atan((height[v][u] - height[y][x]) / (length * STEP_PX * 10)))
            push = WIND_FACTOR * (along - 1) + SLOPE_FACTOR * min(max(slope_deg, -8.0), 20.0) / 10
            later = time + length / (fuel_load[v][u] * math.exp(push))
            if later < arrival.get((v, u), math.inf):
                arrival[(v, u)] = later
                heapq.heappush(queue, (later, (v, u)))
    times = np.full(load.shape, max(arrival[node] for node in passed) * 1.5, np.float32)
    for node in passed:
        times[node] = arrival[node]
    return times


def _ignition(landscape: Landscape) -> tuple[int, int]:
    rows, columns = (n // STEP_PX for n in landscape.place.shape)
    return int(rows * 0.24), int(columns * 0.16)
