"""What a look-alike is drawn from: a place of a scene, a day, its weather, a fair sky and a beam.

In: a biome and noise. Out: the parts of a `staging.Stage`.
Stops at parts: which of them make ploughed fields or calm lakes is in `simulation.guises` and `simulation.wet_guises`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from simulation.biomes import Biome
from simulation.chips import SIDE
from simulation.fields import BROAD, MEDIUM, FieldPool, quantile
from simulation.labels import Cover
from simulation.layout import Mask, Place
from simulation.scenes import draw_place
from simulation.spectra import Conditions
from simulation.staging import (
    Stage,
    Traits,
    retrait,
    rows_of,
    some_of,
)
from simulation.weather import draw_beam, draw_sky, draw_weather

MOST_CLOUD: Final = 0.2
"""Largest share of a chip under cloud, but for cloud shadows, which need a cloud."""

Painter = Callable[["Draw"], Stage]


@dataclass(frozen=True)
class Draw:
    """What a kind is drawn from.

    Attributes:
        rng: Source of randomness.
        pool: Noise fields.
        biome: Kind of landscape.
    """

    rng: np.random.Generator
    pool: FieldPool
    biome: Biome

    def place(self, *scenes: str) -> Place:
        """A place of one of the scenes."""
        return draw_place(self.rng, self.pool, (SIDE, SIDE), str(self.rng.choice(scenes)), self.biome)

    def waters(self, *scenes: str) -> Place:
        """A place of one of the scenes with water on a sixth of it or more, or the last of some tries."""
        for _ in range(8):
            place = self.place(*scenes)
            if float(place.is_cover(Cover.WATER).mean()) > 1 / 6:
                break
        return place

    def day(self, *spans: tuple[float, float]) -> float:
        """A day of the growing year within one of the spans."""
        low, high = spans[int(self.rng.integers(len(spans)))]
        return float(self.rng.uniform(low, high))

    def weather(
        self, day: float, *, wetness: tuple[float, float] | None = None, snow: float | None = 0.0
    ) -> Conditions:
        """Weather of the day; snow None leaves it to the biome."""
        now = draw_weather(self.biome, day, self.rng)
        now = now if wetness is None else replace(now, wetness=float(self.rng.uniform(*wetness)))
        return now if snow is None else replace(now, snow=snow)

    def stage(self, place: Place, now: Conditions) -> Stage:
        """A stage under a fair sky: a look-alike under cloud would test nothing."""
        sky = draw_sky(self.biome, now.day, self.rng)
        sky = replace(sky, cloud_share=min(sky.cloud_share, MOST_CLOUD))
        return Stage(place, now, sky, draw_beam(self.rng))

    def retrait(self, place: Place, ranges: Traits, *covers: Cover, share: float = 1.0) -> Place:
        """Other traits in a share of the regions of the covers."""
        return retrait(place, some_of(rows_of(place, *covers), share, self.rng), ranges, self.rng)

    def blob(self, share: float) -> Mask:
        """A few smooth patches that cover the share."""
        texture = self.pool.draw(self.rng, BROAD, (SIDE, SIDE)) + np.float32(0.15) * self.pool.draw(
            self.rng, MEDIUM, (SIDE, SIDE)
        )
        mask: Mask = texture < quantile(texture, share)
        return mask
