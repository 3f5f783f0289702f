"""`tocsin silence …`: times in which some messages are on record and told to nobody.

Flows in: a query, an area, a time, who and why. Flows out: rows that the notifier reads before every delivery. Stops
before delivery.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import (
    AreaFile,
    Bbox,
    Data,
    Json,
    open_database,
    open_stack,
    parse_area,
    parse_duration,
    parse_moment,
)
from commands.output import print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from alerts.telling.silences import Silence

silence = typer.Typer(no_args_is_help=True, help="Messages that nobody is told for a time.")
By = Annotated[str, typer.Option("--by", help="Your name.")]


@silence.command("add", epilog="Example: tocsin silence add 'planned burning' --by Ada --query 3f2a --for 8h")
def add(
    comment: Annotated[str, typer.Argument(help="Why.")],
    by: By,
    query: Annotated[str | None, typer.Option(help="Only of this query: its id or the start of it.")] = None,
    bbox: Bbox = None,
    area: AreaFile = None,
    everything: Annotated[bool, typer.Option("--everything", help="All queries, everywhere, and all notices.")] = False,
    since: Annotated[
        str | None, typer.Option("--from", metavar="ISO", help="When it begins; now if not given.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="When it ends.")] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, for example 8h or 2d.")
    ] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Keep messages of a query, or of incidents that lie wholly in an area, from everybody for a time."""
    from alerts.telling import silences

    start, end, length = parse_moment(since, "--from"), parse_moment(until, "--until"), parse_duration(lasting, "--for")
    if (end is None) == (length is None):
        raise UsageError("say when it ends: --until 2026-06-01T12:00Z or --for 8h")
    engine = open_database(open_stack(data))
    made = silences.add(
        engine,
        author=by,
        comment=comment,
        starts_at=start,
        ends_at=end or (start or datetime.now(UTC)) + length,  # type: ignore[operator]  # one of the two is given
        query=query,
        area=parse_area(bbox, area),
        everything=everything,
    )
    if as_json:
        print_json(_shown(made))
        return
    say(f"silence {str(made.silence_id)[:8]}: {_of(made)}, until {made.ends_at:%Y-%m-%d %H:%M} UTC")


@silence.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Those that are over too.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show silences in force and coming, and how many deliveries each has kept back."""
    from alerts.telling import silences

    found = silences.list_silences(open_database(open_stack(data)), over=everything)
    if as_json:
        print_json([_shown(one) for one in found])
        return
    now = datetime.now(UTC)
    rows = [
        (
            str(one.silence_id)[:8],
            one.state(now),
            _of(one),
            one.starts_at,
            one.ends_at,
            one.author,
            one.comment,
            one.kept,
        )
        for one in found
    ]
    table("Silences", ("id", "state", "of", "from", "until", "by", "why", "kept back"), rows, "none")


@silence.command("show")
def show(
    which: Annotated[str, typer.Argument(help="Its id, or the start of it.")], data: Data = None, as_json: Json = False
) -> None:
    """Show one silence with what it has kept back."""
    from alerts.telling import silences

    found, kept = silences.show(open_database(open_stack(data)), which)
    rows = [
        {
            "what": row.what,
            "id": str(row.alert_id),
            "sequence": row.sequence,
            "receiver": row.receiver,
            "occasion": row.occasion or None,
        }
        for row in kept
    ]
    if as_json:
        print_json(_shown(found) | {"deliveries": rows})
        return
    say(f"silence {found.silence_id}: {_of(found)}, by {found.author}: {found.comment}")
    columns = ("what", "id", "sequence", "receiver", "occasion")
    table("Kept back", columns, [tuple(row.values()) for row in rows], "it has kept nothing back")


@silence.command("end")
def end(
    which: Annotated[str, typer.Argument(help="Its id, or the start of it.")],
    by: By,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """End a silence now; what it kept back stays on record."""
    from alerts.telling import silences

    ended = silences.end(open_database(open_stack(data)), which, by)
    print_json(_shown(ended)) if as_json else say(f"silence {str(ended.silence_id)[:8]} is over")


def _shown(found: Silence) -> dict[str, Any]:
    return asdict(found) | {"state": found.state(datetime.now(UTC))}


def _of(found: Silence) -> str:
    """What it silences, for people."""
    query = f"query {str(found.query_id)[:8]}" if found.query_id else "everything"
    return f"{query} in an area" if found.area else query


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(silence, name="silence")
