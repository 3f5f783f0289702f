"""The notifier: alerts and notices in, people told.

Flows in: `Alert` of topic `alerts.v1`, `Notice` of topic `notices.v1`. Flows out: lines, files and signed requests, and
the record of every delivery. Stops before deciding what an alert is (`matcher`).
"""

from __future__ import annotations

from datetime import timedelta

from alerts.settings import NotifierSettings
from alerts.telling import deliveries
from alerts.telling.notifying import Notifier
from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.logs import configure
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import ALERTS, NOTICES


def main() -> None:
    """Run until SIGTERM."""
    stack, settings = Stack(), NotifierSettings()
    configure(stack.log_level, "notifier")
    migrate(stack.database)
    engine = connect(stack.database)
    publisher = Publisher(bootstrap_servers(stack), "tocsin-notifier")

    deliveries.resume(engine)
    notifier = Notifier(engine, stack.data, settings)
    serve(
        "notifier",
        [Step(ALERTS, notifier.handle), Step(NOTICES, notifier.handle)],
        stack=stack,
        engine=engine,
        publisher=publisher,
        every=[(timedelta(seconds=settings.retry_every_s), notifier.deliver_due)],
    )
    publisher.close()


if __name__ == "__main__":
    main()
