"""The demo's story: eight quiet weeks over a valley, then a fire and a flood, with look-alikes beside them.

In: a seed, a size and the last day. Out: a world and the list of passes, oldest first.
Stops at the plan: arrays are made by `simulation.world`, files by `simulation.catalogue`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import numpy as np

from simulation.backscatter import Beam
from simulation.events import rise_flood, spread_fire
from simulation.optics import Sky
from simulation.world import Acquisition, Site, World, make_world

SEASON: Final = datetime(2026, 7, 8, tzinfo=UTC)
"""Default last day: early summer, grain being cut, grass turning brown."""
FIRE_DAYS: Final = 9.0
"""Days from the fire to the last day."""
FLOOD_DAYS: Final = 5.0
"""Days from the flood to the last day."""
FIRE_SHARE: Final = 0.17
"""Share of the land that burns: some seventeen of a hundred cells."""
FLOOD_SHARE: Final = 0.16
"""Share of the land that is flooded."""


@dataclass(frozen=True)
class Pass:
    """One planned acquisition.

    Attributes:
        sensor: `s2` or `s1`.
        when: Sensing time, UTC.
        backfill: It belongs to the past from which baselines are made, not to what arrives during the demo.
        sky: Sun and atmosphere, for S2.
        beam: Geometry, for S1.
    """

    sensor: Literal["s1", "s2"]
    when: datetime
    backfill: bool
    sky: Sky
    beam: Beam


@dataclass(frozen=True)
class Scenario:
    """A world and its passes, oldest first."""

    world: World
    passes: tuple[Pass, ...]

    def acquire(self, planned: Pass) -> Acquisition:
        """The arrays of one pass."""
        if planned.sensor == "s2":
            return self.world.acquire_s2(planned.when, planned.sky)
        return self.world.acquire_s1(planned.when, planned.beam)


def demo_scenario(seed: int = 4, size_km: int = 10, until: datetime = SEASON, site: Site | None = None) -> Scenario:
    """The demo's world: fire nine days and flood five days before the end, six weeks of history before them.

    Sentinel-2 passes every five days and Sentinel-1 every six on one relative orbit; two passes before the fire and
    one after the flood are cloudy.

    Args:
        seed: The same arguments make the same scenario.
        size_km: Cells along each side, at least 2.
        until: The last day (UTC); its season is that of the landscape.
        site: Where it lies.

    Returns:
        The scenario.
    """
    quiet = make_world(seed, size_km, site)
    rng = np.random.default_rng([seed, 0xF14E])
    fire_day, flood_day = (until - timedelta(days=d) for d in (FIRE_DAYS, FLOOD_DAYS))
    fire = spread_fire(quiet.landscape, fire_day, FIRE_SHARE, quiet.pool, rng)
    flood = rise_flood(quiet.landscape, flood_day, FLOOD_SHARE)
    world = replace(quiet, fires=(fire,), floods=(flood,))
    passes = [*_optical(until, fire_day), *_radar(until, fire_day)]
    return Scenario(world, tuple(sorted(passes, key=lambda planned: planned.when)))


def _optical(until: datetime, fire_day: datetime) -> Iterator[Pass]:
    """Passes at 9:50 UTC every fifth day: five clear ones before the fire, one between the events, two after both."""
    overpass = until.replace(hour=9, minute=50, second=21, microsecond=0)
    clouds = {36: 0.04, 31: 0.0, 26: 0.45, 21: 0.0, 16: 0.06, 11: 0.0, 6: 0.02, 3: 0.85, 1: 0.03}
    for number, (days, cloud) in enumerate(clouds.items()):
        when = overpass - timedelta(days=days)
        sky = Sky(
            sun_zenith_deg=24.0 + 0.1 * days,
            sun_azimuth_deg=142.0,
            haze=(0.0, 0.05, -0.03, 0.08)[number % 4],
            cloud_share=cloud,
        )
        yield Pass("s2", when, when < fire_day, sky, Beam())


def _radar(until: datetime, fire_day: datetime) -> Iterator[Pass]:
    """Passes at 16:58 UTC every sixth day on one ascending orbit, the last two days before the end."""
    overpass = until.replace(hour=16, minute=58, second=7, microsecond=0)
    for number, days in enumerate((44, 38, 32, 26, 20, 14, 8, 2)):
        when = overpass - timedelta(days=days)
        beam = Beam(wind=(0.2, 0.45, 0.1, 0.3)[number % 4], noise_db=-28.0)
        yield Pass("s1", when, when < fire_day, Sky(), beam)
