"""In: nothing. Out: the ways of training that are compared, each a name and what it changes.

Stops at names and numbers: `fit` carries them out, `compare` sets them against each other.
"""

from dataclasses import dataclass, replace
from typing import Literal

from simulation.chips import Sensor

Loss = Literal["sigmoid", "soft", "closp"]
Location = Literal["none", "beside", "added"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way of training.

    Attributes:
        name: for tables.
        loss: `sigmoid`: every pair of chip and sentence judged by itself, graded (Zhai et al. 2023); `soft`: softmax
            over sentences with targets shared among all that fit; `closp`: the authors' recipe, softmax over the
            captions of the batch, the chip's own caption alone is right, scale fixed at 1.0.
        sensors: trained together in one text space.
        bands: S2 bands that there are at all; `None` is the mixture of products.
        location: `none`; `beside`: a location encoder aligned with image and text, as GeoCLOSP, not used in retrieval;
            `added`: its vector is added to the image's, in training and in retrieval.
        steps: gradient steps; each sees one batch of each sensor.
        batch: chips of each sensor a step.
        sentences: sentences a step (of the bank; `closp` takes the chips' own captions).
        learning_rate: peak of the one-cycle schedule.
    """

    name: str
    loss: Loss = "sigmoid"
    sensors: tuple[Sensor, ...] = ("s2", "s1")
    bands: tuple[str, ...] | None = None
    location: Location = "none"
    steps: int = 3000
    batch: int = 128
    sentences: int = 384
    learning_rate: float = 3e-3


NANO = Recipe("nano")
"""What ships."""

RECIPES: tuple[Recipe, ...] = (
    NANO,
    Recipe("soft targets", loss="soft"),
    Recipe("CLOSP's own", loss="closp"),
)
"""Three recipes, same backbone, same data, same budget."""

FINDINGS: tuple[Recipe, ...] = (
    Recipe("RGB only", bands=("B02", "B03", "B04")),
    Recipe("S2 alone", sensors=("s2",)),
    Recipe("S1 alone", sensors=("s1",)),
    Recipe("location beside", location="beside"),
    Recipe("location added", location="added"),
)
"""What the CLOSP paper found, each against `NANO`."""


def shortened(recipe: Recipe, steps: int, batch: int) -> Recipe:
    """The recipe with another budget."""
    return replace(recipe, steps=steps, batch=batch)
