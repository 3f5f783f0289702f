"""What becomes of one message: handled, tried again later, or dead.

Flows in: bytes from a topic or its retry topic. Flows out: the step's durable effects, or a record on the retry
topic, or a dead letter. Stops before Kafka's offsets: `bus` acknowledges what is settled here.

Everything here blocks and runs in an executor's thread, so that heartbeats go on meanwhile.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any

import structlog
from pydantic import Field
from pydantic_settings import SettingsConfigDict
from sqlalchemy import Engine

from schemas import dead_letters
from schemas.crashes import MAX_CRASHES, CrashLog, History, identity_of
from schemas.environment import Environment
from schemas.errors import Rejected, Retryable, StoreUnavailable
from schemas.messages import Message
from schemas.outbox import Sender
from schemas.publisher import Record
from schemas.topics import Topic

ATTEMPT, NOT_BEFORE, ERROR, ORIGIN = "tocsin-attempt", "tocsin-not-before", "tocsin-error", "tocsin-origin"
"""Headers of retried and dead messages: rounds so far; earliest next try (Unix seconds); class and text of the last
error; topic/partition/offset where the message first arrived."""

log = structlog.get_logger(__name__)


class BusSettings(Environment):
    """How stream services read, retry and stop."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_BUS_")

    production: bool | None = None
    """Long sessions for a cluster (30 s, heartbeat 3 s) instead of short ones for one machine (6 s, 1 s). Empty:
    production when TOCSIN_KAFKA names a broker."""
    attempts: int = Field(default=4, ge=1, le=20)
    """Tries in place before a message goes to the retry topic."""
    first_pause_s: float = Field(default=0.5, ge=0, le=60)
    """Before the second try in place, seconds; four times longer before each next one."""
    longest_pause_s: float = Field(default=30.0, gt=0, le=300)
    """Where that growth ends, seconds."""
    store_patience_s: float = Field(default=600.0, ge=0, le=86_400)
    """How long one message waits in place for our own stores, seconds: while they are down, all others fail too."""
    retry_delay_s: float = Field(default=120.0, ge=0, le=86_400)
    """How long a message rests in the retry topic, seconds. The same each time, so that none waits behind another."""
    retries: int = Field(default=60, ge=0, le=10_000)
    """Rounds through the retry topic before a message is dead: two hours of an asset host's outage."""
    stop_timeout_s: float = Field(default=600.0, gt=0, le=86_400)
    """How long the message in hand may take after SIGTERM, seconds, before we leave it to the next start."""
    buffered_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    """Messages of one topic that wait in memory, bytes, before its partitions are paused."""


@dataclass(frozen=True, slots=True)
class Step:
    """A topic and what is done with its messages.

    `handle` blocks, is never called twice at once for one step, and returns only when its effects are durable. It
    may be called again with the same message, so its effects are idempotent. `Retryable` means another try,
    `Rejected` a dead letter, anything else ends the process.

    Attributes:
        topic: Where messages come from; its retry topic is read as well.
        handle: Takes a message of `topic.message`.
        on_dead_letter: Told of a message that is given up (none when it was not one of ours) and why; idempotent.
        name: In logs, where it differs from the topic's.
    """

    topic: Topic
    handle: Callable[[Any], None]
    on_dead_letter: Callable[[Any, str], None] | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as Kafka gave it.

    Attributes:
        topic: Name of the topic that it was read from.
        partition: There.
        offset: There.
        key: None when it came without one.
        value: The bytes; empty for a tombstone.
        headers: The last of each name.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    headers: dict[str, bytes]

    @property
    def rounds(self) -> int:
        """How often it has been through the retry topic; 0 where the header is none of ours."""
        text = self.headers.get(ATTEMPT, b"0")
        return int(text) if text.isdigit() and len(text) < 7 else 0

    @property
    def not_before(self) -> float:
        """Earliest next try, Unix seconds; 0 for now."""
        try:
            return min(float(self.headers.get(NOT_BEFORE, b"0")), time.time() + 86_400)
        except ValueError:
            return 0.0

    @property
    def origin(self) -> tuple[int, int]:
        """Partition and offset where it first arrived."""
        parts = self.headers.get(ORIGIN, b"").decode("ascii", "replace").rsplit("/", 2)
        if len(parts) == 3 and parts[1].isdecimal() and parts[2].isdecimal():
            return int(parts[1]), int(parts[2])
        return self.partition, self.offset


