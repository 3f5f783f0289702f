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
from alerts.budgets.strata import NOWHERE, stratum_at
from alerts.budgets.surprise import expected_every_days
from alerts.clock import Clock, machine_time
from alerts.incidents import scenes
from alerts.incidents.announce import Surprise, Telling
from alerts.incidents.follow import Cause, follow, looked_at_in, matched_in, tell_merged, tell_opened, tell_withdrawn
from alerts.incidents.join import join
from alerts.incidents.looks import Stratum, forget_batches, keep, look, look_back, passed_by, seen_in
from alerts.incidents.sweep import sweep
from alerts.incidents.withdraw import withdraw
from alerts.locks import serialise
from alerts.percolation.match import match
from alerts.percolation.standing import StandingQueries
from alerts.settings import MatcherSettings
from schemas import outbox
from schemas.database import reading, transaction
from schemas.messages import Acquisition, EmbeddingBatch, Match, StandingQuery
from schemas.outbox import Sender
from schemas.tables import AcquisitionRow, MatchedBatchRow, MatchedSceneRow

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
        surprise: Surprise | None = expected_every_days,
        stratum: Stratum | None = stratum_at,
    ) -> None:
        """Remember where everything is; nothing is read yet.

        Args:
            engine: The database.
            publisher: To Kafka.
            calibrator: Computes missing thresholds.
            release: Of the encoder that makes text vectors; batches of another one meet only what is stored for it.
            settings: Baselines and incidents.
            clock: The present.
            surprise: How rare a score is.
            stratum: Which thresholds hold where and when.
        """
        self._engine, self._publisher, self._calibrator = engine, publisher, calibrator
        self._clock, self._surprise, self._stratum = clock, surprise, stratum
        self._release, self._settings = release, settings
        self._queries = StandingQueries(settings.arithmetic)
        self._lock = Lock()
        self._unfinished = False

    def handle(self, batch: EmbeddingBatch) -> None:
        """Match one batch; durable when it returns.

        Raises:
            StoreUnavailable: database, archive or broker did not answer; nothing or everything of it is written.
        """
        if not self._done(batch):
            found = self._match(batch)
            with transaction(self._engine) as session:
                settle(
                    session,
                    batch,
                    found,
                    self._settings,
                    clock=self._clock,
                    surprise=self._surprise,
                    stratum=self._stratum,
                )
        outbox.flush(self._engine, self._publisher)

    def prepare(self) -> None:
        """Read what changed and compute missing thresholds, so that a new query need not wait for a batch."""
        with self._lock:
            self._refresh(recalibrate=self._unfinished)

    def recalibrate(self) -> None:
        """Look for thresholds that the archive has outgrown."""
        with self._lock:
            self._refresh(recalibrate=True)

    def sweep(self) -> None:
        """Close what has expired; its alerts are in the outbox when this returns."""
        with transaction(self._engine) as session:
            serialise(session, "incidents")
            sweep(Telling(session, self._clock(), self._surprise, self._stratum), self._settings)

    def _match(self, batch: EmbeddingBatch) -> Found:
        acquisition = batch.acquisition
        if acquisition.backfill or not batch.cells:
            return []
        with self._lock:
            self._refresh(recalibrate=batch.batch == 0)
            matrix = self._queries.matrix(batch.release, acquisition.sensor, self._stratum_of(batch))
            if batch.release != self._release:
                log.warning("batch of another release", release=batch.release, vectors=len(matrix))
            return match(batch, matrix, min_baseline=self._settings.min_baseline)

    def _stratum_of(self, batch: EmbeddingBatch) -> str:
        """Where and when a batch is, once for all of it: a batch lies in one scene."""
        if self._stratum is None or not batch.cells:
            return NOWHERE
        return self._stratum(batch.cells[0], batch.acquisition.sensing_at)

    def _refresh(self, *, recalibrate: bool) -> None:
        """Read what changed; look for missing thresholds when something did, or when asked to."""
        changed = self._queries.refresh(self._engine)
        if changed or recalibrate:
            due = self._queries.due(self._release, self._settings.thresholds_per_round)
            self._unfinished = self._calibrator.run(due) > 0  # a round takes some of them: the next takes more
            if self._unfinished:
                self._queries.refresh(self._engine)

    def _done(self, batch: EmbeddingBatch) -> bool:
        with reading(self._engine) as session:
            return session.get(MatchedBatchRow, _key(batch)) is not None


