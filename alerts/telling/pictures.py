"""An alert's pictures and evidence, or an alert without them: nobody waits for a picture to be told.

Flows in: what is told. Flows out: pictures and a zip file, if they could be made in time. Stops before making them
(`workshop`, `evidence`).

Drawing reads old files of others with large libraries. Whatever goes wrong in there, a bug of ours included, costs the
pictures and is logged; the alert goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import structlog

from alerts.telling.kinds.kind import Picture, Telling
from alerts.telling.letter import MOST_PICTURES
from alerts.telling.workshop import OutOfTime
from schemas.messages import Alert

Made = TypeVar("Made")
PNG = b"\x89PNG\r\n\x1a\n"

log = structlog.get_logger(__name__)


def drawn(telling: Telling) -> Sequence[Picture]:
    """The pictures of its alerts, as many as a letter shows; those that are there when its time is up, or none."""
    pictures: list[Picture] = []
    for part in telling.parts:
        if len(pictures) >= MOST_PICTURES:
            break
        try:
            made = _made(part, part.pictures, "pictures") or ()
        except OutOfTime:
            _left_out(part, "pictures", "they were not drawn in time")
            break
        pictures += [picture for picture in made if picture.png.startswith(PNG)]
    return pictures


def packed(telling: Telling) -> bytes | None:
    """The evidence as a zip file; none where there is none or it cannot be had now."""
    try:
        return _made(telling, telling.bundle, "evidence")
    except OutOfTime:
        _left_out(telling, "evidence", "it was not packed in time")
        return None


def _made(telling: Telling, make: Callable[[Alert], Made], name: str) -> Made | None:
    alert = telling.message
    if telling.is_test or not isinstance(alert, Alert):
        return None
    try:
        return make(alert)
    except OutOfTime:
        raise
    except Exception as error:  # noqa: BLE001  whatever drawing trips over, the alert itself must go out
        _left_out(telling, name, f"{type(error).__name__}: {error}")
        return None


def _left_out(telling: Telling, name: str, error: str) -> None:
    log.warning("told without what belongs to it", missing=name, alert_id=str(telling.subject_id), error=error)
