"""What people and programs see.

Flows in: rows and documents. Flows out: one JSON document on stdout, or a table; progress on stderr, only on a
terminal. Stops before deciding what is shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any


def print_json(document: object) -> None:
    """One JSON document, indented, UTF-8, nothing else."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False, default=_plain, allow_nan=False) + "\n")


def say(text: str) -> None:
    """A line for people, on stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line for people beside the result, on stderr."""
    sys.stderr.write(text + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """A table, or what to do when there is nothing to show."""
    if not rows:
        say(empty)
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    shown = Table(*columns, title=title, title_justify="left", title_style="bold", header_style="bold", box=None)
    for row in rows:
        shown.add_row(*(escape(_cell(value)) for value in row))
    Console(width=None if sys.stdout.isatty() else 160).print(shown)


def properties_of(collection: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The properties of each feature of a GeoJSON FeatureCollection."""
    return [feature["properties"] for feature in collection["features"]]


def geometries_of(collection: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Their geometries."""
    return [feature["geometry"] for feature in collection["features"]]


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)
