"""Messages go to Kafka, and nobody is told that they went before all replicas have them.

Flows in: messages of `schemas.messages`. Flows out: records that the broker has acknowledged, and the topics
themselves. Stops before reading (`bus`) and before remembering what must still be sent (`outbox`).

The Kafka client is imported where it works: the command line reads this module and must answer at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from threading import Event, Lock
from typing import TYPE_CHECKING

import structlog

from schemas.errors import Rejected, SettingsError, StoreUnavailable
from schemas.messages import Message
from schemas.settings import Stack
from schemas.topics import TOPICS, Topic

if TYPE_CHECKING:
    from kafka import KafkaAdminClient, KafkaProducer

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest value of our topics. An `EmbeddingBatch` has about 0.5 MB; Kafka's own default of 1 MB leaves no room
for an alert with thousands of matches."""
MAX_DEAD_LETTER_BYTES = 6 * 1024 * 1024
"""A dead letter carries its message in base64, which is a third longer."""
BOOTSTRAP_TIMEOUT = timedelta(seconds=5)
"""How long one attempt to reach the broker takes at most."""
DELIVERY_TIMEOUT = timedelta(seconds=60)
"""How long the producer tries to get one record acknowledged before we say so."""
BROKER_FILE = "broker.json"
"""Address of the embedded broker, in the run folder: {"bootstrap": …, "incarnation": …}."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message and where it goes.

    Attributes:
        topic: Name of the topic.
        key: Messages of one key keep their order.
        message: What is said.
        headers: Names and raw values.
    """

    topic: str
    key: str
    message: Message
    headers: tuple[tuple[str, bytes], ...] = ()

    def record(self) -> Record:
        """As it travels.

        Raises:
            Rejected: larger than `MAX_MESSAGE_BYTES`.
        """
        value = self.message.to_bytes()
        if len(value) > MAX_MESSAGE_BYTES:
            raise Rejected(
                f"{type(self.message).__name__} with key {self.key} has {len(value)} bytes,"
                f" and {self.topic} takes {MAX_MESSAGE_BYTES}"
            )
        return Record(self.topic, self.key.encode(), value, self.headers)


@dataclass(frozen=True, slots=True)
class Record:
    """What Kafka carries: bytes.

    Attributes:
        topic: Name of the topic.
        key: None when it came without one.
        value: The message as JSON, or whatever somebody sent us.
        headers: Names and raw values.
    """

    topic: str
    key: bytes | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Publisher:
    """An idempotent producer that waits for all acknowledgements; safe to share between threads.

    It connects at the first message and again after a failure, so it may be made before the broker is up.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        """Remember where to publish; nothing is connected yet.

        Args:
            bootstrap: host:port, separated by commas.
            client_id: Name in the broker's log.
        """
        self._bootstrap, self._client_id = bootstrap, client_id
        self._producer: KafkaProducer | None = None
        self._lock = Lock()

    def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Send messages and wait until all of them are acknowledged.

        Raises:
            StoreUnavailable: the broker did not acknowledge all of them; some may have arrived.
            Rejected: a message is larger than `MAX_MESSAGE_BYTES`.
        """
        self.send([one.record() for one in outgoing])

    def send(self, records: Iterable[Record]) -> None:
        """Send raw records and wait until all of them are acknowledged.

        Raises:
            StoreUnavailable: the broker did not acknowledge all of them; some may have arrived.
            Rejected: a record is too large for its topic.
        """
        from kafka.errors import KafkaError, MessageSizeTooLargeError  # noqa: PLC0415

        try:
            producer = self._connected()
            sent = [
                producer.send(one.topic, value=one.value, key=one.key, headers=list(one.headers)) for one in records
            ]
            for future in sent:
                future.get(timeout=DELIVERY_TIMEOUT.total_seconds() + 5)
        except MessageSizeTooLargeError as error:
            raise Rejected(f"a message is larger than its topic allows: {error}") from error
        except KafkaError as error:
            self._forget()
            raise StoreUnavailable(f"broker {self._bootstrap} did not acknowledge: {error}") from error

    def close(self) -> None:
        """Leave the broker; a later `publish` would connect again."""
        self._forget()

    def _connected(self) -> KafkaProducer:
        from kafka import KafkaProducer  # noqa: PLC0415

        with self._lock:
            if self._producer is None:
                self._producer = KafkaProducer(
                    bootstrap_servers=self._bootstrap.split(","),
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    max_request_size=MAX_DEAD_LETTER_BYTES,
                    linger_ms=2,
                    delivery_timeout_ms=_milliseconds(DELIVERY_TIMEOUT),
                    max_block_ms=_milliseconds(DELIVERY_TIMEOUT),
                    bootstrap_timeout_ms=_milliseconds(BOOTSTRAP_TIMEOUT),
                    reconnect_backoff_max_ms=2_000,
                    allow_auto_create_topics=False,
                )
            return self._producer

    def _forget(self) -> None:
        """A producer that failed has lost its sequence numbers: the next message gets a new one."""
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is not None:
            producer.close(timeout=2)


