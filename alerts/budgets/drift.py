"""Whether the alarms that came are as many as the thresholds promised.

Flows in: incidents, and thresholds with what they state. Flows out: a comparison per standing query, and notices when
one breaks its promise. Stops before mending: the thresholds stay, a person is told.

Incidents of the last weeks are set against the alarms to expect by an exact Poisson test: both ways for whoever asks,
and for a page only "too many", against the upper end of what the threshold itself states, so that nobody is woken for
a threshold's own uncertainty. Looking again and again at a test that may fail by chance makes it fail in the end. So
pages look once a week, on Mondays 0:00 UTC whenever they are computed, and each look may be wrong with a 52nd of what a
whole year may: however the looks depend on each other, the year's chance of a false page is at most that (Bonferroni's
inequality; Armitage, McPherson & Rowe 1969, J. R. Stat. Soc. A 132, 235, on what happens without).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from alerts.budgets.counts import poisson_at_least, poisson_at_most, two_sided
from alerts.budgets.expectation import Expected, Stated, expected_alarms
from alerts.notices import Finding, Matter, clear_notice, raise_notice, standing_notices
from alerts.settings import MatcherSettings
from schemas.database import reading, transaction
from schemas.messages import IncidentState, QueryStatus, StandingQuery
from schemas.notices import NoticeKind
from schemas.tables import IncidentRow, QueryRow, ThresholdRow

log = structlog.get_logger(__name__)
Verdict = Literal["as expected", "too many", "too few"]

LOOKS_A_YEAR = 52
UNUSUAL = 0.05
"""Chance below which `tocsin status` calls a count too many or too few: one of twenty honest queries at any time."""
SUBJECT = "too many alarms"
SHORTEST = timedelta(days=7)
"""Nothing is said of a threshold that is younger."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One query's alarms beside what was to be expected.

    Attributes:
        query: Whose.
        since: Begin of the period: some weeks ago, or when the thresholds were computed.
        until: Its end.
        observed: Incidents whose first match was sensed in it.
        expected: What the thresholds state for it.
        chance: Of so surprising a count, two-sided, were the most likely mean true.
        chance_of_more: Of so many or more, were the highest mean true that the thresholds allow for.
    """

    query: StandingQuery
    since: datetime
    until: datetime
    observed: int
    expected: Expected
    chance: float
    chance_of_more: float

    @property
    def verdict(self) -> Verdict:
        """In words; too many or too few only beyond the thresholds' own interval."""
        if self.chance < UNUSUAL and self.chance_of_more < UNUSUAL:
            return "too many"
        if self.chance < UNUSUAL and poisson_at_most(self.observed, self.expected.low) < UNUSUAL:
            return "too few"
        return "as expected"


def drift(
    engine: Engine, settings: MatcherSettings, *, now: datetime | None = None, queries: Iterable[UUID] | None = None
) -> list[Drift]:
    """Every active query whose thresholds promise something and have stood for a week; the most surprising first.

    Args:
        engine: The database.
        settings: How long a period is.
        now: End of the period; none: this moment.
        queries: Only these; none: all.
    """
    until = now or datetime.now(UTC)
    earliest = until - timedelta(weeks=settings.drift_weeks)
    with reading(engine) as session:
        found = _active(session, queries)
        stated = _stated(session, [query.query_id for query in found])
        opened = _opened(session, earliest, until)
    compared = []
    for query in found:
        since, promises = stated.get(query.query_id, (until, []))
        since = max(since, earliest)
        if promises and until - since >= SHORTEST:
            moments = opened.get((query.query_id, query.question), [])
            observed = sum(since <= moment < until for moment in moments)
            compared.append(_compare(query, since, until, observed, expected_alarms(promises, since, until)))
    return sorted(compared, key=lambda one: (one.chance, one.query.query_id))


def watch(engine: Engine, settings: MatcherSettings, *, now: datetime | None = None) -> int:
    """Raise a notice for every query that alarmed too often by this week's look, and clear those that came back.

    Computed again within the week it finds the same, but for incidents that came late.

    Returns:
        How many notices were raised or cleared.
    """
    look = last_look(now or datetime.now(UTC))
    standing = {one.query_id for one in standing_notices(engine) if one.kind is NoticeKind.DRIFT and one.query_id}
    with reading(engine) as session:
        noisy = {query for query, _ in _opened(session, look - timedelta(weeks=settings.drift_weeks), look)}
    found = drift(engine, settings, now=look, queries=noisy | standing)
    sent = 0
    with transaction(engine) as session:
        for one in found:
            matter = Matter(NoticeKind.DRIFT, one.query, SUBJECT)
            if one.chance_of_more < settings.false_pages_per_year / LOOKS_A_YEAR:
                notice = raise_notice(session, matter, Finding(_too_many(one), one.query.area, _figures(one)))
            elif one.query.query_id in standing and one.chance_of_more >= UNUSUAL:
                text = f'"{one.query.sentence}" alarms as often as its thresholds promise again.'
                notice = clear_notice(session, matter, Finding(text, one.query.area, _figures(one)))
            else:
                continue
            sent += notice is not None
        for gone in standing - {one.query.query_id for one in found}:
            sent += _forget(session, gone)
    if sent:
        log.warning("budgets drifted", notices=sent)
    return sent


