"""What goes along with a message: a few pictures, or the bundle, as functions of the alert alone.

Flows in: an alert that is being told. Flows out: pictures, or a zip file, bounded in time and size. Stops before
whoever attaches them. Bands are not taken apart: no encoder is loaded where people are told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from uuid import UUID

from sqlalchemy import Engine

from alerts.evidence.bundle import bundle
from alerts.evidence.explain import Explanation, Sources, explain
from alerts.settings import EvidenceSettings
from alerts.telling.kinds.kind import Picture
from archive import Archive
from encoders.settings import EncoderSettings
from schemas.messages import Alert

OpenArchive = Callable[[], AbstractContextManager[Archive]]
"""Opens the archive for one alert: it is held no longer than that."""
KEPT = 8
"""Messages whose pictures are kept, for further receivers and attempts: at most 32 MB with the usual `mail_bytes`."""
MAP = "map.png"
"""Its picture, as `score_map` names it."""


def artist(
    engine: Engine, open_archive: OpenArchive, settings: EvidenceSettings, reading: EncoderSettings
) -> Callable[[Alert], list[Picture]]:
    """The pictures of an alert: the best plate, the map, further plates, as many as have room.

    Args:
        engine: The database.
        open_archive: Read only.
        settings: The `mail_...` ones hold.
        reading: Limits of reading pixels.

    Returns:
        A function that may raise `StoreUnavailable`: database or archive does not answer. It draws each message once.
    """

    only = settings.model_copy(update={"lookalikes": 0})
    kept: dict[tuple[UUID, int], list[Picture]] = {}

    def draw(alert: Alert) -> list[Picture]:
        message = (alert.alert_id, alert.sequence)
        if message not in kept:
            kept[message] = fresh(alert)
            for old in list(kept)[:-KEPT]:
                del kept[old]
        return kept[message]

    def fresh(alert: Alert) -> list[Picture]:
        drawn = _explained(engine, open_archive, only, reading, alert).pictures
        plates = [picture for picture in drawn if picture.name != MAP]
        charts = [picture for picture in drawn if picture.name == MAP]
        return within([*plates[:1], *charts, *plates[1:]], settings.mail_bytes)

    return draw


def packer(
    engine: Engine, open_archive: OpenArchive, settings: EvidenceSettings, reading: EncoderSettings, sender: str
) -> Callable[[Alert], bytes]:
    """The bundle of an alert, with the pictures of `artist`; `sender` answers for its CAP message. Else as `artist`."""

    def pack(alert: Alert) -> bytes:
        return bundle(_explained(engine, open_archive, settings, reading, alert), sender)

    return pack


def within(drawn: Sequence[Picture], most_bytes: int) -> list[Picture]:
    """The first pictures that have room together; one that has not is left out, and smaller ones after it may stay."""
    kept: list[Picture] = []
    for picture in drawn:
        if sum(len(one.png) for one in kept) + len(picture.png) <= most_bytes:
            kept.append(picture)
    return kept


def _explained(
    engine: Engine, open_archive: OpenArchive, settings: EvidenceSettings, reading: EncoderSettings, alert: Alert
) -> Explanation:
    hasty = settings.model_copy(update={"cells": settings.mail_cells, "deadline_s": settings.mail_deadline_s})
    with open_archive() as archive:
        sources = Sources(engine, archive, None, "not taken apart where people are told", reading, hasty)
        return explain(sources, alert)
