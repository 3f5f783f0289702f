"""`tocsin coverage`: what could be seen, when, and where nothing was.

Flows in: the coverage ledger, an area. Flows out: tables, JSON, GeoJSON of cells, a picture. Stops before changing
anything, but for what it folds into the ledger that the matcher would fold a moment later.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import AreaFile, Bbox, Data, Json, open_database, open_stack, parse_area, parse_moment
from commands.output import geometries_of, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely.geometry.base import BaseGeometry
    from sqlalchemy import Engine

    from alerts.coverage.ground import Ground
    from alerts.coverage.sights import Sights
    from schemas.messages import Sensor, StandingQuery

WEEKS = 12
"""Weeks that are listed where nobody says since when."""


@dataclass(frozen=True)
class Asked:
    """Whose coverage, and of which period."""

    engine: Engine
    query: StandingQuery | None
    area: BaseGeometry | None
    sensors: tuple[Sensor, ...]
    since: datetime | None
    until: datetime

    @property
    def title(self) -> str:
        """For people."""
        if self.query:
            return self.query.sentence
        return "Everywhere" if self.area is None else "Area {:.2f}, {:.2f} to {:.2f}, {:.2f}".format(*self.area.bounds)


def coverage(
    query: Annotated[str | None, typer.Option(help="Only this query's area: its id or the start of it.")] = None,
    bbox: Bbox = None,
    area: AreaFile = None,
    since: Annotated[str | None, typer.Option(metavar="ISO", help="Sensed at or after.")] = None,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Sensed before.")] = None,
    by: Annotated[str | None, typer.Option(metavar="week", help="Week by week, with what hid the cells.")] = None,
    cells: Annotated[bool, typer.Option("--cells", help="GeoJSON of each cell: days since it was last seen.")] = False,
    map_: Annotated[Path | None, typer.Option("--map", metavar="FILE", help="Draw that as a PNG.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what could be seen: cells seen, obscured, not acquired and failed, per sensor."""
    from shapely.geometry import shape

    from alerts import queries
    from alerts.asked import SENSORS
    from alerts.coverage.fold import fold

    if by not in (None, "week"):
        raise UsageError(f"--by {by!r}: coverage is kept by week; write --by week")
    if sum((by is not None, cells, map_ is not None)) > 1:
        raise UsageError("give one of --by week, --cells and --map")
    engine = open_database(open_stack(data))
    found = queries.show(engine, query) if query else None
    where = found.area if found else parse_area(bbox, area)
    asked = Asked(
        engine,
        found,
        shape(where) if where else None,
        found.sensors if found else SENSORS,
        parse_moment(since, "--since"),
        parse_moment(until, "--until") or datetime.now(UTC),
    )
    fold(engine)
    if by:
        _by_week(asked, as_json)
    elif cells:
        _by_cell(asked)
    elif map_ is not None:
        _draw(asked, map_, as_json)
    else:
        _in_all(asked, as_json)


def _in_all(asked: Asked, as_json: bool) -> None:
    from alerts.coverage.summary import summary

    since = asked.since or datetime(1972, 1, 1, tzinfo=UTC)
    found = [summary(asked.engine, one, asked.area, since=since, until=asked.until) for one in asked.sensors]
    if as_json:
        print_json({"since": since, "until": asked.until, "sensors": [asdict(one) for one in found]})
        return
    rows = [
        (one.sensor, one.acquisitions, one.seen, one.obscured, one.failed, one.not_acquired, one.last_seen_at)
        for one in found
    ]
    columns = ("sensor", "acquisitions", "seen", "obscured", "failed", "not acquired", "last seen")
    table("Coverage, cells", columns, rows, "nothing acquired yet")


