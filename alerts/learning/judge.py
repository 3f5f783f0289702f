"""Whether a head agrees with people better than the bare sentence does, before anybody relies on it.

In: judged chips of one sensor. Out: how well each ranks true answers above false ones. Stops before the alarms that
would have gone out: the back-test shows those.

Each answer is scored by a head that was learnt from the others: a head always agrees with what it was learnt from.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alerts.learning.fit import Examples, head

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a true answer scores above a false one, of all pairs; ties count half (the area under the ROC curve).

    Attributes:
        true: Answers that it is what was asked for.
        false: Answers that it is not.
        sentence: By the bare sentence, 0-1; none where there is no pair.
        learnt: By heads learnt from the other answers.
    """

    true: int
    false: int
    sentence: float | None
    learnt: float | None


def agreement(sentence: Floats, examples: Examples, ordinary: Floats) -> Agreement:
    """Leave one answer out, learn from the others, score it; for each.

    Args:
        sentence: float32 (384,), unit.
        examples: Of one sensor and release.
        ordinary: float32 (m, 384), ordinary ground.
    """
    groups = np.unique(examples.groups)
    shown = np.array([bool(examples.shown[examples.groups == group][0]) for group in groups], dtype=bool)
    bare = np.array([_score(sentence, examples, group) for group in groups])
    learnt = np.array([_score(head(sentence, examples.but(group), ordinary), examples, group) for group in groups])
    return Agreement(
        int(shown.sum()), int((~shown).sum()), _area(bare[shown], bare[~shown]), _area(learnt[shown], learnt[~shown])
    )


def _score(vector: Floats, examples: Examples, group: int) -> float:
    """An answer scores as an alert does: by its best chip."""
    return float((examples.vectors[examples.groups == group] @ vector).max())


def _area(true: NDArray[np.float64], false: NDArray[np.float64]) -> float | None:
    if not len(true) or not len(false):
        return None
    above = (true[:, None] > false[None, :]).mean()
    return float(above + 0.5 * (true[:, None] == false[None, :]).mean())
