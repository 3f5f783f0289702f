"""Whose area has not been seen for too long: a notice of its own, because silence there means nothing.

In: the ledger, the standing queries. Out: notices of kind `blind`, raised once, cleared when the area is seen again.
Stops before receivers (`telling`).

A cell is blind when none of its query's sensors has seen it for longer than the limit; a query, when a share of its
area is. The limit follows from how often the area has been seen so far (`CoverageSettings`), so that a query on radar
alone is missed sooner than one under northern winter skies. A query for one sensor is judged by that sensor alone.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil
from uuid import UUID

import numpy as np
import structlog
from shapely.geometry import shape
from sqlalchemy import Engine, func, select

from alerts import queries
from alerts.coverage.blocks import Mask
from alerts.coverage.fold import drop_raw, fold
from alerts.coverage.ground import Ground, ground_of
from alerts.coverage.outline import outline
from alerts.coverage.sights import Sights, median_gap, sights
from alerts.locks import serialise
from alerts.notices import Finding, Matter, clear_notice, raise_notice, standing_notices
from alerts.settings import CoverageSettings
from schemas.database import reading, transaction
from schemas.geometry import to_geojson
from schemas.messages import QueryStatus, StandingQuery
from schemas.notices import Notice, NoticeKind
from schemas.tables import AcquisitionRow, CursorRow

LOOK_EVERY = timedelta(minutes=10)
"""How often queries are looked at; the ledger is folded at every call."""
LOOK_FOR_S = 20.0
"""Longest look at queries, seconds; the rest of them follow in the next one."""
SETTLE = timedelta(hours=1)
"""How long after its start a matcher waits for polling to catch up: what came in while nothing ran was not unseen."""
CADENCE = timedelta(days=365)
"""How far back the usual time between two sights is looked for."""
CADENCE_HOLDS = timedelta(days=1)
"""How soon it is looked for again."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Blindness:
    """How much of a query's area has not been seen for longer than its limit.

    Attributes:
        cells: Of the area.
        blind: Blind cells by 100 km square.
        limit_days: What is too long.
        revisit_days: Median days between two sights of a cell; none where too little is known.
        since: Day after which none of the blind cells has been seen.
        longest_days: Days since the cell was seen, or the query registered, that has been blind for longest.
        why: Blind cells by what has happened since: `cloud`, `shadow`, `no data`, `obscured`, `failed`, `not acquired`.
    """

    cells: int
    blind: dict[str, Mask]
    limit_days: float
    revisit_days: float | None
    since: date
    longest_days: int
    why: Counter[str]

    @property
    def count(self) -> int:
        """Blind cells."""
        return sum(int(mask.sum()) for mask in self.blind.values())

    @property
    def share(self) -> float:
        """Of the area."""
        return self.count / self.cells


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
        drop_raw(self._engine, self._settings, now)
        if self._looked_at is not None and now - self._looked_at < LOOK_EVERY:
            return 0
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
            change, finding = clear_notice, _seen_again(query, unseen, limit[0])
        else:
            found = blindness(self._engine, query, ground, limit, now) if unseen >= self._settings.blind_share else None
            if found is None or found.share < self._settings.blind_share:
                return 0
            change, finding = raise_notice, _blind(query, found)
        with transaction(self._engine) as session:
            serialise(session, "notices")
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
            usual = median_gap(list(sights(self._engine, ground, query.sensors, today - CADENCE, today)))
            known = self._usual[key] = (now, usual)
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
                serialise(session, "notices")
                written += clear_notice(session, Matter(notice.kind, query, notice.subject), Finding(text)) is not None
        return written


def matter_of(query: StandingQuery) -> Matter:
    """A query's blindness; its subject is the sensors that count, as `s1+s2`."""
    return Matter(NoticeKind.BLIND, query, "+".join(sorted(query.sensors)))


def limit_days(usual: float | None, settings: CoverageSettings) -> float:
    """How long an area may go unseen that is usually seen every so many days."""
    if settings.blind_days is not None:
        return settings.blind_days
    if usual is None:
        return settings.blind_most_days
    return min(max(settings.blind_revisits * usual, settings.blind_least_days), settings.blind_most_days)


