"""Alerts to deliveries to receivers, and what happens when a receiver is down.

Flows in: alerts as they come from Kafka, and the clock. Flows out: deliveries attempted and recorded. Stops before
the ways of telling (`notify`).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from threading import Lock

import structlog
from sqlalchemy import Engine

from alerts.settings import NotifierSettings
from alerts.telling import deliveries
from alerts.telling.notify import tell
from alerts.telling.receivers import Receiver, list_receivers
from alerts.telling.webhook import ReceiverBusy
from schemas.errors import DeliveryFailed, DeliveryRefused
from schemas.messages import Alert

LEASE_MARGIN = timedelta(seconds=30)
"""Beyond the longest attempt, for the database and a busy machine."""

log = structlog.get_logger(__name__)


class Notifier:
    """Delivers one after the other; safe to call from several threads."""

    def __init__(self, engine: Engine, data: Path, settings: NotifierSettings) -> None:
        """Remember where everything is.

        Args:
            engine: The database.
            data: The data folder, for the receivers that are there when none is configured.
            settings: Timeouts and waits.
        """
        self._engine, self._data, self._settings = engine, data, settings
        self._lock = Lock()

    def handle(self, alert: Alert) -> None:
        """Take an alert up: its deliveries are on record when this returns, and have been attempted.

        Raises:
            StoreUnavailable: the database did not answer.
            Rejected: the alert is not in this database.
        """
        receivers = list_receivers(self._engine, self._data)
        deliveries.plan(self._engine, alert, [receiver.name for receiver in receivers])
        self.deliver_due()

    def deliver_due(self) -> None:
        """Attempt everything that is due; a receiver that fails is left alone until its next turn."""
        with self._lock:
            receivers = {receiver.name: receiver for receiver in list_receivers(self._engine, self._data)}
            hold = timedelta(seconds=self._settings.timeout_s) + LEASE_MARGIN
            while (due := deliveries.claim(self._engine, hold)) is not None:
                self._attempt(due, receivers.get(due.receiver))

    def _attempt(self, due: deliveries.Due, receiver: Receiver | None) -> None:
        if receiver is None:
            deliveries.give_up(self._engine, due, "there is no such receiver any more")
            return
        fields = {
            "delivery_id": str(due.delivery_id),
            "alert_id": str(due.alert.alert_id),
            "sequence": due.alert.sequence,
            "receiver": due.receiver,
            "attempt": due.attempt,
        }
        try:
            tell(self._engine, receiver, due, self._settings)
        except DeliveryRefused as error:
            deliveries.give_up(self._engine, due, str(error))
            log.warning("delivery refused", error=str(error), **fields)
        except DeliveryFailed as error:
            wait = deliveries.wait_after(due.attempt, self._settings)
            if isinstance(error, ReceiverBusy):
                wait = max(wait, error.retry_after)
            deliveries.failed(self._engine, due, str(error), wait, self._settings.max_attempts)
            log.warning("delivery failed", error=str(error), next_attempt_in_s=round(wait.total_seconds(), 1), **fields)
        else:
            deliveries.delivered(self._engine, due)
            log.info("delivered", **fields)
