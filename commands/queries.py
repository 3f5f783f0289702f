"""`tocsin query …`: standing queries.

Flows in: sentences, areas, budgets. Flows out: rows that the matcher takes up with its next batch. Stops before
matching.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.options import AreaFile, Bbox, Data, Json, open_database, open_stack, parse_area
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from schemas.messages import StandingQuery

query = typer.Typer(no_args_is_help=True, help="Standing queries: what you want to hear about.")
Which = Annotated[str, typer.Argument(metavar="ID", help="Its id, or the first characters of it.")]
Budget = Annotated[str, typer.Option(metavar="N/PERIOD", help="Alarms you can bear: 2/week, 1/day, 5/month.")]
Mode = Annotated[str, typer.Option(metavar="MODE", help="appearance: it is new here; presence: it is here.")]
Sensors = Annotated[list[str] | None, typer.Option(metavar="S", help="s1 (radar) or s2 (optical); default both.")]
Also = Annotated[list[str] | None, typer.Option(metavar="TEXT", help="The same in other words; may be repeated.")]
NoLint = Annotated[bool, typer.Option("--no-lint", help="Don't look whether the encoder understands the sentence.")]
Threshold = Annotated[float | None, typer.Option(help="Your own threshold on the score, instead of the budget's.")]

_COLUMNS = (
    "sensor",
    "where, when",
    "score above",
    "90 % interval",
    "looks like it above",
    "alarms a week",
    "from",
    "archive scores",
    "release",
)
_FIELDS = (
    "sensor",
    "stratum",
    "release",
    "score",
    "score_low",
    "score_high",
    "presence",
    "basis",
    "background",
    "needed",
    "expected_per_week",
    "computed_at",
)


@query.command("add", epilog='Example: tocsin query add "flooded fields" --bbox -1.2,37.8,-0.6,38.4 --budget 1/week')
def add(
    sentence: Annotated[str, typer.Argument(help="What you want to hear about, in plain words.")],
    bbox: Bbox = None,
    area: AreaFile = None,
    budget: Budget = "2/week",
    mode: Mode = "appearance",
    sensor: Sensors = None,
    threshold: Threshold = None,
    also: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="The same in other words; may be repeated.")
    ] = None,
    like: Annotated[
        list[str] | None, typer.Option(metavar="CELL@ITEM", help="A chip of the archive that shows what you mean.")
    ] = None,
    unlike: Annotated[
        list[str] | None, typer.Option(metavar="CELL@ITEM", help="A chip that looks similar and is not meant.")
    ] = None,
    no_lint: NoLint = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Register a standing query; it is in force with the next acquisition."""
    from alerts import asked, queries
    from commands.doubts import doubts_of

    stack = open_stack(data)
    engine = open_database(stack)
    added = queries.add(
        engine,
        sentence,
        area=parse_area(bbox, area),
        budget=budget,
        mode=mode,
        sensors=sensor or asked.SENSORS,
        threshold=threshold,
        wordings=also or (),
        like=like or (),
        unlike=unlike or (),
    )
    notes = [*added.notes, *([] if no_lint else doubts_of(stack, added.query))]
    if as_json:
        print_json(describe(engine, added.query) | {"notes": notes})
        return
    say(f'query {str(added.query.query_id)[:8]}: "{added.query.sentence}", {added.query.mode}, {budget}')
    for text in notes:
        note(f"note: {text}")


@query.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="GeoJSON: one Feature a query, its geometry the area.")
    ],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Register every query of a file, all or none; those that stand already are passed over.

    Properties of a Feature: sentence, and where they differ from the usual budget, mode, sensors, threshold, wordings.
    """
    from alerts import queries
    from alerts.bulk import read_queries

    wanted = read_queries(file.read_text(encoding="utf-8", errors="replace"))
    engine = open_database(open_stack(data))
    new = queries.add_new(engine, wanted)
    if as_json:
        print_json({"registered": [str(one.query_id) for one in new], "stood": len(wanted) - len(new)})
    else:
        say(f"{len(new)} queries registered, {len(wanted) - len(new)} stood already")


@query.command("export")
def export(data: Data = None) -> None:
    """Print all standing queries as the GeoJSON that `import` reads."""
    from alerts import queries
    from alerts.bulk import write_queries

    print_json(write_queries(queries.list_queries(open_database(open_stack(data)))))


@query.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Show all standing queries."""
    from alerts import queries

    engine = open_database(open_stack(data))
    found = queries.list_queries(engine)
    if as_json:
        print_json([describe(engine, one) for one in found])
        return
    rows = [
        (str(q.query_id)[:8], q.sentence, q.mode, _budget(q), "area" if q.area else "everywhere", q.status)
        for q in found
    ]
    columns = ("id", "sentence", "mode", "budget", "where", "status")
    table("Standing queries", columns, rows, "no queries yet: tocsin query add --help")


