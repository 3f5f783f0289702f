"""Quiet hours: times of day in which nobody wants to be told.

In: two times of day, a time zone, a moment. Out: whether it is quiet then, and until when. Stops before deliveries
(`stages`).

Hours are those of a clock on the wall, so they follow daylight saving time: it is quiet while the clock shows a time
between the two, and an hour that it shows twice is quiet twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict

from schemas.errors import UsageError

_MINUTE = timedelta(minutes=1)


class QuietHours(BaseModel):
    """From a time of day to another, every day."""

    model_config = ConfigDict(frozen=True)

    start: time
    end: time
    """Not in it any more; earlier than `start` where they last over midnight."""
    zone: str
    """IANA name, for example Europe/Berlin."""

    def __str__(self) -> str:
        """As it is given on the command line."""
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"

    def until(self, moment: datetime) -> datetime | None:
        """When the quiet hours that `moment` lies in end, UTC; none where it lies in none."""
        zone = ZoneInfo(self.zone)
        if not self._quiet(moment, zone):
            return None
        local = moment.astimezone(zone)
        day = local.date() + timedelta(days=int(local.time() >= self.end))
        end = datetime.combine(day, self.end, zone).astimezone(UTC)
        if end.astimezone(zone).utcoffset() == local.utcoffset():
            return end
        minute = moment.astimezone(UTC).replace(second=0, microsecond=0) + _MINUTE  # the clock is changed meanwhile
        while self._quiet(minute, zone):
            minute += _MINUTE
        return minute

    def _quiet(self, moment: datetime, zone: ZoneInfo) -> bool:
        clock = moment.astimezone(zone).time()
        if self.start < self.end:
            return self.start <= clock < self.end
        return clock >= self.start or clock < self.end


def parse_quiet(hours: str, zone: str) -> QuietHours:
    """Quiet hours as people write them.

    Args:
        hours: For example "22:00-07:00".
        zone: IANA name of the time zone.

    Raises:
        UsageError: not two different times of day, or no such zone.
    """
    first, dash, last = hours.partition("-")
    try:
        start, end = (datetime.strptime(text.strip(), "%H:%M").time() for text in (first, last))  # noqa: DTZ007
    except ValueError as error:
        raise UsageError(f"quiet hours {hours!r}: write two times of day, such as 22:00-07:00") from error
    if not dash or start == end:
        raise UsageError(f"quiet hours {hours!r} have no length: to be told nothing at all, add a silence")
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"time zone {zone!r} is not known: give an IANA name, such as Europe/Berlin or UTC") from error
    return QuietHours(start=start, end=end, zone=zone)
