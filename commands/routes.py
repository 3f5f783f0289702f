"""`tocsin route …`: which messages go to whom, and when.

Flows in: conditions, receivers, times. Flows out: rows that the notifier reads with every message. Stops before
delivery.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import AreaFile, Bbox, Data, Json, open_database, open_stack, parse_area, parse_duration
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from alerts.telling.routes import Route

route = typer.Typer(no_args_is_help=True, help="Which messages go to whom: order, windows, repeats, quiet hours.")
To = Annotated[list[str] | None, typer.Option("--to", help="Receiver that it tells; again for more.")]
Nobody = Annotated[bool, typer.Option("--nobody", help="What it takes is told to nobody.")]
Query = Annotated[list[str] | None, typer.Option(help="Only of this query: its id or the start of it; again for more.")]
Kind = Annotated[
    list[str] | None,
    typer.Option(help="Only what has happened: opened, growing, confirmed …, or a notice's kind; again for more."),
]
State = Annotated[
    list[str] | None,
    typer.Option(help="Only incidents in this state, or notices raised or cleared; again for more."),
]
Sensor = Annotated[list[str] | None, typer.Option(help="Only seen by s1 or s2; again for more.")]
Simulated = Annotated[bool | None, typer.Option("--simulated/--real", help="Only simulated scenes, or only real ones.")]
Only = Annotated[str | None, typer.Option(help="Only alert, or only notice.")]
Wait = Annotated[str | None, typer.Option(metavar="TIME", help="Gather messages so long, for example 30s or 5m.")]
Interval = Annotated[str | None, typer.Option(metavar="TIME", help="Least time between two tellings.")]
Repeat = Annotated[
    str | None, typer.Option(metavar="TIME", help="Tell alerts again while they stand and nobody acknowledges.")
]
Quiet = Annotated[str | None, typer.Option(metavar="HH:MM-HH:MM", help="What comes then is held until they end.")]
Zone = Annotated[
    str | None, typer.Option(help="IANA time zone of the quiet hours, for example Europe/Berlin; UTC if not given.")
]
Break = Annotated[bool, typer.Option("--break-through", help="Confirmed incidents are told in quiet hours too.")]
Escalate = Annotated[
    list[str] | None,
    typer.Option(metavar="TIME:RECEIVER[,…]", help="Whom to tell when nobody acknowledges in time; again for more."),
]
Continue = Annotated[bool, typer.Option("--continue", help="Ask the routes after it too.")]
Before = Annotated[str | None, typer.Option(help="Name of the route that it goes before; else it is the last.")]
Replace = Annotated[bool, typer.Option("--replace", help="Change the route of this name, at its place.")]


@route.command("add", epilog="Example: tocsin route add night --to pager --quiet 22:00-07:00 --zone Europe/Rome")
def add(
    name: Annotated[str, typer.Argument(help="Your name for it.")],
    to: To = None,
    nobody: Nobody = False,
    query: Query = None,
    bbox: Bbox = None,
    area: AreaFile = None,
    kind: Kind = None,
    state: State = None,
    sensor: Sensor = None,
    simulated: Simulated = None,
    only: Only = None,
    wait: Wait = None,
    interval: Interval = None,
    repeat: Repeat = None,
    quiet: Quiet = None,
    zone: Zone = None,
    break_through: Break = False,
    escalate: Escalate = None,
    further: Continue = False,
    before: Before = None,
    replace: Replace = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send the messages for which all given conditions hold to some receivers.

    Routes are asked in their order, and the first that takes a message ends the search unless it says --continue. What
    no route takes is told to every receiver at once, as if there were no routes.
    """
    from alerts.telling import routes
    from alerts.telling.quiet import parse_quiet

    if bool(to) == nobody:
        raise UsageError("say whom it tells: --to RECEIVER, or --nobody")
    if quiet is None and (zone or break_through):
        raise UsageError("--zone and --break-through are about quiet hours: give --quiet HH:MM-HH:MM as well")
    if replace and before:
        raise UsageError("--replace keeps the place: remove the route and add it again --before another one")
    stack = open_stack(data)
    engine = open_database(stack)
    made = routes.checked(
        engine,
        stack.data,
        {
            "name": name,
            "receivers": tuple(to or ()),
            "queries": tuple(query or ()),
            "area": parse_area(bbox, area),
            "kinds": tuple(kind or ()),
            "states": tuple(state or ()),
            "sensors": tuple(sensor or ()),
            "simulated": simulated,
            "what": ("alert", "notice") if only is None else (only,),
            "wait_s": _seconds(wait, "--wait") or 0,
            "interval_s": _seconds(interval, "--interval") or 0,
            "repeat_s": _seconds(repeat, "--repeat"),
            "quiet": None if quiet is None else parse_quiet(quiet, zone or "UTC"),
            "break_through": break_through,
            "steps": tuple(_step(text) for text in escalate or ()),
            "further": further,
        },
    )
    routes.add(engine, made, before=before, replace=replace)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    say(f"route {name}: {_conditions(made)} → {_whom(made)}")
    if _everything(made) and not made.further:
        note(f"note: {name} takes everything, routes after it are not asked")


