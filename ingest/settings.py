"""What an operator may tune of the poller.

Flows in: `TOCSIN_INGEST_…` environment variables. Flows out: one frozen object, built in `main()`. Stops before
addresses, which all services share (`schemas.settings.Stack`).
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from schemas.environment import Environment


class IngestSettings(Environment):
    """How often catalogues are asked, and how far back."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_INGEST_")

    interval_s: float = Field(default=60.0, ge=0.1, le=604_800)
    """Seconds from one poll of all sources to the next; scenes come hours after sensing, a minute adds little."""
    overlap_minutes: float = Field(default=30.0, ge=0, le=527_040)
    """How far before the cursor each poll begins, minutes: catalogues publish out of order and page by offset."""
    look_back_days: float = Field(default=5.0, ge=0, le=3660)
    """How far before the cursor a thorough poll begins, days: what catalogues insert late, with an old time."""
    look_back_every_minutes: float = Field(default=60.0, ge=0, le=527_040)
    """How often a poll is a thorough one, minutes; the first of a process always is."""
    waiting_days: float = Field(default=5.0, ge=0, le=3660)
    """How long an incomplete item may wait for its missing bands before it counts as failed, days."""
    once: bool = False
    """Poll all sources once and end, for schedulers such as cron."""

    @property
    def interval(self) -> timedelta:
        """From one poll to the next."""
        return timedelta(seconds=self.interval_s)

    @property
    def overlap(self) -> timedelta:
        """How far before the cursor each poll begins."""
        return timedelta(minutes=self.overlap_minutes)

    @property
    def look_back(self) -> timedelta:
        """How far before the cursor a thorough poll begins."""
        return timedelta(days=self.look_back_days)

    @property
    def look_back_every(self) -> timedelta:
        """How often a poll is a thorough one."""
        return timedelta(minutes=self.look_back_every_minutes)

    @property
    def waiting(self) -> timedelta:
        """How long an incomplete item may wait."""
        return timedelta(days=self.waiting_days)
