"""The matcher: embeddings in, alerts out.

Flows in: `EmbeddingBatch` of topic `embeddings.v1`, changes of standing queries. Flows out: matches and incidents in
the database, `Alert` on topic `alerts.v1`. Stops before telling anybody (`notifier`).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta

from alerts.budgets import drift
from alerts.budgets.calibrate import Calibrator
from alerts.coverage.blind import BlindWatch
from alerts.incidents.announce import republish
from alerts.matching import Matcher
from alerts.notices import republish_notices
from alerts.settings import CoverageSettings, MatcherSettings
from archive import open_archive
from encoders import load_for
from schemas import outbox
from schemas.bus import Step, serve
from schemas.database import connect, migrate
from schemas.environment import ending
from schemas.logs import configure
from schemas.publisher import Publisher, bootstrap_servers
from schemas.settings import Stack
from schemas.topics import EMBEDDINGS

PREPARE_EVERY = timedelta(seconds=0.5)
"""How soon a new query has its threshold when no batch comes: a look costs one small question to the database."""
RECALIBRATE_EVERY = timedelta(seconds=30)
"""How soon thresholds that the archive has outgrown are computed anew when no batch comes."""
DRIFT_EVERY = timedelta(hours=1)
"""How soon after its weekly look a broken budget is told of."""
FOLD_EVERY = timedelta(minutes=2)
"""How soon the coverage ledger has what an acquisition showed."""
SWEEP_EVERY = timedelta(seconds=30)
"""How soon incidents expire, and alerts go out that a crash, or a broker that forgot, kept back."""
RESEND_WITHIN = timedelta(hours=1)
"""How soon at least what no notifier has taken up is sent again."""


class Resending:
    """Sends again what no notifier has taken up: at every sweep at first, then after twice as long each time.

    A broker that forgot everything gets it back at once; a notifier that is away for a day finds each message some
    thirty times in its topic, instead of three thousand times.
    """

    def __init__(self, send: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with the next sweep.

        Args:
            send: Sends all of it, and says how many messages that was.
            clock: Seconds.
        """
        self._send, self._clock = send, clock
        self._wait_s, self._next = 0.0, clock()

    def run(self) -> None:
        """Send, if it is time to; where there was nothing, the next message need not wait."""
        if self._clock() < self._next:
            return
        longest_s = RESEND_WITHIN.total_seconds()
        self._wait_s = min(max(2 * self._wait_s, SWEEP_EVERY.total_seconds()), longest_s) if self._send() else 0.0
        self._next = self._clock() + self._wait_s


def main() -> None:
    """Run until SIGTERM."""
    stack, settings, coverage = Stack(), MatcherSettings(), CoverageSettings()
    configure(stack.log_level, "matcher")
    migrate(stack.database)
    engine = connect(stack.database)
    publisher = Publisher(bootstrap_servers(stack), "tocsin-matcher")
    encoder = load_for(stack)

    with open_archive(stack) as archive:
        calibrator = Calibrator(engine, archive, encoder, settings)
        blind = BlindWatch(engine, coverage)
        resending = Resending(lambda: republish(engine, publisher) + republish_notices(engine, publisher))
        matcher = Matcher(engine, publisher, calibrator, encoder.release, settings)

        def sweep() -> None:
            matcher.sweep()
            outbox.flush(engine, publisher)
            resending.run()

        def watch_budgets() -> None:
            if drift.watch(engine, settings):
                outbox.flush(engine, publisher)

        serve(
            "matcher",
            [Step(EMBEDDINGS, matcher.handle)],
            stack=stack,
            engine=engine,
            publisher=publisher,
            every=[
                (SWEEP_EVERY, sweep),
                (PREPARE_EVERY, matcher.prepare),
                (RECALIBRATE_EVERY, matcher.recalibrate),
                (FOLD_EVERY, blind.run),
                (DRIFT_EVERY, watch_budgets),
            ],
        )
    publisher.close()


if __name__ == "__main__":
    sys.exit(ending("matcher", main))