def settle(
    session: Session,
    batch: EmbeddingBatch,
    found: Found,
    rules: MatcherSettings,
    *,
    clock: Clock = machine_time,
    surprise: Surprise | None = None,
    stratum: Stratum | None = None,
) -> None:
    """Everything that follows from a batch, in the caller's transaction; a batch that was settled changes nothing.

    The database must hold the queries and their thresholds: later looks at their incidents are scored by those.

    Args:
        session: In a transaction.
        batch: Cells of one acquisition.
        found: Its matches by query.
        rules: When matches are one incident, and when an incident is what.
        clock: The present; a replay of the past gives its own, never before what was sensed.
        surprise: How rare a score is.
        stratum: Which thresholds hold where and when.
    """
    serialise(session, "incidents")
    if session.get(MatchedBatchRow, _key(batch)) is not None:
        return
    acquisition, now = batch.acquisition, clock()
    telling = Telling(session, now, surprise, stratum, acquisition.simulated)
    scene = None if acquisition.backfill else scenes.enter(session, acquisition)
    if scene is not None:
        _take(telling, batch, found, scene, rules)
    session.add(
        MatchedBatchRow(
            acquisition_id=acquisition.acquisition_id, release=batch.release, batch=batch.batch, matched_at=now
        )
    )
    if _batches_matched(session, batch) == batch.batches:
        if scene is not None:
            _complete(telling, acquisition, scene, rules)
        _finish(session, acquisition, now)
    log.info(
        "batch matched",
        acquisition_id=str(acquisition.acquisition_id),
        batch=batch.batch,
        batches=batch.batches,
        matches=sum(len(matches) for _, matches in found),
    )


def _take(
    telling: Telling, batch: EmbeddingBatch, found: Found, scene: MatchedSceneRow, rules: MatcherSettings
) -> None:
    """Matches into incidents, and what else the batch shows of them; new ones are told of at once."""
    session, seen = telling.session, seen_in(batch)
    newest = scenes.matched_until(session, telling.now)
    late = newest is not None and scene.sensing_at < newest - rules.late
    if not late:
        keep(session, seen, batch.batch)
    matched = [query.query_id for query, matches in found if matches]
    passed = passed_by(session, seen, matched, telling.stratum)
    for query, matches in found:
        telling.queries[query.query_id] = query
        exits = passed.get(query.query_id)
        joined = join(session, query, matches, now=telling.now, rules=rules, late=late, passed=exits)
        look_back(session, joined.stored, rules, telling.stratum)
        if scene.news:
            tell_opened(telling, joined.opened, newest, rules)
        tell_merged(telling, joined.merged, newest, rules)
    look(session, seen, rules, telling.stratum)


def _complete(telling: Telling, acquisition: Acquisition, scene: MatchedSceneRow, rules: MatcherSettings) -> None:
    """The scene is whole: what older versions showed is withdrawn, and every incident that it touches followed."""
    session = telling.session
    looked = looked_at_in(session, acquisition, rules)  # before older versions' looks go: they are missed as well
    withdrawn = withdraw(session, scene, telling.now, rules)
    clock = scenes.sensed_until(session, telling.now)
    tell_withdrawn(telling, withdrawn, rules, clock)
    matched = matched_in(session, acquisition)
    lost = {row.incident_id for row in withdrawn.left}
    lost |= {each.incident_id for row, parts in withdrawn.cut for each in (row, *parts)}
    cause = Cause(scene.news, acquisition.sensing_at, frozenset(matched))
    follow(telling, matched | looked | lost, cause, clock, rules)
    scene.complete = True
    newest = scenes.matched_until(session, telling.now)
    if newest is not None:
        forget_batches(session, newest - rules.late)


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