def last_look(now: datetime) -> datetime:
    """The last Monday 0:00 UTC."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=midnight.weekday())


def _compare(query: StandingQuery, since: datetime, until: datetime, observed: int, expected: Expected) -> Drift:
    return Drift(
        query,
        since,
        until,
        observed,
        expected,
        two_sided(observed, expected.alarms),
        poisson_at_least(observed, expected.high),
    )


def _active(session: Session, queries: Iterable[UUID] | None) -> list[StandingQuery]:
    wanted = select(QueryRow.message).where(QueryRow.status == QueryStatus.ACTIVE.value).order_by(QueryRow.query_id)
    if queries is not None:
        wanted = wanted.where(QueryRow.query_id.in_(list(queries)))
    return [StandingQuery.from_bytes(message.encode()) for message in session.scalars(wanted)]


def _stated(session: Session, queries: Sequence[UUID]) -> dict[UUID, tuple[datetime, list[Stated]]]:
    """By query: since when the newest release's thresholds stand, and what they state."""
    rows: dict[UUID, list[ThresholdRow]] = {}
    for start in range(0, len(queries), 500):
        part = queries[start : start + 500]
        for row in session.scalars(select(ThresholdRow).where(ThresholdRow.query_id.in_(part))):
            rows.setdefault(row.query_id, []).append(row)
    found = {}
    for query_id, all_of_it in rows.items():
        release = max(all_of_it, key=lambda row: row.computed_at).release
        current = [row for row in all_of_it if row.release == release and row.score is not None]
        stated = [Stated.of("s1" if row.sensor == "s1" else "s2", row.stratum, row) for row in current]
        if stated and all(one is not None for one in stated):
            found[query_id] = max(row.computed_at for row in current), [one for one in stated if one is not None]
    return found


def _opened(session: Session, start: datetime, end: datetime) -> dict[tuple[UUID, int], list[datetime]]:
    """When the incidents of each query and version began, by the sensing of their first match.

    One that was merged into another is part of that one, as it is in the background that promises were made from.
    """
    wanted = select(IncidentRow.query_id, IncidentRow.query_version, IncidentRow.first_sensing_at).where(
        IncidentRow.first_sensing_at >= start,
        IncidentRow.first_sensing_at < end,
        IncidentRow.state != IncidentState.MERGED.value,
    )
    found: dict[tuple[UUID, int], list[datetime]] = {}
    for query_id, version, moment in session.execute(wanted):
        found.setdefault((query_id, version), []).append(moment)
    return found


def _forget(session: Session, query_id: UUID) -> int:
    """Clear the notice of a query that is no longer watched, or has new thresholds."""
    row = session.get(QueryRow, query_id)
    if row is None:
        return 0
    query = StandingQuery.from_bytes(row.message.encode())
    text = f'"{query.sentence}" has new thresholds, or is not watched any more: what was said of the old ones is void.'
    return int(clear_notice(session, Matter(NoticeKind.DRIFT, query, SUBJECT), Finding(text)) is not None)


def _too_many(one: Drift) -> str:
    name = str(one.query.query_id)[:8]
    return (
        f'"{one.query.sentence}" alarmed {one.observed} times since {one.since:%Y-%m-%d}; its thresholds promised '
        f"{one.expected.alarms:.1f}, at most {one.expected.high:.1f}. Either it truly happens more often, or the "
        f"ground has changed since they were computed. Look at its latest alerts; if they are false, give it a smaller "
        f"budget (tocsin query change {name} --budget) or pause it (tocsin query pause {name})."
    )


def _figures(one: Drift) -> dict[str, float | int | str | None]:
    return {
        "observed": one.observed,
        "expected": round(one.expected.alarms, 3),
        "expected_low": round(one.expected.low, 3),
        "expected_high": round(one.expected.high, 3),
        "chance": one.chance,
        "chance_of_more": one.chance_of_more,
        "since": one.since.isoformat(),
        "until": one.until.isoformat(),
    }
