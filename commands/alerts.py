"""`tocsin alerts …` and `tocsin coverage`: what was told, and what could be seen.

Flows in: the stores. Flows out: GeoJSON for programs, tables for people. Stops before changing anything.
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Data, Json, open_database, open_stack, parse_moment
from commands.output import print_json, table

alerts = typer.Typer(no_args_is_help=True, help="Alerts that have gone out.")


@alerts.command("list")
def list_(
    query: Annotated[str | None, typer.Option(help="Only this query: id, start of it, or sentence.")] = None,
    since: Annotated[str | None, typer.Option(metavar="ISO", help="Opened at or after.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show alerts, one for each incident, as it stands now; --json gives a GeoJSON FeatureCollection."""
    from alerts.listing import alert_features

    from alerts.queries import find_query

    engine = open_database(open_stack(data))
    which = find_query(engine, query).query_id if query else None
    features = alert_features(engine, query_id=which, since=parse_moment(since, "--since"))
    if as_json:
        print_json(features)
        return
    rows = [
        (
            p["opened"],
            p["query"],
            p["state"],
            len(p["cells"]),
            ", ".join(p["sensors"]),
            p["score"],
            ", ".join(p["item_ids"])[:60],
        )
        for p in (feature["properties"] for feature in features["features"])
    ]
    table("Alerts", ("opened", "query", "state", "cells", "sensors", "score", "items"), rows, "no alerts yet")


def coverage(
    query: Annotated[str | None, typer.Option(help="Only this query's area: id, start of it, or sentence.")] = None,
    since: Annotated[str | None, typer.Option(metavar="ISO", help="Sensed at or after.")] = None,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Sensed before.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what could be seen: cells seen, obscured, not acquired and failed, per sensor."""
    from alerts.coverage import coverage_summary

    from alerts.queries import find_query

    engine = open_database(open_stack(data))
    which = find_query(engine, query) if query else None
    found = coverage_summary(engine, which, parse_moment(since, "--since"), parse_moment(until, "--until"))
    if as_json:
        print_json(found)
        return
    rows = [
        (sensor, c["acquisitions"], c["seen"], c["obscured"], c["not_acquired"], c["failed"])
        for sensor, c in found["sensors"].items()
    ]
    table(
        "Coverage, cells",
        ("sensor", "acquisitions", "seen", "obscured", "not acquired", "failed"),
        rows,
        "nothing acquired yet",
    )


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(alerts, name="alerts")
    app.command()(coverage)
