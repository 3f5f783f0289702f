"""`tocsin status` and `tocsin doctor`: how it is, and what is wrong with this machine.

Flows in: the stores, run files and the machine. Flows out: facts, and for each fault what to do. Stops before
mending anything.
"""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from commands.options import Data, Json, open_database, open_stack
from commands.output import print_json, say, table
from schemas.errors import TocsinError

if TYPE_CHECKING:
    from schemas.settings import Stack

MIN_FREE_GB = 5.0
"""Less free disk than this and an archive of one country soon fills it."""


def status(data: Data = None, as_json: Json = False) -> None:
    """Show what runs, how far each source has been read, and what is under way."""
    from embedded.progress import unfinished
    from embedded.supervisor import service_pids
    from ingest.sources import list_sources
    from schemas.heartbeat import age_s

    stack = open_stack(data)
    engine = open_database(stack)
    pids = service_pids(stack.run_folder / "supervisor.json")
    services = [{"name": name, "pid": pid, "last_beat_s": age_s(stack, name)} for name, pid in pids.items()]
    sources = [source.as_dict() for source in list_sources(engine)]
    counts = _counts(stack)
    if as_json:
        under_way = asdict(unfinished(engine))
        print_json({"services": services, "sources": sources, "under_way": under_way, "counts": counts})
        return
    table(
        "Services",
        ("name", "pid", "last beat, s"),
        [tuple(s.values()) for s in services],
        "nothing runs here: tocsin up",
    )
    rows = [(s["name"], s["read_until"], s["polled_at"], s["error"]) for s in sources]
    table("Sources", ("name", "read until", "polled", "trouble"), rows, "no sources yet: tocsin source add --help")
    say("under way: " + ", ".join(f"{value} {name}" for name, value in asdict(unfinished(engine)).items()))
    say("in all: " + ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items()))


def _counts(stack: Stack) -> dict[str, int]:
    from sqlalchemy import func, select

    from alerts.telling.silences import in_force
    from schemas.database import connect, reading
    from schemas.tables import AcquisitionRow, AlertRow, DeadLetterRow, DeliveryRow, IncidentRow, QueryRow

    with reading(connect(stack.database)) as session:
        states = select(AcquisitionRow.state, func.count()).group_by(AcquisitionRow.state)
        counts = {f"acquisitions_{state}": count for state, count in session.execute(states)}
        active = select(func.count()).select_from(QueryRow).where(QueryRow.status == "active")
        counts["queries"] = session.scalar(active) or 0
        for name, row in (("incidents", IncidentRow), ("alerts", AlertRow), ("deliveries", DeliveryRow)):
            counts[name] = session.scalar(select(func.count()).select_from(row)) or 0
        failed = select(func.count()).select_from(DeliveryRow).where(DeliveryRow.state == "failed")
        counts["deliveries_failed"] = session.scalar(failed) or 0
        counts["silences_in_force"] = len(in_force(session, datetime.now(UTC)))
        dead = select(func.count()).select_from(DeadLetterRow).where(DeadLetterRow.redriven_at.is_(None))
        counts["dead_letters"] = session.scalar(dead) or 0
    return counts


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `state` is ok, warning or failed."""

    what: str
    state: str
    detail: str


def doctor(data: Data = None, as_json: Json = False) -> None:
    """Check this machine and these settings; says for each fault what to do."""
    stack = open_stack(data)
    findings = list(_findings(stack))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table("Doctor", ("what", "state", "detail"), [(f.what, f.state, f.detail) for f in findings], "")
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def _findings(stack: Stack) -> Iterator[Finding]:
    yield Finding("python", "ok", sys.version.split()[0])
    yield _disk(stack)
    yield _look("database", lambda: _database(stack))
    yield _look("broker", lambda: _broker(stack))
    yield _look("archive", lambda: _archive(stack))
    yield _look("encoder", lambda: _encoder(stack))
    yield _look("gdal", _gdal)
    torch = importlib.util.find_spec("torch") is not None
    yield Finding("torch", "ok", "installed" if torch else "not installed: only CLOSP and training need it")


def _look(what: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(what, "ok", check())
    except (TocsinError, ImportError, OSError) as error:
        return Finding(what, "failed", str(error))


def _disk(stack: Stack) -> Finding:
    stack.data.mkdir(parents=True, exist_ok=True)
    free_gb = shutil.disk_usage(stack.data).free / 1e9
    if free_gb < MIN_FREE_GB:
        return Finding(
            "disk", "warning", f"{free_gb:.1f} GB free for {stack.data}: {MIN_FREE_GB:.0f} GB or more is wise"
        )
    return Finding("disk", "ok", f"{free_gb:.0f} GB free for {stack.data}")


def _database(stack: Stack) -> str:
    engine = open_database(stack)
    return f"{engine.dialect.name}, schema up to date"


def _broker(stack: Stack) -> str:
    from schemas.publisher import Publisher

    if stack.kafka:
        Publisher(stack.kafka, "tocsin-doctor").close()
        return f"Apache Kafka at {stack.kafka}"
    from embedded.broker import running as broker

    with broker(stack.model_copy(update={"data": stack.data / "run" / "doctor"})) as embedded:
        return f"embedded, started and stopped at {embedded.bootstrap}"


def _archive(stack: Stack) -> str:
    from archive import open_archive

    with open_archive(stack) as archive:
        where = stack.qdrant_url or "embedded"
        return f"{where}, {archive.count()} cells of {len(archive.releases())} releases"


def _encoder(stack: Stack) -> str:
    from encoders import load_for

    loaded = load_for(stack)
    vectors = loaded.texts(["wildfire burn scar"])
    return f"{loaded.release}, {vectors.shape[1]} dimensions"


def _gdal() -> str:
    import rasterio

    return f"GDAL {rasterio.__gdal_version__}"


def register(app: typer.Typer) -> None:
    """Put these commands on the front door."""
    app.command()(status)
    app.command()(doctor)
