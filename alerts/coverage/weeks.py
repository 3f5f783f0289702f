"""Coverage week by week: of an area's cells, how many were seen, and why the others were not.

In: the ledger, an area, a period. Out: counts for each ISO week (UTC) and sensor. Stops before single cells (`sights`).

A cell counts once a week, by the best that can be said of it: seen; else obscured, by its first cause in the order
cloud, shadow, no data; else failed; else not acquired. "Could not see" is never reported as "nothing there".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry
from sqlalchemy import Engine, func, select

from alerts.coverage.blocks import CAUSES, DAYS, Block, Mask, unpack
from alerts.coverage.ground import Ground, ground_of
from alerts.coverage.scenes import monday_of
from schemas.database import reading
from schemas.errors import UsageError
from schemas.messages import Cause, Sensor, StandingQuery
from schemas.tables import CoverageWeekRow

WEEK = timedelta(days=DAYS)
MOST_WEEKS = 1200
"""Longest period that is listed week by week: longer than Sentinel-2 has flown."""


@dataclass(frozen=True, slots=True)
class Week:
    """One sensor in one week. All counts are of cells; together they make `cells`.

    Attributes:
        sensor: s1 or s2.
        monday: First day of the week, UTC.
        days: Days of it within the period: the first and the last week may be cut.
        cells: Cells of the area; none where it cannot be listed.
        seen: Seen at least once.
        cloud: Acquired, hidden by cloud.
        shadow: Hidden by its shadow.
        no_data: Spoilt by saturated or defective pixels.
        unexplained: Obscured; whoever recorded it did not say by what.
        failed: Acquired, and could not be read.
        not_acquired: Nothing touched them; none where `cells` is.
    """

    sensor: Sensor
    monday: date
    days: int
    cells: int | None
    seen: int
    cloud: int
    shadow: int
    no_data: int
    unexplained: int
    failed: int
    not_acquired: int | None

    @property
    def name(self) -> str:
        """ISO 8601, for example `2026-W27`."""
        return f"{self.monday:%G-W%V}"

    @property
    def obscured(self) -> int:
        """Acquired, but hidden by whatever it was."""
        return self.cloud + self.shadow + self.no_data + self.unexplained

    @property
    def seen_share(self) -> float | None:
        """Of the area's cells; none where nobody knows how many these are."""
        return self.seen / self.cells if self.cells else None

    def as_dict(self) -> dict[str, object]:
        """For programs."""
        return {"week": self.name, **asdict(self), "obscured": self.obscured, "seen_share": self.seen_share}


def weeks_of(engine: Engine, query: StandingQuery, since: datetime, until: datetime) -> list[Week]:
    """The weeks of a standing query's area, by its sensors (`weeks`)."""
    return weeks(engine, query.sensors, None if query.area is None else shape(query.area), since, until)


def weeks(
    engine: Engine, sensors: Sequence[Sensor], area: BaseGeometry | None, since: datetime, until: datetime
) -> list[Week]:
    """Every week of a period, the oldest first, sensor by sensor; weeks without any acquisition are among them.

    Args:
        engine: The database; the ledger as it was last folded (`fold`).
        sensors: Which.
        area: Lon/lat, split at the antimeridian; none: everywhere.
        since: From the day of this moment on (UTC).
        until: Before this moment; its day counts whole, unless it is midnight.

    Raises:
        UsageError: the period is empty, or longer than 1200 weeks.
    """
    first, last = days_of(since, until)
    mondays = [monday_of(first) + WEEK * i for i in range((monday_of(last) - monday_of(first)) // WEEK + 1)]
    if len(mondays) > MOST_WEEKS:
        raise UsageError(f"{len(mondays)} weeks are too many to list: give --since and --until")
    ground = ground_of(area)
    counts = {(monday, sensor): np.zeros(len(_KINDS), int) for monday in mondays for sensor in sensors}
    for row in _rows(engine, ground, sensors, mondays):
        mask = ground.mask(row.square)
        if mask is not None:
            block = unpack(row.planes).on(days_within(row.monday, first, last))
            counts[row.monday, row.sensor] += _counted(block, mask)  # type: ignore[index]  # the column is a str
    cells = ground.cells
    return [
        _week(sensor, monday, days_within(monday, first, last).bit_count(), cells, found.tolist())
        for (monday, sensor), found in counts.items()
    ]


def first_week(engine: Engine) -> date | None:
    """Where the ledger begins; none while it is empty."""
    with reading(engine) as session:
        return session.scalar(select(func.min(CoverageWeekRow.monday)))


def days_of(since: datetime, until: datetime) -> tuple[date, date]:
    """First and last day of a period, UTC.

    Raises:
        UsageError: it ends before it begins.
    """
    first = since.astimezone(UTC).date()
    last = (until.astimezone(UTC) - timedelta(microseconds=1)).date()
    if last < first:
        raise UsageError(f"the period from {since:%Y-%m-%d} until {until:%Y-%m-%d} is empty: give an earlier --since")
    return first, last


def midnight(day: date) -> datetime:
    """Its first moment, UTC."""
    return datetime.combine(day, time(), UTC)


_KINDS = ("seen", *(cause for cause in CAUSES), "failed")


def _rows(
    engine: Engine, ground: Ground, sensors: Sequence[Sensor], mondays: Sequence[date]
) -> Iterator[CoverageWeekRow]:
    wanted = select(CoverageWeekRow).where(
        CoverageWeekRow.sensor.in_(sensors),
        CoverageWeekRow.monday >= mondays[0],
        CoverageWeekRow.monday <= mondays[-1],
    )
    with reading(engine) as session:
        yield from session.scalars(ground.within(wanted).execution_options(yield_per=200))


def days_within(monday: date, first: date, last: date) -> int:
    """Bits of the days of a week that lie in a period."""
    low, high = max((first - monday).days, 0), min((last - monday).days, DAYS - 1)
    return sum(1 << day for day in range(low, high + 1))


def _counted(block: Block, mask: Mask) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Cells by the best that can be said of each, in the order of `_KINDS`."""
    left = mask & (block.seen == 0)
    found = [int(mask.sum()) - int(left.sum())]
    obscured = left & (block.obscured != 0)
    left = left & ~obscured
    for bit in CAUSES.values():
        here = obscured & (block.causes & bit != 0)
        found.append(int(here.sum()))
        obscured &= ~here
    found[-1] += int(obscured.sum())
    return np.array([*found, int((left & (block.failed != 0)).sum())])


def _week(sensor: Sensor, monday: date, days: int, cells: int | None, found: list[int]) -> Week:
    by = dict(zip(_KINDS, found, strict=True))
    return Week(
        sensor,
        monday,
        days,
        cells,
        seen=by["seen"],
        cloud=by[Cause.CLOUD],
        shadow=by[Cause.SHADOW],
        no_data=by[Cause.NO_DATA],
        unexplained=by[None],
        failed=by["failed"],
        not_acquired=None if cells is None else cells - sum(found),
    )
