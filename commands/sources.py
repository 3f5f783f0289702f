"""`tocsin source …`, `tocsin poll` and `tocsin backfill`: catalogues to watch.

Flows in: names, addresses, areas. Flows out: rows of the ledger and messages on Kafka. Stops before reading pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import AreaFile, Bbox, Data, Json, open_database, open_stack, parse_area, parse_moment
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from ingest.poll import PollReport
    from schemas.settings import Stack

source = typer.Typer(no_args_is_help=True, help="STAC catalogues to watch.")


@source.command(
    "add",
    epilog="Example: tocsin source add earth https://earth-search.aws.element84.com/v1 "
    "--collection sentinel-2-c1-l2a --since 2026-06-01 --bbox 14,45,16,46",
)
def add(
    name: Annotated[str, typer.Argument(help="Your name for it.")],
    url: Annotated[str, typer.Argument(help="STAC API or static catalogue, http or https.")],
    collection: Annotated[
        list[str], typer.Option("--collection", metavar="C", help="Collection to watch; may be given again.")
    ],
    since: Annotated[
        str | None, typer.Option(metavar="ISO", help="Ignore what was published before (default: now).")
    ] = None,
    bbox: Bbox = None,
    area: AreaFile = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Another host that asset links may lead to.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Watch collections of a STAC catalogue."""
    from ingest.sources import add_source

    engine = open_database(open_stack(data))
    added = add_source(
        engine,
        name,
        url,
        collections=collection,
        since=parse_moment(since, "--since"),
        area=parse_area(bbox, area),
        allow_hosts=allow_host or [],
    )
    if as_json:
        print_json(added.as_dict())
    else:
        say(
            f"source {added.name}: {', '.join(added.collections)} of {added.url} since {added.since:%Y-%m-%d %H:%M} UTC"
        )
        say("next: tocsin query add SENTENCE, then tocsin up")


@source.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Show the catalogues that are watched, and how far each has been read."""
    from ingest.sources import list_sources

    found = list_sources(open_database(open_stack(data)))
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    rows = [(one.name, ", ".join(one.collections), one.url, one.polled_at, one.error) for one in found]
    table(
        "Sources",
        ("name", "collections", "address", "polled", "trouble"),
        rows,
        "no sources yet: tocsin source add --help",
    )


@source.command("remove")
def remove(name: str, data: Data = None, as_json: Json = False) -> None:
    """Stop watching a catalogue; what it has brought stays."""
    from ingest.sources import remove_source

    remove_source(open_database(open_stack(data)), name)
    print_json({"removed": name}) if as_json else say(f"source {name} removed")


def poll(
    name: Annotated[str | None, typer.Argument(help="One source; default: all.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Ask the catalogues once for what is new, and queue it.

    With nothing running, what is found waits in the ledger for the next `tocsin up` or `tocsin run`.
    """
    from ingest.poll import poll_source
    from ingest.sources import list_sources

    stack = open_stack(data)
    engine = open_database(stack)
    wanted = [item for item in list_sources(engine) if name in (None, item.name)]
    if not wanted:
        raise UsageError(
            f"no source {name}: see tocsin source list" if name else "no sources yet: tocsin source add --help"
        )
    _report(stack, engine, [poll_source(engine, item.name) for item in wanted], as_json)


def backfill(
    name: Annotated[str, typer.Argument(help="Source to read again.")],
    start: Annotated[str, typer.Option("--from", metavar="ISO", help="First sensing date.")],
    end: Annotated[str, typer.Option("--to", metavar="ISO", help="Last sensing date (not included).")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Fetch a date range of the past into the archive and the baselines; it never alerts."""
    from ingest.poll import backfill as fetch

    first, last = parse_moment(start, "--from"), parse_moment(end, "--to")
    if first is None or last is None or first >= last:
        raise UsageError(f"--from {start} must lie before --to {end}")
    stack = open_stack(data)
    engine = open_database(stack)
    _report(stack, engine, [fetch(engine, name, first, last)], as_json)


def _report(stack: Stack, engine: Engine, reports: list[PollReport], as_json: bool) -> None:
    published = publish(stack, engine)
    if as_json:
        print_json({"sources": [report.as_dict() for report in reports], "published": published})
        return
    rows = [(r.source, r.new, r.superseding, r.waiting, r.known + r.ignored, r.failed) for r in reports]
    columns = ("source", "new", "newer versions", "incomplete", "known", "unusable")
    table("Polled", columns, rows, "nothing was polled")
    for warning in [text for report in reports for text in report.warnings]:
        note(f"note: {warning}")
    if any(report.errors for report in reports):
        raise typer.Exit(1)


def publish(stack: Stack, engine: Engine) -> int | None:
    """Send what waits in the outbox when a broker runs; None when there is none, and it waits."""
    from schemas.outbox import flush
    from schemas.publisher import Publisher, bootstrap_servers

    if not stack.kafka and not (stack.run_folder / "broker.json").exists():
        return None
    publisher = Publisher(bootstrap_servers(stack), "tocsin-poll")
    try:
        return flush(engine, publisher)
    finally:
        publisher.close()


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(source, name="source")
    app.command()(poll)
    app.command()(backfill)
