"""A page of a catalogue enters the ledger.

Flows in: features as the catalogue gave them. Flows out: rows, outbox and dead letters, one transaction a page. Stops
before Kafka. An item that cannot be used is a dead letter with its reason, and never stops the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Engine

from ingest.item import Item, read_item
from ingest.ledger import Outcome, alone, settled, take
from ingest.pages import Page, Window
from ingest.report import PollReport
from ingest.sources import Source
from ingest.translate import Origin, Reading, announcement_id, processing_time, translate
from schemas import dead_letters, outbox
from schemas.database import reading, transaction
from schemas.errors import MalformedItem
from schemas.messages import DeadLetter
from schemas.outbox import Sender
from schemas.publisher import Outgoing
from schemas.tables import DeadLetterRow
from schemas.topics import ACQUISITIONS

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pass:
    """One reading of one collection.

    Attributes:
        engine: The store.
        publisher: None: what is found stays in the outbox, and the cursor where it is.
        source: What is read.
        collection: Of it.
        window: What is asked for.
        cursor: The poller has read up to here; none: it has not read yet.
        now: When the pass began.
    """

    engine: Engine
    publisher: Sender | None
    source: Source
    collection: str
    window: Window
    cursor: datetime | None
    now: datetime

    @property
    def backfill(self) -> bool:
        """Whether it reads a date range of the past."""
        return self.window.sensed is not None


def enter(one: Pass, page: Page, report: PollReport) -> datetime | None:
    """Enter all items of a page.

    Returns:
        The latest time of publication among them, or none.

    Raises:
        StoreUnavailable: the database does not answer.
    """
    items, letters = _items(one, page)
    readings: list[Reading] = []
    for item in _unsettled(one, items, report):
        try:
            readings.append(_translate(one, item))
        except MalformedItem as error:
            letters.append(_letter(one, item.id, item.json, error))
    wanted = [found for found in readings if _is_wanted(one, found)]
    report.outside += len(readings) - len(wanted)
    with transaction(one.engine) as session:
        alone(session)
        for found in wanted:
            _count(report, take(session, found))
        fresh = [letter for letter in letters if session.get(DeadLetterRow, letter.dead_letter_id) is None]
        for letter in fresh:
            outbox.write(session, Outgoing(ACQUISITIONS.dead_letters, letter.item_id or "", letter))
    for letter in fresh:
        dead_letters.record(one.engine, letter)
        log.warning("item cannot be used", source=one.source.name, item_id=letter.item_id, reason=letter.reason)
    report.failed += len(fresh)
    report.pages += 1
    return max((found.acquisition.published_at for found in readings), default=None)


def _items(one: Pass, page: Page) -> tuple[list[Item], list[DeadLetter]]:
    items, letters = [], []
    for index, feature in enumerate(page.features):
        try:
            items.append(read_item(feature, one.collection, page.urls[index] if page.urls else ""))
        except MalformedItem as error:
            letters.append(_letter(one, None, feature, error))
    return items, letters


def _unsettled(one: Pass, items: list[Item], report: PollReport) -> list[Item]:
    """Without those that the ledger knows exactly so: most of what overlap and look-back read again."""
    ids = {item.id: announcement_id(item, one.now) for item in items}
    with reading(one.engine) as session:
        versions = settled(session, ids.values())
    left = []
    for item in items:
        version = versions.get(ids[item.id])
        processed_at = processing_time(item, one.now)
        if version is None or (processed_at is not None and processed_at > version):
            left.append(item)
        else:
            report.known += 1
    return left


def _translate(one: Pass, item: Item) -> Reading:
    origin = Origin(one.source.name, one.source.preset, one.source.allowed_hosts)
    return translate(item, origin, one.now, backfill=one.backfill)


def _is_wanted(one: Pass, found: Reading) -> bool:
    """Inside the area, and in the time that this pass is about."""
    acquisition = found.acquisition
    if one.window.area is not None and not found.footprint.intersects(one.window.area):
        return False
    if one.window.sensed is None:
        return not found.dated or acquisition.published_at >= one.source.since
    start, end = one.window.sensed
    unread = one.cursor is not None and acquisition.published_at > max(one.cursor, one.source.since)
    return start <= acquisition.sensing_at < end and not unread


def _count(report: PollReport, outcome: Outcome) -> None:
    match outcome:
        case Outcome.NEW:
            report.new += 1
        case Outcome.SUPERSEDING:
            report.superseding += 1
        case Outcome.WAITING:
            report.waiting += 1
        case Outcome.IGNORED:
            report.ignored += 1
        case Outcome.KNOWN:
            report.known += 1


def _letter(one: Pass, item_id: str | None, feature: object, error: MalformedItem) -> DeadLetter:
    value = json.dumps(feature, sort_keys=True, default=str).encode()
    origin = dead_letters.Origin(
        topic=ACQUISITIONS, partition=-1, offset=-1, key=f"{one.source.name}/{one.collection}".encode(), value=value
    )
    letter = dead_letters.dead_letter(
        origin, error=type(error).__name__, reason=str(error), service="poller", attempts=1
    )
    return letter.model_copy(update={"item_id": item_id})
