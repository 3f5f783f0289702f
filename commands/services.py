"""`tocsin up` and `tocsin run`: all services under one supervisor.

Flows in: the data folder. Flows out: running services, and what they did. Stops before the services' own work.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Data, Json, open_database, open_stack
from commands.output import note, print_json, say
from schemas.errors import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from embedded.supervisor import Supervisor
    from schemas.settings import Stack

TICK_S = 0.25
"""How often the supervisor looks after its children."""
QUIET_TICKS = 4
"""So many looks in a row must find nothing under way before all is called drained."""


def up(data: Data = None) -> None:
    """Run everything until Ctrl-C."""
    stack = open_stack(data)
    engine = open_database(stack)
    with running(stack) as supervisor:
        note(f"Tocsin is up on {stack.data}: alerts appear below, logs are in {stack.data / 'logs'}; Ctrl-C stops it")
        keep(supervisor, lambda: False)
    engine.dispose()


def run(
    until_idle: Annotated[bool, typer.Option("--until-idle", help="Poll once, drain everything, and exit.")] = False,
    timeout: Annotated[float, typer.Option(metavar="S", help="Give up after so many seconds (0: never).")] = 0.0,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Run all services; with --until-idle, exit when nothing is under way any more."""
    stack = open_stack(data)
    engine = open_database(stack)
    started = datetime.now(UTC)
    with running(stack) as supervisor:
        if not until_idle:
            keep(supervisor, lambda: False)
        drain(supervisor, engine, started, timeout)
    summary = summarise(engine, started)
    engine.dispose()
    if as_json:
        print_json(summary)
    else:
        say(", ".join(f"{value} {name.replace('_', ' ')}" for name, value in summary.items() if name != "started"))


@contextmanager
def running(stack: Stack) -> Iterator[Supervisor]:
    """All services of these addresses, ended at the end; SIGTERM ends them like Ctrl-C."""
    from embedded.services import services
    from embedded.supervisor import Supervisor

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        with Supervisor(services(stack), stack.data) as supervisor:
            yield supervisor
    finally:
        signal.signal(signal.SIGTERM, previous)


def keep(supervisor: Supervisor, done: Callable[[], bool]) -> None:
    """Look after the services until `done`, or Ctrl-C."""
    try:
        while not done():
            for ended in supervisor.tend():
                note(f"{ended} ended and is started again; its log says why")
            time.sleep(TICK_S)
    except KeyboardInterrupt:
        note("stopping")


def drain(supervisor: Supervisor, engine: Engine, since: datetime, timeout_s: float = 0.0) -> None:
    """Look after the services until all sources have been polled and nothing is under way.

    Raises:
        StoreUnavailable: not drained within `timeout_s` (0: never give up), or a service keeps ending.
    """
    from embedded.progress import polled_since, unfinished

    quiet, begun = 0, time.monotonic()
    with progress_bar("draining") as show:
        while quiet < QUIET_TICKS:
            for ended in supervisor.tend():
                note(f"{ended} ended and is started again; its log says why")
            left = unfinished(engine)
            quiet = quiet + 1 if polled_since(engine, since) and not left else 0
            show(left.acquisitions)
            if hopeless := supervisor.hopeless():
                raise StoreUnavailable(hopeless)
            if timeout_s and time.monotonic() - begun > timeout_s:
                raise StoreUnavailable(f"not drained after {timeout_s:.0f} s: {left}; tocsin status shows what waits")
            time.sleep(TICK_S)


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr that knows how much is left; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda left: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=None)
        most = 0

        def show(left: int) -> None:
            nonlocal most
            most = max(most, left)
            progress.update(task, total=most or None, completed=most - left)

        yield show


def summarise(engine: Engine, since: datetime) -> dict[str, object]:
    """What has been done since a moment: acquisitions by state, alerts, deliveries, dead letters."""
    from sqlalchemy import func, select

    from schemas.database import reading
    from schemas.tables import AcquisitionRow, AlertRow, DeadLetterRow, DeliveryRow

    with reading(engine) as session:
        states = select(AcquisitionRow.state, func.count()).group_by(AcquisitionRow.state)
        by_state = dict(session.execute(states).all())
        alerts = session.scalar(select(func.count()).select_from(AlertRow).where(AlertRow.sent_at >= since))
        delivered = session.scalar(
            select(func.count()).select_from(DeliveryRow).where(DeliveryRow.delivered_at >= since)
        )
        dead = session.scalar(select(func.count()).select_from(DeadLetterRow).where(DeadLetterRow.failed_at >= since))
    return {
        "started": since,
        "acquisitions_matched": by_state.get("matched", 0),
        "acquisitions_failed": by_state.get("failed", 0),
        "acquisitions_waiting": by_state.get("waiting", 0),
        "alerts_sent": alerts,
        "deliveries": delivered,
        "dead_letters": dead,
    }


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.command()(up)
    app.command()(run)
