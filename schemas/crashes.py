"""Remembers which message was in hand when a process died, so that none can kill it for ever.

Flows in: the identity of a message, before and after it is handled. Flows out: how often it was begun and not
ended. Stops before judging: `handling` gives such a message up.

One small file for each message in hand, in the run folder. It says how often the message was begun and how often
an exception ended the process; the rest are deaths that nobody could catch (SIGKILL, out of memory, a fault in
native code), which may be somebody else's doing and so weigh less.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

MAX_CRASHES = 3
"""An exception that was nobody's plan, this often with one message: it is the message."""
MAX_DEATHS = 6
"""The process vanished this often with one message in hand: it is probably the message. A restart by hand, or a
test that kills at random, must not condemn a good one."""
FORGOTTEN_AFTER = timedelta(days=14)
"""Age of files that nobody will ask for again: their message was handled elsewhere."""


@dataclass(frozen=True, slots=True)
class History:
    """What became of a message before.

    Attributes:
        starts: How often it was begun and not ended.
        crashes: How many of those ended in an exception that nobody had planned.
    """

    starts: int = 0
    crashes: int = 0

    @property
    def deadly(self) -> bool:
        """Whether it has ended the process too often."""
        return self.crashes >= MAX_CRASHES or self.starts - self.crashes >= MAX_DEATHS


class CrashLog:
    """The files of one service."""

    def __init__(self, folder: Path) -> None:
        """Make the folder where it is missing and drop what is too old to matter."""
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        oldest = time.time() - FORGOTTEN_AFTER.total_seconds()
        for path in folder.iterdir():
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def begin(self, identity: str) -> History:
        """Note that a message is in hand; returns what became of it before."""
        before = self._read(identity)
        self._write(identity, History(before.starts + 1, before.crashes))
        return before

    def crashed(self, identity: str) -> None:
        """Note that an exception ends the process with this message in hand."""
        now = self._read(identity)
        self._write(identity, History(now.starts, now.crashes + 1))

    def end(self, identity: str) -> None:
        """The message is out of hand: handled, given up, or given back."""
        (self._folder / identity).unlink(missing_ok=True)

    def _read(self, identity: str) -> History:
        try:
            starts, crashes = (self._folder / identity).read_text().split()
            return History(int(starts), int(crashes))
        except (FileNotFoundError, ValueError):  # a file cut short by a crash counts as none
            return History()

    def _write(self, identity: str, history: History) -> None:
        (self._folder / identity).write_text(f"{history.starts} {history.crashes}")


def identity_of(topic: str, key: bytes | None, value: bytes) -> str:
    """The same for the same message, wherever it stands: in its topic, in the retry topic, after a republication."""
    return hashlib.sha256(b"\x1f".join((topic.encode(), key or b"", value))).hexdigest()[:40]
