"""Whose area has not been seen for too long: a notice of its own, because silence there means nothing.

In: the ledger, the standing queries. Out: notices of kind `blind`, raised once, cleared when the area is seen again.
Stops before receivers (`telling`).

A cell is blind when none of its query's sensors has seen it for longer than the limit; a query, when a share of its
area is. The limit follows from how often the area has been seen so far (`CoverageSettings`), so that a query on radar
alone is missed sooner than one under northern winter skies. A query for one sensor is judged by that sensor alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from shapely.geometry import shape
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.coverage.blindness import blindness, limit_days, told_blind, told_seen_again, unseen_share, usual_gap
from alerts.coverage.fold import drop_raw, fold
from alerts.coverage.ground import Ground, ground_of
from alerts.notices import Finding, Matter, clear_notice, raise_notice, standing_notices
from alerts.settings import CoverageSettings
from schemas.database import reading, transaction
from schemas.messages import QueryStatus, StandingQuery
from schemas.notices import Notice, NoticeKind
from schemas.tables import AcquisitionRow, CursorRow

LOOK_EVERY = timedelta(minutes=10)
"""How often queries are looked at; the ledger is folded at every call."""
LOOK_FOR_S = 20.0
"""Longest look at queries, seconds; the rest of them follow in the next one."""
SETTLE = timedelta(hours=1)
"""How long after its start a matcher waits for polling to catch up: what came in while nothing ran was not unseen."""
CADENCE_HOLDS = timedelta(days=1)
"""How soon the usual time between two sights is worked out again."""

log = structlog.get_logger(__name__)


class BlindWatch:
    """Keeps the ledger up to date and tells of queries whose area is blind."""

    def __init__(self, engine: Engine, settings: CoverageSettings) -> None:
        """Remember where everything is; nothing is read yet."""
        self._engine, self._settings = engine, settings
        self._started = datetime.now(UTC)
        self._looked_at: datetime | None = None
        self._next: UUID | None = None
        self._usual: dict[tuple[UUID, int], tuple[datetime, float | None]] = {}

    def run(self, now: datetime | None = None) -> int:
        """Fold what is new, drop what is old, and look at queries when it is time to.

        Returns:
            How many notices were raised or cleared.

        Raises:
            StoreUnavailable: the database did not answer.
        """
        now = now or datetime.now(UTC)
        fold(self._engine)
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY:
            return 0
        drop_raw(self._engine, self._settings, now)
        if not self._settled(now):
            return 0
        self._looked_at = now
        return self.look(now)

    def look(self, now: datetime) -> int:
        """Look at as many queries as the time allows, beginning where the last look ended.

        Returns:
            How many notices were raised or cleared.
        """
        watched = sorted(self._watched(now), key=lambda query: query.query_id)
        keys = {(query.query_id, query.version) for query in watched}
        self._usual = {key: known for key, known in self._usual.items() if key in keys}
        standing = {notice.notice_id: notice for notice in standing_notices(self._engine, NoticeKind.BLIND)}
        written = self._clear_unwatched(standing.values(), {matter_of(query).notice_id for query in watched})
        begin = next((i for i, query in enumerate(watched) if self._next and query.query_id >= self._next), 0)
        deadline = time.monotonic() + LOOK_FOR_S
        self._next = None
        for query in watched[begin:] + watched[:begin]:
            if time.monotonic() > deadline:
                self._next = query.query_id
                break
            written += self._tell(query, set(standing), now)
        return written

    def _watched(self, now: datetime) -> list[StandingQuery]:
        """Queries whose area can be blind: in force for long enough, and with an area."""
        grace = timedelta(days=self._settings.blind_grace_days)
        return [
            query
            for query in queries.list_queries(self._engine)
            if query.status is QueryStatus.ACTIVE and query.area is not None and now - query.created_at >= grace
        ]

    def _settled(self, now: datetime) -> bool:
        """Whether what the ledger lacks has really not been seen."""
        under_way = select(func.count()).where(
            AcquisitionRow.state.in_(("queued", "encoded")), AcquisitionRow.backfill.is_(False)
        )
        with reading(self._engine) as session:
            polled_at = session.scalar(select(func.max(CursorRow.polled_at)))
            waiting = session.scalar(under_way) or 0
        caught_up = polled_at is not None and now - polled_at < SETTLE and not waiting
        return caught_up or now - self._started >= SETTLE

    def _tell(self, query: StandingQuery, standing: set[UUID], now: datetime) -> int:
        """Raise or clear, where something has changed."""
        ground = ground_of(shape(query.area)) if query.area else Ground(None, None)
        if not ground.cells:
            return 0
        matter = matter_of(query)
        limit = self._limit(query, ground, now)
        unseen = unseen_share(self._engine, query, ground, limit[0], now)
        if matter.notice_id in standing:
            if unseen >= self._settings.blind_share / 2:
                return 0
            change, finding = clear_notice, told_seen_again(query, unseen, limit[0])
        else:
            found = blindness(self._engine, query, ground, limit, now) if unseen >= self._settings.blind_share else None
            if found is None or found.share < self._settings.blind_share:
                return 0
            change, finding = raise_notice, told_blind(query, found)
        with transaction(self._engine) as session:
            told = change(session, matter, finding)
        if told is not None:
            log.warning("seen again" if told.cleared else "blind", query_id=str(query.query_id), text=told.text)
        return told is not None

    def _limit(self, query: StandingQuery, ground: Ground, now: datetime) -> tuple[float, float | None]:
        """Limit and usual time between two sights, days."""
        key = (query.query_id, query.version)
        known = self._usual.get(key)
        if known is None or now - known[0] >= CADENCE_HOLDS:
            today = now.astimezone(UTC).date()
            known = self._usual[key] = (now, usual_gap(self._engine, query, ground, today))
        return limit_days(known[1], self._settings), known[1]

    def _clear_unwatched(self, standing: Iterable[Notice], watched: set[UUID]) -> int:
        """Nobody waits any more for areas of queries that were paused, removed or given other sensors."""
        written = 0
        for notice in standing:
            if notice.notice_id in watched or notice.query_id is None:
                continue
            query = StandingQuery(
                query_id=notice.query_id, version=1, sentence=notice.query or "-", created_at=notice.sent_at
            )
            text = f"no longer watched for blindness: '{notice.query}' was paused, removed or given other sensors"
            with transaction(self._engine) as session:
                written += clear_notice(session, Matter(notice.kind, query, notice.subject), Finding(text)) is not None
        return written


def matter_of(query: StandingQuery) -> Matter:
    """A query's blindness; its subject is the sensors that count, as `s1+s2`."""
    return Matter(NoticeKind.BLIND, query, "+".join(sorted(query.sensors)))
