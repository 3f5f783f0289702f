"""What becomes of one message, case by case, with the broker replaced by a list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from sqlalchemy import Engine

from schemas import dead_letters
from schemas.crashes import MAX_CRASHES, MAX_DEATHS, CrashLog, identity_of
from schemas.database import connect, migrate
from schemas.errors import AssetUnavailable, StoreUnavailable, UnreadableAsset
from schemas.handling import ATTEMPT, ERROR, NOT_BEFORE, ORIGIN, BusSettings, Handler, Incoming, Step
from schemas.messages import Acquisition, DeadLetter, stable_id
from schemas.publisher import Record
from schemas.topics import ACQUISITIONS

QUICK = BusSettings(attempts=3, first_pause_s=0.001, longest_pause_s=0.001, store_patience_s=0.05, retries=2)
NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Sent:
    """A broker that remembers, and fails as often as it is told to."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.failures = 0

    def send(self, records: Iterable[Record]) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no broker")
        self.records += records


class Given:
    """What a step was called with, and what it does: one outcome after the other, the last for ever."""

    def __init__(self, *outcomes: BaseException | None) -> None:
        self.outcomes = list(outcomes)
        self.messages: list[Acquisition] = []
        self.dead: list[tuple[Acquisition | None, str]] = []

    def handle(self, message: Acquisition) -> None:
        self.messages.append(message)
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if outcome is not None:
            raise outcome

    def on_dead_letter(self, message: Acquisition | None, reason: str) -> None:
        self.dead.append((message, reason))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    url = f"sqlite:///{tmp_path / 'tocsin.sqlite'}"
    migrate(url)
    made = connect(url)
    yield made
    made.dispose()


@pytest.fixture
def sent() -> Sent:
    return Sent()


@pytest.fixture
def stop() -> Event:
    return Event()


@pytest.fixture
def handler(engine: Engine, sent: Sent, stop: Event, tmp_path: Path) -> Callable[..., Handler]:
    def make(given: Given, settings: BusSettings = QUICK) -> Handler:
        step = Step(ACQUISITIONS, given.handle, given.on_dead_letter)
        crashes = CrashLog(tmp_path / "in-hand")
        return Handler(
            step, service="test", engine=engine, publisher=sent, crashes=crashes, settings=settings, stop=stop
        )

    return make


def acquisition(item: str = "S2C_33TWN") -> Acquisition:
    return Acquisition(
        acquisition_id=stable_id(item),
        physical_key=item,
        processed_at=NOW,
        source="test",
        collection="test",
        item_id=item,
        sensor="s2",
        sensing_at=NOW,
        published_at=NOW,
        seen_at=NOW,
        footprint={"type": "Point", "coordinates": [0, 0]},
        assets={},
        allowed_hosts=(),
    )


def incoming(value: bytes | None = None, **headers: bytes) -> Incoming:
    named = {f"tocsin-{name.replace('_', '-')}": header for name, header in headers.items()}
    return Incoming("acquisitions.v1", 2, 17, b"33TWN", acquisition().to_bytes() if value is None else value, named)


def test_a_message_is_handled_once(handler: Callable[..., Handler], sent: Sent) -> None:
    given = Given(None)
    assert handler(given).settle(incoming()) is True
    assert given.messages == [acquisition()]
    assert sent.records == []


def test_a_short_outage_is_waited_out_in_place(handler: Callable[..., Handler], sent: Sent) -> None:
    given = Given(AssetUnavailable("503"), AssetUnavailable("503"), None)
    assert handler(given).settle(incoming()) is True
    assert len(given.messages) == 3
    assert sent.records == []


def test_a_long_outage_sends_to_the_retry_topic(handler: Callable[..., Handler], sent: Sent) -> None:
    given = Given(AssetUnavailable("503 from its host"))
    assert handler(given).settle(incoming()) is True
    assert len(given.messages) == QUICK.attempts
    (record,) = sent.records
    headers = dict(record.headers)
    assert (record.topic, record.key, record.value) == ("acquisitions.retry.v1", b"33TWN", acquisition().to_bytes())
    assert headers[ATTEMPT] == b"1"
    assert float(headers[NOT_BEFORE]) > NOW.timestamp()
    assert headers[ERROR] == b"AssetUnavailable: 503 from its host"
    assert headers[ORIGIN] == b"acquisitions.v1/2/17"


def test_a_retried_message_is_tried_once_a_round_and_then_buried(
    handler: Callable[..., Handler], sent: Sent, engine: Engine
) -> None:
    given = Given(AssetUnavailable("503"))
    retry = handler(given)
    assert retry.settle(incoming(attempt=b"1", origin=b"acquisitions.v1/0/3")) is True
    assert len(given.messages) == 1
    assert dict(sent.records[0].headers)[ATTEMPT] == b"2"
    assert dict(sent.records[0].headers)[ORIGIN] == b"acquisitions.v1/0/3"
    assert retry.settle(incoming(attempt=b"2", origin=b"acquisitions.v1/0/3")) is True
    letter = DeadLetter.from_bytes(sent.records[1].value)
    assert sent.records[1].topic == "acquisitions.dlq.v1"
    assert (letter.partition, letter.offset, letter.attempts, letter.error) == (0, 3, 3, "AssetUnavailable")
    assert [one.item_id for one in dead_letters.list_dead_letters(engine)] == ["S2C_33TWN"]
    assert given.dead == [(acquisition(), "503")]