class Handler:
    """One step at work. Its main and its retry agent share it, and take turns."""

    def __init__(
        self,
        step: Step,
        *,
        service: str,
        engine: Engine,
        publisher: Sender,
        crashes: CrashLog,
        settings: BusSettings,
        stop: Event,
    ) -> None:
        """Bind a step to its surroundings.

        Args:
            step: What is done.
            service: Said in dead letters.
            engine: Where dead letters are kept.
            publisher: Sends to the retry and dead-letter topics.
            crashes: Remembers messages that ended the process.
            settings: Attempts and pauses.
            stop: Set when the service is to end: waiting ends, and the message is given back.
        """
        self.step = step
        self._service, self._engine, self._publisher = service, engine, publisher
        self._crashes, self._settings, self._stop = crashes, settings, stop
        self._turn = Lock()

    def settle(self, came: Incoming) -> bool:
        """Handle a message, or send it to where it belongs.

        Returns:
            True when it is settled and may be acknowledged; False when it is given back because we stop.

        Raises:
            Retryable: our own stores stayed away: nothing can be settled now.
            Exception: a bug; the process must end, and the message will be judged after `crashes.MAX_CRASHES` times.
        """
        name = self.step.name or self.step.topic.name
        with self._turn, structlog.contextvars.bound_contextvars(step=name, at=f"{came.partition}/{came.offset}"):
            if self._stop.is_set():
                return False
            return self._watched(came)

    def _watched(self, came: Incoming) -> bool:
        identity = identity_of(self.step.topic.name, came.key, came.value)
        history = self._crashes.begin(identity)
        bug = True
        try:
            settled = self._judged(came, history)
            bug = False
        except Retryable:
            bug = False
            raise
        finally:
            if bug:
                self._crashes.crashed(identity)
            else:
                self._crashes.end(identity)
        return settled

    def _judged(self, came: Incoming, history: History) -> bool:
        if history.deadly:
            reason = (
                f"it ended the process {history.starts} times ({history.crashes} by an error): see the log of "
                f"{self._service}, then `tocsin dead-letters redrive`"
            )
            told = history.crashes <= MAX_CRASHES  # beyond it, telling of the death has crashed as well
            return self._bury(came, _parsed(self.step.topic, came.value), "Crashed", reason, told=told)
        try:
            message = self.step.topic.message.from_bytes(came.value)
        except Rejected as error:
            return self._bury(came, None, type(error).__name__, str(error))
        with structlog.contextvars.bound_contextvars(**_ids(message)):
            return self._handled(came, message)

    def _handled(self, came: Incoming, message: Message) -> bool:
        """Try in place, then through the retry topic, then give up."""
        try:
            if not self._persistently(lambda: self.step.handle(message), self._patience(came)):
                return False
        except Rejected as error:
            return self._bury(came, message, type(error).__name__, str(error))
        except Retryable as error:
            if came.rounds >= self._settings.retries:
                return self._bury(came, message, type(error).__name__, str(error))
            return self._send_to_retry(came, error)
        return True

    def _patience(self, came: Incoming) -> int:
        """Tries in place; one only for a message that has rested in the retry topic."""
        return 1 if came.rounds else self._settings.attempts

    def _persistently(self, action: Callable[[], None], attempts: int) -> bool:
        """Do it until it works, with growing pauses; True when done, False when we stop before that.

        Raises:
            StoreUnavailable: our own stores stayed away for all of `store_patience_s`.
            Retryable: all attempts failed for another reason.
            Rejected: it can never work.
        """
        pause = self._settings.first_pause_s
        give_up_at = time.monotonic() + self._settings.store_patience_s
        attempt = 0
        while True:
            attempt += 1
            try:
                action()
            except Retryable as error:
                store = isinstance(error, StoreUnavailable)
                if time.monotonic() >= give_up_at if store else attempt >= attempts:
                    raise
                log.warning("trying again", attempt=attempt, pause_s=pause, error=str(error))
            else:
                return True
            if self._stop.wait(pause):
                return False
            pause = min(pause * 4, self._settings.longest_pause_s)

    def _send_to_retry(self, came: Incoming, error: Retryable) -> bool:
        topic = self.step.topic
        headers = (
            (ATTEMPT, str(came.rounds + 1).encode()),
            (NOT_BEFORE, f"{time.time() + self._settings.retry_delay_s:.3f}".encode()),
            *self._headers(came, type(error).__name__, str(error)),
        )
        log.warning("to the retry topic", round=came.rounds + 1, error=str(error))
        record = Record(topic.retry, came.key, came.value, headers)
        return self._persistently(lambda: self._publisher.send([record]), self._settings.attempts)

    def _bury(self, came: Incoming, message: Message | None, error: str, reason: str, *, told: bool = True) -> bool:
        """Give a message up: keep it, tell the service, publish it. Each can be repeated without harm."""
        partition, offset = came.origin
        origin = dead_letters.Origin(self.step.topic, partition, offset, came.key, came.value)
        letter = dead_letters.dead_letter(
            origin, error=error, reason=reason, service=self._service, attempts=came.rounds + 1
        )
        log.error("dead letter", dead_letter_id=str(letter.dead_letter_id), error=error, reason=reason)
        headers = self._headers(came, error, reason)
        record = Record(self.step.topic.dead_letters, came.key, letter.to_bytes(), headers)
        for action in (
            lambda: dead_letters.record(self._engine, letter),
            lambda: self._tell(message, reason) if told else None,
            lambda: self._publish_dead(record),
        ):
            if not self._persistently(action, self._settings.attempts):
                return False
        return True

    def _tell(self, message: Message | None, reason: str) -> None:
        if self.step.on_dead_letter is None:
            return
        try:
            self.step.on_dead_letter(message, reason)
        except Rejected as error:
            log.error("the service could not take note of a dead letter", error=str(error))

    def _publish_dead(self, record: Record) -> None:
        try:
            self._publisher.send([record])
        except Rejected as error:
            log.error("the dead letter is too large for its topic; it is kept in the database", error=str(error))

    def _headers(self, came: Incoming, error: str, text: str) -> tuple[tuple[str, bytes], ...]:
        partition, offset = came.origin
        return (
            (ERROR, f"{error}: {text}"[:1000].encode()),
            (ORIGIN, f"{self.step.topic.name}/{partition}/{offset}".encode()),
        )


def _parsed(topic: Topic, value: bytes) -> Message | None:
    """The message where it is one."""
    try:
        return topic.message.from_bytes(value)
    except Rejected:
        return None


def _ids(message: Message) -> dict[str, str]:
    """What the log should say with every line about this message."""
    held = getattr(message, "acquisition", message)
    names = ("acquisition_id", "item_id", "alert_id")
    return {name: str(getattr(held, name)) for name in names if hasattr(held, name)}
