"""The notifier's own standard output: one line for each message, for whoever watches it.

Flows in: what is told. Flows out: a line. Stops before the log: that goes to standard error.
"""

from __future__ import annotations

import sys
from typing import ClassVar, TextIO

from alerts.telling.kinds.kind import Kind, Telling
from alerts.telling.lines import group_text
from alerts.telling.words import line
from schemas.errors import DeliveryFailed


class Terminal(Kind):
    """A line on the terminal."""

    name: ClassVar[str] = "terminal"
    gathers: ClassVar[bool] = True
    about: ClassVar[str] = "a line on the notifier's standard output"

    def tell(self, telling: Telling) -> None:
        """Write the line."""
        write_line(telling, sys.stdout)


def write_line(telling: Telling, stream: TextIO) -> None:
    """One line for a person; for several that are told in one, a line that says so, and one for each.

    Raises:
        DeliveryFailed: the stream is closed.
    """
    text = line(telling)
    if len(telling.parts) > 1:
        subject, each = group_text(telling.messages, telling.occasion)
        text = f"{subject}\n{each.rstrip()}"
    try:
        stream.write(text + "\n")
        stream.flush()
    except (OSError, ValueError) as error:
        raise DeliveryFailed(f"the terminal does not take lines: {error}") from error
