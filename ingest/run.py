"""The poller: asks every source again and again, until it is told to stop.

Flows in: the sources of the database. Flows out: acquisitions on Kafka. Stops before pixels.

    settings    where everything is, how often to ask
    wiring      database, topics, publisher; what is under way is announced again, in case the broker forgot
    loop        every source in turn; one that fails is noted and asked again next time
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from threading import Event

import structlog
from sqlalchemy import Engine

from ingest.catalogue import open_catalogue
from ingest.fetch import Patience
from ingest.pages import Catalogue
from ingest.poll import poll_source
from ingest.report import PollReport
from ingest.settings import IngestSettings
from ingest.sources import Source, list_sources
from ingest.upkeep import announce, republish_unfinished
from schemas.database import connect, migrate
from schemas.environment import ending
from schemas.errors import NotFound, Retryable
from schemas.heartbeat import EVERY_S, beat
from schemas.logs import configure
from schemas.outbox import Sender
from schemas.publisher import BrokerWatch, Publisher, bootstrap_servers, ensure_topics
from schemas.settings import Stack

SERVICE = "poller"
BROKER_PATIENCE = timedelta(seconds=60)
"""How long an embedded broker may take to come up before we give up."""

log = structlog.get_logger(__name__)


def main() -> None:
    """Run the poller in this process until it is stopped, or has nothing more to do."""
    stack, settings = Stack(), IngestSettings()
    configure(stack.log_level, SERVICE)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    migrate(stack.database)
    engine = connect(stack.database)
    try:
        while not stop.is_set():
            _with_broker(stack, settings, stop, engine)
            if settings.once:
                break
    finally:
        engine.dispose()


def _with_broker(stack: Stack, settings: IngestSettings, stop: Event, engine: Engine) -> None:
    """Poll until stopped, or until the embedded broker is another one, which has never heard of anything."""
    watch = BrokerWatch(stack)
    bootstrap = bootstrap_servers(stack, patience=BROKER_PATIENCE, stop=stop)
    ensure_topics(bootstrap, partitions=stack.partitions, replication=stack.replication)
    publisher = Publisher(bootstrap, "tocsin-poller")
    try:
        log.info("unfinished acquisitions announced again", count=republish_unfinished(engine))
        Poller(engine, publisher, settings, stop, lambda: beat(stack, SERVICE), watch.changed).run()
    finally:
        publisher.close()


@dataclass
class Poller:
    """The loop.

    Attributes:
        engine: The store.
        publisher: Sends to Kafka.
        settings: How often, how far back.
        stop: Set from outside to end it.
        alive: Called whenever the loop comes round.
        forgotten: Whether the broker has lost what it was told; ends the loop.
    """

    engine: Engine
    publisher: Sender
    settings: IngestSettings
    stop: Event
    alive: Callable[[], None] = lambda: None
    forgotten: Callable[[], bool] = lambda: False
    _open: dict[str, tuple[Source, Catalogue]] = field(default_factory=dict)
    _thorough_at: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Poll all sources, wait, and again, until stopped (or once, when the settings say so)."""
        while self._go_on():
            began = time.monotonic()
            self.round()
            if self.settings.once:
                return
            self.wait(began + self.settings.interval_s - time.monotonic())

    def round(self) -> list[PollReport]:
        """Poll every source once; a source that fails does not stop the others."""
        try:
            announce(self.engine, self.publisher, datetime.now(UTC))
            sources = list_sources(self.engine)
        except Retryable as error:
            log.warning("store or broker does not answer", reason=str(error))
            return []
        for name in set(self._open) - {source.name for source in sources}:
            del self._open[name]
        return [report for source in sources if self._go_on() and (report := self._poll(source)) is not None]

    def wait(self, seconds: float) -> None:
        """Wait, with signs of life, until it is time or we are stopped."""
        until = time.monotonic() + seconds
        while self._go_on() and (left := until - time.monotonic()) > 0:
            self.stop.wait(min(left, EVERY_S))

    def _go_on(self) -> bool:
        self.alive()
        return not self.stop.is_set() and not self.forgotten()

    def _poll(self, source: Source) -> PollReport | None:
        last, every_s = self._thorough_at.get(source.name), self.settings.look_back_every.total_seconds()
        thorough = last is None or time.monotonic() - last >= every_s
        try:
            report = poll_source(
                self.engine,
                source.name,
                self.publisher,
                settings=self.settings,
                opened=self._catalogue,
                thorough=thorough,
                go_on=self._go_on,
            )
        except Retryable as error:
            log.warning("poll failed", source=source.name, reason=str(error))
            self._open.pop(source.name, None)
            return None
        except NotFound:
            log.info("source was removed meanwhile", source=source.name)
            return None
        if report.errors or not self._go_on():
            self._open.pop(source.name, None)  # it remembers what it gave, and not all of that was used
        elif thorough:
            self._thorough_at[source.name] = time.monotonic()
        log.info("polled", **{name: value for name, value in report.as_dict().items() if value or name == "new"})
        return report

    def _catalogue(self, source: Source) -> Catalogue:
        """The source's catalogue, kept open between polls: it knows what it can do and what it gave."""
        plain = replace(source, read_until=None, polled_at=None, error=None)
        if source.name not in self._open or self._open[source.name][0] != plain:
            catalogue = open_catalogue(
                source.url,
                preset=source.preset,
                collections=source.collections,
                allowed_hosts=source.allowed_hosts,
                patience=Patience(sleep=self.wait),
            )
            self._open[source.name] = (plain, catalogue)
        return self._open[source.name][1]


if __name__ == "__main__":
    sys.exit(ending(SERVICE, main))
