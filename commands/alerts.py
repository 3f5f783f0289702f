"""`tocsin alerts …`: what was told, and why.

Flows in: the stores. Flows out: GeoJSON for programs, tables for people, bundles of evidence. Stops before changing
anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Data, Json, open_database, open_stack, parse_moment
from commands.output import print_json, properties_of, say, table

if TYPE_CHECKING:
    from encoders.interface import Encoder
    from schemas.settings import Stack

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


@alerts.command("show")
def show(
    which: Annotated[str, typer.Argument(help="Its id, or the start of it.")], data: Data = None, as_json: Json = False
) -> None:
    """Show one alert: who was told, when and why not, who has it in hand, and verdicts; --json gives its GeoJSON."""
    from alerts.incidents.listing import show_alert

    found = show_alert(open_database(open_stack(data)), which)
    if as_json:
        print_json(found)
        return
    (p,) = properties_of({"features": [found]})
    say(f"{p['query']}: {p['state']}, {len(p['cells'])} km² by {', '.join(p['sensors'])}, score {p['score']:.3f}")
    say(f"alert {p['alert_id']} #{p['sequence']}, incident {p['incident_id']}, opened {p['opened']}")
    taken = p["acknowledged"]
    say(f"in hand: {taken['person']} since {taken['at']} {taken['note']}".rstrip() if taken else "in hand: nobody")
    for each in p["verdicts"]:
        why = f" ({each['reason']})" if each["reason"] else ""
        say(f"verdict of {each['person']}: {each['answer']}{why} {each['note']}".rstrip())
    rows = [
        (d["sequence"], d["occasion"], d["receiver"], d["route"], d["state"], d["delivered"] or d["next_attempt"], why)
        for d in p["deliveries"]
        for why in (f"silence {d['silence_id'][:8]}" if d["silence_id"] else d["error"],)
    ]
    columns = ("sequence", "occasion", "receiver", "route", "state", "at", "why")
    rows.sort(key=lambda row: (row[0], row[5] or ""))
    table("Deliveries", columns, rows, "nobody was told")


@alerts.command("explain")
def explain(
    alert: Annotated[str, typer.Argument(metavar="ALERT_ID", help="Its id, or 4 or more characters from its start.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE.zip", help="Bundle; else in the data folder, evidence/.")
    ] = None,
    sequence: Annotated[int | None, typer.Option(help="Which of its messages; default: the last.")] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Read the scenes again.")] = True,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Explain an alert, and pack the evidence: before and after, scores, bands, look-alikes, every id.

    The bundle is one zip file; the same alert, archive and scenes give the same bytes.
    """
    from alerts.evidence import bundle
    from alerts.evidence.explain import Sources
    from alerts.evidence.explain import explain as explained
    from alerts.evidence.told import find_alert
    from alerts.evidence.words import lines
    from alerts.settings import EvidenceSettings, NotifierSettings
    from archive import open_archive
    from encoders.settings import EncoderSettings

    stack = open_stack(data)
    engine = open_database(stack)
    found = find_alert(engine, alert, sequence)
    encoder, why_none = _encoder(stack) if pictures else (None, "")
    with open_archive(stack) as archive:
        sources = Sources(engine, archive, encoder, why_none, EncoderSettings(), EvidenceSettings())
        explanation = explained(sources, found, pixels=pictures)
    sender = NotifierSettings().cap_sender
    path = out or bundle.path_of(stack.data, found)
    bundle.write(path, bundle.bundle(explanation, sender))
    if as_json:
        print_json(bundle.document(explanation, sender) | {"bundle": str(path)})
        return
    for line in lines(explanation):
        say(line)
    say(f"\nbundle: {path}, {len(explanation.pictures)} pictures")


def _encoder(stack: Stack) -> tuple[Encoder | None, str]:
    """The release in use, or why there is none: an alert can be explained without it."""
    from encoders import load_for
    from schemas.errors import ReleaseMismatch, ReleaseNotFound, SettingsError

    try:
        return load_for(stack), ""
    except (ReleaseNotFound, ReleaseMismatch, SettingsError) as error:
        return None, str(error)


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(alerts, name="alerts")
