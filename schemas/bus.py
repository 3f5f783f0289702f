"""Stream services: the one way in which messages are read, so that none is lost.

Flows in: the steps of a service. Flows out: a worker that runs until SIGTERM. Stops before what becomes of a
message (`handling`).

Only this module and `faust_app` import faust, and only when they run. Why it is used in exactly this way is in
`docs/decisions/0002-streaming-pattern.md`; change nothing here without its test under SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from sqlalchemy import Engine

from schemas.crashes import CrashLog
from schemas.errors import Retryable, SettingsError, StoreUnavailable
from schemas.handling import BusSettings, Handler, Incoming, Step
from schemas.heartbeat import EVERY_S, beat
from schemas.publisher import BrokerWatch, Publisher, bootstrap_servers, ensure_topics
from schemas.settings import Stack

if TYPE_CHECKING:
    import faust

    from schemas.faust_app import App

__all__ = ["CRASH_EXIT", "BusSettings", "Step", "serve"]

CRASH_EXIT = 70
"""Exit status (EX_SOFTWARE of sysexits.h) of a service that must be started again."""
TICK_S = 0.1
"""How often waiting coroutines look whether they must stop."""
ONE_MESSAGE_WITHIN_S = 0.5
"""`noack_take` gives one message as soon as there is one; this is only how often it looks up while idle."""

log = structlog.get_logger(__name__)

Job = tuple[timedelta, Callable[[], object]]
"""A period and what is done in it."""


def serve(
    service: str,
    steps: Sequence[Step],
    *,
    stack: Stack,
    engine: Engine,
    publisher: Publisher,
    every: Sequence[Job] = (),
    settings: BusSettings | None = None,
) -> None:
    """Run a service until SIGTERM or SIGINT: the message in hand is finished and acknowledged, then this returns.

    Anything that cannot be settled ends the process with status 70, for its supervisor to start it again.

    Args:
        service: Name of the consumer group and in dead letters.
        steps: Topics and what is done with their messages.
        stack: Addresses.
        engine: Where dead letters are kept.
        publisher: Sends to retry and dead-letter topics.
        every: Blocking jobs and their periods; each runs at the start, then again this long after its last end.
        settings: From `TOCSIN_BUS_…` where none are given.
    """
    chosen = settings or BusSettings()
    stop = threading.Event()
    with _signals(stop):
        bootstrap = _wait_for_broker(stack, stop)
        if bootstrap is None:
            return
        from schemas.faust_app import new_app  # noqa: PLC0415  (half a second that no reader of `Step` needs)

        crashes = CrashLog(stack.run_folder / "in-hand" / service)
        handlers = [
            Handler(
                step,
                service=service,
                engine=engine,
                publisher=publisher,
                crashes=crashes,
                settings=chosen,
                stop=stop,
            )
            for step in steps
        ]

        async def run() -> None:
            app = new_app(service, bootstrap, stack, chosen)
            beats = (timedelta(seconds=EVERY_S), lambda: beat(stack, service))
            worker = _Worker(app, handlers, [*every, beats], BrokerWatch(stack), stop)
            await worker.run(timedelta(seconds=chosen.stop_timeout_s))

        asyncio.run(run())


def _wait_for_broker(stack: Stack, stop: threading.Event) -> str | None:
    """Wait until the broker answers and has its topics; none when we are to stop before that."""
    pause = 0.2
    while not stop.is_set():
        try:
            bootstrap = bootstrap_servers(stack, patience=timedelta(days=3650), stop=stop)
            ensure_topics(bootstrap, partitions=stack.partitions, replication=stack.replication)
        except StoreUnavailable as error:
            log.warning("waiting for the broker", error=str(error))
            stop.wait(pause)
            pause = min(pause * 2, 5.0)
        except SettingsError:
            if not stop.is_set():
                raise
        else:
            return bootstrap
    return None


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and SIGINT set `stop`."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


class _Worker:
    """One faust app, its agents and its jobs."""

    def __init__(
        self,
        app: App,
        handlers: Sequence[Handler],
        every: Sequence[Job],
        watch: BrokerWatch,
        stop: threading.Event,
    ) -> None:
        self._app, self._every, self._watch, self._stop = app, every, watch, stop
        self._executor = ThreadPoolExecutor(max_workers=2 * len(handlers) + len(every))
        for handler in handlers:
            for topic in (handler.step.topic.name, handler.step.topic.retry):
                self._add_agent(topic, handler)

    async def run(self, stop_timeout: timedelta) -> None:
        """Start, wait for the stop signal, finish what is in hand within the time."""
        await self._app.start()
        log.info("service started")
        jobs = [asyncio.create_task(self._periodic(period, job)) for period, job in self._every]
        while not self._stop.is_set():
            self._crash_if(self._app.crashed, "the Kafka client failed")
            self._crash_if(self._watch.changed(), "the broker is another one now and has forgotten its messages")
            await asyncio.sleep(TICK_S)
        log.info("service stops")
        deadline = threading.Timer(stop_timeout.total_seconds(), _exit, [CRASH_EXIT])
        deadline.daemon = True
        deadline.start()
        await self._app.stop()
        await asyncio.gather(*jobs)
        self._executor.shutdown()
        deadline.cancel()
        self._crash_if(self._app.crashed, "the Kafka client failed while stopping")
        log.info("service stopped")

    def _add_agent(self, topic: str, handler: Handler) -> None:
        from schemas.faust_app import settle  # noqa: PLC0415  (imports faust)

        channel = self._app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

        async def read(stream: Any) -> None:
            async for events in stream.noack_take(1, within=ONE_MESSAGE_WITHIN_S):
                for event in events:
                    if await self._settled(handler, event):
                        settle(self._app, event.message)
                        event.ack()
                    else:  # given back: it must not hold up the stop or the rebalance, and is read again after it
                        self._app.consumer.unacked.discard(event.message)

        self._app.agent(channel, name=topic, concurrency=1)(read)

    async def _settled(self, handler: Handler, event: faust.EventT[bytes]) -> bool:
        message = event.message
        came = Incoming(
            topic=message.topic,
            partition=message.partition,
            offset=message.offset,
            key=message.key,
            value=message.value or b"",
            headers=dict(message.headers or ()),
        )
        while time.time() < came.not_before:
            if self._stop.is_set() or self._app.rebalancing:
                return False
            await asyncio.sleep(TICK_S)
        return bool(await self._in_thread(handler.settle, came))

    async def _periodic(self, period: timedelta, job: Callable[[], object]) -> None:
        while not self._stop.is_set():
            await self._in_thread(self._tolerant, job)
            next_at = time.monotonic() + period.total_seconds()
            while time.monotonic() < next_at and not self._stop.is_set():
                await asyncio.sleep(min(TICK_S, period.total_seconds()))

    @staticmethod
    def _tolerant(job: Callable[[], object]) -> None:
        try:
            job()
        except Retryable as error:
            log.warning("a periodic job will be tried again", error=str(error))

    async def _in_thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run what blocks; what it cannot settle ends the process, because faust would acknowledge and go on."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, function, *arguments)
        except Exception as error:  # the edge of every stream service
            log.error("the service ends because of an error", exc_info=error)
            _exit(CRASH_EXIT)

    @staticmethod
    def _crash_if(condition: bool, why: str) -> None:
        if condition:
            log.error("the service ends", reason=why)
            _exit(CRASH_EXIT)


def _exit(status: int) -> None:
    """End at once, without the acknowledgements that an orderly end would send."""
    os._exit(status)
