"""What a back-test found, as one object and as files.

Flows in: the scratch database of a rehearsal, tallies, outcomes. Flows out: `Report`, its JSON (version 1), and a
folder with incidents.geojson, report.json and report.html. Stops before terminals (`commands.backtest`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, select

from alerts.backtest.curve import Level
from alerts.backtest.events import Outcome
from alerts.backtest.tally import Tally
from alerts.budgets.counts import CONFIDENCE
from alerts.coverage.summary import Seen
from alerts.incidents.announce import outline
from alerts.telling.geojson import GeoJSON, collection
from schemas.database import reading
from schemas.geometry import to_geojson
from schemas.messages import IncidentState, Match, Sensor, StandingQuery, utc
from schemas.tables import IncidentRow, MatchRow

VERSION = 1
"""Of `report.json`: it changes when a field is renamed, removed or means something else."""
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A threshold as it came about on the way.

    Attributes:
        sensor: s1 or s2.
        stratum: Region and season that it is for; empty: wherever no other holds.
        calibrated_on: It was computed from what had been sensed before this, and judges what was sensed from then on.
        score: On the mode's score; none: nothing could fire.
        presence: On the presence score besides.
        basis: archive, manual, release or none.
        background: How many scores it rests on.
        needed: How many it would take; none where that is not known.
    """

    sensor: Sensor
    stratum: str
    calibrated_on: datetime
    score: float | None
    presence: float | None
    basis: str
    background: int
    needed: int | None


@dataclass(frozen=True, slots=True)
class Raised:
    """An incident that would have been reported.

    Attributes:
        incident_id: The same as live, for the same query and scenes.
        state: As it ended.
        opened_at: Sensing time of the scene that opened it.
        first_sensing_at, last_sensing_at: Of its matches.
        score: The highest of them.
        sequence: Messages that would have been sent about it.
        matches: In order of time and cell.
    """

    incident_id: str
    state: str
    opened_at: datetime
    first_sensing_at: datetime
    last_sensing_at: datetime
    score: float
    sequence: int
    matches: tuple[Match, ...]

    @property
    def merged(self) -> bool:
        """Whether it turned out to be part of another: no alarm of its own, and without matches."""
        return self.state == IncidentState.MERGED.value

    @property
    def cells(self) -> dict[str, float]:
        """Its cells with the best score of each, the highest first."""
        best: dict[str, float] = {}
        for match in self.matches:
            best[match.cell] = max(match.score, best.get(match.cell, match.score))
        return dict(sorted(best.items(), key=lambda one: (-one[1], one[0])))


