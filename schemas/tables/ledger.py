"""What was announced, how far it has come, and what waits for Kafka.

In: rows of poller and encoder. Out: what is published again when a broker forgets. Stops before matching.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from schemas.database import Base, UtcDateTime


class SourceRow(Base):
    """A STAC catalogue that the operator wants polled."""

    __tablename__ = "sources"
    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    url: Mapped[str] = mapped_column(String(1000))
    collections: Mapped[list[str]] = mapped_column(JSON)
    since: Mapped[datetime] = mapped_column(UtcDateTime)
    """Items published before this are not asked for."""
    area: Mapped[dict[str, object] | None] = mapped_column(JSON)
    """GeoJSON geometry, or none for everywhere."""
    allowed_hosts: Mapped[list[str]] = mapped_column(JSON)
    """Hosts that hrefs may lead to, beyond those of the preset."""
    preset: Mapped[str | None] = mapped_column(String(50))
    """Name in `ingest/presets`, or none for a catalogue that we know nothing of."""
    added_at: Mapped[datetime] = mapped_column(UtcDateTime)


class CursorRow(Base):
    """How far a collection of a source has been read; moves only after Kafka's acknowledgement."""

    __tablename__ = "cursors"
    source: Mapped[str] = mapped_column(ForeignKey("sources.name", ondelete="CASCADE"), primary_key=True)
    collection: Mapped[str] = mapped_column(String(200), primary_key=True)
    read_until: Mapped[datetime] = mapped_column(UtcDateTime)
    polled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    error: Mapped[str | None] = mapped_column(String(1000))
    """Why the last poll failed, or none."""


class AcquisitionRow(Base):
    """The ledger: every announcement that we have read, and how far it has come."""

    __tablename__ = "acquisitions"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    physical_key: Mapped[str] = mapped_column(String(300), index=True)
    source: Mapped[str] = mapped_column(String(100), index=True)
    collection: Mapped[str] = mapped_column(String(200))
    item_id: Mapped[str] = mapped_column(String(300), index=True)
    sensor: Mapped[str] = mapped_column(String(2))
    processed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    state: Mapped[str] = mapped_column(String(20), index=True)
    """waiting (incomplete item), queued, encoded, matched, failed, superseded, ignored (stale version)."""
    reason: Mapped[str | None] = mapped_column(String(2000))
    message: Mapped[str] = mapped_column()
    """The `Acquisition`, JSON: what is published again when a broker forgets."""
    topic: Mapped[str] = mapped_column(String(100))
    backfill: Mapped[bool] = mapped_column(default=False)
    published_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    queued_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """When Kafka acknowledged it."""
    encoded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    matched_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    batches: Mapped[int | None] = mapped_column()
    """How many embedding batches it gave; 0 when no cell could be seen and no older version had shown any."""


class OutboxRow(Base):
    """A message that must reach Kafka: written with its cause in one transaction, removed after the broker's ack."""

    __tablename__ = "outbox"
    outbox_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    topic: Mapped[str] = mapped_column(String(100), index=True)
    key: Mapped[str] = mapped_column(String(300))
    value: Mapped[bytes] = mapped_column(LargeBinary)
    written_at: Mapped[datetime] = mapped_column(UtcDateTime)


class DeadLetterRow(Base):
    """A message that could not be handled: kept here too, because an embedded broker forgets."""

    __tablename__ = "dead_letters"
    dead_letter_id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(String(100), index=True)
    item_id: Mapped[str | None] = mapped_column(String(300))
    message: Mapped[str] = mapped_column()
    """The `DeadLetter`, JSON."""
    failed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    redriven_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
