"""What people want to hear about.

In: standing queries. Out: their thresholds, and what they have learnt. Stops before matches.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from schemas.database import Base, UtcDateTime


class QueryRow(Base):
    """A standing query at its present version."""

    __tablename__ = "queries"
    query_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column()
    status: Mapped[str] = mapped_column(String(10), index=True)
    message: Mapped[str] = mapped_column()
    """The `StandingQuery`, JSON."""
    twin: Mapped[str | None] = mapped_column(String(64), index=True)
    """The same for queries of the same sentence, area, mode and sensors: finds a twin among a hundred thousand."""
    revision: Mapped[int] = mapped_column(index=True)
    """Grows over all queries with every change: matchers read what is newer than what they hold."""
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ThresholdRow(Base):
    """The score that a standing query's matches must pass, per release, sensor and stratum."""

    __tablename__ = "thresholds"
    query_id: Mapped[UUID] = mapped_column(ForeignKey("queries.query_id", ondelete="CASCADE"), primary_key=True)
    release: Mapped[str] = mapped_column(String(100), primary_key=True)
    sensor: Mapped[str] = mapped_column(String(2), primary_key=True)
    stratum: Mapped[str] = mapped_column(String(20), primary_key=True, default="")
    """Region and season that it holds for (`alerts.budgets.strata`); empty: wherever no other does."""
    question: Mapped[int | None] = mapped_column()
    """What was asked: `StandingQuery.question`; none: the query's version, in rows of an older build."""
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """The query's unit vectors, float32 (k, 384), little-endian; its score is the highest of the k products."""
    score: Mapped[float | None] = mapped_column()
    """Threshold on the mode's score; none: not enough history, nothing fires on it."""
    presence: Mapped[float | None] = mapped_column()
    """Threshold on the presence score that must be passed as well in appearance mode."""
    score_low: Mapped[float | None] = mapped_column()
    score_high: Mapped[float | None] = mapped_column()
    """Interval of the threshold, 90 %; none where nothing is known of it."""
    clear: Mapped[float | None] = mapped_column()
    """Presence score below which a cell that has matched is clear again; none: below halfway of its match."""
    basis: Mapped[str] = mapped_column(String(20))
    """archive, manual, release (the release's own background, until the archive has enough), none."""
    background: Mapped[int] = mapped_column()
    """How many archive scores it was computed from."""
    needed: Mapped[int | None] = mapped_column()
    """How many the budget asks for; none where that is not known."""
    expected_per_week: Mapped[float | None] = mapped_column()
    """Alarms to expect in a week at this threshold, over the query's area; none where that is not known."""
    tail: Mapped[dict[str, object] | None] = mapped_column(JSON)
    """The model of the scores' tail (`alerts.budgets.tails`), with its version."""
    computed_at: Mapped[datetime] = mapped_column(UtcDateTime)


class HeadRow(Base):
    """Examples from which a standing query's vectors are to be moved, and what became of the proposal."""

    __tablename__ = "heads"
    head_id: Mapped[UUID] = mapped_column(primary_key=True)
    query_id: Mapped[UUID] = mapped_column(ForeignKey("queries.query_id", ondelete="CASCADE"), index=True)
    query_version: Mapped[int] = mapped_column()
    examples: Mapped[dict[str, object]] = mapped_column(JSON)
    """`alerts.learning.examples.Judged`, with its version: names of chips, so that any release can learn from them."""
    report: Mapped[dict[str, object]] = mapped_column(JSON)
    """What was shown before it was put in force."""
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    applied_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
