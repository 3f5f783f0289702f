"""`tocsin demo`: a simulated valley, eight quiet weeks, then a fire and a flood.

Flows in: nothing. Flows out: alerts, and how they compare with what really happened there. Stops before any back
door: the scenes are files behind an HTTP server, and everything after that is the normal pipeline.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.demo_report import DemoReport, compare, show_report
from commands.options import Data, open_database, open_stack
from commands.output import note, say
from commands.services import drain, keep, progress_bar, running

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from embedded.supervisor import Supervisor
    from schemas.settings import Stack
    from simulation.catalogue import Draft, SimulatedCatalogue
    from simulation.scenario import Scenario

QUERIES = {"burn": "wildfire burn scar", "flood": "flooded fields"}
"""What the demo asks for, by the kind of event that each sentence means."""
SOURCE = "simulated"
POLL_EVERY_S = 0.5
"""The demo's catalogue is on this machine: ask it often, so that latency is the pipeline's own."""


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit when the story is over; 0 only if it went as it should.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write alerts, truth and stage times here.")
    ] = None,
    picture: Annotated[Path | None, typer.Option("--map", metavar="FILE", help="Draw a map of it, PNG.")] = None,
    size: Annotated[int, typer.Option(min=4, max=40, help="Edge of the landscape, km.")] = 10,
    seed: Annotated[int, typer.Option(help="Another seed, another landscape.")] = 4,
    data: Data = None,
) -> None:
    """Watch acquisitions arrive, vectors being written, and two alerts go out, on a simulated landscape."""
    with _data_folder(data) as folder:
        stack = open_stack(folder)
        engine = open_database(stack)
        report = _play(stack, engine, size, seed, picture, stay=not once)
        engine.dispose()
    if json_file:
        json_file.write_text(json.dumps(report.as_dict(), indent=1) + "\n")
    if not report.went_well:
        raise typer.Exit(1)


def _play(stack: Stack, engine: Engine, size: int, seed: int, picture: Path | None, stay: bool) -> DemoReport:
    from commands.demo_map import draw_map
    from simulation.catalogue import SimulatedCatalogue
    from simulation.scenario import demo_scenario
    from simulation.server import serve as serve_files

    folder = stack.data / "catalogue"
    scenario = demo_scenario(seed=seed, size_km=size)
    with serve_files(folder) as address:
        catalogue = SimulatedCatalogue(folder, address)
        catalogue.create()
        past, present = _prepare(catalogue, scenario)
        with running(stack) as supervisor:
            _tell_history(stack, engine, supervisor, catalogue, past)
            _ask(engine)
            _tell_present(engine, supervisor, catalogue, present)
            report = compare(engine, scenario, QUERIES)
            show_report(report)
            if picture:
                draw_map(report, scenario, picture)
                say(f"the map is in {picture}: white corners mark what really happened")
            if stay:
                say(f"still running on {stack.data}; Ctrl-C stops it")
                keep(supervisor, lambda: False)
    return report


def _prepare(catalogue: SimulatedCatalogue, scenario: Scenario) -> tuple[list[Draft], list[Draft]]:
    """Write all scenes, visible to nobody yet: those before the events, and those after."""
    say(f"a valley of {len(scenario.world.cells())} km², simulated: {len(scenario.passes)} passes of Sentinel-1 and -2")
    past: list[Draft] = []
    present: list[Draft] = []
    with progress_bar("writing scenes") as show:
        for done, planned in enumerate(scenario.passes):
            show(len(scenario.passes) - done)
            (past if planned.backfill else present).append(catalogue.prepare(scenario, planned))
    return past, present


def _tell_history(
    stack: Stack, engine: Engine, supervisor: Supervisor, catalogue: SimulatedCatalogue, past: Sequence[Draft]
) -> None:
    """Release the quiet weeks and back-fill them: archive and baselines, no alerts."""
    from commands.sources import publish
    from ingest.poll import backfill
    from ingest.sources import add_source

    for draft in past:
        catalogue.release(draft)
    started = datetime.now(UTC)
    url = f"{catalogue.base_url}/catalog.json"
    add_source(engine, SOURCE, url, collections=sorted({draft.collection for draft in past}), since=started)
    backfill(engine, SOURCE, past[0].sensed - timedelta(days=1), past[-1].sensed + timedelta(days=1))
    publish(stack, engine)
    drain(supervisor, engine, started, timeout_s=300)
    say(f"history: {len(past)} acquisitions from {past[0].sensed:%d %B} to {past[-1].sensed:%d %B} are in the archive")


def _ask(engine: Engine) -> None:
    from alerts import queries

    for sentence in QUERIES.values():
        queries.add(engine, sentence, budget="1/month")
        say(f'standing query: "{sentence}", at most one alarm a month')


def _tell_present(
    engine: Engine, supervisor: Supervisor, catalogue: SimulatedCatalogue, present: Sequence[Draft]
) -> None:
    """Release one acquisition after the other, each when the one before has been seen through."""
    for draft in present:
        released = datetime.now(UTC)
        begun = time.monotonic()
        catalogue.release(draft, released)
        drain(supervisor, engine, released, timeout_s=120)
        say(f"{draft.sensed:%d %B %H:%M}  {draft.id}  {_outcome(engine, draft.id)}, {time.monotonic() - begun:.1f} s")


def _outcome(engine: Engine, item_id: str) -> str:
    from sqlalchemy import select

    from schemas.database import reading
    from schemas.tables import CoverageRow

    with reading(engine) as session:
        row = session.scalars(select(CoverageRow).where(CoverageRow.item_id == item_id)).first()
    if row is None:
        return "not read"
    return f"{row.seen} cells encoded" + (f", {row.obscured} under cloud" if row.obscured else "")


@contextmanager
def _data_folder(data: Path | None) -> Iterator[Path]:
    """The folder that was named, emptied of an earlier demo; else a temporary one."""
    os.environ.setdefault("TOCSIN_INGEST_INTERVAL_S", str(POLL_EVERY_S))
    if data is None:
        with tempfile.TemporaryDirectory(prefix="tocsin-demo-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
        return
    marker = data / "tocsin-demo"
    if marker.exists():
        shutil.rmtree(data)
    elif data.exists() and any(data.iterdir()):
        note(f"{data} is not empty and no earlier demo: the demo runs beside what is there")
    data.mkdir(parents=True, exist_ok=True)
    marker.touch()
    yield data


def register(app: typer.Typer) -> None:
    """Put this command on the front door."""
    app.command()(demo)
