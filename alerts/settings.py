"""What an operator may tune of matching and telling.

Flows in: `TOCSIN_MATCHER_…` and `TOCSIN_NOTIFIER_…` environment variables. Flows out: one frozen object a service,
built in its `main()`. Stops before addresses: those are `schemas.settings`.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MatcherSettings(BaseSettings):
    """Baselines, thresholds and incidents."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_MATCHER_", frozen=True, use_attribute_docstrings=True)

    min_baseline: int = Field(default=1, ge=1, le=1000)
    """Earlier acquisitions of a cell that an appearance query needs before it may fire there."""
    window_days: float = Field(default=45, gt=0, le=366)
    """Matches of one place further apart than this, days, are two incidents. Longer than a cloudy spell, shorter
    than the season that may bring the next event."""
    gap_cells: int = Field(default=2, ge=0, le=20)
    """Cells that may lie unmatched between two matches of one incident: clouds and unburnt islands."""
    growth_share: float = Field(default=0.2, ge=0, le=10)
    """An update is sent when an incident has grown by this share of the cells last told of, and by one at least."""
    late_days: float = Field(default=1, ge=0, le=366)
    """An acquisition sensed this many days before an incident's last one only fills in its past: no growth is told.
    Within it the order of arrival changes nothing: what was seen meanwhile is kept for so long."""
    confirm_share: float = Field(default=0.2, ge=0, le=1)
    """A second pass confirms when it matches this share of the cells that the first one matched, and one at least."""
    clear_looks: int = Field(default=2, ge=1, le=20)
    """Passes in a row that must see a cell clear before it is gone: one may be haze, or a threshold's trembling."""
    clear_share: float = Field(default=0.8, gt=0, le=1)
    """An incident is resolved when this share of its cells is gone; some always stay under cloud or in between."""
    exit_margin: float = Field(default=0.02, ge=0, le=1)
    """A cell is clear only this far below the cosine that it had to pass, so that flicker at it ends nothing."""
    least_background: int = Field(default=30, ge=10, le=100_000)
    """Scores that a threshold needs; with fewer, the release's own background is used, or nothing fires."""
    large_background: int = Field(default=300, ge=10, le=100_000)
    """Scores from which on an archive goes before the release's own background. A smaller one may consist of little
    else than the events that are looked for, and would call them ordinary."""
    noise_sigmas: float = Field(default=5, ge=0, le=20)
    """A change must stand out from the background's median by this many robust standard deviations, whatever the
    budget allows: a budget is a ceiling, not a target."""
    stranger_sigmas: float = Field(default=3, ge=0, le=20)
    """The same where no place has been seen twice yet, in standard deviations between any two places."""
    presence_quantile: float = Field(default=0.975, gt=0, lt=1)
    """What appeared must also look like the sentence: more than this share of the background does."""
    plausible: float = Field(default=0.25, gt=0, lt=1)
    """What appeared must be what the sentence asks for with at least this probability, by the release's own calibration
    where it brings one: one in four, because the budget already limits false alarms and nothing gives back a miss."""
    history_points: int = Field(default=5000, ge=100, le=1_000_000)
    """Archive points that one calibration reads (384 float32 each: 5000 are 8 MB)."""
    recalibrate_growth: float = Field(default=2, ge=1.1, le=100)
    """Thresholds are computed again when the archive holds this many times what it held."""
    thresholds_per_round: int = Field(default=500, ge=1, le=1_000_000)
    """Thresholds computed in one round of calibration, missing ones first; the rest follow with the next batch."""
    areas_per_round: int = Field(default=20, ge=1, le=10_000)
    """Areas whose own history is read in one round of calibration: bounds the time that a batch may wait."""

    @property
    def window(self) -> timedelta:
        """`window_days` as a duration."""
        return timedelta(days=self.window_days)

    @property
    def late(self) -> timedelta:
        """`late_days` as a duration."""
        return timedelta(days=self.late_days)


class NotifierSettings(BaseSettings):
    """Deliveries."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_NOTIFIER_", frozen=True, use_attribute_docstrings=True)

    timeout_s: float = Field(default=10, gt=0, le=300)
    """A receiver that has not answered in full after this many seconds has failed this attempt."""
    max_attempts: int = Field(default=20, ge=1, le=1000)
    """Attempts before a delivery is given up; with the delays below about eight hours."""
    first_delay_s: float = Field(default=5, gt=0, le=3600)
    """Wait after the first failure, seconds; it doubles with each further one."""
    longest_delay_s: float = Field(default=1800, gt=0, le=86_400)
    """Longest wait between attempts, seconds."""
    retry_every_s: float = Field(default=2, gt=0, le=600)
    """How often due deliveries are looked for, seconds."""
    cap_sender: str = Field(default="tocsin@localhost", pattern=r"^[^\s<&,]+$")
    """Sender of CAP messages: who answers for them; an address of the operator's own domain."""
