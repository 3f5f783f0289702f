"""The notifier: alerts and notices in, people told.

Flows in: `Alert` of topic `alerts.v1`, `Notice` of topic `notices.v1`. Flows out: lines, letters, files and signed
requests, and the record of every delivery. Stops before deciding what an alert is (`matcher`).
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from datetime import timedelta

from alerts.evidence import artist, packer
from alerts.settings import EvidenceSettings, NotifierSettings
from alerts.telling import deliveries
from alerts.telling.notifying import Notifier
from archive import Archive, open_archive
from encoders.settings import EncoderSettings
from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.environment import ending
from schemas.logs import configure
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import ALERTS, NOTICES


def main() -> None:
    """Run until SIGTERM."""
    stack, settings = Stack(), NotifierSettings()
    evidence, pixels = EvidenceSettings(), EncoderSettings()
    configure(stack.log_level, "notifier")
    migrate(stack.database)
    engine = connect(stack.database)
    publisher = Publisher(bootstrap_servers(stack), "tocsin-notifier")

    deliveries.resume(engine)

    def archive() -> AbstractContextManager[Archive]:
        return open_archive(stack)

    notifier = Notifier(
        engine,
        stack.data,
        settings,
        pictures=artist(engine, archive, evidence, pixels),
        bundle=packer(engine, archive, evidence, pixels, settings.cap_sender),
    )
    serve(
        "notifier",
        [Step(ALERTS, notifier.handle), Step(NOTICES, notifier.handle)],
        stack=stack,
        engine=engine,
        publisher=publisher,
        every=[(timedelta(seconds=settings.retry_every_s), notifier.deliver_due)],
    )
    notifier.close()
    publisher.close()


if __name__ == "__main__":
    sys.exit(ending("notifier", main))
