"""Nothing is lost and nothing blocks, whatever ends the service: SIGKILL, a message that crashes it, SIGTERM."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from schemas.database import connect
from schemas.dead_letters import list_dead_letters, redrive, show
from schemas.handling import ERROR, ORIGIN
from schemas.messages import Acquisition, DeadLetter
from schemas.publisher import Outgoing, Publisher, Record
from schemas.topics import ACQUISITIONS, BACKFILL, EMBEDDINGS, Topic

pytestmark = pytest.mark.timeout(240)
MakeEcho = Callable[..., Any]


@pytest.fixture
def publisher(kafka_bootstrap: str) -> Iterator[Publisher]:
    made = Publisher(kafka_bootstrap, "test")
    yield made
    made.close()


def announce(publisher: Publisher, topic: Topic, items: list[str]) -> None:
    publisher.publish([Outgoing(topic.name, item, acquisition(item)) for item in items])


def acquisition(item: str) -> Acquisition:
    now = datetime.now(UTC)
    return Acquisition(
        acquisition_id=uuid4(),
        physical_key=item,
        processed_at=now,
        source="test",
        collection="test",
        item_id=item,
        sensor="s2",
        sensing_at=now,
        published_at=now,
        seen_at=now,
        footprint={"type": "Point", "coordinates": [0, 0]},
        assets={},
        allowed_hosts=(),
    )


def test_killed_and_crashed_services_lose_nothing(
    kafka_bootstrap: str, publisher: Publisher, new_echo: MakeEcho
) -> None:
    """Two services at once, because both mostly wait for their groups: one is killed, one crashes by itself."""
    killed = new_echo(TOCSIN_KAFKA=kafka_bootstrap, ECHO_PAUSE_S="0.01")
    crashing = new_echo(TOCSIN_KAFKA=kafka_bootstrap, ECHO_TOPIC=BACKFILL.name)
    with ThreadPoolExecutor(2) as pool:
        outcomes = [pool.submit(kill_three_times, killed, publisher), pool.submit(crash_by_itself, crashing, publisher)]
        for outcome in outcomes:
            outcome.result()


def kill_three_times(echo: Any, publisher: Publisher) -> None:
    good, bad = [f"good-{n}" for n in range(290)], [f"reject-{n}" for n in range(10)]
    announce(publisher, ACQUISITIONS, [item for n in range(10) for item in [*good[n * 29 : n * 29 + 29], bad[n]]])
    echo.start()
    for progress in (40, 120, 200):
        echo.wait_until(lambda progress=progress: len(echo.effects()) >= progress)
        assert echo.signal(signal.SIGKILL) == -signal.SIGKILL
        echo.start()
    expected = set(good) | {f"dead {item}: {item}: 404 from its host" for item in bad}
    echo.wait_until(lambda: len(echo.effects()) >= len(expected))
    assert echo.effects() == expected
    assert len(echo.calls()) < 300 + 3 * 100, "a kill repeats what was not yet committed, not everything"
    engine = connect(f"sqlite:///{echo.data / 'tocsin.sqlite'}")
    assert {letter.item_id for letter in list_dead_letters(engine)} == set(bad)
    engine.dispose()


def crash_by_itself(echo: Any, publisher: Publisher) -> None:
    good = [f"good-{n}" for n in range(20)]
    announce(publisher, BACKFILL, [*good[:10], "crash-1", *good[10:]])
    echo.start()
    echo.wait_until(lambda: len(echo.effects()) >= 21)
    assert echo.exits == [70, 70, 70]
    assert echo.calls().count("crash-1") == 3
    (told,) = echo.effects() - set(good)
    assert told.startswith("dead crash-1: it ended the process 3 times")


def test_a_message_is_retried_buried_and_redriven(
    kafka_bootstrap: str, publisher: Publisher, new_echo: MakeEcho
) -> None:
    """Two tries in place, two rounds through the retry topic; SIGTERM while one message is in hand and one rests."""
    echo = new_echo(
        TOCSIN_KAFKA=kafka_bootstrap,
        ECHO_TOPIC=EMBEDDINGS.name,
        TOCSIN_BUS_ATTEMPTS="2",
        TOCSIN_BUS_RETRIES="2",
        TOCSIN_BUS_RETRY_DELAY_S="1.5",
    )
    echo.start()
    announce(publisher, EMBEDDINGS, ["flaky-1-in-place", "flaky-3-in-a-round", "flaky-5-redriven", "good-after"])
    publisher.send([Record(EMBEDDINGS.name, b"k", b'{"schema_version": 2, "item_id": "future"}')])
    publisher.send([Record(EMBEDDINGS.name, None, b"\xff not JSON")])
    echo.wait_until(lambda: "good-after" in echo.effects())
    assert not {"flaky-3-in-a-round"} & echo.effects(), "a message that rests must not hold up the others"
    echo.wait_until(lambda: len(echo.effects()) == 6)
    assert {"flaky-1-in-place", "flaky-3-in-a-round", "good-after"} <= echo.effects()
    calls = {item: echo.calls().count(item) for item in set(echo.calls())}
    assert calls == {"flaky-1-in-place": 2, "flaky-3-in-a-round": 4, "flaky-5-redriven": 4, "good-after": 1}

    engine = connect(f"sqlite:///{echo.data / 'tocsin.sqlite'}")
    letters = {letter.item_id: letter for letter in list_dead_letters(engine)}
    assert set(letters) == {"flaky-5-redriven", "future", None}
    assert letters["future"].error == letters[None].error == "MalformedMessage"
    flaky = show(engine, letters["flaky-5-redriven"].dead_letter_id)
    assert (flaky.error, flaky.attempts, flaky.topic) == ("AssetUnavailable", 3, EMBEDDINGS.name)
    assert redrive(engine, publisher, [flaky.dead_letter_id]) == 1
    echo.wait_until(lambda: "flaky-5-redriven" in echo.effects())
    assert {letter.item_id for letter in list_dead_letters(engine, redriven=False)} == {"future", None}
    engine.dispose()

    published = dead_letters_on(kafka_bootstrap, EMBEDDINGS)
    letter, headers = published["flaky-5-redriven"]
    assert letter.reason == "flaky-5-redriven: 503 from its host"
    assert headers[ERROR].startswith(b"AssetUnavailable: ")
    assert headers[ORIGIN] == f"{EMBEDDINGS.name}/{letter.partition}/{letter.offset}".encode()

    announce(publisher, EMBEDDINGS, ["flaky-2-rests", "slow-1"])
    echo.wait_until(lambda: "slow-1" in echo.calls() and echo.calls().count("flaky-2-rests") == 2)
    assert echo.signal(signal.SIGTERM) == 0, "it waits for the message in hand, not for one that rests"
    assert "slow-1" in echo.effects()
    echo.start()
    echo.wait_until(lambda: "flaky-2-rests" in echo.effects())
    assert echo.calls().count("slow-1") == 1, "it was acknowledged before the service ended"
    assert echo.exits == []


def dead_letters_on(bootstrap: str, topic: Topic) -> dict[str | None, tuple[DeadLetter, dict[str, bytes]]]:
    """All dead letters of a topic by item."""
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=bootstrap.split(","), auto_offset_reset="earliest")
    try:
        partitions = [TopicPartition(topic.dead_letters, n) for n in consumer.partitions_for_topic(topic.dead_letters)]
        consumer.assign(partitions)
        consumer.seek_to_beginning()
        found: dict[str | None, tuple[DeadLetter, dict[str, bytes]]] = {}
        while batch := consumer.poll(timeout_ms=2000):
            for record in (record for records in batch.values() for record in records):
                letter = DeadLetter.from_bytes(record.value)
                found[letter.item_id] = (letter, dict(record.headers))
        return found
    finally:
        consumer.close()
