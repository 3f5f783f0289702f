"""Which processes make a running Tocsin, in the order in which they start.

Flows in: the addresses (`Stack`). Flows out: modules with their environment. Stops before starting them
(`supervisor`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from schemas.settings import Stack


@dataclass(frozen=True, slots=True)
class Service:
    """One process.

    Attributes:
        name: As in logs and `tocsin status`.
        module: What to run, as `python -m`.
        ready_file: Written by the process when others may use it, or none.
        environment: Beside the inherited one.
    """

    name: str
    module: str
    ready_file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def services(stack: Stack) -> list[Service]:
    """All services for these addresses: broker and archive only where they are the embedded ones."""
    environment = environment_of(stack)
    wanted: list[tuple[str, str, Path | None]] = []
    if not stack.kafka:
        wanted.append(("broker", "embedded.broker", stack.run_folder / "broker.json"))
    if not stack.qdrant_url:
        wanted.append(("archive", "archive.owner", stack.run_folder / "archive.json"))
    wanted += [
        ("notifier", "alerts.notifier", None),
        ("matcher", "alerts.matcher", None),
        ("encoder", "encoders.run", None),
        ("poller", "ingest.run", None),
    ]
    return [Service(name, module, ready, environment) for name, module, ready in wanted]


def environment_of(stack: Stack) -> dict[str, str]:
    """The `TOCSIN_…` variables that give a child process the same addresses."""
    values = {
        "TOCSIN_DATA": str(stack.data.resolve()),
        "TOCSIN_DATABASE_URL": stack.database_url,
        "TOCSIN_KAFKA": stack.kafka,
        "TOCSIN_QDRANT_URL": stack.qdrant_url,
        "TOCSIN_QDRANT_API_KEY": stack.qdrant_api_key,
        "TOCSIN_ENCODER": stack.encoder,
        "TOCSIN_ENCODER_BACKEND": stack.encoder_backend,
        "TOCSIN_ENCODER_PRECISION": stack.encoder_precision,
        "TOCSIN_PARTITIONS": str(stack.partitions),
        "TOCSIN_REPLICATION": str(stack.replication),
        "TOCSIN_LOG_LEVEL": stack.log_level,
    }
    # One thread for each process: two OpenMP teams on one machine stall each other (see docs/operating.md).
    return values | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
