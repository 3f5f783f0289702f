"""`tocsin alerts …`: what was told.

Flows in: the stores. Flows out: GeoJSON for programs, tables for people. Stops before changing anything.
"""

from __future__ import annotations

from typing import Annotated

import typer

from commands.options import Data, Json, open_database, open_stack, parse_moment
from commands.output import print_json, properties_of, table

alerts = typer.Typer(no_args_is_help=True, help="Alerts that have gone out.")


@alerts.command("list")
def list_(
    query: Annotated[str | None, typer.Option(help="Only this query: its id or the start of it.")] = None,
    since: Annotated[str | None, typer.Option(metavar="ISO", help="Opened at or after.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show alerts, one for each incident, as it stands now; --json gives a GeoJSON FeatureCollection."""
    from alerts import queries
    from alerts.incidents.listing import list_alerts

    engine = open_database(open_stack(data))
    which = queries.show(engine, query).query_id if query else None
    features = list_alerts(engine, query_id=which, since=parse_moment(since, "--since"))
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
        for p in properties_of(features)
    ]
    table("Alerts", ("opened", "query", "state", "cells", "sensors", "score", "items"), rows, "no alerts yet")


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(alerts, name="alerts")
