"""What time it is: the machine's own for services, the past's for a back-test.

Flows in: nothing. Flows out: aware moments. Stops before sleeping and scheduling.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present moment, aware."""


def machine_time() -> datetime:
    """The machine's clock, UTC."""
    return datetime.now(UTC)
