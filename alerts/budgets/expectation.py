"""How many alarms the thresholds in force promise for a stretch of time.

Flows in: what each threshold states, by sensor and stratum. Flows out: alarms to expect, with an interval. Stops before
comparing them with any (`drift`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from alerts.budgets.strata import NOWHERE, season_of, stratum_at
from alerts.budgets.thresholds import Threshold
from schemas.messages import Sensor
from schemas.tables import ThresholdRow

_WEEK_S = 7 * 86_400.0
_ANY_SQUARE = "AA"
"""A season depends on the hemisphere only: any square of the region does."""


@dataclass(frozen=True, slots=True)
class Stated:
    """What one threshold states of the alarms to come.

    Attributes:
        sensor: Whose.
        stratum: Where and when it holds; empty: wherever no other of this sensor does.
        per_week: Alarms to expect.
        low: Least of the 90 % interval of that.
        high: Greatest.
        share: Part of the query's cells that lie in the stratum's region.
    """

    sensor: Sensor
    stratum: str
    per_week: float
    low: float
    high: float
    share: float

    @classmethod
    def of(cls, sensor: Sensor, stratum: str, found: Threshold | ThresholdRow) -> Self | None:
        """What a threshold states; none where it promises nothing."""
        match found.expected_per_week, found.tail:
            case float(per_week), {
                "share": float() | int() as share,
                "expected_between": [float() | int() as low, float() | int() as high],
            }:
                return cls(sensor, stratum, per_week, low, high, share)
        return None


@dataclass(frozen=True, slots=True)
class Expected:
    """Alarms to expect, of all sensors together.

    Attributes:
        alarms: The mean.
        low: Least mean of the 90 % interval.
        high: Greatest.
    """

    alarms: float
    low: float
    high: float


def expected_alarms(stated: Sequence[Stated], start: datetime, end: datetime) -> Expected:
    """Alarms to expect from one moment to another.

    An incident that two sensors see is one alarm, and each threshold states its part of it (`together`): they add up.
    How many those are is known from one history only, and what befalls one sensor's count befalls the other's, which
    looks at the same places: the interval begins at what the busier sensor alone is sure of. Otherwise errors of strata
    and sensors are taken for independent, so that distances from the mean add as squares.

    Source: Zou, Huang & Zhang 2009, Computational Statistics & Data Analysis 53, 1080 (limits of sums from limits of
    the parts, "MOVER").

    Args:
        stated: All thresholds of a query and release that promise something.
        start: With a time zone.
        end: Not before it.
    """
    weeks: dict[Stated, float] = {}
    for since, until in _months(start, end):
        for one, share in _in_force(stated, since):
            weeks[one] = weeks.get(one, 0.0) + share * (until - since).total_seconds() / _WEEK_S
    mean: dict[Sensor, float] = {}
    below: dict[Sensor, float] = {}
    above = 0.0
    for one, many in weeks.items():
        mean[one.sensor] = mean.get(one.sensor, 0.0) + many * one.per_week
        below[one.sensor] = below.get(one.sensor, 0.0) + (many * (one.per_week - one.low)) ** 2
        above += (many * (one.high - one.per_week)) ** 2
    alarms = sum(mean.values())
    low = max((mean[sensor] - math.sqrt(below[sensor]) for sensor in mean), default=0.0)
    return Expected(alarms, max(low, 0.0), alarms + math.sqrt(above))


def _in_force(stated: Sequence[Stated], moment: datetime) -> Iterator[tuple[Stated, float]]:
    """The thresholds that hold somewhere at a moment, and the part of their own alarms that they answer for."""
    taken: dict[Sensor, float] = {}
    for one in stated:
        if one.stratum != NOWHERE and _season_there(one.stratum, moment) == season_of(one.stratum):
            taken[one.sensor] = taken.get(one.sensor, 0.0) + one.share
            yield one, 1.0
    for one in stated:
        if one.stratum == NOWHERE:
            yield one, max(0.0, 1.0 - taken.get(one.sensor, 0.0))


def _season_there(stratum: str, moment: datetime) -> str:
    return season_of(stratum_at(stratum[:3] + _ANY_SQUARE, moment))


def _months(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """A stretch of time, cut where months begin: seasons change only there."""
    since = start.astimezone(UTC)
    while since < end:
        following = datetime(since.year + since.month // 12, since.month % 12 + 1, 1, tzinfo=UTC)
        until = min(following, end)
        yield since, until
        since = until
