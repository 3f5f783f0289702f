"""What people answer to an alert.

In: an answer. Out: a record that listings, look-alikes and per-query heads read. Stops before learning from it.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.messages import Message


class Answer(StrEnum):
    """Whether it was what the query asks for."""

    TRUE = "true"
    FALSE = "false"
    UNSURE = "unsure"


class Reason(StrEnum):
    """What it was instead, where it was not."""

    CLOUD = "cloud"
    AGRICULTURE = "agriculture"
    WATER_LEVEL = "water level"
    SEASON = "season"
    ARTEFACT = "artefact"
    OTHER = "other"


class Verdict(Message):
    """One person's answer to one alert; a later answer by the same person replaces it."""

    verdict_id: UUID
    """stable_id("verdict", alert id, person)."""
    alert_id: UUID
    incident_id: UUID
    query_id: UUID
    answer: Answer
    reason: Reason | None = None
    """Only with `false`."""
    note: str = Field(default="", max_length=2000)
    person: str = Field(min_length=1, max_length=200)
    cells: tuple[str, ...] = ()
    """Cells that it is about; none: all of the incident."""
    given_at: AwareDatetime
