"""The report as one HTML page that needs nothing else.

Flows in: a `Report`. Flows out: HTML with its drawings inside, light and dark. Stops before files (`report.write`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape

from shapely.geometry import shape

from alerts.backtest import drawing
from alerts.backtest.report import Calibrated, Report
from alerts.backtest.tally import BIN
from alerts.places import outlines
from schemas.messages import Match, Mode, Sensor

SENSOR_NAMES: dict[Sensor, str] = {"s1": "Sentinel-1 (radar)", "s2": "Sentinel-2 (optical)"}
MOST_DRAWN = 5000
"""Cells on the map, the highest scores first: a page must open at once."""
MOST_ROWS = 200
"""Rows of a table; the rest is in report.json."""

STYLE = """
:root { color-scheme: light dark; --ink:#1d2329; --soft:#67727d; --line:#dfe4e8; --back:#fbfbfa; --card:#fff;
  --bar:#7d93a8; --hot:#c8401f; --good:#2c7a4b; --warn:#946200; }
@media (prefers-color-scheme: dark) { :root { --ink:#e6e9ec; --soft:#98a3ad; --line:#333b43; --back:#14181c;
  --card:#1b2026; --bar:#6f879e; --hot:#ff7a52; --good:#63c48b; --warn:#e0b050; } }
* { box-sizing:border-box } body { margin:0 auto; max-width:1040px; padding:32px 24px 64px; background:var(--back);
  color:var(--ink); font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif }
h1 { font-size:26px; margin:0 0 2px; letter-spacing:-.01em } h2 { font-size:16px; margin:36px 0 10px }
p { margin:4px 0 } .soft, figcaption, th { color:var(--soft) } .warning { color:var(--warn) }
.cards { display:grid; grid-template-columns:repeat(auto-fit,minmax(150px,1fr)); gap:12px; margin:22px 0 12px }
.card, figure { background:var(--card); border:1px solid var(--line); border-radius:8px; padding:12px 14px; margin:0 }
.card b { display:block; font-size:25px; font-weight:600; line-height:1.2 } .card span { color:var(--soft);
  font-size:13px } .pair { display:grid; grid-template-columns:repeat(auto-fit,minmax(380px,1fr)); gap:12px }
figcaption { font-size:13px; margin-bottom:6px } svg { width:100%; height:auto; display:block }
svg text { fill:var(--soft); font:11px system-ui,sans-serif } .x { text-anchor:middle } .y { text-anchor:end }
.none { text-anchor:middle } .bar { fill:var(--bar) } .grid, .axis { stroke:var(--line) }
.mark { stroke:var(--hot); stroke-dasharray:4 3 } text.mark { fill:var(--hot); stroke:none }
.curve { fill:none; stroke:var(--ink); stroke-width:1.6 } .dot { fill:var(--ink) }
.budget { stroke:var(--good); stroke-dasharray:2 3 } .area { fill:none; stroke:var(--soft) }
.cell { fill:var(--hot); stroke:none } .event { fill:none; stroke-width:2 }
.ruler { stroke:var(--soft); stroke-width:2 }
.hit { stroke:var(--good); color:var(--good) } .miss { stroke:var(--hot); color:var(--hot) }
.unseen, .outside { stroke:var(--soft); color:var(--soft) }
table { border-collapse:collapse; width:100%; font-size:14px; font-variant-numeric:tabular-nums }
th { text-align:left; font-weight:500 } td, th { padding:5px 10px 5px 0; border-bottom:1px solid var(--line);
  vertical-align:top }
"""


def page(report: Report) -> str:
    """The whole page."""
    query = report.query
    where = "an area" if query.area else "everywhere"
    title = f"Back-test: {query.sentence}"
    budget = f"{query.budget.alarms:g} in {query.budget.per_days:g} days"
    head = (
        f"<h1>{escape(query.sentence)}</h1><p class=soft>{escape(query.mode.value)} over {where}, budget {budget}, "
        f"release {escape(report.release)}. As if it had stood from {_day(report.since)} to {_day(report.until)}"
        f"{f'; the archive begins on {_day(report.first)}' if report.first else ''}.</p>"
    )
    warnings = "".join(f"<p class=warning>⚠ {escape(text)}</p>" for text in report.warnings)
    body = head + _cards(report) + warnings + _map(report) + _curves(report) + _histograms(report) + _tables(report)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><body>{body}</body></html>\n"
    )


def _cards(report: Report) -> str:
    incidents = "incident" if len(report.alarms) == 1 else "incidents"
    cards = [(str(len(report.alarms)), f"{incidents} in {report.weeks:.1f} weeks")]
    if report.rate is not None:
        rate, budget = report.rate, _budget_per_week(report)
        cards.append((f"{rate.per_week:.2f}", f"a week, 90 % interval {rate.low:.2f} to {rate.high:.2f}"))
        cards.append((f"{budget:.3g}", "a week is the budget"))
    if report.outcomes is not None:
        hits = sum(one.result == "hit" for one in report.outcomes)
        looked = hits + sum(one.result == "miss" for one in report.outcomes)
        cards.append((f"{hits} of {looked}", "known events reported, of those looked at"))
        cards.append((str(len(report.unexplained)), "incidents that are no known event"))
    cards.append((f"{report.judged:,}".replace(",", " "), f"cells looked at, of {report.cells} places"))
    shown = "".join(f"<div class=card><b>{figure}</b><span>{text}</span></div>" for figure, text in cards)
    return f"<div class=cards>{shown}</div>"


def _map(report: Report) -> str:
    best: dict[str, tuple[float, str]] = {}
    for one in report.incidents:
        for cell, score in one.cells.items():
            if score > best.get(cell, (-9.0, ""))[0]:
                best[cell] = (score, f"{cell}: {score:.3f}, incident of {_day(one.opened_at)}")
    names = sorted(best, key=lambda cell: -best[cell][0])[:MOST_DRAWN]
    low, high = (best[names[-1]][0], best[names[0]][0]) if names else (0.0, 1.0)
    shapes = outlines(names).tolist() if names else []
    cells = [
        (outline, (best[name][0] - low) / max(high - low, 1e-9), best[name][1])
        for name, outline in zip(names, shapes, strict=True)
    ]
    area = None if report.query.area is None else shape(report.query.area)
    events = [
        (one.event.geometry, one.result, f"{one.event.name}: {one.result}")
        for one in report.outcomes or ()
        if one.result != "outside"
    ]
    said = "Cells of the incidents, the stronger the higher their score"
    said += "; known events are outlined: green reported, red missed, grey not looked at" if events else ""
    return f"<h2>Where</h2>{_figure(said, drawing.chart(area, cells, events))}"


def _curves(report: Report) -> str:
    figures = []
    for sensor, levels in report.curves.items():
        scale = report.weeks * report.share
        points = [(level.threshold, level.incidents / scale) for level in levels] if scale else []
        ceiling = _budget_per_week(report) / len(report.query.sensors)
        said = f"{SENSOR_NAMES[sensor]}: incidents a week by threshold; green is this sensor's share of the budget"
        figures.append(_figure(said, drawing.steps(points, _marks(report, sensor), ceiling)))
    return f"<h2>What other thresholds would have meant</h2><div class=pair>{''.join(figures)}</div>"


def _histograms(report: Report) -> str:
    figures = []
    change = report.query.mode is Mode.APPEARANCE
    for sensor, tally in report.tallies.items():
        floor = [(one.presence, "floor") for one in _last(report, sensor) if one.presence is not None]
        score = _marks(report, sensor)
        for name, tallied, marks in (
            ("looks like it (presence)", tally.presence, floor if change else score),
            ("looks more like it than before (change)", tally.change, score if change else []),
        ):
            said = f"{SENSOR_NAMES[sensor]}: {name}, {tallied.total:,} scores, heights logarithmic".replace(",", " ", 1)
            figures.append(_figure(said, drawing.histogram(tallied.bins(), BIN, marks)))
    return f"<h2>All scores</h2><div class=pair>{''.join(figures)}</div>"


def _tables(report: Report) -> str:
    rows = [
        (_day(one.opened_at), one.state, len(one.cells), f"{one.score:.3f}", _sensors(one.matches), one.sequence)
        for one in report.incidents
    ]
    text = _table("Incidents", ("opened", "ended as", "cells", "score", "sensors", "messages"), rows)
    if report.outcomes is not None:
        rows_of_events = [
            (one.event.name, _day(one.event.start), one.result, _days(one.delay_days), _score(one.best), one.looks)
            for one in report.outcomes
        ]
        columns = ("event", "began", "result", "delay", "best score", "cells looked at")
        text += _table("Known events", columns, rows_of_events)
    thresholds = [
        (one.sensor, one.stratum or "all", _day(one.calibrated_on), _score(one.score), _score(one.presence), one.basis)
        for one in report.calibrated
    ]
    columns = ("sensor", "where and when", "from what was sensed before", "score above", "looks like it above", "basis")
    text += _table("Thresholds, each from what lay before it", columns, thresholds)
    seen = [
        (one.sensor, one.acquisitions, "–" if one.cells is None else one.cells, one.seen, one.obscured, one.failed)
        for one in report.coverage
        if one.acquisitions
    ]
    columns = ("sensor", "scenes", "cells", "seen", "only obscured", "failed")
    return text + (_table("What could be seen", columns, seen) if seen else "")


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(value))}" for value in row) for row in rows[:MOST_ROWS])
    rest = f"<p class=soft>{len(rows) - MOST_ROWS} more in report.json</p>" if len(rows) > MOST_ROWS else ""
    none = "" if rows else "<p class=soft>none</p>"
    return f"<h2>{escape(title)}</h2>" + (f"<table><tr>{head}{body}</table>" if rows else "") + rest + none


def _figure(said: str, drawn: str) -> str:
    return f"<figure><figcaption>{escape(said)}</figcaption>{drawn}</figure>"


def _marks(report: Report, sensor: Sensor) -> list[tuple[float, str]]:
    return [(one.score, "in force") for one in _last(report, sensor) if one.score is not None]


def _last(report: Report, sensor: Sensor) -> list[Calibrated]:
    return [one for one in report.calibrated if one.sensor == sensor and not one.stratum][-1:]


def _budget_per_week(report: Report) -> float:
    return report.query.budget.alarms * 7 / report.query.budget.per_days


def _sensors(matches: Sequence[Match]) -> str:
    return " ".join(sorted({match.sensor for match in matches}))


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _days(delay: float | None) -> str:
    return "–" if delay is None else f"{delay:.1f} d"


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.3f}"
