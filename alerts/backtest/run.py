"""A sentence over the archive's history, as if it had stood since then.

Flows in: a standing query, archive, encoder, and what is known to have happened. Flows out: a `Report`. Stops before
files and terminals. Nothing is written to any store.

The past is walked once, in order of time. What lies before `since` is history: it gives baselines and the first
threshold. From `since` on every scene is matched as live, and thresholds are computed anew as live (`rehearsal`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from shapely.geometry import shape
from sqlalchemy import Engine

from alerts.backtest.curve import curve
from alerts.backtest.events import Event, Watch
from alerts.backtest.rehearsal import Rehearsal, vectors_of
from alerts.backtest.report import Calibrated, Raised, Rate, Report, raised
from alerts.backtest.scenes import scenes
from alerts.backtest.tally import Tally
from alerts.budgets.calibrate import TextEncoder
from alerts.budgets.counts import mean_interval
from alerts.coverage.summary import coverage_of
from alerts.learning.examples import Judged
from alerts.settings import MatcherSettings
from archive.in_time import CLOSE_ENOUGH, moment_of, pages
from archive.interface import Archive, ArchiveFilter
from schemas.errors import UsageError
from schemas.messages import Sensor, StandingQuery
from schemas.tables import ThresholdRow

MOST_POINTS = 200_000
"""Points that one back-test reads unless told otherwise; more are sampled by 10 km squares."""
CALIBRATION_SHARE = 1 / 3
"""Share of the points that is history only, where nobody says since when the query shall have stood."""

Progress = Callable[[int, int], None]
"""Told how many points have been read, and of how many."""


@dataclass(frozen=True, slots=True)
class Span:
    """What is read, and when the query stands.

    Attributes:
        wanted: Filter of all points, the history before `since` included.
        points: That fit it.
        cells: That have them.
        share: Of the area's cells.
        first: Sensing time of the first point; none: there are none.
        since: The query stands from then on.
        until: To then.
    """

    wanted: ArchiveFilter
    points: int
    cells: int
    share: float
    first: datetime | None
    since: datetime
    until: datetime


def backtest(
    query: StandingQuery,
    archive: Archive,
    encoder: TextEncoder,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    events: Sequence[Event] | None = None,
    settings: MatcherSettings | None = None,
    ledger: Engine | None = None,
    max_points: int = MOST_POINTS,
    answers: Sequence[Judged] = (),
    progress: Progress | None = None,
) -> Report:
    """What a standing query would have reported.

    Args:
        query: Sentence, area, mode, budget; one that stands already, or one made for this (`alerts.asked.asked`).
        archive: Its history; only read.
        encoder: Of the release whose points are looked at.
        since: It stands from then on, and what is older calibrates it; none: a third of the points calibrates.
        until: To then; none: to the newest point.
        events: What is known to have happened (`events.read_events`).
        settings: As the live matcher's; none: from the environment.
        ledger: The live database, for coverage; only read.
        max_points: More points are not read: 10 km squares are drawn, seed 0, and their whole series read.
        answers: What the query is to have learnt from, by people's answers of whatever time.
        progress: Told now and then how far it is.

    Raises:
        UsageError: times that cannot be, a limit below 1.
        Rejected: the encoder does not understand the sentence.
        StoreUnavailable: archive or database does not answer.
    """
    settings = settings or MatcherSettings()
    if max_points < 1:
        raise UsageError(f"at most {max_points} points: give 1 or more")
    encoder.texts([query.sentence])  # what is not understood is said now
    span = _span(query, archive, encoder.release, since, until, max_points)
    area = None if query.area is None else shape(query.area)
    watch = Watch(events or (), settings, area, span.since, span.until)
    tallies: dict[Sensor, Tally] = {sensor: Tally(query.mode, settings.min_baseline) for sensor in query.sensors}
    rehearsal = Rehearsal(query, archive, encoder, settings, answers)
    judged = _walk(rehearsal, archive, encoder.release, span, tallies, watch, progress)
    incidents = raised(rehearsal.engine)
    outcomes = watch.outcomes({one.incident_id: one.matches for one in incidents})
    calibrated = tuple(_calibrated(row, settings) for row in rehearsal.calibrated)
    report = Report(
        query,
        encoder.release,
        span.first,
        span.since,
        span.until,
        span.points,
        judged,
        span.cells,
        span.share,
        calibrated,
        tuple(_warnings(query, span, judged, calibrated, encoder.release, archive)),
        incidents,
        _rate(incidents, span),
        tallies,
        {
            sensor: curve(tally.candidates, query, settings, also=_in_force(rehearsal, sensor))
            for sensor, tally in tallies.items()
        },
        () if ledger is None else tuple(coverage_of(ledger, query, since=span.since, until=span.until)),
        None if events is None else tuple(outcomes),
    )
    rehearsal.engine.dispose()
    return report


def _span(
    query: StandingQuery,
    archive: Archive,
    release: str,
    since: datetime | None,
    until: datetime | None,
    max_points: int,
) -> Span:
    """Which points, of which time."""
    now = datetime.now(UTC)
    if since is not None and since >= (until or now):
        raise UsageError(f"since {since} is not before until {until or now}")
    area = None if query.area is None else shape(query.area)
    wanted = ArchiveFilter(area=area, sensors=query.sensors, until=until or now)
    everything = archive.cells(release=release, filter=wanted)
    chosen = sampled(everything, max_points)
    if len(chosen) < len(everything):
        wanted = replace(wanted, area=None, cells=tuple(chosen))
    points = sum(chosen.values())
    if not points:
        end = until or now
        return Span(wanted, 0, 0, 1.0, None, since or end, end)

    first = moment_of(archive, 1, release=release, filter=wanted, until=until or now)
    wanted = replace(wanted, since=first - CLOSE_ENOUGH)

    def moment(number: int) -> datetime:
        return moment_of(archive, number, release=release, filter=wanted, until=until or now)

    end = until or moment(points)
    start = since or moment(max(round(points * CALIBRATION_SHARE), 1))
    return Span(wanted, points, len(chosen), len(chosen) / len(everything), first, start, end)


def sampled(cells: dict[str, int], max_points: int, seed: int = 0) -> dict[str, int]:
    """All cells, or those of random 10 km squares whose series together have at most so many points.

    Whole squares, because incidents are made of neighbours; at least one, however many points it has.

    Args:
        cells: Points of each.
        max_points: Limit.
        seed: The same seed draws the same squares.
    """
    if sum(cells.values()) <= max_points:
        return cells
    squares: dict[str, list[str]] = {}
    for name in sorted(cells):
        squares.setdefault(name[:5] + name[5] + name[7], []).append(name)
    sizes = {square: sum(cells[name] for name in names) for square, names in squares.items()}
    order = np.random.default_rng(seed).permutation(sorted(squares)).tolist()
    chosen, room = [], max_points
    for square in order:
        if sizes[square] <= room:
            chosen.append(square)
            room -= sizes[square]
    chosen = chosen or [min(order, key=lambda square: sizes[square])]
    return {name: cells[name] for square in sorted(chosen) for name in squares[square]}


def _walk(
    rehearsal: Rehearsal,
    archive: Archive,
    release: str,
    span: Span,
    tallies: dict[Sensor, Tally],
    watch: Watch,
    progress: Progress | None,
) -> int:
    """Once through the past; returns how many points were judged."""
    done = judged = 0
    standing = False
    for scene in scenes(pages(archive, release=release, filter=span.wanted, until=span.until)):
        acquisition = scene.points[0]
        if acquisition.sensing_at < span.since:
            rehearsal.look_back(scene)
        else:
            if not standing:
                rehearsal.stand(span.since)
                standing = True
            rehearsal.live_through(scene)
            judged += len(scene.points)
            row = rehearsal.in_force(acquisition.sensor)
            if row is not None:
                watch.look(scene, tallies[acquisition.sensor].add(scene, vectors_of(row), row.presence))
        done += len(scene.points)
        if progress is not None:
            progress(done, span.points)
    if not standing:
        rehearsal.stand(span.since)
    return judged


def _in_force(rehearsal: Rehearsal, sensor: Sensor) -> list[float]:
    row = rehearsal.in_force(sensor)
    return [] if row is None or row.score is None else [row.score]


def _calibrated(row: ThresholdRow, settings: MatcherSettings) -> Calibrated:
    needed = settings.least_background if row.score is None and row.needed is None else row.needed
    sensor: Sensor = "s1" if row.sensor == "s1" else "s2"
    return Calibrated(sensor, row.stratum, row.computed_at, row.score, row.presence, row.basis, row.background, needed)


def _rate(incidents: Sequence[Raised], span: Span) -> Rate | None:
    weeks = (span.until - span.since) / timedelta(days=7)
    if weeks <= 0 or not span.points:
        return None
    count = sum(not one.merged for one in incidents)
    low, high = mean_interval(count)
    scale = weeks * span.share
    return Rate(count, weeks, count / scale, low / scale, high / scale)


def _warnings(
    query: StandingQuery,
    span: Span,
    judged: int,
    calibrated: Sequence[Calibrated],
    release: str,
    archive: Archive,
) -> list[str]:
    """What a reader must know before the numbers."""
    if not span.points:
        others = [name for name in archive.releases() if name != release]
        hint = f" (it has points of {', '.join(others)})" if others else ""
        return [f"the archive holds nothing of release {release} there{hint}: back-fill it first"]
    found = []
    if not judged:
        found.append(f"nothing was sensed from {span.since:%Y-%m-%d} to {span.until:%Y-%m-%d}: choose another time")
    for sensor in query.sensors:
        last = [one for one in calibrated if one.sensor == sensor and not one.stratum][-1:]
        found += [
            f"{sensor}: not enough history: {one.background} of {one.needed} scores; nothing could fire"
            for one in last
            if one.score is None
        ]
        found += [
            f"{sensor}: not enough history for a threshold of its own: {one.background} scores; "
            "the release's own background was used"
            for one in last
            if one.basis == "release"
        ]
        found += [
            f"{sensor}: not enough history for the budget: {one.background} of {one.needed} scores; "
            "more alarms than it allows may come"
            for one in last
            if one.basis == "archive" and one.needed is not None and one.background < one.needed
        ]
    if span.share < 1:
        found.append(
            f"a sample: {span.share:.0%} of the area's cells, in 10 km squares; rates are scaled to the whole area, "
            "incidents across the squares' edges may be counted twice"
        )
    return found
