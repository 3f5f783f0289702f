"""`tocsin query test`: what a sentence would have reported.

Flows in: a sentence, an area, a time, a file of known events. Flows out: a report on the terminal, as JSON, or as
files. Stops before the replay itself (`alerts.backtest`). Nothing is registered and nobody is told.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.lint import describe, warn
from commands.options import AreaFile, Bbox, Data, Json, open_database, open_stack, parse_area, parse_moment
from commands.output import note, print_json, say, table
from commands.queries import Also, Budget, Mode, Sensors, Threshold, query

if TYPE_CHECKING:
    from alerts.backtest import Report
    from alerts.backtest.tally import Histogram

BAR_WIDTH = 50
"""Characters of the longest bar of a histogram."""
BINS_A_ROW = 10
"""Bins of the report that a row of the terminal's histogram sums up: 0.1 of a cosine."""


def test(
    sentence: Annotated[str, typer.Argument(help="What you want to hear about, in plain words.")],
    bbox: Bbox = None,
    area: AreaFile = None,
    budget: Budget = "2/week",
    mode: Mode = "appearance",
    sensor: Sensors = None,
    threshold: Threshold = None,
    also: Also = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="ISO", help="As if it had stood since then; what is older only calibrates it."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Up to then; default: the newest picture.")] = None,
    events: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Known events as GeoJSON, each with a date."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write incidents.geojson, report.json and report.html there.")
    ] = None,
    max_points: Annotated[
        int, typer.Option(min=1, help="Read at most so many pictures of cells; more are sampled by 10 km squares.")
    ] = 200_000,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Try a query on the archive's past: what it would have reported, had it stood since then."""
    from alerts.asked import SENSORS, asked
    from alerts.backtest import backtest, page, read_events, write
    from alerts.lint import lint
    from archive import open_archive
    from encoders import load_for

    wanted = asked(
        sentence,
        area=parse_area(bbox, area),
        budget=budget,
        mode=mode,
        sensors=sensor or SENSORS,
        threshold=threshold,
        wordings=also or (),
    )
    known = None if events is None else read_events(events.read_text(encoding="utf-8", errors="replace"))
    first, last = parse_moment(since, "--since"), parse_moment(until, "--until")
    stack = open_stack(data)
    engine, encoder = open_database(stack), load_for(stack)
    with open_archive(stack) as archive, show_progress() as progress:
        looked = lint(wanted.sentence, encoder, sensors=wanted.sensors, archive=archive)
        report = backtest(
            wanted,
            archive,
            encoder,
            since=first,
            until=last,
            events=known,
            ledger=engine,
            max_points=max_points,
            progress=progress,
        )
    paths = [] if out is None else write(report, out, page(report))
    if as_json:
        print_json(report.to_json() | {"lint": describe(looked), "files": [str(path) for path in paths]})
        return
    warn(looked)
    show(report)
    for path in paths:
        say(str(path))


def show(report: Report) -> None:
    """The report on the terminal, the warnings first."""
    for text in report.warnings:
        note(f"note: {text}")
    say(f'"{report.query.sentence}", as if it had stood from {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d}')
    if report.rate is not None:
        rate, budget = report.rate, report.query.budget
        incidents = "1 incident" if rate.incidents == 1 else f"{rate.incidents} incidents"
        allowed = budget.alarms * 7 / budget.per_days
        say(
            f"{incidents} in {rate.weeks:.1f} weeks: {rate.per_week:.2f} a week "
            f"(90 % interval {rate.low:.2f} to {rate.high:.2f}), budget {allowed:.3g} a week"
        )
    rows = [
        (one.opened_at, one.state, len(one.cells), one.score, " ".join(sorted({m.sensor for m in one.matches})))
        for one in report.incidents
    ]
    table("Incidents", ("opened", "ended as", "cells", "score", "sensors"), rows, "no incidents")
    if report.outcomes is not None:
        _show_events(report)
    thresholds = [
        (one.sensor, one.stratum or "all", one.calibrated_on, one.score, one.presence, one.basis, one.background)
        for one in report.calibrated
    ]
    columns = ("sensor", "stratum", "from what was before", "score above", "looks like it above", "from", "scores")
    table("Thresholds", columns, thresholds, "no thresholds")
    for sensor, tally in report.tallies.items():
        for name, tallied in (("presence", tally.presence), ("change", tally.change)):
            _show_histogram(f"{sensor} {name}", tallied)
    for sensor, levels in report.curves.items():
        per_week = 1 / (report.weeks * report.share) if report.weeks and report.share else 0.0
        steps = [(level.threshold, level.matches, level.incidents, level.incidents * per_week) for level in levels]
        names = ("score above", "cells", "incidents", "a week")
        table(f"Other thresholds, {sensor} alone", names, steps, f"no scores of {sensor}")


def _show_events(report: Report) -> None:
    outcomes = report.outcomes or ()
    rows = [(o.event.name, o.event.start, o.result, o.delay_days, o.best, o.looks) for o in outcomes]
    columns = ("event", "began", "result", "delay, days", "best score", "cells looked at")
    table("Known events", columns, rows, "no events")
    hits, looked = (sum(o.result in wanted for o in outcomes) for wanted in (("hit",), ("hit", "miss")))
    say(f"{hits} of {looked} events that were looked at; {len(report.unexplained)} incidents are no known event")


def _show_histogram(title: str, tallied: Histogram) -> None:
    """Bars on a logarithmic length, because what matters is rare."""
    from math import floor, log

    width = BINS_A_ROW * 0.01
    summed: dict[int, int] = {}
    for edge, count in tallied.bins():
        place = floor(edge / width + 1e-9)
        summed[place] = summed.get(place, 0) + count
    most = max(summed.values(), default=0)
    rows = [
        (f"{place * width:+.2f}", count, "█" * round(BAR_WIDTH * log(count + 1) / log(most + 1)))
        for place, count in sorted(summed.items())
    ]
    table(f"Scores, {title} (bars logarithmic)", ("from", "cells", ""), rows, f"no scores, {title}")


@contextmanager
def show_progress() -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr, only where somebody looks."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading the past")
        yield lambda done, of: bar.update(task, completed=done, total=of)


def register(_app: typer.Typer) -> None:
    """Put this command on `tocsin query`."""
    example = 'Example: tocsin query test "flooded fields" --bbox -1.2,37.8,-0.6,38.4 --since 2026-03-01'
    query.command("test", epilog=example)(test)
