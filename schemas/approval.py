"""Makes faust commit only what an agent has settled.

Flows in: a faust app. Flows out: the same app with a consumer that ignores every acknowledgement which was not
approved first. Stops before approving (`bus`).

faust-streaming 0.15.3 acknowledges messages that it skips: those that reach a stream while a rebalance goes on, or
from an earlier generation of the group (`faust/streams.py`, "ack the filtered out message"). Their next delivery
would be lost if the process died before it was handled. Delete this module when faust no longer does so.
"""

from __future__ import annotations

from typing import Any, cast
from weakref import WeakSet

import faust
from faust.transport.drivers.aiokafka import Consumer


class ApprovingConsumer(Consumer):
    """A consumer for which only approved messages can be acknowledged."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As faust makes it."""
        super().__init__(*arguments, **options)
        self._approved: WeakSet[Any] = WeakSet()

    def approve(self, message: Any) -> None:
        """Say that a message is settled: its acknowledgement counts."""
        self._approved.add(message)

    def ack(self, message: Any) -> bool:
        """Acknowledge, unless nobody has settled this message."""
        return bool(super().ack(message)) if message in self._approved else False


def only_approved(app: faust.App) -> None:
    """Give an app that has not started yet this kind of consumer."""
    setattr(app.transport, "Consumer", ApprovingConsumer)  # noqa: B010  (of this transport alone, not of its class)


def approve(app: faust.App, message: Any) -> None:
    """Say that a message is settled."""
    cast(ApprovingConsumer, app.consumer).approve(message)
