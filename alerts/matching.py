"""What happens to one embedding batch, in one transaction.

Flows in: a batch as it came from Kafka. Flows out: matches, incidents, alerts in the outbox and the ledger's state,
all or nothing; then the outbox goes to Kafka. Stops before deliveries (`notifier`).

A batch that has its row already changes nothing, so that a replay alerts nobody twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from threading import Lock

import structlog
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from alerts.budgets.calibrate import Calibrator
from alerts.clock import Clock, machine_time
from alerts.incidents.announce import tell_opened, tell_updates
from alerts.incidents.join import join
from alerts.locks import serialise
from alerts.percolation.match import match
from alerts.percolation.standing import StandingQueries
from alerts.settings import MatcherSettings
from schemas import outbox
from schemas.database import reading, transaction
from schemas.messages import Acquisition, EmbeddingBatch, Match, StandingQuery
from schemas.outbox import Sender
from schemas.tables import AcquisitionRow, MatchedBatchRow

log = structlog.get_logger(__name__)
Found = Sequence[tuple[StandingQuery, list[Match]]]


class Matcher:
    """Matches batches one after the other; safe to call from several threads."""

    def __init__(
        self,
        engine: Engine,
        publisher: Sender,
        calibrator: Calibrator,
        release: str,
        settings: MatcherSettings,
        *,
        clock: Clock = machine_time,
    ) -> None:
        """Remember where everything is; nothing is read yet.

        Args:
            engine: The database.
            publisher: To Kafka.
            calibrator: Computes missing thresholds.
            release: Of the encoder that makes text vectors; batches of another one meet only what is stored for it.
            settings: Baselines and incidents.
            clock: When incidents open; a back-test gives the past's.
        """
        self._clock = clock
        self._engine, self._publisher, self._calibrator = engine, publisher, calibrator
        self._release, self._settings = release, settings
        self._queries = StandingQueries()
        self._lock = Lock()

    def handle(self, batch: EmbeddingBatch) -> None:
        """Match one batch; durable when it returns.

        Raises:
            StoreUnavailable: database, archive or broker did not answer; nothing or everything of it is written.
        """
        if not self._done(batch):
            found = self._match(batch)
            with transaction(self._engine) as session:
                settle(session, batch, found, self._settings, clock=self._clock)
        outbox.flush(self._engine, self._publisher)

    def prepare(self) -> None:
        """Read what changed and compute missing thresholds, so that a new query need not wait for a batch."""
        with self._lock:
            self._refresh(recalibrate=True)

    def _match(self, batch: EmbeddingBatch) -> Found:
        acquisition = batch.acquisition
        if acquisition.backfill:
            return []
        with self._lock:
            self._refresh(recalibrate=batch.batch == 0)
            matrix = self._queries.matrix(batch.release, acquisition.sensor)
        if batch.release != self._release:
            log.warning("batch of another release", release=batch.release, queries=len(matrix.queries))
        return match(batch, matrix, min_baseline=self._settings.min_baseline)

    def _refresh(self, *, recalibrate: bool) -> None:
        """Read what changed; look for missing thresholds when something did, or when asked to."""
        changed = self._queries.refresh(self._engine)
        if (changed or recalibrate) and self._calibrator.run(self._queries.held.values()):
            self._queries.refresh(self._engine)

    def _done(self, batch: EmbeddingBatch) -> bool:
        with reading(self._engine) as session:
            return session.get(MatchedBatchRow, _key(batch)) is not None


def settle(
    session: Session, batch: EmbeddingBatch, found: Found, rules: MatcherSettings, *, clock: Clock = machine_time
) -> None:
    """Everything that follows from a batch, in the caller's transaction."""
    serialise(session, "incidents")
    if session.get(MatchedBatchRow, _key(batch)) is not None:
        return
    acquisition, now = batch.acquisition, clock()
    may_open = not _matched_before(session, acquisition)
    for query, matches in found:
        opened = join(session, query, matches, may_open=may_open, rules=rules, now=now)
        tell_opened(session, query, opened, acquisition.simulated)
    session.add(
        MatchedBatchRow(
            acquisition_id=acquisition.acquisition_id, release=batch.release, batch=batch.batch, matched_at=now
        )
    )
    if _batches_matched(session, batch) == batch.batches:
        if may_open:
            tell_updates(session, acquisition, rules)
        _finish(session, acquisition, now)
    log.info(
        "batch matched",
        acquisition_id=str(acquisition.acquisition_id),
        batch=batch.batch,
        batches=batch.batches,
        matches=sum(len(matches) for _, matches in found),
    )


def _matched_before(session: Session, acquisition: Acquisition) -> bool:
    """Whether another processing version of the same scene has been matched in full, or came as back-fill."""
    wanted = select(AcquisitionRow.acquisition_id).where(
        AcquisitionRow.physical_key == acquisition.physical_key,
        AcquisitionRow.acquisition_id != acquisition.acquisition_id,
        AcquisitionRow.matched_at.is_not(None),
    )
    return session.scalars(wanted.limit(1)).first() is not None


def _batches_matched(session: Session, batch: EmbeddingBatch) -> int:
    wanted = select(func.count()).where(
        MatchedBatchRow.acquisition_id == batch.acquisition.acquisition_id, MatchedBatchRow.release == batch.release
    )
    return session.scalar(wanted) or 0


def _finish(session: Session, acquisition: Acquisition, now: datetime) -> None:
    """The ledger: this acquisition is done, unless a newer version has taken its place meanwhile."""
    row = session.get(AcquisitionRow, acquisition.acquisition_id, with_for_update=True)
    if row is None:
        return
    row.matched_at = row.matched_at or now
    if row.state in ("queued", "encoded"):
        row.state = "matched"


def _key(batch: EmbeddingBatch) -> tuple[object, str, int]:
    return (batch.acquisition.acquisition_id, batch.release, batch.batch)
