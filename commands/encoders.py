"""`tocsin encoder …`: the models that turn pixels and sentences into vectors.

Flows in: names of releases. Flows out: weights and tuned values on disk. Stops before encoding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Json
from commands.output import note, print_json, say, table
from schemas.backends import Backend, Precision
from schemas.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import ProgressColumn

    from encoders.interface import Pixels

CALIBRATION_SEED = 90
"""Of the places that int8 engines are calibrated on; no training and no evaluation draws from it."""

encoder = typer.Typer(no_args_is_help=True, help="Encoders: what is installed, fetching and tuning them.")


@encoder.command("list")
def list_(as_json: Json = False) -> None:
    """Show the encoders, where they are, and which runtime would run them and why."""
    from encoders.listing import installed_releases

    found = installed_releases()
    if as_json:
        print_json([asdict(release) for release in found])
        return
    rows = [
        (
            r.name,
            "yes" if r.installed else "no",
            " ".join(r.sensors),
            r.licence,
            r.backend,
            f"tuned {r.tuned}" if r.tuned else "defaults",
            r.reason,
        )
        for r in found
    ]
    table("Encoders", ("name", "installed", "sensors", "licence", "runtime", "speed", "why"), rows, "none")


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
    from schemas.logs import configure
    from simulation.chips import make_chips

    def chips(sensor: str) -> Pixels:
        note(f"simulating {CALIBRATION_CHIPS} {sensor} chips to calibrate with")
        return make_chips(CALIBRATION_CHIPS, seed=CALIBRATION_SEED, sensor="s1" if sensor == "s1" else "s2").pixels

    configure("warning", "tocsin")  # to stderr: stdout is the command's own
    note(f"opening {release}; engines that are not built yet take about a minute")
    opened = load(release, backend=backend, precision=precision, chips=chips)
    closp = opened if isinstance(opened, ClospEncoder) else None
    if as_json:
        print_json({"release": opened.release, "backend": closp.backend if closp else "onnxruntime"})
    else:
        say(f"{opened.release} is ready on {closp.engines['s2'].name if closp else 'onnxruntime'}")


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


@encoder.command("tune", epilog="Example: tocsin encoder tune nano")
def tune(
    release: Annotated[str, typer.Argument(help="Release to tune, as TOCSIN_ENCODER names it.")] = "nano",
    as_json: Json = False,
) -> None:
    """Measure what is fastest on this machine, once; Ctrl-C leaves the values as they were.

    A CLOSP release is measured on TOCSIN_ENCODER_BACKEND and in TOCSIN_ENCODER_PRECISION, as services run it.
    """
    from encoders.tuned import STORED, tuned_path
    from encoders.tuning import Stopwatch
    from encoders.tuning import tune as measure
    from schemas.logs import configure
    from schemas.settings import Stack
    from simulation.practice import practice_scene

    configure("warning", "tocsin")
    stack = Stack()
    with practice_scene() as scene, _rounds_bar() as progress:
        found = measure(
            release,
            scene,
            backend=stack.encoder_backend,
            precision=stack.encoder_precision,
            stopwatch=Stopwatch(progress=progress),
        )
    if as_json:
        print_json(STORED.dump_python(found, mode="json"))
        return
    rows = [
        (setting, getattr(found, setting), ", ".join(f"{value}: {rate:.0f}" for value, rate in rates.items()))
        for setting, rates in found.measured.items()
    ]
    table(f"{release} on this machine", ("setting", "chosen", "chips/s by value"), rows, "none")
    say(f"kept in {tuned_path(found.conditions)}")


def _rounds_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """A bar for each setting on stderr; silent where stderr is no terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    return _bars(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())


def _download_bar() -> AbstractContextManager[Callable[[str, int, int], None]]:
    """A bar for each file on stderr; silent where stderr is no terminal."""
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn

    return _bars(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())


@contextmanager
def _bars(*columns: ProgressColumn) -> Iterator[Callable[[str, int, int], None]]:
    if not sys.stderr.isatty():
        yield lambda _name, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress, TaskID

    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True)) as progress:

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=total)
            progress.update(tasks[name], completed=done)

        yield show


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.add_typer(encoder, name="encoder")
