"""Options that many commands share, and how they become settings.

Flows in: what the command line gave. Flows out: `Stack` and an engine on a database of today's schema. Stops before
any command's own work.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.errors import InvalidArea, UsageError

if TYPE_CHECKING:  # so that `tocsin --help` need not wait for them
    from sqlalchemy import Engine

    from schemas.settings import Stack

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", help="Folder of database, archive and logs.", envvar="TOCSIN_DATA", show_default="tocsin-data"
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else.")]
Bbox = Annotated[str | None, typer.Option("--bbox", metavar="W,S,E,N", help="Area as a box in degrees.")]
AreaFile = Annotated[
    Path | None,
    typer.Option("--area", metavar="FILE", exists=True, dir_okay=False, help="Area as a GeoJSON file (lon/lat)."),
]
Moment = Annotated[str | None, typer.Option(metavar="ISO", help="A date or time, for example 2026-06-01.")]


def open_stack(data: Path | None) -> Stack:
    """Settings from the environment, with the folder that the command line named.

    Raises:
        SettingsError: a variable has a value that it cannot have.
    """
    from schemas.logs import configure
    from schemas.settings import Stack

    if data is not None:
        os.environ["TOCSIN_DATA"] = str(data)
    configure("warning", "tocsin")  # to stderr: stdout is the command's own
    return Stack()


def open_database(stack: Stack) -> Engine:
    """The database, made or brought up to date first.

    Raises:
        StoreUnavailable: it does not answer.
    """
    from schemas.database import connect, migrate

    if not stack.database_url:
        stack.data.mkdir(parents=True, exist_ok=True)
    migrate(stack.database)
    return connect(stack.database)


def parse_moment(text: str | None, option: str) -> datetime | None:
    """An aware time; one without a zone is UTC.

    Raises:
        UsageError: not ISO 8601.
    """
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{option} {text!r} is no date or time: write for example 2026-06-01 or 2026-06-01T12:00Z"
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_duration(text: str | None, option: str) -> timedelta | None:
    """A length of time: a number and one of s, m, h, d, w.

    Raises:
        UsageError: not a length of time, or more than ten years.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)\s*([smhdw])", text.strip().lower())
    seconds = float(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[found[2]] if found else -1.0
    if not 0 <= seconds <= 3_660 * 86_400:
        raise UsageError(f"{option} {text!r} is no length of time: write for example 90s, 15m, 4h, 2d or 1w")
    return timedelta(seconds=seconds)


def parse_area(bbox: str | None, file: Path | None) -> dict[str, object] | None:
    """GeoJSON geometry of `--bbox` or `--area`, none where neither is given.

    Raises:
        InvalidArea: it cannot be used, or both are given.
    """
    from schemas.geometry import read_area, read_bbox, to_geojson

    if bbox and file:
        raise InvalidArea("give --bbox or --area, not both")
    if file:
        return to_geojson(read_area(file.read_text(encoding="utf-8", errors="replace")))
    if not bbox:
        return None
    try:
        numbers = [float(part) for part in bbox.split(",")]
    except ValueError as error:
        raise InvalidArea(
            f"--bbox {bbox!r}: expected four numbers, west,south,east,north, as 14.0,45.0,16.0,46.5"
        ) from error
    return to_geojson(read_bbox(numbers))
