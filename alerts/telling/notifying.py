"""Alerts and notices to deliveries to receivers, and what happens when a receiver is down.

Flows in: messages as they come from Kafka, and the clock. Flows out: deliveries attempted and recorded. Stops before
the ways of telling (`notify`).

    message → routes, windows (`dispatch`) → deliveries → needed? silenced? quiet? in order? (`stages`) → one attempt
                                     repeats, steps (`reminders`) ↗         in each receiver's own turn (`turns`) ↗

Nothing of it lives in this process: it may be killed anywhere, and several may run side by side.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import structlog
from sqlalchemy import Engine

from alerts.settings import NotifierSettings
from alerts.telling import deliveries, reminders
from alerts.telling.kinds.kind import Bundle, Pictures, no_bundle, no_pictures
from alerts.telling.notify import tell
from alerts.telling.receivers import Receiver, list_receivers, named
from alerts.telling.told import Told, id_of, what
from alerts.telling.turns import Turns
from alerts.telling.webhook import ReceiverBusy
from alerts.telling.workshop import Workshop
from schemas.errors import DeliveryRefused, StoreUnavailable, TocsinError
from schemas.messages import DeliveryState
from schemas.notices import Notice

LEASE_MARGIN = timedelta(seconds=30)
"""Beyond the longest attempt: for the database and a busy machine. What a notifier of this host held when it died is
due at its next start, whatever is left of this."""

log = structlog.get_logger(__name__)


class Notifier:
    """Tells each receiver one thing after the other, and several receivers at once; safe to call from several threads.

    What takes long, a slow receiver or a picture, is waited for in the turn of the receiver that it concerns.
    """

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
            pictures: Draws an alert, for kinds of receivers that show pictures; never called twice at once.
            bundle: Packs its evidence, for kinds that keep it; likewise.
        """
        self._engine, self._data, self._settings = engine, data, settings
        self._clock = clock or (lambda: datetime.now(UTC))
        self._pictures, self._bundle = pictures, bundle
        self._workshop = Workshop()
        self._quick = Turns(self._take, settings.places)
        self._illustrated = Turns(self._take, settings.places)

    def handle(self, told: Told) -> None:
        """Take a message up: its deliveries are on record when this returns, and those that are due have begun.

        Raises:
            StoreUnavailable: the database did not answer.
            Rejected: the message is not in this database.
        """
        receivers = list_receivers(self._engine, self._data)
        deliveries.plan(self._engine, told, [receiver.name for receiver in receivers], self._clock())
        self._begin(receivers)

    def deliver_due(self) -> None:
        """Begin to attempt everything that is due; a receiver that fails is left alone until its next turn.

        Raises:
            StoreUnavailable: the database did not answer, now or in a turn since the last call.
            Exception: a bug in a turn since the last call.
        """
        reminders.remind(self._engine, self._clock())
        self._begin(list_receivers(self._engine, self._data))
        for turns in (self._quick, self._illustrated):
            turns.raise_error()

    def wait(self) -> None:
        """Wait until all that has begun is over.

        Raises:
            Exception: as `deliver_due`.
        """
        for turns in (self._quick, self._illustrated):
            turns.wait()

    def close(self) -> None:
        """Begin nothing more, and wait for the attempts that are in hand."""
        for turns in (self._quick, self._illustrated):
            turns.close()

    def _begin(self, receivers: list[Receiver]) -> None:
        """A turn for everybody who is to be told something now."""
        illustrated = {receiver.name for receiver in receivers if receiver.way.illustrates}
        for name in deliveries.waiting(self._engine, self._clock()):
            (self._illustrated if name in illustrated else self._quick).begin(name)

    def _take(self, name: str) -> bool:
        """The turn of a receiver: one attempt of what is due first, and whether there was any."""
        receiver = named(self._engine, self._data, name)
        longest = timedelta(seconds=self._settings.timeout_s + self._settings.pictures_s)
        due = deliveries.claim(
            self._engine,
            longest + LEASE_MARGIN,
            receiver=name,
            together=[name] if receiver is not None and receiver.way.gathers else [],
            now=self._clock(),
        )
        if due is not None:
            self._attempt(due, receiver)
        return due is not None

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
        until = time.monotonic() + self._settings.pictures_s - due.waited.total_seconds()
        pictures = partial(self._workshop.made, self._pictures, until)
        bundle = partial(self._workshop.made, self._bundle, until)
        try:
            tell(self._engine, receiver, due, self._settings, pictures, bundle)
        except StoreUnavailable:
            raise
        except DeliveryRefused as error:
            deliveries.give_up(self._engine, due, str(error))
            log.warning("delivery refused", error=str(error), **fields)
        except TocsinError as error:
            self._failed(due, error, str(error), fields)
        except Exception as error:  # one receiver must not silence all the others
            log.error("a bug in telling", exc_info=error, **fields)
            self._failed(due, error, f"a bug in telling it ({type(error).__name__}): see the notifier's log", fields)
        else:
            deliveries.delivered(self._engine, due)
            log.info("delivered", **fields)

    def _failed(self, due: deliveries.Due, error: Exception, reason: str, fields: Mapping[str, object]) -> None:
        wait = deliveries.wait_after(due.attempt, self._settings)
        if isinstance(error, ReceiverBusy):
            wait = max(wait, error.retry_after)
        deliveries.failed(self._engine, due, reason, wait, self._settings.max_attempts, self._clock())
        log.warning("delivery failed", error=reason, next_attempt_in_s=round(wait.total_seconds(), 1), **fields)
