"""An alert's pictures and evidence, or an alert without them: nobody waits for a picture to be told.

Flows in: what is told. Flows out: pictures and a zip file, if they could be made. Stops before drawing (`evidence`).

Drawing reads old files of others with large libraries. Whatever goes wrong in there, a bug of ours included, costs the
pictures and is logged; the alert goes out.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import structlog

from alerts.telling.kinds.kind import Picture, Telling
from schemas.messages import Alert

Made = TypeVar("Made")
PNG = b"\x89PNG\r\n\x1a\n"
LONGEST = timedelta(minutes=1)
"""When several alerts are told in one, those that have no pictures after this time go without."""

log = structlog.get_logger(__name__)


def drawn(telling: Telling) -> Sequence[Picture]:
    """The pictures of its alerts; none where there are none or they cannot be had now."""
    until = time.monotonic() + LONGEST.total_seconds()
    pictures: list[Picture] = []
    for part in telling.parts:
        if time.monotonic() < until:
            pictures += _made(part, part.pictures, "pictures") or ()
    return [picture for picture in pictures if picture.png.startswith(PNG)]


def packed(telling: Telling) -> bytes | None:
    """The evidence as a zip file; none where there is none or it cannot be had now."""
    return _made(telling, telling.bundle, "evidence")


def _made(telling: Telling, make: Callable[[Alert], Made], name: str) -> Made | None:
    alert = telling.message
    if telling.is_test or not isinstance(alert, Alert):
        return None
    try:
        return make(alert)
    except Exception as error:  # noqa: BLE001  whatever drawing trips over, the alert itself must go out
        log.warning(
            "told without what belongs to it",
            missing=name,
            alert_id=str(alert.alert_id),
            error=f"{type(error).__name__}: {error}",
        )
        return None
