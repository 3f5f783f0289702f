"""What an operator may tune of matching, telling and explaining.

Flows in: `TOCSIN_MATCHER_…`, `TOCSIN_COVERAGE_…`, `TOCSIN_NOTIFIER_…`, `TOCSIN_EVIDENCE_…` variables. Flows out: one
frozen object each, built in its `main()`. Stops before addresses: those are `schemas.settings`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from schemas.environment import Environment


class MatcherSettings(Environment):
    """Baselines, thresholds and incidents."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_MATCHER_")

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
    exit_sigmas: float = Field(default=2, ge=0, le=20)
    """A cell is clear only this far below the cosine that it had to pass, in robust standard deviations of the
    background's changes, so that flicker at it ends nothing: by chance one look in 44 of an unchanged cell falls so
    far, and two in a row do in 2000."""
    exit_margin: float = Field(default=0.02, ge=0, le=1)
    """The same in cosines, where too little background is known."""
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
    keep_history_s: float = Field(default=600, ge=0, le=86_400)
    """What was read of the archive serves new queries for so many seconds, unless it has grown by a tenth meanwhile."""
    kept_points: int = Field(default=20_000, ge=0, le=10_000_000)
    """Archive points of single areas that are kept in memory for it, per sensor (384 float32 and their changes each:
    20,000 are 61 MB)."""
    recalibrate_growth: float = Field(default=2, ge=1.1, le=100)
    """Thresholds are computed again when the archive holds this many times what it held."""
    thresholds_per_round: int = Field(default=500, ge=1, le=1_000_000)
    """Thresholds computed in one round of calibration, missing ones first, those of one query together; the rest follow
    with the next batch."""
    round_s: float = Field(default=5, gt=0, le=3600)
    """A round of calibration ends after so many seconds, at least one query done: a batch may wait for it."""
    drift_weeks: int = Field(default=8, ge=1, le=104)
    """Weeks of alarms that are set against what the thresholds promise: long enough for seldom alarms to be counted."""
    false_pages_per_year: float = Field(default=0.05, gt=0, lt=1)
    """Notices of drift that a standing query may raise by chance in a year; a weekly look has a 52nd of it."""
    areas_per_round: int = Field(default=20, ge=1, le=10_000)
    """Areas whose own history is read in one round of calibration: bounds the time that a batch may wait."""

    arithmetic: Literal["auto", "fp32", "int8", "cuda"] = "auto"
    """What multiplies embeddings with standing queries: fp32 (numpy), int8 (torch on a processor with 8-bit dot
    products), cuda (torch on a GPU), or the best of those that are here, numpy's while there are fewer than 4096
    standing vectors. The matches are the same."""

    @property
    def window(self) -> timedelta:
        """`window_days` as a duration."""
        return timedelta(days=self.window_days)

    @property
    def late(self) -> timedelta:
        """`late_days` as a duration."""
        return timedelta(days=self.late_days)


class CoverageSettings(Environment):
    """What could be seen: how long it is kept raw, and when somebody is told that an area is blind."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_COVERAGE_")

    raw_days: float = Field(default=100, ge=60, le=36_500)
    """What each single acquisition saw is kept for so many days after it was sensed; after that the weekly ledger alone
    says it, in a fraction of the space. Longer than incidents look back (`TOCSIN_MATCHER_WINDOW_DAYS`)."""
    blind_share: float = Field(default=0.3, gt=0, le=1)
    """A query's area is blind when this share of its cells has not been seen for longer than the limit; it sees again
    when less than half of that share is left."""
    blind_days: float | None = Field(default=None, gt=0, le=3650)
    """The limit, days; none: from how often the area has been seen so far, by the next three settings."""
    blind_revisits: float = Field(default=4, gt=0, le=100)
    """The limit as a multiple of the median time between two sights of a cell."""
    blind_least_days: float = Field(default=12, gt=0, le=3650)
    """The limit is never shorter: two or three cloudy passes in a row are weather, not blindness."""
    blind_most_days: float = Field(default=45, gt=0, le=3650)
    """The limit is never longer, and it is this where the ledger knows too little of the area."""
    blind_grace_days: float = Field(default=2, ge=0, le=366)
    """No query is called blind sooner after it was registered: its area's past may still be on its way."""


class NotifierSettings(Environment):
    """Deliveries."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_NOTIFIER_")

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
    pictures_s: float = Field(default=60, ge=0, le=3600)
    """So many seconds after it was due, a letter leaves without the pictures that are not drawn yet, and a STAC item
    without its evidence. Twice what reading their pixels may take (`TOCSIN_EVIDENCE_MAIL_DEADLINE_S`): another alert
    may be drawn before."""
    places: int = Field(default=10, ge=1, le=50)
    """Receivers that are told at the same time, each by a thread: one that uses up all of its time takes one place.
    Kinds that wait for pictures or evidence (`email`, `stac`) have as many places of their own."""
    cap_sender: str = Field(default="tocsin@localhost", pattern=r"^[^\s<&,]+$")
    """Sender of CAP messages: who answers for them; an address of the operator's own domain."""


class EvidenceSettings(Environment):
    """Explanations of alerts: pictures, what carried a match, look-alikes."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_EVIDENCE_")

    cells: int = Field(default=4, ge=1, le=20)
    """Cells of an incident that are shown before and after, the highest scores first: neighbours look alike."""
    max_cloud: float = Field(default=0.05, ge=0, le=1)
    """Cloud fraction up to which an earlier look counts as clear; where none is, the clearest one is shown."""
    deadline_s: float = Field(default=300, gt=0, le=86_400)
    """Longest time for reading the pixels of one explanation, seconds; what is not read by then is left out."""
    history_points: int = Field(default=10_000, ge=10, le=1_000_000)
    """Longest time series of one cell by one sensor that is read from the archive (384 float32 each: 15 MB); a longer
    one counts as none. Ten years are about 1500."""
    lookalikes: int = Field(default=5, ge=0, le=100)
    """Look-alikes of each match shown; none are looked for with 0."""
    mail_cells: int = Field(default=2, ge=0, le=20)
    """The same as `cells` for pictures that go with a message, which has to leave soon."""
    mail_deadline_s: float = Field(default=30, gt=0, le=3600)
    """The same as `deadline_s` for them."""
    mail_bytes: int = Field(default=4_000_000, ge=0, le=100_000_000)
    """Pictures of one message together, bytes; the last ones are left out. Many mail servers refuse 10 MB."""