def test_a_rejected_message_is_buried_at_once(handler: Callable[..., Handler], sent: Sent) -> None:
    given = Given(UnreadableAsset("404"))
    assert handler(given).settle(incoming()) is True
    assert len(given.messages) == 1
    assert given.dead == [(acquisition(), "404")]
    assert [record.topic for record in sent.records] == ["acquisitions.dlq.v1"]


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff\xfe", b"null", b"{}", b'{"schema_version": 2}', b"[" * 100_000, b"1" * 5000],
    ids=["tombstone", "not-text", "null", "empty", "from-the-future", "deep", "number"],
)
def test_what_is_not_our_message_is_buried_without_being_handled(
    handler: Callable[..., Handler], engine: Engine, value: bytes
) -> None:
    given = Given(None)
    assert handler(given).settle(incoming(value)) is True
    assert given.messages == []
    ((message, reason),) = given.dead
    assert message is None
    assert "not a Acquisition" in reason
    (listed,) = dead_letters.list_dead_letters(engine)
    assert listed.error == "MalformedMessage"
    assert dead_letters.original(dead_letters.show(engine, listed.dead_letter_id)) == value


def test_our_own_stores_are_waited_for_longer_than_others(handler: Callable[..., Handler], sent: Sent) -> None:
    outages: list[BaseException | None] = [StoreUnavailable("locked")] * 8
    given = Given(*outages, None)
    patient = QUICK.model_copy(update={"store_patience_s": 60.0})
    assert handler(given, patient).settle(incoming()) is True
    assert len(given.messages) == 9 > QUICK.attempts
    assert sent.records == []


def test_a_dead_letter_waits_for_the_broker(handler: Callable[..., Handler], sent: Sent) -> None:
    sent.failures = 5
    patient = QUICK.model_copy(update={"store_patience_s": 60.0})
    assert handler(Given(UnreadableAsset("404")), patient).settle(incoming()) is True
    assert len(sent.records) == 1


def test_a_broker_that_stays_away_settles_nothing(handler: Callable[..., Handler], sent: Sent, tmp_path: Path) -> None:
    sent.failures = 10_000
    with pytest.raises(StoreUnavailable):
        handler(Given(UnreadableAsset("404"))).settle(incoming())
    assert list((tmp_path / "in-hand").iterdir()) == [], "an outage is not the message's crash"


def test_a_message_that_crashes_is_judged_the_third_time(handler: Callable[..., Handler], sent: Sent) -> None:
    given = Given(ZeroDivisionError("a bug"))
    deadly = handler(given)
    for _ in range(MAX_CRASHES):
        with pytest.raises(ZeroDivisionError):
            deadly.settle(incoming())
    assert deadly.settle(incoming()) is True
    assert len(given.messages) == MAX_CRASHES
    letter = DeadLetter.from_bytes(sent.records[0].value)
    assert letter.error == "Crashed"
    assert "ended the process 3 times" in letter.reason
    assert given.dead[0][0] == acquisition()
    assert handler(Given(None)).settle(incoming()) is True, "a redriven one is given another chance"


def test_burying_may_crash_too_and_is_then_done_without_telling(handler: Callable[..., Handler], sent: Sent) -> None:
    given = Given(ZeroDivisionError("a bug"))

    def crash(message: Acquisition | None, reason: str) -> None:
        raise KeyError(reason)

    given.on_dead_letter = crash  # type: ignore[method-assign]
    deadly = handler(given)
    outcomes: list[str] = []
    for _ in range(MAX_CRASHES + 2):
        try:
            outcomes.append(str(deadly.settle(incoming())))
        except (ZeroDivisionError, KeyError) as error:
            outcomes.append(type(error).__name__)
    assert outcomes == ["ZeroDivisionError"] * MAX_CRASHES + ["KeyError", "True"]
    assert len(sent.records) == 1


def test_a_process_that_vanishes_condemns_its_message_late(handler: Callable[..., Handler], tmp_path: Path) -> None:
    came = incoming()
    for _ in range(MAX_DEATHS):  # begun and never ended: what SIGKILL leaves behind
        CrashLog(tmp_path / "in-hand").begin(identity_of("acquisitions.v1", came.key, came.value))
    given = Given(None)
    assert handler(given).settle(came) is True
    assert given.messages == []
    assert len(given.dead) == 1


def test_a_stopping_service_gives_the_message_back(handler: Callable[..., Handler], stop: Event, sent: Sent) -> None:
    given = Given(AssetUnavailable("503"))
    slow = QUICK.model_copy(update={"first_pause_s": 60.0, "longest_pause_s": 60.0})
    waiting = handler(given, slow)
    threading.Timer(0.05, stop.set).start()
    assert waiting.settle(incoming()) is False
    assert waiting.settle(incoming()) is False
    assert len(given.messages) == 1
    assert sent.records == []


def test_one_step_is_never_called_twice_at_once(handler: Callable[..., Handler]) -> None:
    inside, most = 0, 0
    gate = Event()

    class Counting(Given):
        def handle(self, message: Acquisition) -> None:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            gate.wait(0.05)
            inside -= 1

    shared = handler(Counting(None))
    threads = [threading.Thread(target=shared.settle, args=[incoming()]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@pytest.mark.parametrize("header", [b"", b"x", b"-1", b"9" * 30, b"\xff"])
def test_foreign_headers_are_no_headers(header: bytes) -> None:
    came = incoming(attempt=header, not_before=header, origin=header)
    assert came.rounds == 0
    assert came.origin == (2, 17)
    assert came.not_before <= datetime.now(UTC).timestamp() + 86_401
