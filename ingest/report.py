"""What one poll of one source found, in numbers and in words.

Flows in: outcomes. Flows out: the report that a person, a log line or `--json` shows. Stops at counting.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(slots=True)
class PollReport:
    """What one poll of one source found.

    Attributes:
        source: Its name.
        new: Scenes announced for the first time.
        superseding: Newer versions, announced.
        waiting: Items without all their bands.
        ignored: Older versions, and the same under another name.
        known: Items read before, unchanged.
        failed: Items that cannot be used; each is a dead letter.
        outside: Items outside the area or the time span, or left to the poller by a back-fill.
        pages: Pages read.
        warnings: What the catalogue cannot do, and what went wrong.
        errors: What went wrong: the next poll tries again.
    """

    source: str
    new: int = 0
    superseding: int = 0
    waiting: int = 0
    ignored: int = 0
    known: int = 0
    failed: int = 0
    outside: int = 0
    pages: int = 0
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)

    def trouble(self, text: str) -> None:
        """Note something that went wrong."""
        self.errors.append(text)
        self.warnings.append(text)
