"""What we change in faust. `test_schemas_bus.py` runs this file in a process of its own: faust leaves loops open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.bus import BusSettings
from schemas.faust_app import OVERHEAD_BYTES, App, BytesQueue, SettledConsumer, new_app
from schemas.settings import Stack

LIMIT = 10 * (OVERHEAD_BYTES + 1000)


@dataclass(eq=False)
class Message:
    value: bytes | None = b"x" * 1000


@dataclass(eq=False)
class Event:
    message: Message = field(default_factory=Message)


def in_app(tmp_path: Path, work: Callable[[App], Coroutine[Any, Any, None]]) -> None:
    """Do something with an app that is never started."""

    async def main() -> None:
        stack = Stack(data=tmp_path, kafka="")
        await work(new_app("test", "127.0.0.1:9", stack, BusSettings(buffered_bytes=LIMIT)))

    asyncio.run(main())


def test_a_buffer_pauses_by_bytes_and_resumes_at_half(tmp_path: Path) -> None:
    async def work(app: App) -> None:
        app.flow_control.resume()
        queue = app.FlowControlQueue()
        paused: list[str] = []

        def put(partition: str) -> bool:
            return queue.put_nowait_enhanced(
                Event(), on_pressure_high=lambda: paused.append(partition), on_pressure_drop=drops[partition]
            )

        drops = {"p0": lambda: paused.remove("p0"), "p1": lambda: paused.remove("p1")}
        assert [put("p0") for _ in range(10)] == [False] * 10
        assert paused == []
        assert put("p0") and not put("p0")
        assert put("p1"), "each partition is paused once, when it brings more"
        assert paused == ["p0", "p1"]
        assert not queue.full()
        while queue.qsize() > 5:
            assert paused == ["p0", "p1"]
            queue.get_nowait()
        queue.get_nowait()
        assert paused == []

    in_app(tmp_path, work)


def test_a_cleared_buffer_has_room_again(tmp_path: Path) -> None:
    async def work(app: App) -> None:
        app.flow_control.resume()
        queue: BytesQueue = app.FlowControlQueue()
        for _ in range(20):
            queue.force_put_nowait(Event(Message(None)))
        queue.clear()
        assert queue.qsize() == 0
        assert not queue.in_pressure_high_state(lambda: None)

    in_app(tmp_path, work)


def test_only_what_is_settled_can_be_acknowledged(tmp_path: Path) -> None:
    async def work(app: App) -> None:
        consumer = app.consumer
        assert isinstance(consumer, SettledConsumer)
        app.topics._acking_topics.add("acquisitions.v1")
        message = consumer_message()
        assert consumer.ack(message) is False
        assert not message.acked
        consumer.settle(message)
        assert consumer.ack(message) is True
        assert message.acked

    in_app(tmp_path, work)


def consumer_message() -> Any:
    from faust.types.tuples import TP, ConsumerMessage

    tp = TP("acquisitions.v1", 0)
    return ConsumerMessage("acquisitions.v1", 0, 0, 0.0, 0, [], None, b"x", None, tp=tp)


def test_the_app_is_the_measured_one(tmp_path: Path) -> None:
    async def work(app: App) -> None:
        conf = app.conf
        assert (conf.stream_wait_empty, conf.web_enabled, conf.producer_acks) == (True, False, -1)
        assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (6, 1)
        assert not app.in_transaction
        assert not conf.topic_allow_declare

    in_app(tmp_path, work)


def test_a_cluster_gets_long_sessions(tmp_path: Path) -> None:
    async def main() -> None:
        conf = new_app("test", "127.0.0.1:9", Stack(data=tmp_path, kafka="127.0.0.1:9"), BusSettings()).conf
        assert (conf.broker_session_timeout, conf.broker_heartbeat_interval) == (30, 3)

    asyncio.run(main())
