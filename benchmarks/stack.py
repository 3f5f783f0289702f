"""A whole embedded Tocsin over a simulated catalogue, for benchmarks that watch all of it at work.

Flows in: how large a landscape, how many scenes. Flows out: a running stack and scenes that can be released.
Stops before measuring.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from alerts import queries
from commands.services import running
from embedded.supervisor import Supervisor
from ingest.sources import add_source
from schemas.database import connect, migrate
from schemas.settings import Stack
from simulation.catalogue import Draft, SimulatedCatalogue
from simulation.scenario import demo_scenario
from simulation.server import serve

POLL_EVERY_S = 0.2
"""The catalogue is on this machine: polling adds at most this to a scene's way."""


@dataclass(frozen=True)
class Watched:
    """What runs.

    Attributes:
        stack: Its addresses.
        engine: Its database.
        supervisor: Its processes.
        catalogue: Where scenes are released.
        drafts: Scenes that nobody has seen yet, oldest first, one a day.
    """

    stack: Stack
    engine: Engine
    supervisor: Supervisor
    catalogue: SimulatedCatalogue
    drafts: list[Draft]


@contextmanager
def watched(size_km: int, scenes: int) -> Iterator[Watched]:
    """Start everything on a new folder, with `scenes` clear Sentinel-2 scenes of size_km x size_km cells to come."""
    os.environ["TOCSIN_INGEST_INTERVAL_S"] = str(POLL_EVERY_S)
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        scenario = demo_scenario(size_km=size_km)
        clear = next(one for one in scenario.passes if one.sensor == "s2" and one.sky.cloud_share == 0)
        with serve(folder / "catalogue") as address:
            catalogue = SimulatedCatalogue(folder / "catalogue", address)
            catalogue.create()
            days = (timedelta(days=number) for number in range(scenes))
            drafts = [catalogue.prepare(scenario, replace(clear, when=clear.when + day)) for day in days]
            stack = Stack(data=folder / "data", kafka="", qdrant_url="", database_url="")
            stack.data.mkdir()
            migrate(stack.database)
            engine = connect(stack.database)
            since = datetime.now(UTC) - timedelta(minutes=1)
            add_source(engine, "bench", f"{address}/catalog.json", collections=[drafts[0].collection], since=since)
            with running(stack) as supervisor:
                yield Watched(stack, engine, supervisor, catalogue, drafts)
            engine.dispose()


def ask_for_anything(engine: Engine, sentence: str) -> None:
    """A standing query that every scene matches: it opens one incident, and so one alert, with the next scene."""
    queries.add(engine, sentence, mode="presence", sensors=["s2"], threshold=-1.0)
