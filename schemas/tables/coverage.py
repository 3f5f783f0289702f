"""What could be seen.

In: rows of the encoder, one a scene. Out: those, and the ledger that keeps them by week. Stops before queries.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from schemas.database import Base, UtcDateTime


def _now() -> datetime:
    return datetime.now(UTC)


class CoverageRow(Base):
    """What one acquisition saw, packed."""

    __tablename__ = "coverage"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    physical_key: Mapped[str] = mapped_column(String(300), index=True)
    source: Mapped[str] = mapped_column(String(100))
    item_id: Mapped[str] = mapped_column(String(300))
    sensor: Mapped[str] = mapped_column(String(2))
    sensing_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    west: Mapped[float] = mapped_column()
    south: Mapped[float] = mapped_column()
    east: Mapped[float] = mapped_column()
    north: Mapped[float] = mapped_column()
    seen: Mapped[int] = mapped_column()
    obscured: Mapped[int] = mapped_column()
    failed: Mapped[int] = mapped_column()
    chips: Mapped[bytes] = mapped_column(LargeBinary)
    """zlib of the JSON of `Coverage`."""
    reason: Mapped[str | None] = mapped_column(String(2000))
    written_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=_now, onupdate=_now)
    """When it was last written, by whichever service: what is newer than the weekly ledger knows is folded in."""
    __table_args__ = (Index("ix_coverage_acquisition_written", "acquisition_id", "written_at"),)


class CoverageWeekRow(Base):
    """The coverage ledger: one ISO week of one sensor over a 100 km square; kept when raw rows are dropped."""

    __tablename__ = "coverage_weeks"
    square: Mapped[str] = mapped_column(String(5), primary_key=True)
    sensor: Mapped[str] = mapped_column(String(2), primary_key=True)
    monday: Mapped[date] = mapped_column(primary_key=True)
    """First day of the week, UTC."""
    planes: Mapped[bytes] = mapped_column(LargeBinary)
    """What could be seen of each cell, packed (`alerts.coverage.blocks`)."""
    sealed: Mapped[bool] = mapped_column(default=False)
    """Whether raw rows behind it have been dropped: it can be added to, not made anew."""


class CoveragePartRow(Base):
    """A raw coverage row that has been folded into a week of the ledger; one row for each square that it touches."""

    __tablename__ = "coverage_parts"
    acquisition_id: Mapped[UUID] = mapped_column(primary_key=True)
    square: Mapped[str] = mapped_column(String(5), primary_key=True)
    """Empty where it touches no cell."""
    sensor: Mapped[str] = mapped_column(String(2))
    monday: Mapped[date] = mapped_column()
    written_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    """That of the raw row when it was folded; it has changed since where they differ."""
    __table_args__ = (Index("ix_coverage_parts_week", "monday", "square", "sensor"),)
