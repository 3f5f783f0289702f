"""The encoder service: acquisitions in, embeddings out.

In: `Acquisition` of topics `acquisitions.v1` and `acquisitions-backfill.v1`. Out: points in the archive, coverage,
`EmbeddingBatch` on `embeddings.v1` (not for back-fill). Stops before matching.

    settings    where everything is, limits of reading
    wiring      database, broker, archive, encoder release, connections to asset hosts
    loop        the present, and beside it the past, so that a back-fill never delays an alert
                each acquisition: fetch, open, calibrate, cut (`reading`), encode, record, publish (`encode`)
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import timedelta

import structlog

from archive import open_archive
from encoders import load_for
from encoders.assets import Fetcher, sweep_scratch
from encoders.encode import Encoding
from encoders.settings import EncoderSettings
from encoders.tuned import reading_settings, tuned_for
from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.environment import ending
from schemas.logs import configure
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import ACQUISITIONS, BACKFILL

SERVICE = "encoder"
BROKER_PATIENCE = timedelta(seconds=60)
"""How long an embedded broker may take to come up before we give up."""

log = structlog.get_logger(__name__)


def main() -> None:
    """Run until SIGTERM."""
    stack, settings = Stack(), EncoderSettings()
    configure(stack.log_level, SERVICE)
    if settings.scratch is None:
        settings = settings.model_copy(update={"scratch": stack.data / "scratch"})
    with ExitStack() as wiring:
        migrate(stack.database)
        engine = connect(stack.database)
        wiring.callback(engine.dispose)
        publisher = Publisher(bootstrap_servers(stack, patience=BROKER_PATIENCE), "tocsin-encoder")
        wiring.callback(publisher.close)
        encoder = load_for(stack)
        settings = reading_settings(settings, tuned_for(encoder))
        fetcher = Fetcher(settings)
        wiring.callback(fetcher.close)
        archive = wiring.enter_context(open_archive(stack))
        log.info("encoder ready", release=encoder.release, leftovers_removed=sweep_scratch(settings))
        encoding = Encoding(engine, publisher, archive, encoder, settings, fetcher)
        steps = [
            Step(ACQUISITIONS, encoding.handle, encoding.on_dead_letter, "present"),
            Step(BACKFILL, encoding.handle, encoding.on_dead_letter, "past"),
        ]
        serve(SERVICE, steps, stack=stack, engine=engine, publisher=publisher)


if __name__ == "__main__":
    sys.exit(ending(SERVICE, main))
