"""One poll of one source, and a back-fill: what is new becomes rows of the ledger and messages on Kafka.

Flows in: a source. Flows out: acquisitions, announced, and a cursor that moves only after Kafka's acknowledgement.
Stops before pixels. `enter` does a page; `api` and `static` give them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import Engine

from ingest.catalogue import open_catalogue
from ingest.cursors import advance, note, read_cursor
from ingest.enter import Pass, enter
from ingest.pages import Catalogue, Window
from ingest.presets import collection_preset
from ingest.report import PollReport
from ingest.settings import IngestSettings
from ingest.sources import Source, get_source
from ingest.upkeep import announce, expire_waiting, revive
from schemas.errors import Retryable
from schemas.outbox import Sender

__all__ = ["PollReport", "backfill", "open_source", "poll_source"]

log = structlog.get_logger(__name__)


def poll_source(
    engine: Engine,
    name: str,
    publisher: Sender | None = None,
    *,
    settings: IngestSettings | None = None,
    opened: Callable[[Source], Catalogue] | None = None,
    thorough: bool = True,
    go_on: Callable[[], bool] = lambda: True,
) -> PollReport:
    """Ask a source once for what is new.

    A collection that cannot be read does not stop the others; what went wrong stands in the report and on its cursor.

    Args:
        engine: The store.
        name: Of the source.
        publisher: Sends to Kafka; none: what is found waits in the outbox, and the cursor does not move.
        settings: How far to look back; none: from the environment.
        opened: Gives the source's catalogue, perhaps one that knows what it gave before; none: a new one.
        thorough: Look back by days instead of minutes.
        go_on: Asked after each page; false ends the poll, and the next one goes on from there.

    Raises:
        NotFound: no such source.
        StoreUnavailable: the database does not answer.
    """
    settings = settings or IngestSettings()
    source, report = get_source(engine, name), PollReport(name)
    expire_waiting(engine, settings.waiting, _now())
    revive(engine)
    began = _now()
    try:
        catalogue = (opened or open_source)(source)
    except Retryable as error:
        report.trouble(str(error))
        for collection in source.collections:
            note(engine, name, collection, began, str(error))
        return report
    for collection in source.collections:
        cursor = read_cursor(engine, name, collection)
        window = window_of(source, collection, cursor, settings, thorough)
        one = Pass(engine, publisher, source, collection, window, cursor, _now())
        _poll_collection(one, catalogue, go_on, report)
    return report


def backfill(
    engine: Engine,
    name: str,
    start: datetime,
    end: datetime,
    publisher: Sender | None = None,
    *,
    opened: Callable[[Source], Catalogue] | None = None,
    go_on: Callable[[], bool] = lambda: True,
) -> PollReport:
    """Fetch a date range of the past into archive and baselines; it never alerts.

    What the poller has not read yet is left to it, so that a back-fill up to today does not swallow an alert.

    Args:
        engine: The store.
        name: Of the source.
        start: First moment of sensing.
        end: Last moment of sensing, not included.
        publisher: Sends to Kafka; none: what is found waits in the outbox.
        opened: Gives the source's catalogue; none: a new one.
        go_on: Asked after each page; false ends the back-fill.

    Raises:
        NotFound: no such source.
        StoreUnavailable: the database does not answer.
    """
    source, report = get_source(engine, name), PollReport(name)
    try:
        catalogue = (opened or open_source)(source)
        for collection in source.collections:
            window = Window(sensed=(start, end), area=source.geometry)
            cursor = read_cursor(engine, name, collection)
            _read_all(Pass(engine, publisher, source, collection, window, cursor, _now()), catalogue, go_on, report)
    except Retryable as error:
        report.trouble(str(error))
    return report


def open_source(source: Source) -> Catalogue:
    """The source's catalogue.

    Raises:
        CatalogueUnavailable: no answer, or no catalogue there.
    """
    return open_catalogue(
        source.url, preset=source.preset, collections=source.collections, allowed_hosts=source.allowed_hosts
    )


def window_of(
    source: Source, collection: str, cursor: datetime | None, settings: IngestSettings, thorough: bool
) -> Window:
    """What to ask a collection for: from a while before the cursor on."""
    known, far = collection_preset(source.preset, collection), settings.look_back
    if known and known.look_back_days:
        far = timedelta(days=known.look_back_days)
    start = cursor or source.since
    return Window(
        published_after=max(source.since, start - (far if thorough else settings.overlap)),
        thorough_after=start - far,
        area=source.geometry,
    )


def _poll_collection(one: Pass, catalogue: Catalogue, go_on: Callable[[], bool], report: PollReport) -> None:
    """Read one collection, and say on its cursor how that went."""
    name, collection = one.source.name, one.collection
    try:
        newest = _read_all(one, catalogue, go_on, report)
        if one.publisher is not None and newest is not None:
            advance(one.engine, name, collection, newest, one.now)
        text = "note: " + "; ".join(catalogue.notes(collection)) if catalogue.notes(collection) else None
        report.warnings += [f"{collection}: {said}" for said in catalogue.notes(collection)]
    except Retryable as error:
        text = str(error)
        log.warning("poll failed", source=name, collection=collection, reason=text)
        report.trouble(f"{collection}: {text}")
    note(one.engine, name, collection, one.now, text)


def _read_all(one: Pass, catalogue: Catalogue, go_on: Callable[[], bool], report: PollReport) -> datetime | None:
    """Enter page by page; whatever stops us, what was acknowledged need not be read again.

    Returns:
        The latest time of publication, once everything has been read.
    """
    newest: datetime | None = None
    for page in catalogue.pages(one.collection, one.window):
        seen = enter(one, page, report)
        newest = max((moment for moment in (newest, seen) if moment is not None), default=None)
        _announce(one)
        if one.publisher is not None and page.through is not None and not one.backfill:
            advance(one.engine, one.source.name, one.collection, page.through, one.now)
        if not go_on():
            return None
    _announce(one)
    return newest


def _announce(one: Pass) -> None:
    if one.publisher is not None:
        announce(one.engine, one.publisher, _now())


def _now() -> datetime:
    return datetime.now(UTC)
