"""How much of a query's area has not been seen for too long, since when, and why; and how that is said.

In: the ledger, a standing query. Out: figures, and words for a person. Stops before notices (`blind`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import ceil

import numpy as np
from sqlalchemy import Engine

from alerts.coverage.blocks import Mask
from alerts.coverage.ground import Ground
from alerts.coverage.outline import outline
from alerts.coverage.sights import Ordinals, Sights, median_gap, sights
from alerts.notices import Finding
from alerts.settings import CoverageSettings
from schemas.geometry import to_geojson
from schemas.messages import StandingQuery

CADENCE = timedelta(days=365)
"""How far back the usual time between two sights is looked for."""


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


def usual_gap(engine: Engine, query: StandingQuery, ground: Ground, today: date) -> float | None:
    """Median days between two sights of a cell over the past year; none where too little is known."""
    return median_gap(list(sights(engine, ground, query.sensors, today - CADENCE, today)))


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


def _or_first(each: Sights, registered: date) -> Ordinals:
    """Day before which nothing counts as a reason."""
    return np.where(each.seen > 0, each.seen, registered.toordinal() - 1).astype(np.int32)


def told_blind(query: StandingQuery, found: Blindness) -> Finding:
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


def told_seen_again(query: StandingQuery, unseen: float, limit: float) -> Finding:
    eyes = " or ".join(sorted(query.sensors))
    text = f"Seen again: {1 - unseen:.0%} of the area of '{query.sentence}' within the last {limit:g} days, by {eyes}"
    return Finding(text, None, {"share": round(unseen, 4), "limit_days": limit})
