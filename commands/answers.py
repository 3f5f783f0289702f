"""`tocsin alerts ack`, `verdict`, `failed`, `redeliver`: what people answer, and what could not be told.

Flows in: an alert's id and a person's word. Flows out: rows that repeats, escalation and learning read. Stops before
delivery: the notifier does it.
"""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from commands.alerts import alerts
from commands.options import Data, Json, open_database, open_stack
from commands.output import print_json, say, table
from schemas.errors import UsageError

Which = Annotated[str, typer.Argument(help="Id of the alert, or the start of it.")]
Note = Annotated[str, typer.Option(help="What else you have to say.")]


def ack(
    which: Which,
    by: Annotated[str, typer.Option("--by", help="Your name.")],
    note: Note = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Take an alert in hand: it is not told again and not escalated; news of it still come."""
    from alerts.answers import acknowledge

    answer = acknowledge(open_database(open_stack(data)), which, person=by, note=note)
    if as_json:
        print_json(
            {
                "alert_id": str(answer.alert_id),
                "person": answer.person,
                "note": answer.note,
                "at": answer.acknowledged_at,
                "first": answer.first,
            }
        )
        return
    who = f"{answer.person} has alert {str(answer.alert_id)[:8]} in hand"
    say(who if answer.first else f"{who}, since {answer.acknowledged_at:%Y-%m-%d %H:%M} UTC: nothing changed")


def verdict(
    which: Which,
    answer: Annotated[str, typer.Argument(help="Was it what the query asks for? true, false or unsure.")],
    reason: Annotated[
        str | None,
        typer.Option(help="What it was instead: cloud, agriculture, water level, season, artefact or other."),
    ] = None,
    note: Note = "",
    by: Annotated[str, typer.Option("--by", help="Your name; the account's if not given.")] = "",
    cell: Annotated[list[str] | None, typer.Option(help="Only of this cell of the incident; again for more.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Say whether an alert was right; a later verdict of yours replaces it. The alert counts as acknowledged.

    False, for all of it, retracts the incident; true afterwards opens it again. Those who were told are told so.
    """
    from alerts.answers import judge

    given = judge(
        open_database(open_stack(data)),
        which,
        answer,
        person=by or getpass.getuser(),
        reason=reason,
        note=note,
        cells=cell or (),
    )
    if as_json:
        print_json(given.model_dump(mode="json"))
        return
    why = f" ({given.reason.value})" if given.reason else ""
    say(f"verdict of {given.person} on alert {str(given.alert_id)[:8]}: {given.answer.value}{why}")


def failed(
    receiver: Annotated[str | None, typer.Option(help="Only to this receiver.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show deliveries that were given up after the last attempt, with the reason."""
    from alerts.telling.deliveries import failures

    rows: list[dict[str, Any]] = [
        {
            "delivery_id": str(row.delivery_id),
            "receiver": row.receiver,
            "what": row.what,
            "id": str(row.alert_id),
            "sequence": row.sequence,
            "occasion": row.occasion or None,
            "attempts": row.attempts,
            "error": row.error,
        }
        for row in failures(open_database(open_stack(data)), receiver)
    ]
    if as_json:
        print_json(rows)
        return
    shown = [
        (r["delivery_id"][:8], r["receiver"], r["what"], r["id"][:8], r["sequence"], r["attempts"], r["error"])
        for r in rows
    ]
    columns = ("delivery", "receiver", "what", "id", "sequence", "attempts", "reason")
    table("Failed deliveries", columns, shown, "none: everything was delivered or is on its way")


def redeliver(
    which: Annotated[list[str] | None, typer.Argument(help="Ids of failed deliveries, or the start of them.")] = None,
    receiver: Annotated[str | None, typer.Option(help="All that failed to this receiver.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that failed.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Attempt failed deliveries again, once the cause is mended: same content, same idempotency key."""
    from alerts.telling import deliveries

    if sum((bool(which), receiver is not None, everything)) != 1:
        raise UsageError("name failed deliveries, or --receiver NAME, or --all: see tocsin alerts failed")
    engine = open_database(open_stack(data))
    ids = deliveries.failed_ids(engine, which) if which else None
    count = deliveries.redeliver(engine, delivery_ids=ids, receiver=receiver)
    print_json({"redelivered": count}) if as_json else say(f"{count} due again: the notifier attempts them")


def register(_app: typer.Typer) -> None:
    """Put these commands beside those that list alerts."""
    alerts.command("ack", epilog="Example: tocsin alerts ack 3f2a --by Ada --note 'called the fire service'")(ack)
    alerts.command("verdict", epilog="Example: tocsin alerts verdict 3f2a false --reason agriculture --by Ada")(verdict)
    alerts.command("failed")(failed)
    alerts.command("redeliver", epilog="Example: tocsin alerts redeliver --receiver duty")(redeliver)
