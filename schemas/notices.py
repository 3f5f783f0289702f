"""What people are told beside alerts: that Tocsin was blind, or that an alarm budget does not hold.

In: what a service finds out about its own work. Out: a message of topic `notices.v1`. Stops before incidents: those are
`messages.Alert`.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.messages import Message


class NoticeKind(StrEnum):
    """Why somebody is told."""

    BLIND = "blind"
    """A query's area has not been seen for too long: silence there means nothing."""
    DRIFT = "drift"
    """A query's alarms are no longer as many as its thresholds promise."""
    UNACKNOWLEDGED = "unacknowledged"
    """Nobody has answered an alert in time."""


class Notice(Message):
    """One notice as it stands. Topic `notices.v1`."""

    notice_id: UUID
    """stable_id("notice", kind, query id, subject): one for as long as it stands, and again when it comes back."""
    sequence: int = Field(ge=1)
    """1 when it is first raised, one more each time that it is raised again or cleared."""
    kind: NoticeKind
    cleared: bool = False
    """True when it no longer holds."""
    query_id: UUID | None = None
    query: str | None = None
    """The sentence."""
    subject: str
    """What of the query it is about, for example `s2`; with kind and query it names the notice."""
    text: str
    """For people: what, where, since when, and what to do."""
    geometry: dict[str, object] | None = None
    """Where, GeoJSON, lon/lat."""
    details: dict[str, float | int | str | None] = Field(default_factory=dict)
    """The figures in the text, for programs."""
    sent_at: AwareDatetime
