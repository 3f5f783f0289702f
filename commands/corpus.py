"""`tocsin corpus …`: labelled chips of somebody's own catalogue, for training and for evaluation.

Flows in: a catalogue, an area, a map, perimeters. Flows out: a folder in CrisisLandMark's layout, counts, problems.
Stops before training.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import AreaFile, Bbox, Json, parse_area, parse_moment
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from training.corpus_events import Events
    from training.corpus_show import Contents

corpus = typer.Typer(no_args_is_help=True, help="Labelled chips for training: build, show, check.")
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the corpus.")]


@corpus.command(
    "build",
    epilog="Example: tocsin corpus build valley --catalogue https://earth-search.aws.element84.com/v1 --collection "
    "sentinel-2-c1-l2a --bbox 22.9,38.8,23.4,39.2 --since 2023-07-01 --until 2023-09-30 --land-cover worldcover "
    "--events fires.gpkg --event-preset effis",
)
def build(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to make, or to go on with.")],
    catalogue: Annotated[str, typer.Option("--catalogue", metavar="URL", help="STAC API or static catalogue.")],
    collection: Annotated[str, typer.Option("--collection", metavar="ID", help="Sentinel-1 or Sentinel-2 scenes.")],
    since: Annotated[str, typer.Option("--since", metavar="ISO", help="First sensing date.")],
    until: Annotated[str, typer.Option("--until", metavar="ISO", help="Last sensing date (not included).")],
    bbox: Bbox = None,
    area: AreaFile = None,
    land_cover: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HREF",
            help="Map of ESA WorldCover: `worldcover`, a GeoTIFF (path or URL), CATALOGUE_URL#COLLECTION, or the id "
            "of a collection of --catalogue; may be given again.",
        ),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Perimeters: GeoJSON, Shapefile or GeoPackage.")
    ] = None,
    event_preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose file it is: ems, effis, mtbs.")
    ] = None,
    event_label: Annotated[
        str | None, typer.Option(metavar="LABEL", help="What its polygons are, for example 'Burned Area'.")
    ] = None,
    event_date_column: Annotated[str | None, typer.Option(metavar="COL", help="Column with the event's date.")] = None,
    event_date: Annotated[str | None, typer.Option(metavar="ISO", help="Date of all events of the file.")] = None,
    event_days: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="Days for which an event is sure to be seen.")
    ] = None,
    sensor: Annotated[str | None, typer.Option(metavar="s1|s2", help="Only this sensor.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most chips.")] = None,
    max_cloud: Annotated[
        float, typer.Option(min=0, max=100, metavar="P", help="Most cloud of a scene and of a chip, percent.")
    ] = 40.0,
    licence: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Licence of the pixels, where the catalogue does not say it.")
    ] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Another host that links may lead to.")] = None,
    as_json: Json = False,
) -> None:
    """Cut and label chips of a catalogue's scenes. The same command again goes on where an earlier one stopped."""
    from schemas.geometry import read_area
    from schemas.logs import configure
    from training.corpus_build import build_corpus
    from training.corpus_scenes import Plan

    configure("warning", "tocsin")  # to stderr: stdout is the command's own
    if sensor not in (None, "s1", "s2"):
        raise UsageError(f"--sensor {sensor}: use s1 or s2")
    start, end = parse_moment(since, "--since"), parse_moment(until, "--until")
    if start is None or end is None or start >= end:
        raise UsageError(f"--since {since} must lie before --until {until}")
    geojson = parse_area(bbox, area)
    if geojson is None:
        raise UsageError("say where: --bbox W,S,E,N or --area FILE")
    events_sha256 = hashlib.sha256(events.read_bytes()).hexdigest() if events and events.is_file() else None
    described = {name: value for name, value in locals().copy().items() if name in _DESCRIBES}
    plan = Plan(
        folder=out,
        catalogue=catalogue,
        collection=collection,
        area=read_area(geojson),
        since=start,
        until=end,
        land_cover=land_cover or (),
        events=_events(events, event_preset, event_label, event_date_column, event_date, event_days, geojson),
        sensor=sensor,
        limit=limit,
        max_cloud_percent=max_cloud,
        licence=licence,
        allow_hosts=allow_host or (),
        described={name: str(value) if isinstance(value, Path) else value for name, value in described.items()},
    )
    report = build_corpus(plan, note)
    if as_json:
        print_json(report.as_dict())
    else:
        rows = [("scenes", report.scenes), ("finished before", report.resumed), ("chips", report.written)]
        rows += [(f"left out: {reason}", count) for reason, count in sorted(report.left_out.items())]
        table(f"Corpus {out}", ("what", "count"), rows, "nothing")
        _list_problems(report.problems)
    if report.problems or not report.written:
        if not report.written:
            note("no chip was written: see what was left out, and the problems")
        raise typer.Exit(1)


_DESCRIBES = (
    "collection",
    "since",
    "until",
    "geojson",
    "land_cover",
    "events",
    "events_sha256",
    "event_preset",
    "event_label",
    "event_date_column",
    "event_date",
    "event_days",
    "sensor",
    "limit",
    "max_cloud",
    "licence",
)
"""Options that decide what is written; the catalogue's address and hosts may change between two runs."""


@corpus.command("show")
def show(folder: Folder, as_json: Json = False) -> None:
    """Count what the table of a corpus lists, without reading pixels."""
    from training.corpus_show import list_contents

    _print(folder, list_contents(folder), as_json)


@corpus.command("check")
def check(folder: Folder, as_json: Json = False) -> None:
    """Read every chip; exit status 1 when something cannot be used."""
    from training.corpus_show import check_contents

    def tell(count: int) -> None:
        if count % 1000 == 0 and sys.stderr.isatty():
            note(f"{count} chips read")

    contents = check_contents(folder, tell)
    _print(folder, contents, as_json)
    if contents.problems:
        raise typer.Exit(1)


def _events(
    file: Path | None,
    preset: str | None,
    label: str | None,
    date_column: str | None,
    date: str | None,
    days: float | None,
    area: dict[str, object],
) -> Events | None:
    from schemas.geometry import read_area
    from training.corpus_events import read_events

    if file is None:
        if preset or label or date_column or date:
            raise UsageError("--event-… options describe a file: give it with --events")
        return None
    moment = parse_moment(date, "--event-date")
    return read_events(
        file, label=label, date_column=date_column, date=moment, preset=preset, days=days, area=read_area(area)
    )


def _print(folder: Path, contents: Contents, as_json: bool) -> None:
    if as_json:
        print_json(contents.as_dict())
        return
    say(f"{folder}: {contents.chips} chips")
    for title, counts in (("split", contents.splits), ("sensor", contents.sensors), ("source", contents.sources)):
        table("", (title, "chips"), sorted(counts.items()), f"no {title}")
    labels = sorted(contents.labels.items())
    table("", ("label", "sensor", "chips"), [(*key, count) for key, count in labels], "no label")
    _list_problems(contents.problems)


def _list_problems(problems: list[str], most: int = 40) -> None:
    for problem in problems[:most]:
        note(f"problem: {problem}")
    if len(problems) > most:
        note(f"and {len(problems) - most} more problems: --json lists them all")


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(corpus, name="corpus")
