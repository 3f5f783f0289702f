"""What somebody wants to hear about.

Flows in: a sentence and its conditions. Flows out: a standing query. Stops before thresholds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.messages.message import Message, Sensor


class Mode(StrEnum):
    """When a standing query fires."""

    APPEARANCE = "appearance"
    """It is new here: the place looks like the sentence, and did not before."""
    PRESENCE = "presence"
    """It is here, however long it has been."""


class Budget(Message):
    """How many alarms somebody can bear."""

    alarms: float = Field(gt=0, le=1000)
    per_days: float = Field(gt=0, le=366)
    """Length of the period, days: 7 for "2 a week"."""


class QueryStatus(StrEnum):
    """Whether a standing query is watched."""

    ACTIVE = "active"
    PAUSED = "paused"
    REMOVED = "removed"


class ChipName(Message):
    """One cell as one scene showed it, whatever release encoded it."""

    cell: str
    sensor: Sensor
    physical_key: str


class StandingQuery(Message):
    """A sentence that somebody wants to hear about."""

    query_id: UUID
    version: int = Field(ge=1)
    """Grows with each change."""
    question_version: int | None = Field(default=None, ge=1)
    """The version since which it has asked the same question (`question`); none: this one."""
    sentence: str = Field(min_length=1, max_length=500)
    area: dict[str, object] | None = None
    """GeoJSON geometry, lon/lat, split at the antimeridian; none: everywhere."""
    sensors: tuple[Sensor, ...] = ("s1", "s2")
    mode: Mode = Mode.APPEARANCE
    budget: Budget = Budget(alarms=2, per_days=7)
    threshold: float | None = Field(default=None, ge=-2, le=2)
    """A person's own threshold on the score, instead of the budget's."""
    wordings: tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] = Field(default=(), max_length=8)
    """The same in other words: a chip's score is the highest over the sentence and these."""
    like: tuple[ChipName, ...] = Field(default=(), max_length=100)
    """Chips that show what is meant."""
    unlike: tuple[ChipName, ...] = Field(default=(), max_length=100)
    """Chips that look similar and are not meant."""
    status: QueryStatus = QueryStatus.ACTIVE
    created_at: AwareDatetime

    @property
    def question(self) -> int:
        """What matches and incidents name as their query's version: a changed budget does not tell of them again."""
        return self.question_version or self.version