def _by_week(asked: Asked, as_json: bool) -> None:
    from alerts.coverage.ground import ground_of
    from alerts.coverage.sights import sights, spell
    from alerts.coverage.weeks import days_of, weeks

    since = asked.since or asked.until - timedelta(weeks=WEEKS)
    found = weeks(asked.engine, asked.sensors, asked.area, since, asked.until)
    ground = ground_of(asked.area)
    spells = []
    for sensors in _eyes(asked.sensors) if ground.masks is not None else ():
        whole = spell(list(sights(asked.engine, ground, sensors, *days_of(since, asked.until))), sensors)
        spells += [whole] if whole else []
    if as_json:
        print_json(
            {
                "since": since,
                "until": asked.until,
                "cells": ground.cells,
                "weeks": [week.as_dict() for week in found],
                "sensors": [asdict(one) for one in spells],
            }
        )
        return
    rows = [
        (
            week.name if week.days == 7 else f"{week.name} ({week.days} d)",
            week.sensor,
            "–" if week.seen_share is None else f"{week.seen_share:.0%}",
            *(week.seen, week.cloud, week.shadow, week.no_data, week.unexplained, week.failed, week.not_acquired),
        )
        for week in found
    ]
    columns = (
        "week",
        "sensor",
        "share seen",
        "seen",
        "cloud",
        "shadow",
        "no data",
        "unexplained",
        "failed",
        "not acquired",
    )
    table("Coverage by week, cells", columns, rows, "nothing acquired yet")
    for one in spells:
        usual = "" if one.revisit_days is None else f", usually seen every {one.revisit_days:g} days"
        say(
            f"{' or '.join(one.sensors)}: {one.blind_cells} of {one.cells} cells never seen; longest time unseen "
            f"{one.longest_gap_days} days (median cell {one.median_gap_days:g}){usual}"
        )


def _by_cell(asked: Asked) -> None:
    from alerts.coverage.sights import features
    from alerts.coverage.weeks import days_of

    ground, since = _whole(asked)
    found = _sights(asked, ground, asked.sensors, since)
    print_json(features(found, days_of(since, asked.until)[1]))


def _draw(asked: Asked, path: Path, as_json: bool) -> None:
    from shapely.geometry import shape

    from alerts.coverage.picture import Panel, draw
    from alerts.coverage.weeks import days_of
    from alerts.incidents.listing import list_alerts

    ground, since = _whole(asked)
    first, last = days_of(since, asked.until)
    panels = [Panel(_named(eyes), _sights(asked, ground, eyes, since)) for eyes in _eyes(asked.sensors)]
    alerts = list_alerts(asked.engine, query_id=asked.query.query_id if asked.query else None, since=since)
    outlines = [shape(each) for each in geometries_of(alerts)]
    incidents = [each for each in outlines if asked.area is None or each.intersects(asked.area)]
    draw(
        path,
        panels,
        title=asked.title,
        today=last,
        first=first,
        area=asked.area,
        incidents=incidents,
    )
    if as_json:
        print_json({"map": str(path), "since": since, "until": asked.until, "incidents": len(incidents)})
    else:
        say(f"{path}: days since last seen, as of {last}")


def _whole(asked: Asked) -> tuple[Ground, datetime]:
    """The area, and the time from which on the ledger knows anything of it."""
    from alerts.coverage.ground import ground_of
    from alerts.coverage.weeks import first_week, midnight

    begins = first_week(asked.engine)
    since = asked.since or (midnight(begins) if begins else asked.until - timedelta(weeks=WEEKS))
    return ground_of(asked.area), min(since, asked.until - timedelta(days=1))


def _sights(asked: Asked, ground: Ground, sensors: Sequence[Sensor], since: datetime) -> list[Sights]:
    from alerts.coverage.sights import sights
    from alerts.coverage.weeks import days_of

    return list(sights(asked.engine, ground, sensors, *days_of(since, asked.until)))


def _eyes(sensors: tuple[Sensor, ...]) -> list[tuple[Sensor, ...]]:
    """All together first, then each by itself."""
    return [sensors, *((one,) for one in sensors)] if len(sensors) > 1 else [sensors]


def _named(sensors: tuple[Sensor, ...]) -> str:
    if len(sensors) > 1:
        return f"Any sensor ({' or '.join(sensors)})"
    return "Radar (s1)" if sensors == ("s1",) else "Optical (s2)"


def register(app: typer.Typer) -> None:
    """Put this command on the front door."""
    app.command()(coverage)
