"""Quiet hours on a wall clock, also when it is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.telling.quiet import parse_quiet
from schemas.errors import UsageError


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "zone", "moment", "until"),
    [
        ("22:00-07:00", "UTC", "2031-07-01T21:59:59", None),
        ("22:00-07:00", "UTC", "2031-07-01T22:00:00", "2031-07-02T07:00:00"),
        ("22:00-07:00", "UTC", "2031-07-01T06:59:59", "2031-07-01T07:00:00"),
        ("22:00-07:00", "UTC", "2031-07-01T07:00:00", None),
        ("12:00-13:30", "Europe/Berlin", "2031-07-01T10:00:00", "2031-07-01T11:30:00"),
        ("12:00-13:30", "Europe/Berlin", "2031-01-01T11:00:00", "2031-01-01T12:30:00"),
        ("22:00-07:00", "Pacific/Auckland", "2031-07-01T12:00:00", "2031-07-01T19:00:00"),
        ("22:00-00:00", "Asia/Kathmandu", "2031-07-01T17:00:00", "2031-07-01T18:15:00"),
        # the night in which the clock goes forward (2 → 3 h) is an hour shorter, the one in autumn an hour longer
        ("22:00-07:00", "Europe/Berlin", "2031-03-29T21:00:00", "2031-03-30T05:00:00"),
        ("22:00-07:00", "Europe/Berlin", "2031-10-25T20:00:00", "2031-10-26T06:00:00"),
        # an end that the clock jumps over: the jump ends it
        ("22:00-02:30", "Europe/Berlin", "2031-03-30T00:30:00", "2031-03-30T01:00:00"),
        ("22:00-02:30", "Europe/Berlin", "2031-03-30T01:00:00", None),
        # an end that it shows twice: quiet again while the clock shows it again
        ("22:00-02:30", "Europe/Berlin", "2031-10-26T00:15:00", "2031-10-26T00:30:00"),
        ("22:00-02:30", "Europe/Berlin", "2031-10-26T00:45:00", None),
        ("22:00-02:30", "Europe/Berlin", "2031-10-26T01:10:00", "2031-10-26T01:30:00"),
        # a beginning that it jumps over, and one that it shows twice
        ("02:30-07:00", "Europe/Berlin", "2031-03-30T01:00:00", "2031-03-30T05:00:00"),
        ("02:30-07:00", "Europe/Berlin", "2031-10-26T00:45:00", "2031-10-26T01:00:00"),
    ],
)
def test_until_when_it_is_quiet(hours: str, zone: str, moment: str, until: str | None):
    assert parse_quiet(hours, zone).until(utc(moment)) == (None if until is None else utc(until))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca"])
@pytest.mark.parametrize("hours", ["22:00-07:00", "02:15-02:45", "23:30-02:10", "01:50-03:10"])
def test_the_end_is_the_first_moment_that_is_not_quiet(hours: str, zone: str):
    """Minute by minute through the days on which clocks are changed."""
    quiet = parse_quiet(hours, zone)
    for day in ("2031-03-08", "2031-03-29", "2031-04-05", "2031-10-04", "2031-10-25", "2031-11-01"):
        moments = [utc(f"{day}T00:00:00") + timedelta(minutes=step) for step in range(0, 60 * 48)]
        ends = [quiet.until(moment) for moment in moments]
        for i, end in enumerate(ends):
            if end is not None and end <= moments[-1]:
                first = next(moment for moment, later in zip(moments[i:], ends[i:], strict=True) if later is None)
                assert end == first, (moments[i], zone)


@pytest.mark.parametrize(
    ("hours", "zone", "reason"),
    [
        ("22-7", "UTC", "two times of day"),
        ("22:00", "UTC", "two times of day"),
        ("25:00-07:00", "UTC", "two times of day"),
        ("22:00-07:00-08:00", "UTC", "two times of day"),
        ("07:00-07:00", "UTC", "no length"),
        ("22:00-07:00", "Mars/Olympus", "time zone"),
        ("22:00-07:00", "", "time zone"),
        ("22:00-07:00", "../../etc/passwd", "time zone"),
        ("22:00-07:00", "/etc/passwd", "time zone"),
        ("22:00-07:00", "Europe", "time zone"),
        ("22:00-07:00", "Europe/Berlin\x00", "time zone"),
    ],
)
def test_quiet_hours_that_are_refused(hours: str, zone: str, reason: str):
    with pytest.raises(UsageError, match=reason):
        parse_quiet(hours, zone)
