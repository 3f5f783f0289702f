"""`tocsin dead-letters …`: messages that could not be handled.

Flows in: the dead-letter table. Flows out: reasons, and messages sent again. Stops before mending what was wrong.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from commands.options import Data, Json, open_database, open_stack
from commands.output import note, print_json, say, table
from schemas.errors import NotFound, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Engine

dead_letters = typer.Typer(no_args_is_help=True, help="Messages that could not be handled, with the reason.")


@dead_letters.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Those already sent again too.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show what could not be handled."""
    from alerts.telling.deliveries import failures
    from schemas.dead_letters import list_dead_letters

    engine = open_database(open_stack(data))
    found = list_dead_letters(engine, redriven=everything)
    if as_json:
        print_json([asdict(letter) for letter in found])
        return
    rows = [(str(x.dead_letter_id)[:8], x.failed_at, x.topic, x.item_id, x.error, x.reason[:90]) for x in found]
    table("Dead letters", ("id", "failed", "topic", "item", "error", "reason"), rows, "none: everything was handled")
    if lost := failures(engine):
        note(f"not delivered after the last attempt: {len(lost)}, see tocsin alerts failed")


@dead_letters.command("show")
def show(
    which: Annotated[str, typer.Argument(help="Its id, or the start of it.")], data: Data = None, as_json: Json = False
) -> None:
    """Show one dead letter whole, with the message as it came."""
    from schemas.dead_letters import show as find

    engine = open_database(open_stack(data))
    letter = find(engine, _resolve(engine, which))
    text = letter.value.tobytes().decode(errors="replace")
    document = letter.model_dump(mode="json", exclude={"value"}) | {"message": text}
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        say(f"{name:15} {value}")


@dead_letters.command("redrive")
def redrive(
    which: Annotated[list[str] | None, typer.Argument(help="Ids, or the start of them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All that have not been sent again yet.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Send messages to their topic again, once the cause is mended; needs a running broker (tocsin up)."""
    from schemas.dead_letters import list_dead_letters
    from schemas.dead_letters import redrive as send_again
    from schemas.publisher import Publisher, bootstrap_servers

    if not which and not everything:
        raise UsageError("name the dead letters to send again, or --all: see tocsin dead-letters list")
    stack = open_stack(data)
    engine = open_database(stack)
    waiting = list_dead_letters(engine, redriven=False)
    ids = (
        [letter.dead_letter_id for letter in waiting] if everything else [_resolve(engine, one) for one in which or []]
    )
    publisher = Publisher(bootstrap_servers(stack), "tocsin-redrive")
    try:
        count = send_again(engine, publisher, ids)
    finally:
        publisher.close()
    print_json({"redriven": count}) if as_json else say(f"{count} sent again")


def _resolve(engine: Engine, which: str) -> UUID:
    """The one dead letter whose id begins so."""
    from schemas.dead_letters import list_dead_letters

    found = [x.dead_letter_id for x in list_dead_letters(engine) if str(x.dead_letter_id).startswith(which.lower())]
    if len(found) != 1:
        many = "several dead letters begin" if found else "no dead letter begins"
        raise NotFound(f"{many} with {which!r}: see tocsin dead-letters list --all")
    return found[0]


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(dead_letters, name="dead-letters")