@route.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Show routes in the order in which they are asked."""
    from alerts.telling import routes

    found = routes.list_routes(open_database(open_stack(data)))
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
        return
    rows = [(one.name, _conditions(one), _whom(one), _times(one), "yes" if one.further else "no") for one in found]
    columns = ("name", "takes", "tells", "when", "continues")
    table("Routes", columns, rows, "none: every message is told to every receiver at once")


@route.command("remove")
def remove(name: str, data: Data = None, as_json: Json = False) -> None:
    """Take a route away; what is on its way by it is still told, when it would have been."""
    from alerts.telling import routes

    routes.remove(open_database(open_stack(data)), name)
    print_json({"removed": name}) if as_json else say(f"route {name} removed")


@route.command("test")
def test(
    which: Annotated[str, typer.Argument(help="Id of an alert, or the start of it.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say which routes an alert would take now, and why it would not take the others; nobody is told."""
    from alerts.answers import find_alert
    from alerts.telling import silences
    from alerts.telling.routes import routes
    from alerts.telling.routing import decide
    from schemas.database import reading

    now = datetime.now(UTC)
    with reading(open_database(open_stack(data))) as session:
        alert = find_alert(session, which)
        decisions = decide(routes(session), alert)
        silence = silences.silencing(silences.in_force(session, now), alert)
        kept_by = None if silence is None else str(silence.silence_id)
    shown = [
        {
            "route": each.route.name,
            "taken": each.taken,
            "why": each.why,
            "receivers": list(each.route.receivers) if each.taken else [],
            "quiet_until": each.route.quiet.until(now) if each.taken and each.route.quiet else None,
        }
        for each in decisions
    ]
    if as_json:
        print_json({"alert_id": str(alert.alert_id), "silence_id": kept_by, "routes": shown})
        return
    say(f"{alert.query}: {alert.kind.value} [{str(alert.alert_id)[:8]} #{alert.sequence}]")
    rows = [
        (
            one["route"],
            "yes" if one["taken"] else "no",
            one["why"],
            _whom(each.route) if each.taken else None,
            one["quiet_until"],
        )
        for one, each in zip(shown, decisions, strict=True)
    ]
    table("Routes", ("name", "takes it", "why", "tells", "quiet until"), rows, "no routes")
    if not any(each.taken for each in decisions):
        say("no route takes it: every receiver is told at once")
    if kept_by:
        say(f"silence {kept_by[:8]} is in force for it: nobody is told")


def _seconds(text: str | None, option: str) -> float | None:
    length = parse_duration(text, option)
    return None if length is None else length.total_seconds()


def _step(text: str) -> dict[str, Any]:
    after, colon, names = text.partition(":")
    if not colon or not names.strip(" ,"):
        raise UsageError(f"--escalate {text!r}: write after how long and whom, such as 15m:chief,deputy")
    receivers = tuple(name.strip() for name in names.split(",") if name.strip())
    return {"after_s": _seconds(after, "--escalate"), "receivers": receivers}


def _everything(made: Route) -> bool:
    asked = (made.queries, made.area, made.kinds, made.states, made.sensors)
    return not any(asked) and made.simulated is None and len(made.what) == 2


def _conditions(made: Route) -> str:
    """What a route takes, for people."""
    parts = [f"{made.what[0]}s"] if len(made.what) == 1 else []
    parts += [*made.kinds, *made.states, *(f"by {sensor}" for sensor in made.sensors)]
    parts += [f"query {str(query)[:8]}" for query in made.queries] + (["in an area"] if made.area else [])
    parts += [] if made.simulated is None else ["simulated" if made.simulated else "real"]
    return ", ".join(parts) or "everything"


def _whom(made: Route) -> str:
    return ", ".join(made.receivers) or "nobody"


def _times(made: Route) -> str:
    """Windows, repeats, quiet hours and escalation, for people."""
    parts = [f"gathers {made.wait_s:g} s"] if made.wait_s else []
    parts += [f"every {made.interval_s:g} s"] if made.interval_s else []
    parts += [f"again after {made.repeat_s:g} s"] if made.repeat_s else []
    if made.quiet is not None:
        parts.append(f"quiet {made.quiet}{' unless confirmed' if made.break_through else ''}")
    parts += [f"after {step.after_s:g} s {', '.join(step.receivers)}" for step in made.steps]
    return "; ".join(parts) or "at once"


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(route, name="route")
