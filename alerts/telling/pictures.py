"""An alert's pictures and evidence, or an alert without them: nobody waits for a picture to be told.

Flows in: what is told. Flows out: pictures and a zip file, if they could be made. Stops before drawing (`evidence`).
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from alerts.telling.kinds.kind import Picture, Telling
from schemas.errors import TocsinError
from schemas.messages import Alert

PNG = b"\x89PNG\r\n\x1a\n"

log = structlog.get_logger(__name__)


def drawn(telling: Telling) -> Sequence[Picture]:
    """The pictures of its alerts; none where there are none or they cannot be had now."""
    return [picture for part in telling.parts for picture in _drawn(part)]


def _drawn(telling: Telling) -> Sequence[Picture]:
    if telling.is_test or not isinstance(telling.message, Alert):
        return ()
    try:
        return [picture for picture in telling.pictures(telling.message) if picture.png.startswith(PNG)]
    except TocsinError as error:
        log.warning("told without pictures", alert_id=str(telling.message.alert_id), error=str(error))
        return ()


def packed(telling: Telling) -> bytes | None:
    """The evidence as a zip file; none where there is none or it cannot be had now."""
    if telling.is_test or not isinstance(telling.message, Alert):
        return None
    try:
        return telling.bundle(telling.message)
    except TocsinError as error:
        log.warning("told without evidence", alert_id=str(telling.message.alert_id), error=str(error))
        return None