def ensure_topics(bootstrap: str, *, partitions: int, replication: int) -> None:
    """Create what is missing of all topics of `schemas.topics`; leave what is there as it is.

    Args:
        bootstrap: host:port, separated by commas.
        partitions: Of each topic.
        replication: Copies of each topic.

    Raises:
        StoreUnavailable: the broker does not answer, or refuses.
    """
    from kafka import KafkaAdminClient  # noqa: PLC0415
    from kafka.errors import KafkaError  # noqa: PLC0415

    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id="tocsin-topics",
            bootstrap_timeout_ms=_milliseconds(BOOTSTRAP_TIMEOUT),
        )
        try:
            there = set(admin.list_topics())
            for topic in TOPICS:
                for name in topic.all_names:
                    if name not in there:
                        _create(admin, name, _options(topic, name, partitions, replication))
        finally:
            admin.close()
    except KafkaError as error:
        raise StoreUnavailable(f"broker {bootstrap}: topics cannot be created: {error}") from error


def bootstrap_servers(stack: Stack, *, patience: timedelta = timedelta(0), stop: Event | None = None) -> str:
    """Where the broker is: the setting, else what the embedded broker wrote into the run folder.

    Args:
        stack: Addresses.
        patience: How long to wait for an embedded broker that is not there yet.
        stop: Ends the waiting early.

    Raises:
        SettingsError: there is neither.
    """
    if stack.kafka:
        return stack.kafka
    deadline, stopped = time.monotonic() + patience.total_seconds(), stop or Event()
    while (found := embedded_broker(stack)) is None:
        if time.monotonic() >= deadline or stopped.wait(0.1):
            raise SettingsError(
                f"no broker: none runs on {stack.data}; start `tocsin up`, or set TOCSIN_KAFKA to host:port"
            )
    return found["bootstrap"]


def embedded_broker(stack: Stack) -> dict[str, str] | None:
    """What the embedded broker wrote about itself (`bootstrap`, `incarnation`), or none where none runs."""
    try:
        return {
            str(name): str(value) for name, value in json.loads((stack.run_folder / BROKER_FILE).read_bytes()).items()
        }
    except FileNotFoundError:
        return None


def _create(admin: KafkaAdminClient, name: str, options: dict[str, object]) -> None:
    from kafka.errors import TopicAlreadyExistsError  # noqa: PLC0415

    try:
        admin.create_topics({name: options}, wait_for_metadata=True)
        log.info("topic created", topic=name)
    except TopicAlreadyExistsError:
        log.debug("topic was created by somebody else meanwhile", topic=name)


def _options(topic: Topic, name: str, partitions: int, replication: int) -> dict[str, object]:
    dead = name == topic.dead_letters
    return {
        "num_partitions": partitions,
        "replication_factor": replication,
        "configs": {
            "retention.ms": str(_milliseconds(topic.retention)),
            "max.message.bytes": str(MAX_DEAD_LETTER_BYTES if dead else MAX_MESSAGE_BYTES),
        },
    }


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)


class BrokerWatch:
    """Notices that the embedded broker is another one than before: it keeps messages in memory and has forgotten."""

    def __init__(self, stack: Stack) -> None:
        """Remember which one it is now."""
        self._stack = stack
        self._first = self._incarnation()

    def changed(self) -> bool:
        """Whether another one runs now; a broker that is away, or no embedded one, is no other."""
        now = self._incarnation()
        if self._first is None:
            self._first = now
        return now is not None and now != self._first

    def _incarnation(self) -> str | None:
        if self._stack.kafka:
            return None
        broker = embedded_broker(self._stack)
        return broker.get("incarnation") if broker else None
