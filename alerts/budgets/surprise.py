"""How rare a match is: "expected once in 9 weeks here".

Flows in: a stored threshold with its tail, and a score. Flows out: days, and a person's words for them. Stops before
alerts (`incidents`).
"""

from __future__ import annotations

from alerts.budgets.tails import Kept
from schemas.tables import ThresholdRow

_UNITS = ((365.25, "years", 640.0), (30.44, "months", 100.0), (7.0, "weeks", 12.0), (1.0, "days", 0.0))
"""Length of a unit, its name, and the least number of days that are told in it: 9 weeks, not 2 months."""
_DAYS_OF_A_WEEK = 7


def expected_every_days(row: ThresholdRow, score: float) -> float | None:
    """How rarely incidents at least so strong are to be expected under the query's area, days.

    Never more than `tails.FARTHEST` times the length of the history: it may be rarer still, nobody can know.

    Args:
        row: The threshold that the match passed.
        score: The mode's score of the match; in appearance mode it has passed the presence floor as well.

    Returns:
        Days; none where the row has no model of its scores.
    """
    kept = Kept.from_json(row.tail)
    if kept is None:
        return None
    per_week = kept.per_week(score)
    return kept.longest_days if per_week <= 0 else min(7 / per_week, kept.longest_days)


def words(days: float) -> str:
    """A person's words for it: "once in 9 weeks", "3 times a week", "5 times a day".

    Args:
        days: More than 0.
    """
    if days < _DAYS_OF_A_WEEK / 6.5:
        return f"{round(1 / days)} times a day" if round(1 / days) > 1 else "every day"
    if days < _DAYS_OF_A_WEEK / 1.5:
        return f"{round(_DAYS_OF_A_WEEK / days)} times a week"
    length, unit = next((length, unit) for length, unit, least in _UNITS if days >= least)
    return f"once in {round(days / length)} {unit}"
