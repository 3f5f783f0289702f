"""Faust with what we change in it: an app that commits only what is settled and holds few messages in memory.

Flows in: addresses and settings. Flows out: an app without agents. Stops before reading (`bus`).

Two faults of faust-streaming 0.15.3 are worked around here; look again at each new version:

* It acknowledges messages that it skips: those that reach a stream while a rebalance goes on, or from an earlier
  generation of the group ("ack the filtered out message" in `faust/streams.py`). If the process dies before their
  next delivery is handled, they are lost. `SettledConsumer` ignores acknowledgements of what is not settled.
* One full buffer blocks all topics of a worker, because one coroutine fills all buffers, and buffers count messages.
  `BytesQueue` counts bytes, and has its partitions paused instead of refusing what is on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from weakref import WeakSet

import faust
from faust.transport.drivers.aiokafka import Consumer
from mode.utils.queues import ThrowableQueue

from schemas.handling import BusSettings
from schemas.settings import Stack

RECORDS_PER_POLL = 4
"""Messages that move from the client's thread into buffers at once: so many of each partition may still arrive in a
buffer that has had its partitions paused."""
FETCH_BYTES = 1024 * 1024
"""What the client asks for ahead, of each partition; one larger message comes all the same."""


OVERHEAD_BYTES = 2048
"""What a message takes in memory beside its value."""


class SettledConsumer(Consumer):
    """A consumer for which only settled messages can be acknowledged."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """As faust makes it."""
        super().__init__(*arguments, **options)
        self._settled: WeakSet[Any] = WeakSet()

    def settle(self, message: Any) -> None:
        """Let this message's acknowledgement count."""
        self._settled.add(message)

    def ack(self, message: Any) -> bool:
        """Acknowledge, unless nobody has settled this message."""
        return bool(super().ack(message)) if message in self._settled else False


class BytesQueue(ThrowableQueue[Any]):
    """A buffer of events that has their partitions paused by bytes, and never refuses what still arrives after that."""

    def __init__(self, *, limit: int, **options: Any) -> None:
        """Args: bytes from which on partitions are paused, until half of it is left; and faust's own options."""
        super().__init__(0, **options)
        self._limit, self._held = limit, 0

    def in_pressure_high_state(self, callback: Callable[[], None]) -> bool:
        """Whether a partition must be paused that is not yet; `callback` will resume it."""
        pending = self._pending_pressure_drop_callbacks
        if callback in pending or self._held < self._limit:
            return False
        pending.add(callback)
        return True

    def maybe_endorse_pressure_drop(self) -> None:
        """Resume what was paused, once half of the limit is free."""
        if self._held <= self._limit // 2:
            pending = self._pending_pressure_drop_callbacks
            while pending:
                pending.pop()()

    def clear(self) -> None:
        """Drop everything: it is read again after the rebalance."""
        super().clear()
        self._held = 0

    def _put(self, item: Any) -> None:
        super()._put(item)
        self._held += _size(item)

    def _get(self) -> Any:
        item = super()._get()
        self._held -= _size(item)
        return item


def _size(event: Any) -> int:
    """Bytes of an event's message in memory."""
    return OVERHEAD_BYTES + len(event.message.value or b"")


class App(faust.App):
    """Faust's app with our consumer and buffers."""

    buffer_limit: int = 0
    """Bytes in a buffer from which on its partitions are paused."""

    def FlowControlQueue(self, maxsize: int | None = None, *, clear_on_resume: bool = False) -> BytesQueue:  # noqa: N802
        """A buffer between the client and an agent (the name is faust's)."""
        return BytesQueue(limit=self.buffer_limit, flow_control=self.flow_control, clear_on_resume=clear_on_resume)


def new_app(service: str, bootstrap: str, stack: Stack, settings: BusSettings) -> App:
    """An app without tables, transactions, web server, leader election or topics of its own; needs a running loop.

    Args:
        service: Name of the consumer group.
        bootstrap: host:port, separated by commas.
        stack: Partitions, and where the run folder is.
        settings: Sessions and buffers.
    """
    folder = stack.run_folder / "faust" / service
    folder.mkdir(parents=True, exist_ok=True)
    production = settings.production if settings.production is not None else bool(stack.kafka)
    session_s, heartbeat_s = (30.0, 3.0) if production else (6.0, 1.0)
    app = App(
        f"tocsin-{service}",
        broker=[f"kafka://{address}" for address in bootstrap.split(",")],
        store="memory://",
        datadir=str(folder),
        web_enabled=False,
        autodiscover=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,  # with no tables this means Kafka's own round-robin assignor
        processing_guarantee="at_least_once",
        stream_wait_empty=True,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        broker_session_timeout=session_s,
        broker_heartbeat_interval=heartbeat_s,
        broker_max_poll_interval=86_400.0,  # a scene may take long; heartbeats say that we live
        broker_commit_interval=0.5,
        broker_max_poll_records=RECORDS_PER_POLL,
        consumer_max_fetch_size=FETCH_BYTES,
    )
    app.buffer_limit = settings.buffered_bytes
    setattr(app.transport, "Consumer", SettledConsumer)  # noqa: B010  (of this transport alone, not of its class)
    return app


def settle(app: App, message: Any) -> None:
    """Let a message's acknowledgement count."""
    cast(SettledConsumer, app.consumer).settle(message)
