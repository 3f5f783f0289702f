"""`tocsin search`: the archive, in plain words.

Flows in: a sentence and filters. Flows out: the cells that look most like it. Stops before standing queries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import AreaFile, Bbox, Data, Json, open_stack, parse_area, parse_moment
from commands.output import print_json, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from schemas.messages import Sensor


def search(
    sentence: Annotated[str, typer.Argument(help="What to look for.")],
    since: Annotated[str | None, typer.Option(metavar="ISO", help="Sensed at or after.")] = None,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Sensed before.")] = None,
    bbox: Bbox = None,
    area: AreaFile = None,
    sensor: Annotated[list[str] | None, typer.Option(metavar="S", help="s1 or s2; default both.")] = None,
    max_cloud: Annotated[float | None, typer.Option(help="Highest cloud fraction of a cell, 0 to 1.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Lowest cosine.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many cells.")] = 10,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Find the archive's cells that look most like a sentence.

    Example: tocsin search "flooded fields" --since 2026-01-01 --sensor s1
    """
    from shapely.geometry import shape

    from archive import ArchiveFilter, open_archive
    from archive.search import search_text, to_features
    from encoders import load_for

    if not sentence.strip():
        raise UsageError("the sentence is blank: say what to look for")
    stack = open_stack(data)
    where = parse_area(bbox, area)
    sensors: tuple[Sensor, ...] = tuple(_sensor(name) for name in sensor or ("s1", "s2"))
    wanted = ArchiveFilter(
        area=shape(where) if where else None,
        since=parse_moment(since, "--since"),
        until=parse_moment(until, "--until"),
        sensors=sensors,
        max_cloud=max_cloud,
    )
    with open_archive(stack) as archive:
        hits = search_text(archive, load_for(stack), sentence, filter=wanted, limit=limit, min_score=min_score)
    if as_json:
        print_json(to_features(hits))
        return
    rows = [(h.score, h.embedding.cell, h.embedding.sensor, h.embedding.sensing_at, h.embedding.item_id) for h in hits]
    table(
        f'"{sentence}"',
        ("score", "cell", "sensor", "sensed", "item"),
        rows,
        "nothing in the archive fits these filters",
    )


def _sensor(name: str) -> Sensor:
    if name == "s1":
        return "s1"
    if name == "s2":
        return "s2"
    raise UsageError(f"--sensor {name}: expected s1 (radar) or s2 (optical)")


def register(app: typer.Typer) -> None:
    """Put this command on the front door."""
    app.command()(search)
