"""`tocsin receiver …`: who is told.

Flows in: addresses and folders. Flows out: rows that the notifier reads with every alert. Stops before delivery.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.options import Data, Json, open_database, open_stack
from commands.output import print_json, say, table

receiver = typer.Typer(no_args_is_help=True, help="Who is told: webhooks, files, the terminal.")
Target = Annotated[
    str, typer.Argument(help="Address of a webhook, or folder of cap or geojson files; nothing for terminal.")
]
SecretFile = Annotated[
    Path | None,
    typer.Option(exists=True, dir_okay=False, help="File with the key that signs a webhook (else one is made)."),
]


@receiver.command("add", epilog="Example: tocsin receiver add duty https://example.org/hook --secret-file hook.key")
def add(
    name: Annotated[str, typer.Argument(help="Your name for it.")],
    target: Target = "",
    kind: Annotated[str, typer.Option(help="webhook, cap, geojson or terminal.")] = "webhook",
    secret_file: SecretFile = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Allow a private or loopback address.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell somebody more about every alert from now on.

    As soon as one receiver is added, the terminal and the data folder are told only if they are added too.
    """
    from alerts.telling import receivers

    secret = secret_file.read_text().strip() if secret_file else ""
    folder, url = (target, "") if kind in ("cap", "geojson") else ("", target)
    added = receivers.add(
        open_database(open_stack(data)), name, kind, url=url, secret=secret, folder=folder, allow_private=allow_private
    )
    made = {"secret": added.secret} if kind == "webhook" and not secret_file else {}
    if as_json:
        print_json(added.shown() | made)
        return
    say(f"receiver {name}: {kind} {target}".rstrip())
    if made:
        say(f"its signing key, shown only now: {added.secret}")


@receiver.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Show who is told; keys are masked."""
    from alerts.telling import receivers

    stack = open_stack(data)
    found = [one.shown() for one in receivers.list_receivers(open_database(stack), stack.data)]
    if as_json:
        print_json(found)
        return
    rows = [(r["name"], r["kind"], r.get("url") or r.get("folder")) for r in found]
    table("Receivers", ("name", "kind", "target"), rows, "none")


@receiver.command("remove")
def remove(name: str, data: Data = None, as_json: Json = False) -> None:
    """Tell it no more; what was on its way to it is given up."""
    from alerts.telling import receivers

    receivers.remove(open_database(open_stack(data)), name)
    print_json({"removed": name}) if as_json else say(f"receiver {name} removed")


@receiver.command("redrive", epilog="Example: tocsin receiver redrive duty")
def redrive(
    name: Annotated[str | None, typer.Argument(help="Only to this receiver; else to all.")] = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Attempt again what was given up after the last attempt (`tocsin alerts failed` lists it)."""
    from alerts.telling import deliveries, receivers
    from schemas.errors import NotFound

    stack = open_stack(data)
    engine = open_database(stack)
    if name is not None and name not in [one.name for one in receivers.list_receivers(engine, stack.data)]:
        raise NotFound(f"no receiver {name!r}: `tocsin receiver list` shows them")
    count = deliveries.redeliver(engine, receiver=name)
    print_json({"redelivered": count}) if as_json else say(f"{count} due again: the notifier attempts them")


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(receiver, name="receiver")
