"""`tocsin encoder …`: the models that turn pixels and sentences into vectors.

Flows in: names of published releases. Flows out: weights on disk. Stops before encoding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Json
from commands.output import note, print_json, say, table
from schemas.backends import Backend, Precision
from schemas.errors import UsageError

if TYPE_CHECKING:
    from encoders.interface import Pixels

CALIBRATION_SEED = 90
"""Of the places that int8 engines are calibrated on; no training and no evaluation draws from it."""

encoder = typer.Typer(no_args_is_help=True, help="Encoders: what is installed, and fetching published ones.")


@encoder.command("list")
def list_(as_json: Json = False) -> None:
    """Show the encoders, where they are, and which runtime would run them and why."""
    from encoders.listing import installed_releases

    found = installed_releases()
    if as_json:
        print_json([asdict(release) for release in found])
        return
    rows = [
        (r.name, "yes" if r.installed else "no", " ".join(r.sensors), r.licence, r.backend, r.reason) for r in found
    ]
    table("Encoders", ("name", "installed", "sensors", "licence", "runtime", "why"), rows, "none")


@encoder.command("backends")
def backends(as_json: Json = False) -> None:
    """Show what can run a CLOSP release on this machine, the fastest first, and why others cannot."""
    from encoders.backends import ENTRIES

    found = [(each.name, each.unavailable(), each.arithmetics) for each in ENTRIES]
    if as_json:
        rows_ = [{"name": name, "usable": why is None, "why": why, "precisions": can} for name, why, can in found]
        print_json(rows_)
        return
    rows = [(name, "no" if why else "yes", " ".join(can), why or "") for name, why, can in found]
    table("Backends", ("name", "usable", "precisions", "why not"), rows, "none")


@encoder.command("build", epilog="Example: tocsin encoder build closp-rn --precision int8")
def build(
    release: Annotated[str, typer.Argument(help="A pulled CLOSP release, or a folder of one.")],
    backend: Annotated[Backend, typer.Option(help="What runs it; see `tocsin encoder backends`.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="What it computes in.")] = "auto",
    as_json: Json = False,
) -> None:
    """Build a release's engines and check them against torch; services then open them at once.

    int8 is calibrated on simulated places and refused where it ranks chips otherwise than fp32.
    """
    from encoders.closp_release import CALIBRATION_CHIPS, ClospEncoder
    from encoders.release import load
    from simulation.chips import make_chips

    def chips(sensor: str) -> Pixels:
        note(f"simulating {CALIBRATION_CHIPS} {sensor} chips to calibrate with")
        return make_chips(CALIBRATION_CHIPS, seed=CALIBRATION_SEED, sensor="s1" if sensor == "s1" else "s2").pixels

    opened = load(release, backend=backend, precision=precision, chips=chips)
    runs = opened.backend if isinstance(opened, ClospEncoder) else "onnxruntime, which ships with it"
    if as_json:
        print_json({"release": opened.release, "backend": runs})
    else:
        say(f"{opened.release} is ready on {runs}")


@encoder.command("pull", epilog="Example: tocsin encoder pull DarthReca/CLOSP-RN")
def pull(
    repository: Annotated[str, typer.Argument(help="Model repository on the Hugging Face hub.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="I have read the licence and accept it.")] = False,
    endpoint: Annotated[str | None, typer.Option(help="Another hub.", envvar="HF_ENDPOINT")] = None,
    token: Annotated[str | None, typer.Option(help="For gated repositories.", envvar="HF_TOKEN")] = None,
    as_json: Json = False,
) -> None:
    """Fetch published weights, after showing their licence; an interrupted download goes on where it stopped."""
    from encoders.hub import ENDPOINT
    from encoders.pull import look_up, weights_of
    from encoders.pull import pull as fetch

    hub = endpoint or ENDPOINT
    offer = look_up(repository, endpoint=hub, token=token)
    size = weights_of(offer).size / 1e6
    note(f"{repository}: licence {offer.licence}, weights {size:.0f} MB; read the terms at {offer.page}")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("read the licence, then repeat with --yes to accept it")
        typer.confirm("Do you accept this licence?", abort=True, err=True)
    with _download_bar() as progress:
        installed = fetch(repository, endpoint=hub, token=token, offer=offer, progress=progress)
    if as_json:
        print_json(asdict(installed))
    else:
        say(f"{installed.name} is installed: TOCSIN_ENCODER={installed.name} tocsin up encodes with it")


@contextmanager
def _download_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each file on stderr; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _name, _here, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def show(name: str, here: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=here)

        yield show


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(encoder, name="encoder")