def unseen_share(engine: Engine, query: StandingQuery, ground: Ground, limit: float, now: datetime) -> float:
    """Share of the area that has not been seen for longer than the limit, by the last weeks alone.

    No less than `blindness` finds: whether a cell was ever seen, and since when the query stands, is not asked.
    """
    today = now.astimezone(UTC).date()
    first = date.fromordinal(ceil(today.toordinal() - limit))
    found = sights(engine, ground, query.sensors, first, today)
    unseen = sum(int((each.seen[each.mask] == 0).sum()) for each in found)
    return unseen / (ground.cells or 1)


def blindness(
    engine: Engine, query: StandingQuery, ground: Ground, limit: tuple[float, float | None], now: datetime
) -> Blindness:
    """How blind a query is.

    What was never seen counts from the day on which the query was registered.

    Args:
        engine: The database.
        query: With an area.
        ground: Its cells, which can be listed.
        limit: Days, and the usual days between two sights.
        now: Until when.
    """
    today = now.astimezone(UTC).date()
    registered = query.created_at.astimezone(UTC).date()
    first = min(today - CADENCE, registered)
    edge = today.toordinal() - limit[0]
    found = list(sights(engine, ground, query.sensors, first, today))
    blind: dict[str, Mask] = {}
    why: Counter[str] = Counter()
    since, longest = 0, 0
    for each in found:
        last = np.where(each.seen > 0, each.seen, registered.toordinal()).astype(np.int32)
        mask = each.mask & (last < edge)
        if mask.any():
            blind[each.square] = mask
            why.update(each.why(_or_first(each, registered))[mask].tolist())
            since, longest = (
                max(since, int(last[mask].max())),
                max(longest, int((today.toordinal() - last[mask]).max())),
            )
    day = date.fromordinal(since) if since else today
    return Blindness(ground.cells or 0, blind, *limit, since=day, longest_days=longest, why=why)


def _or_first(each: Sights, registered: date) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Day before which nothing counts as a reason."""
    return np.where(each.seen > 0, each.seen, registered.toordinal() - 1).astype(np.int32)


def _blind(query: StandingQuery, found: Blindness) -> Finding:
    reasons = ", ".join(f"{name} {count / found.count:.0%}" for name, count in found.why.most_common())
    eyes = " and ".join(sorted(query.sensors))
    usual = "" if found.revisit_days is None else f", usually every {found.revisit_days:g} days"
    text = (
        f"Blind for '{query.sentence}': {eyes} {'have' if len(query.sensors) > 1 else 'has'} seen nothing of "
        f"{found.share:.0%} of its area ({found.count} of {found.cells} cells) since {found.since}, of parts of it for "
        f"{found.longest_days} days (limit {found.limit_days:g}{usual}). No alert from there means nothing. "
        f"Why: {reasons}. {_advice(query, found)}"
    )
    details: dict[str, float | int | str | None] = {
        "cells": found.cells,
        "blind_cells": found.count,
        "share": round(found.share, 4),
        "since": found.since.isoformat(),
        "longest_days": found.longest_days,
        "limit_days": found.limit_days,
        "revisit_days": found.revisit_days,
        **{name.replace(" ", "_"): count for name, count in found.why.items()},
    }
    return Finding(text, to_geojson(outline(found.blind.items()), digits=4), details)


def _advice(query: StandingQuery, found: Blindness) -> str:
    name, short = found.why.most_common(1)[0][0], str(query.query_id)[:8]
    if name == "not acquired":
        return "Nothing was acquired there: `tocsin status` shows whether the sources are polled"
    if name == "failed":
        return "Scenes could not be read: `tocsin dead-letters list` says why"
    if "s1" not in query.sensors:
        return "Radar sees through cloud: add the query with `--sensor s1` as well"
    return f"`tocsin coverage --query {short} --by week` shows the weeks"


def _seen_again(query: StandingQuery, unseen: float, limit: float) -> Finding:
    eyes = " or ".join(sorted(query.sensors))
    text = f"Seen again: {1 - unseen:.0%} of the area of '{query.sentence}' within the last {limit:g} days, by {eyes}"
    return Finding(text, None, {"share": round(unseen, 4), "limit_days": limit})