@dataclass(frozen=True, slots=True)
class Rate:
    """Alarms a week over the whole area.

    Attributes:
        incidents: Counted; those that were merged into another are part of that one, as budgets count them.
        weeks: In which.
        per_week: Incidents by weeks, and by the share of the area that was read.
        low, high: Exact Poisson interval of it, 90 %.
    """

    incidents: int
    weeks: float
    per_week: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What would have happened.

    Attributes:
        query: As it would have stood.
        release: Of the encoder.
        first: Sensing time of the oldest point; none: the archive holds nothing there.
        since: The query stood from then on.
        until: And to then.
        points: That were read, from `first` on.
        judged: Of them, from `since` on.
        cells: That were read.
        share: Of the area's cells that were read, 0-1; less than 1 where there are more points than allowed.
        calibrated: Thresholds, oldest first.
        warnings: What keeps this from being the whole truth, in words.
        incidents: In order of opening.
        rate: Alarms a week; none where no time passed.
        tallies: Scores by sensor.
        curves: Levels by sensor, the highest threshold first.
        coverage: What could be seen by sensor; empty where no ledger was asked.
        outcomes: Of the known events; none where no file was given.
    """

    query: StandingQuery
    release: str
    first: datetime | None
    since: datetime
    until: datetime
    points: int
    judged: int
    cells: int
    share: float
    calibrated: tuple[Calibrated, ...]
    warnings: tuple[str, ...]
    incidents: tuple[Raised, ...]
    rate: Rate | None
    tallies: Mapping[Sensor, Tally]
    curves: Mapping[Sensor, Sequence[Level]]
    coverage: tuple[Seen, ...]
    outcomes: tuple[Outcome, ...] | None

    @property
    def weeks(self) -> float:
        """Between since and until."""
        return max((self.until - self.since) / WEEK, 0.0)

    @property
    def recall(self) -> float | None:
        """Hits among the events that somebody looked at; none without any."""
        results = [one.result for one in self.outcomes or ()]
        looked = results.count("hit") + results.count("miss")
        return results.count("hit") / looked if looked else None

    @property
    def alarms(self) -> tuple[Raised, ...]:
        """The incidents that were not merged into another."""
        return tuple(one for one in self.incidents if not one.merged)

    @property
    def unexplained(self) -> tuple[str, ...]:
        """Ids of alarms that are none of the known events."""
        known = {name for one in self.outcomes or () for name in one.incident_ids}
        return tuple(one.incident_id for one in self.alarms if one.incident_id not in known)

    def to_geojson(self) -> GeoJSON:
        """The incidents as a FeatureCollection, in order of opening."""
        return collection(self._feature(one) for one in self.incidents)

    def to_json(self) -> dict[str, object]:
        """Everything but the outlines, as plain JSON."""
        return {
            "version": VERSION,
            "query": self.query.model_dump(mode="json"),
            "release": self.release,
            "first": None if self.first is None else utc(self.first),
            "since": utc(self.since),
            "until": utc(self.until),
            "weeks": self.weeks,
            "points": self.points,
            "judged": self.judged,
            "cells": self.cells,
            "share": self.share,
            "calibrated": [asdict(one) | {"calibrated_on": utc(one.calibrated_on)} for one in self.calibrated],
            "warnings": list(self.warnings),
            "incidents": [feature["properties"] for feature in map(self._feature, self.incidents)],
            "rate": None if self.rate is None else asdict(self.rate) | {"confidence": CONFIDENCE},
            "scores": {sensor: _scores(tally) for sensor, tally in self.tallies.items()},
            "curves": {
                sensor: [asdict(level) | {"per_week": self._per_week(level.incidents)} for level in levels]
                for sensor, levels in self.curves.items()
            },
            "coverage": [
                asdict(one) | {"last_seen_at": None if one.last_seen_at is None else utc(one.last_seen_at)}
                for one in self.coverage
            ],
            "events": None if self.outcomes is None else [_outcome(one) for one in self.outcomes],
            "recall": self.recall,
            "unexplained": list(self.unexplained) if self.outcomes is not None else None,
        }

    def _per_week(self, incidents: int) -> float | None:
        return incidents / self.weeks / self.share if self.weeks and self.share else None

    def _feature(self, one: Raised) -> GeoJSON:
        cells = one.cells
        known = [outcome.event.name for outcome in self.outcomes or () if one.incident_id in outcome.incident_ids]
        return {
            "type": "Feature",
            "id": one.incident_id,
            "geometry": to_geojson(outline(list(cells))) if cells else None,
            "properties": {
                "incident_id": one.incident_id,
                "query": self.query.sentence,
                "state": one.state,
                "opened": utc(one.opened_at),
                "first_sensing": utc(one.first_sensing_at),
                "last_sensing": utc(one.last_sensing_at),
                "score": one.score,
                "messages": one.sequence,
                "sensors": sorted({match.sensor for match in one.matches}),
                "item_ids": list(dict.fromkeys(match.item_id for match in one.matches)),
                "cells": [{"cell": cell, "score": score} for cell, score in cells.items()],
                "events": None if self.outcomes is None else known,
            },
        }


def raised(engine: Engine) -> tuple[Raised, ...]:
    """The incidents of a database, in order of opening."""
    with reading(engine) as session:
        rows = session.scalars(select(IncidentRow).order_by(IncidentRow.opened_at, IncidentRow.incident_id)).all()
        matches: dict[str, list[Match]] = {}
        for incident_id, message in session.execute(select(MatchRow.incident_id, MatchRow.message)):
            matches.setdefault(str(incident_id), []).append(Match.from_bytes(message.encode()))
    return tuple(
        Raised(
            str(row.incident_id),
            row.state,
            row.opened_at,
            row.first_sensing_at,
            row.last_sensing_at,
            row.score,
            row.sequence,
            tuple(sorted(matches.get(str(row.incident_id), []), key=_by_time)),
        )
        for row in rows
    )


def write(report: Report, folder: Path, page: str) -> list[Path]:
    """Write incidents.geojson, report.json and report.html; a folder that is not there is made.

    Args:
        report: To write.
        folder: Where; files of these names are replaced.
        page: The HTML (`page.page`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "incidents.geojson": _json(report.to_geojson()),
        "report.json": _json(report.to_json()),
        "report.html": page,
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _json(document: object) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _scores(tally: Tally) -> dict[str, object]:
    return {
        kind: [{"from": edge, "count": count} for edge, count in histogram.bins()]
        for kind, histogram in (("presence", tally.presence), ("change", tally.change))
    }


def _outcome(one: Outcome) -> dict[str, object]:
    return {
        "name": one.event.name,
        "start": utc(one.event.start),
        "end": utc(one.event.end),
        "result": one.result,
        "looks": one.looks,
        "best_score": one.best,
        "detected": None if one.detected_at is None else utc(one.detected_at),
        "delay_days": one.delay_days,
        "incidents": list(one.incident_ids),
    }


def _by_time(match: Match) -> tuple[object, ...]:
    return (match.sensing_at, match.item_id, match.cell)
