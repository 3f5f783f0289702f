"""Alerts and notices to deliveries to receivers, and what happens when a receiver is down.

Flows in: messages as they come from Kafka, and the clock. Flows out: deliveries attempted and recorded. Stops before
the ways of telling (`notify`).

    message → routes, windows (`dispatch`) → deliveries → needed? silenced? quiet? in order? (`stages`) → one attempt
                                     repeats, steps (`reminders`) ↗

Nothing of it lives in this process: it may be killed anywhere, and several may run side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

import structlog
from sqlalchemy import Engine

from alerts.settings import NotifierSettings
from alerts.telling import deliveries, reminders
from alerts.telling.kinds.kind import Bundle, Pictures, no_bundle, no_pictures
from alerts.telling.notify import tell
from alerts.telling.pictures import LONGEST
from alerts.telling.receivers import Receiver, list_receivers
from alerts.telling.told import Told, id_of, what
from alerts.telling.webhook import ReceiverBusy
from schemas.errors import DeliveryFailed, DeliveryRefused
from schemas.messages import DeliveryState
from schemas.notices import Notice

LEASE_MARGIN = 2 * LONGEST + timedelta(seconds=30)
"""Beyond the longest attempt: for pictures, of which the last is begun when their time is up, for the database and a
busy machine. What a notifier of this host held when it died is due at its next start, whatever is left of this."""

log = structlog.get_logger(__name__)


class Notifier:
    """Delivers one after the other; safe to call from several threads."""

    def __init__(
        self,
        engine: Engine,
        data: Path,
        settings: NotifierSettings,
        clock: Callable[[], datetime] | None = None,
        *,
        pictures: Pictures = no_pictures,
        bundle: Bundle = no_bundle,
    ) -> None:
        """Remember where everything is.

        Args:
            engine: The database.
            data: The data folder, for the receivers that are there when none is configured.
            settings: Timeouts and waits.
            clock: The time, aware; the machine's where none is given.
            pictures: Draws an alert, for kinds of receivers that show pictures.
            bundle: Packs its evidence, for kinds that keep it.
        """
        self._engine, self._data, self._settings = engine, data, settings
        self._clock = clock or (lambda: datetime.now(UTC))
        self._lock = Lock()
        self._pictures, self._bundle = pictures, bundle

    def handle(self, told: Told) -> None:
        """Take a message up: its deliveries are on record when this returns, and have been attempted if they are due.

        Raises:
            StoreUnavailable: the database did not answer.
            Rejected: the message is not in this database.
        """
        receivers = list_receivers(self._engine, self._data)
        deliveries.plan(self._engine, told, [receiver.name for receiver in receivers], self._clock())
        self.deliver_due()

    def deliver_due(self) -> None:
        """Attempt everything that is due; a receiver that fails is left alone until its next turn."""
        with self._lock:
            receivers = {receiver.name: receiver for receiver in list_receivers(self._engine, self._data)}
            together = [name for name, receiver in receivers.items() if receiver.way.gathers]
            hold = timedelta(seconds=self._settings.timeout_s) + LEASE_MARGIN
            reminders.remind(self._engine, self._clock())
            while (due := deliveries.claim(self._engine, hold, together=together, now=self._clock())) is not None:
                self._attempt(due, receivers.get(due.receiver))

    def _attempt(self, due: deliveries.Due, receiver: Receiver | None) -> None:
        if receiver is None:
            deliveries.give_up(self._engine, due, "there is no such receiver any more")
            return
        if isinstance(due.told, Notice) and not receiver.way.tells_notices:
            reason = f"a receiver of kind {receiver.kind} has no form for notices"
            deliveries.give_up(self._engine, due, reason, DeliveryState.WITHDRAWN)
            return
        fields = {
            "delivery_id": str(due.delivery_id),
            f"{what(due.told)}_id": str(id_of(due.told)),
            "sequence": due.told.sequence,
            "messages": len(due.alerts),
            "receiver": due.receiver,
            "attempt": due.attempt,
        }
        try:
            tell(self._engine, receiver, due, self._settings, self._pictures, self._bundle)
        except DeliveryRefused as error:
            deliveries.give_up(self._engine, due, str(error))
            log.warning("delivery refused", error=str(error), **fields)
        except DeliveryFailed as error:
            wait = deliveries.wait_after(due.attempt, self._settings)
            if isinstance(error, ReceiverBusy):
                wait = max(wait, error.retry_after)
            deliveries.failed(self._engine, due, str(error), wait, self._settings.max_attempts, self._clock())
            log.warning("delivery failed", error=str(error), next_attempt_in_s=round(wait.total_seconds(), 1), **fields)
        else:
            deliveries.delivered(self._engine, due)
            log.info("delivered", **fields)
