"""Where the archive's owner listens, and how it is started when nobody has.

Flows in: the run and archive folders. Flows out: an address with its key. Stops before connections (`client`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

ADDRESS_FILE = "archive.json"
LOG_FILE = "archive-owner.log"
EXIT_LOCKED = 75
"""Exit code of an owner that gives way to another (EX_TEMPFAIL of sysexits.h)."""
IDLE_S = 5.0
"""An owner that was started for somebody's use ends this long after its last user."""


@dataclass(frozen=True, slots=True)
class Address:
    """Of a running owner.

    Attributes:
        port: On 127.0.0.1.
        key: Hex; new with each owner, readable only by the user who runs it.
        pid: Process id.
        supervised: Whether a supervisor keeps it running; else it ends when idle.
    """

    port: int
    key: str
    pid: int
    supervised: bool


def publish(run_folder: Path, address: Address) -> None:
    """Write the address so that readers see all of it or nothing."""
    run_folder.mkdir(parents=True, exist_ok=True)
    part = run_folder / f"{ADDRESS_FILE}.{os.getpid()}.part"
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123
        json.dump(asdict(address), file)
    part.replace(run_folder / ADDRESS_FILE)


def withdraw(run_folder: Path, address: Address) -> None:
    """Remove the address, unless another owner has written its own by now."""
    if published(run_folder) == address:
        (run_folder / ADDRESS_FILE).unlink(missing_ok=True)


def published(run_folder: Path) -> Address | None:
    """The address of the last owner; it need not be running any more."""
    try:
        return Address(**json.loads((run_folder / ADDRESS_FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def start_owner(data: Path, run_folder: Path) -> subprocess.Popen[bytes]:
    """Start an owner that ends when nobody uses it; of two started together one gives way."""
    run_folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "archive.owner", "--idle-s", str(IDLE_S)]
    with (run_folder / LOG_FILE).open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "TOCSIN_DATA": str(data.resolve())},
            start_new_session=True,
        )
    threading.Thread(target=process.wait, name="archive-owner-reaper", daemon=True).start()
    return process
