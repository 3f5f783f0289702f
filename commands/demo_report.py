"""What the demo's alerts say, against what really happened in the simulated valley.

Flows in: the alerts as `tocsin alerts list` gives them, and the simulation's truth. Flows out: a verdict for each
event. Stops before mending anything: a missed event or a false alarm fails the demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from commands.output import properties_of, say, table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from simulation.scenario import Scenario
    from simulation.world import Truth


@dataclass(frozen=True)
class Event:
    """One simulated event and the alerts that it raised.

    Attributes:
        truth: What happened, and to which cells.
        query: The sentence that means it.
        alerts: How many alerts of that sentence share cells with it, and rest on nothing sensed before it; 1 is right.
        found: Cells that are both hit and alerted.
    """

    truth: Truth
    query: str
    alerts: int
    found: frozenset[str]

    @property
    def verdict(self) -> str:
        """In words."""
        return {0: "missed", 1: "alerted once"}.get(self.alerts, f"alerted {self.alerts} times")


@dataclass(frozen=True)
class DemoReport:
    """What came of it: events, alerts (GeoJSON properties), those of no event, seconds per stage of each message."""

    events: tuple[Event, ...]
    alerts: tuple[dict[str, Any], ...]
    false_alarms: tuple[dict[str, Any], ...]
    stages: Mapping[str, object]

    @property
    def went_well(self) -> bool:
        """Every event alerted exactly once, and nothing else was."""
        return not self.false_alarms and all(event.alerts == 1 for event in self.events)

    def as_dict(self) -> dict[str, object]:
        """As `demo --json` writes it."""
        truth = [
            {
                "kind": event.truth.kind,
                "query": event.query,
                "started": event.truth.started.isoformat(),
                "cells": sorted(event.truth.cells),
                "alerts": event.alerts,
                "cells_found": sorted(event.found),
            }
            for event in self.events
        ]
        return {
            "alerts": list(self.alerts),
            "truth": truth,
            "stages": dict(self.stages),
            "false_alarms": len(self.false_alarms),
        }


def compare(engine: Engine, scenario: Scenario, queries: Mapping[str, str]) -> DemoReport:
    """Hold the alerts against the truth."""
    from alerts.incidents.listing import list_alerts
    from alerts.incidents.stages import stages

    alerts = tuple(properties_of(list_alerts(engine)))
    events, explained = [], set()
    for truth in scenario.world.truth():
        sentence = queries[truth.kind]
        hits = [
            a
            for a in alerts
            if a["query"] == sentence
            and truth.cells & set(a["cells"])
            and datetime.fromisoformat(a["first_sensing"]) >= truth.started
        ]
        explained |= {a["alert_id"] for a in hits}
        found = frozenset(truth.cells & {cell for a in hits for cell in a["cells"]})
        events.append(Event(truth, sentence, len(hits), found))
    false_alarms = tuple(a for a in alerts if a["alert_id"] not in explained)
    times = {
        f"{way.alert_id}/{way.sequence}": {"item_id": way.item_id, "ours_s": way.ours_s, **way.seconds}
        for way in stages(engine)
    }
    return DemoReport(tuple(events), alerts, false_alarms, times)


def show_report(report: DemoReport) -> None:
    """For people: events, false alarms, and what to try next."""
    rows = [
        (e.truth.kind, f"{e.truth.started:%d %B}", e.query, e.verdict, f"{len(e.found)} of {len(e.truth.cells)} cells")
        for e in report.events
    ]
    table("What happened, and what was told", ("event", "on", "query", "verdict", "found"), rows, "no events")
    for alarm in report.false_alarms:
        say(f'false alarm: "{alarm["query"]}" in {len(alarm["cells"])} cells, score {alarm["score"]:.2f}')
    say("every event once, and nothing else" if report.went_well else "not as it should be")
