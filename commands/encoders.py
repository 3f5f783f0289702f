"""`tocsin encoder …`: the models that turn pixels and sentences into vectors.

Flows in: names of published releases. Flows out: weights on disk. Stops before encoding.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from commands.options import Json
from commands.output import note, print_json, say, table
from schemas.errors import UsageError

encoder = typer.Typer(no_args_is_help=True, help="Encoders: what is installed, and fetching published ones.")


@encoder.command("list")
def list_(as_json: Json = False) -> None:
    """Show the encoders, where they are, and which runtime would run them and why."""
    from encoders.listing import installed_releases

    found = [release.as_dict() for release in installed_releases()]
    if as_json:
        print_json(found)
        return
    rows = [
        (r["name"], "yes" if r["installed"] else "no", r["sensors"], r["licence"], r["backend"], r["reason"])
        for r in found
    ]
    table("Encoders", ("name", "installed", "sensors", "licence", "runtime", "why"), rows, "none")


@encoder.command("pull", epilog="Example: tocsin encoder pull DarthReca/CLOSP-RN")
def pull(
    repository: Annotated[str, typer.Argument(help="Model repository on the Hugging Face hub.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="I have read the licence and accept it.")] = False,
    endpoint: Annotated[str, typer.Option(help="Address of the hub.", envvar="HF_ENDPOINT")] = "https://huggingface.co",
    as_json: Json = False,
) -> None:
    """Fetch published weights, after showing their licence; an interrupted download goes on where it stopped."""
    from encoders.pull import describe_repository
    from encoders.pull import pull as fetch

    described = describe_repository(repository, endpoint=endpoint)
    note(
        f"{repository}: licence {described.licence or 'not stated'}, {described.total_bytes / 1e6:.0f} MB, see {endpoint}/{repository}"
    )
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("read the licence and repeat with --yes to accept it")
        typer.confirm("Do you accept this licence?", abort=True, err=True)
    with _download_bar() as progress:
        release = fetch(repository, endpoint=endpoint, progress=progress)
    print_json({"repository": repository, "folder": str(release)}) if as_json else say(f"{repository} is in {release}")


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(encoder, name="encoder")
