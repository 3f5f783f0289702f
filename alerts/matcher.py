"""The matcher: embeddings in, alerts out.

Flows in: `EmbeddingBatch` of topic `embeddings.v1`, changes of standing queries. Flows out: matches and incidents in
the database, `Alert` on topic `alerts.v1`. Stops before telling anybody (`notifier`).
"""

from __future__ import annotations

from datetime import timedelta

from alerts.budgets.calibrate import Calibrator
from alerts.incidents.announce import republish
from alerts.matching import Matcher
from alerts.notices import republish_notices
from alerts.settings import MatcherSettings
from archive import open_archive
from encoders import load_for
from schemas import outbox
from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.logs import configure
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import EMBEDDINGS

PREPARE_EVERY = timedelta(seconds=5)
"""How soon a new query has its threshold when no batch comes."""
SWEEP_EVERY = timedelta(seconds=30)
"""How soon incidents expire, and alerts go out that a crash, or a broker that forgot, kept back."""


def main() -> None:
    """Run until SIGTERM."""
    stack, settings = Stack(), MatcherSettings()
    configure(stack.log_level, "matcher")
    migrate(stack.database)
    engine = connect(stack.database)
    publisher = Publisher(bootstrap_servers(stack), "tocsin-matcher")
    encoder = load_for(stack)

    with open_archive(stack) as archive:
        calibrator = Calibrator(engine, archive, encoder, settings)
        matcher = Matcher(engine, publisher, calibrator, encoder.release, settings)

        def sweep() -> None:
            matcher.sweep()
            outbox.flush(engine, publisher)
            republish(engine, publisher)
            republish_notices(engine, publisher)

        serve(
            "matcher",
            [Step(EMBEDDINGS, matcher.handle)],
            stack=stack,
            engine=engine,
            publisher=publisher,
            every=[(SWEEP_EVERY, sweep), (PREPARE_EVERY, matcher.prepare)],
        )
    publisher.close()


if __name__ == "__main__":
    main()
