"""What was found, and what a person is told of it.

Flows in: cells that passed. Flows out: matches, incidents, alerts. Stops before deliveries.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from schemas.messages.message import Message, Sensor
from schemas.messages.queries import Mode


class Match(Message):
    """A cell of an acquisition that passed a standing query's threshold."""

    query_id: UUID
    query_version: int
    """The query's question: the version since which it asks what it asked here."""
    cell: str
    acquisition_id: UUID
    physical_key: str
    item_id: str
    sensor: Sensor
    sensing_at: AwareDatetime
    score: float
    """Presence: cosine of chip and sentence. Appearance: the same less the baseline's."""
    presence: float
    """Cosine of chip and sentence."""
    threshold: float
    """What `score` had to pass."""
    baseline_count: int
    """Acquisitions behind the baseline; 0 in presence mode without history."""


class IncidentState(StrEnum):
    """Life of an incident."""

    OPENED = "opened"
    GROWING = "growing"
    """Later passes matched clearly more cells than the first."""
    CONFIRMED = "confirmed"
    """By the other sensor, or by a second pass over the same cells."""
    RESOLVED = "resolved"
    """Its place was seen again, and matches no longer."""
    EXPIRED = "expired"
    """Nothing matched there within the window, and nobody saw that it is gone."""
    RETRACTED = "retracted"
    """It never was: a newer processing version does not match, or a person said so."""
    MERGED = "merged"
    """Another incident has taken its matches: `Incident.merged_into`."""
    REOPENED = "reopened"
    """Only as a message's kind: what was resolved matches again, or a person no longer says that it is none; the state
    says opened, growing or confirmed."""
    SPLIT = "split"
    """Only as a message's kind: withdrawn matches cut it in two; never a new event."""


class OtherSensor(Message):
    """What the sensor that did not open an incident has to say about it."""

    sensor: Sensor
    looked_at: AwareDatetime | None = None
    """Sensing time of its newest look at the place since the incident began; none: it has not looked."""
    saw: Literal["matched", "not matched", "obscured", "failed"] | None = None
    """What that look showed."""
    item_id: str | None = None
    """The scene of that look."""
    next_expected_at: AwareDatetime | None = None
    """When it should come next, from its own passes so far; none: too few are known."""
    relative_orbit: int | None = None
    """On which orbit."""
    every_days: float | None = None
    """How often that orbit has come: median of the gaps between its passes, days."""
    passes: int = 0
    """How many passes of that orbit the expectation rests on."""


class Incident(Message):
    """Matched cells of one standing query that belong together in space and time."""

    incident_id: UUID
    query_id: UUID
    query_version: int
    """As its matches have it."""
    state: IncidentState
    cells: tuple[str, ...]
    sensors: tuple[Sensor, ...]
    item_ids: tuple[str, ...]
    first_sensing_at: AwareDatetime
    last_sensing_at: AwareDatetime
    opened_at: AwareDatetime
    score: float
    """The highest score of its matches."""
    closed_at: AwareDatetime | None = None
    """Sensing time from which it is resolved or expired; when it was retracted or merged; none while it is open."""
    merged_into: UUID | None = None
    """The incident that took its matches."""
    split_from: UUID | None = None
    """The incident that it was part of."""
    why: str | None = None
    """Why it was retracted."""
    expected_every_days: float | None = None
    """How rarely a match at least so strong is to be expected under the query's area, days; none: not known."""


class Alert(Message):
    """What a person is told about an incident. Topic `alerts.v1`."""

    alert_id: UUID
    """stable_id("alert", query id, query version, incident id): one for the life of the incident."""
    sequence: int = Field(ge=1)
    """1 when it opens, then one more with each update."""
    kind: IncidentState
    """What happened (docs/incidents.md): opened, growing, confirmed, resolved, expired, retracted, merged, reopened,
    split."""
    query: str
    """The sentence."""
    mode: Mode
    incident: Incident
    geometry: dict[str, object]
    """Union of the cells, GeoJSON, lon/lat."""
    matches: tuple[Match, ...] = Field(max_length=2000)
    """The matches that this message is about, the highest scores first."""
    sent_at: AwareDatetime
    """When the matcher wrote it."""
    simulated: bool = False
    other_sensor: OtherSensor | None = None
    """What the other sensor has seen since, or when it comes; none where the query does not watch with it."""
