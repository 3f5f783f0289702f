"""In: nothing. Out: what the simulator offers beside single chips: look-alikes of events, and series of looks.

Stops at names: what is measured on them is in `crises` and `appearance`.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass

from training.appearance import MakeSeries
from training.crises import KindsFor, MakeLookalikes


@dataclass(frozen=True, slots=True)
class Staged:
    """Makers of look-alikes and series.

    Attributes:
        kinds_for: hard kinds of a label.
        make_lookalikes: chips of a kind.
        distractors: kinds of series without an event.
        make_series: series of a kind.
    """

    kinds_for: KindsFor
    make_lookalikes: MakeLookalikes
    distractors: Sequence[str]
    make_series: MakeSeries


def staged() -> Staged | None:
    """The simulator's makers; none in a build whose simulator has neither."""
    try:
        lookalikes = importlib.import_module("simulation.lookalikes")
        series = importlib.import_module("simulation.series")
    except ModuleNotFoundError as error:
        if str(error.name).startswith("simulation."):
            return None
        raise
    return Staged(lookalikes.kinds_for, lookalikes.make_lookalikes, series.DISTRACTORS, series.make_series)
