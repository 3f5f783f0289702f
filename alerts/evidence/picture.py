"""One picture that goes with an alert.

Flows in: what drew it. Flows out: a name, a caption, and a PNG. Stops before whoever attaches or packs it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture.

    Attributes:
        name: File name, for example `33TWF0256-s2.png`: the same for the same alert message, unique within it.
        caption: One or two sentences for people: what is seen, when, by which sensor, of which item.
        png: The file.
    """

    name: str
    caption: str
    png: bytes
