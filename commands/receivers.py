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


@receiver.command("add", epilog="Example: tocsin receiver add duty https://example.org/hook --secret-file hook.key")
def add(
    name: Annotated[str, typer.Argument(help="Your name for it.")],
    target: Annotated[str, typer.Argument(help="https address of a webhook, or a folder for cap or geojson.")],
    kind: Annotated[str, typer.Option(help="webhook, cap, geojson or terminal.")] = "webhook",
    secret_file: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="File with the key that signs a webhook (default: a new one, shown once)."
        ),
    ] = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Allow a private or loopback address.")
    ] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Tell somebody more about every alert from now on."""
    from alerts.receivers import add_receiver

    secret = secret_file.read_text().strip() if secret_file else None
    added = add_receiver(
        open_database(open_stack(data)), name, kind=kind, target=target, secret=secret, allow_private=allow_private
    )
    if as_json:
        print_json(added)
    else:
        say(f"receiver {name}: {kind} {target}")
        if added.get("secret"):
            say(f"its signing key, shown only now: {added['secret']}")


@receiver.command("list")
def list_(data: Data = None, as_json: Json = False) -> None:
    """Show who is told; keys are not shown."""
    from alerts.receivers import list_receivers

    found = list_receivers(open_database(open_stack(data)))
    if as_json:
        print_json(found)
        return
    rows = [(r["name"], r["kind"], r["target"]) for r in found]
    table("Receivers", ("name", "kind", "target"), rows, "none yet: alerts go to the terminal and into the data folder")


@receiver.command("remove")
def remove(name: str, data: Data = None, as_json: Json = False) -> None:
    """Tell it no more."""
    from alerts.receivers import remove_receiver

    remove_receiver(open_database(open_stack(data)), name)
    print_json({"removed": name}) if as_json else say(f"receiver {name} removed")


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(receiver, name="receiver")
