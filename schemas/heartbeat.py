"""Whether a service is alive: a file that its working loop touches, and the check that a container runs.

Flows in: beats of the service's own event loop. Flows out: exit status 0 or 1.
Stops before restarting anything: that is the supervisor's or the orchestrator's part.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from schemas.environment import ending
from schemas.settings import Stack

EVERY_S = 5.0
"""How often a service beats."""
STALE_S = 60.0
"""A service that has not beaten for so long is stuck: its longest blocking call is shorter."""


def beat(stack: Stack, service: str) -> None:
    """Say that the service's loop has just come round."""
    path = _path(stack, service)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path)


def age_s(stack: Stack, service: str) -> float | None:
    """Seconds since the last beat; none if there never was one."""
    try:
        return max(time.time() - _path(stack, service).stat().st_mtime, 0.0)
    except FileNotFoundError:
        return None


def main(service: str) -> int:
    """Exit status of a container's health check: 0 alive, 1 not."""
    age = age_s(Stack(), service)
    if age is None or age > STALE_S:
        sys.stderr.write(f"{service}: {'no heartbeat yet' if age is None else f'last heartbeat {age:.0f} s ago'}\n")
        return 1
    return 0


def _path(stack: Stack, service: str) -> Path:
    return stack.run_folder / f"{service}.alive"


if __name__ == "__main__":
    sys.exit(ending(sys.argv[1], lambda: main(sys.argv[1])))
