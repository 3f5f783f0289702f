"""Who is told, and what they answer.

In: receivers, routes, silences. Out: deliveries, acknowledgements, verdicts. Stops before sending.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from schemas.database import Base, UtcDateTime


class ReceiverRow(Base):
    """Somebody or something that is told."""

    __tablename__ = "receivers"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    """As in `alerts.telling.kinds`: terminal, webhook, email, …"""
    settings: Mapped[dict[str, object]] = mapped_column(JSON)
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RouteRow(Base):
    """Which messages go to whom, when: in order, the first that takes a message first."""

    __tablename__ = "routes"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    position: Mapped[int] = mapped_column()
    settings: Mapped[dict[str, object]] = mapped_column(JSON)
    """The `Route`, JSON (`alerts.telling.routes`)."""
    release_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When what it gathers is told, or was told last."""
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SilenceRow(Base):
    """A time in which some messages are not told."""

    __tablename__ = "silences"
    silence_id: Mapped[UUID] = mapped_column(primary_key=True)
    query_id: Mapped[UUID | None] = mapped_column()
    area: Mapped[dict[str, object] | None] = mapped_column(JSON)
    """GeoJSON geometry, or none for everywhere."""
    starts_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ends_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    author: Mapped[str] = mapped_column(String(200))
    comment: Mapped[str] = mapped_column(String(2000))
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)
    ended_by: Mapped[str | None] = mapped_column(String(200))
    """Who ended it early; `ends_at` is then when."""


class DeliveryRow(Base):
    """One message to one receiver on one occasion."""

    __tablename__ = "deliveries"
    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(index=True)
    """Of the alert, or of the notice."""
    sequence: Mapped[int] = mapped_column()
    what: Mapped[str] = mapped_column(String(10), default="alert", server_default="alert")
    """alert, notice."""
    receiver: Mapped[str] = mapped_column(String(100))
    occasion: Mapped[str] = mapped_column(String(30), default="", server_default="")
    """Empty: it is news; "repeat 2": told again; "step 1": told because nobody acknowledged."""
    route: Mapped[str] = mapped_column(String(100), default="", server_default="")
    """Name of the route that it takes; empty: none, told at once."""
    gathered: Mapped[str] = mapped_column(String(120), default="", server_default="")
    """What is due under the same word at one receiver is told in one message, where its kind can; empty: alone."""
    batch: Mapped[UUID | None] = mapped_column(index=True)
    """Of one message of several deliveries, once it has been attempted: repeated with the same content and key."""
    state: Mapped[str] = mapped_column(String(20), index=True)
    silence_id: Mapped[UUID | None] = mapped_column(index=True)
    """Which silence kept it back."""
    attempts: Mapped[int] = mapped_column()
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    holder: Mapped[str | None] = mapped_column(String(200))
    """Host and process that attempts it, or did last."""
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(2000))
    __table_args__ = (UniqueConstraint("alert_id", "sequence", "receiver", "occasion", "route"),)


class RecipientRow(Base):
    """What became of a delivery at one recipient of several (mailboxes, chats): who has it is not told twice."""

    __tablename__ = "recipients"
    delivery_id: Mapped[UUID] = mapped_column(primary_key=True)
    recipient: Mapped[str] = mapped_column(String(320), primary_key=True)
    """A mail address, or what stands for an address that is secret."""
    refusal: Mapped[str | None] = mapped_column(String(500))
    """Why it will never be taken; none: it was taken."""
    settled_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ReminderRow(Base):
    """An alert that a route tells again, or tells others, until somebody acknowledges it."""

    __tablename__ = "reminders"
    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(String(100), primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """From when the steps of escalation are counted."""
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)
    """From when the next repeat is counted."""
    repeats: Mapped[int] = mapped_column()
    steps: Mapped[int] = mapped_column()
    """How many of the route's have been told."""
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    """When to look again; none: it is over."""


class AcknowledgementRow(Base):
    """Somebody has an alert in hand."""

    __tablename__ = "acknowledgements"
    alert_id: Mapped[UUID] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column()
    """The last message of it at that time."""
    person: Mapped[str] = mapped_column(String(200))
    note: Mapped[str] = mapped_column(String(2000))
    acknowledged_at: Mapped[datetime] = mapped_column(UtcDateTime)


class VerdictRow(Base):
    """What a person answered to an alert."""

    __tablename__ = "verdicts"
    verdict_id: Mapped[UUID] = mapped_column(primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(index=True)
    incident_id: Mapped[UUID] = mapped_column(index=True)
    query_id: Mapped[UUID] = mapped_column(index=True)
    answer: Mapped[str] = mapped_column(String(10))
    """true, false, unsure."""
    message: Mapped[str] = mapped_column()
    """The `Verdict`, JSON."""
    given_at: Mapped[datetime] = mapped_column(UtcDateTime)