@query.command("show")
def show(which: Which, data: Data = None, as_json: Json = False) -> None:
    """Show one standing query with its thresholds and what they rest on."""
    from alerts import queries
    from alerts.budgets.sufficiency import missing_history, promised_between

    engine = open_database(open_stack(data))
    found = queries.show(engine, which)
    if as_json:
        print_json(describe(engine, found))
        return
    say(f'"{found.sentence}"')
    say(f"id {found.query_id}, version {found.version}, {found.status}")
    say(
        f"{found.mode}, {_budget(found)}, sensors {' '.join(found.sensors)}, "
        f"{'in an area' if found.area else 'everywhere'}"
    )
    stored = queries.thresholds(engine, found.query_id)
    rows = [
        (
            row.sensor,
            row.stratum or "anywhere",
            row.score,
            _interval(row.score_low, row.score_high),
            row.presence,
            _promised(row.expected_per_week, promised_between(row)),
            row.basis,
            row.background,
            row.release,
        )
        for row in stored
    ]
    table("Thresholds", _COLUMNS, rows, "no thresholds yet: a running matcher computes them")
    for row in stored:
        if (missing := missing_history(row)) is not None:
            say(f"{row.sensor}: {missing}")


@query.command("change", epilog="Example: tocsin query change 3f2a --budget 1/month")
def change(
    which: Which,
    bbox: Bbox = None,
    area: AreaFile = None,
    everywhere: Annotated[bool, typer.Option("--everywhere", help="Take the area away.")] = False,
    budget: Annotated[str | None, typer.Option(metavar="N/PERIOD", help="Alarms you can bear from now on.")] = None,
    mode: Annotated[str | None, typer.Option(metavar="MODE", help="appearance or presence: another question.")] = None,
    sensor: Annotated[list[str] | None, typer.Option(metavar="S", help="s1, s2 or both, instead of those now.")] = None,
    threshold: Threshold = None,
    by_budget: Annotated[bool, typer.Option("--by-budget", help="Take your own threshold away.")] = False,
    also: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="In other words, instead of those there are.")
    ] = None,
    no_also: Annotated[bool, typer.Option("--no-also", help="Take the other wordings away.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Change what a query fires on; it is in force with the next acquisition.

    Incidents that stand go on, so nobody is told of them again; with another mode the query asks anew. To watch for
    another sentence, add another query.
    """
    from alerts import queries

    shape = parse_area(bbox, area)
    for given, flag, option in (
        (shape, everywhere, "--everywhere or an area"),
        (threshold, by_budget, "--by-budget or --threshold"),
        (also, no_also, "--no-also or --also"),
    ):
        if given is not None and flag:
            raise UsageError(f"give {option}, not both")
    if not any((shape, everywhere, budget, mode, sensor, by_budget, also, no_also)) and threshold is None:
        raise UsageError("nothing to change: say what, such as --budget 1/month (tocsin query change --help)")
    taken_away = {"area": everywhere, "threshold": by_budget, "wordings": no_also}
    engine = open_database(open_stack(data))
    found = queries.change(
        engine,
        which,
        area=shape,
        sensors=sensor,
        mode=mode,
        budget=budget,
        threshold=threshold,
        wordings=also,
        without=[name for name, flag in taken_away.items() if flag],
    )
    if as_json:
        print_json(describe(engine, found))
        return
    say(
        f'query {str(found.query_id)[:8]}: "{found.sentence}", {found.mode}, {_budget(found)}, '
        f"sensors {' '.join(found.sensors)}, {'in an area' if found.area else 'everywhere'}, version {found.version}"
    )


@query.command("pause")
def pause(which: Which, data: Data = None, as_json: Json = False) -> None:
    """Stop matching a query until it is resumed."""
    _change("pause", which, data, as_json)


@query.command("resume")
def resume(which: Which, data: Data = None, as_json: Json = False) -> None:
    """Match a paused query again."""
    _change("resume", which, data, as_json)


@query.command("remove")
def remove(which: Which, data: Data = None, as_json: Json = False) -> None:
    """End a query; its incidents and alerts stay."""
    _change("remove", which, data, as_json)


def describe(engine: Engine, found: StandingQuery) -> dict[str, Any]:
    """A standing query with its thresholds, as JSON."""
    from alerts import queries
    from alerts.budgets.sufficiency import missing_history, promised_between

    rows = queries.thresholds(engine, found.query_id)
    return found.model_dump(mode="json") | {
        "thresholds": [
            {name: getattr(row, name) for name in _FIELDS}
            | {"expected_between": promised_between(row), "missing": missing_history(row)}
            for row in rows
        ]
    }


def _change(verb: str, which: str, data: Path | None, as_json: bool) -> None:
    from alerts import queries

    engine = open_database(open_stack(data))
    found = {"pause": queries.pause, "resume": queries.resume, "remove": queries.remove}[verb](engine, which)
    if as_json:
        print_json(describe(engine, found))
    else:
        say(f'query {str(found.query_id)[:8]} "{found.sentence}" is {found.status}')


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _promised(per_week: float | None, between: tuple[float, float] | None) -> str:
    if per_week is None or between is None:
        return "–"
    return f"{per_week:.2g} ({between[0]:.2g} to {between[1]:.2g})"


def _budget(found: StandingQuery) -> str:
    return f"{found.budget.alarms:g} in {found.budget.per_days:g} days"


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(query, name="query")
