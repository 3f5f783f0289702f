"""No receiver waits for another one, nor for another one's pictures."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar

import pytest

from alerts.settings import NotifierSettings
from alerts.telling import deliveries, receivers
from alerts.telling.kinds.kind import Kind, Picture
from alerts.telling.kinds.registry import KINDS
from alerts.telling.notifying import Notifier
from alerts.telling.pictures import PNG, drawn, packed
from alerts.telling.turns import Turns
from alerts.telling.workshop import OutOfTime, Workshop
from schemas.errors import StoreUnavailable, UsageError

LONG_S = 30
"""Nothing here takes so long, unless the test fails."""
FOREVER = 10_000.0


class Gate:
    """Something that hangs until it is let go."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()

    def hang(self) -> None:
        self.reached.set()
        assert self.open.wait(LONG_S)


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.open.set()


class Board(Kind):
    """Takes what it is told; hangs where the test says so."""

    name: ClassVar[str] = "board"
    about: ClassVar[str] = "a fake"
    told: ClassVar[list[tuple[str, int]]] = []
    arrived: ClassVar[threading.Condition] = threading.Condition()
    hanging: ClassVar[dict[str, Gate]] = {}

    def tell(self, telling) -> None:
        if telling.receiver in self.hanging:
            self.hanging[telling.receiver].hang()
        self.note(telling)

    @classmethod
    def note(cls, telling) -> None:
        with cls.arrived:
            cls.told.append((telling.receiver, telling.message.sequence))
            cls.arrived.notify_all()

    @classmethod
    def await_told(cls, *expected: tuple[str, int]) -> None:
        with cls.arrived:
            assert cls.arrived.wait_for(lambda: set(expected) <= set(cls.told), LONG_S), cls.told


class Letters(Board):
    """The same with pictures and evidence."""

    name: ClassVar[str] = "letters"
    illustrates: ClassVar[bool] = True
    shown: ClassVar[list[tuple[list[str], bytes | None]]] = []

    def tell(self, telling) -> None:
        self.shown.append(([picture.caption for picture in drawn(telling)], packed(telling)))
        self.note(telling)


@pytest.fixture(autouse=True)
def boards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for kind in (Board, Letters):
        monkeypatch.setitem(KINDS, kind.name, kind)
    yield
    for kept in (Board.told, Board.hanging, Letters.shown):
        kept.clear()


@pytest.fixture
def start(desk, monkeypatch: pytest.MonkeyPatch):
    """Notifiers on the desk's database that tell for real."""
    from alerts.telling import notify

    monkeypatch.setattr("alerts.telling.notifying.tell", notify.tell)
    started: list[Notifier] = []

    def new(*, settings: dict | None = None, **more) -> Notifier:
        chosen = NotifierSettings(**{"places": 2, **(settings or {})})
        started.append(Notifier(desk.engine, desk.data, chosen, lambda: desk.now, **more))
        return started[-1]

    for name in ("screen", "hook", "chief"):
        receivers.remove(desk.engine, name)
    yield new
    for each in started:
        each.close()


def test_a_receiver_that_takes_all_its_time_holds_no_other_one_up(desk, start, gate):
    for name in ("slow", "quick", "other"):
        receivers.add(desk.engine, name, "board")
    Board.hanging["slow"] = gate
    notifier = start()
    notifier.handle(desk.alert("fire"))
    assert gate.reached.wait(LONG_S)
    notifier.handle(desk.alert("flood"))
    notifier.handle(desk.alert("fire", 2))
    notifier.deliver_due()
    Board.await_told(("quick", 1), ("other", 1), ("quick", 2), ("other", 2))
    assert "slow" not in {name for name, _ in Board.told}
    gate.open.set()
    notifier.wait()
    assert len(Board.told) == len(desk.rows()) == 9
    assert {row.state for row in desk.rows()} == {"delivered"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ZeroDivisionError("secret"), "a bug in telling it (ZeroDivisionError): see the notifier's log"),
        (UsageError("the file holds no certificates"), "the file holds no certificates"),
    ],
)
def test_what_one_kind_trips_over_silences_nobody_else(desk, start, monkeypatch, error, reason):
    receivers.add(desk.engine, "broken", "board")
    receivers.add(desk.engine, "quick", "board")

    def tell(self, telling):
        if telling.receiver == "broken":
            raise error
        self.note(telling)

    monkeypatch.setattr(Board, "tell", tell)
    notifier = start()
    notifier.handle(desk.alert())
    notifier.wait()
    notifier.deliver_due()  # no error is left to end the service
    assert [(row.receiver, row.state, row.error) for row in desk.rows()] == [
        ("broken", "pending", reason),
        ("quick", "delivered", None),
    ]


def test_a_database_that_is_away_is_no_failure_of_the_receiver(desk, start, monkeypatch):
    receivers.add(desk.engine, "quick", "board")

    def tell(self, telling):
        raise StoreUnavailable("away")

    monkeypatch.setattr(Board, "tell", tell)
    notifier = start()
    notifier.handle(desk.alert())
    with pytest.raises(StoreUnavailable):
        notifier.wait()
    assert [row.error for row in desk.rows()] == [deliveries.BEING_SENT]


def test_messages_of_an_alert_stay_in_order_while_several_threads_ask_for_turns(desk, start):
    receivers.add(desk.engine, "quick", "board")
    notifier = start(settings={"places": 5})
    messages = [desk.alert("fire", number) for number in range(1, 13)]
    threads = [threading.Thread(target=notifier.handle, args=(message,)) for message in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    notifier.wait()
    told = [number for _, number in Board.told]
    assert sorted(told) == list(range(1, 13))  # each once: none twice at once, none lost


def test_a_drawing_that_hangs_delays_no_other_receiver_and_its_letter_for_a_while_only(desk, start, gate):
    receivers.add(desk.engine, "mail", "letters")
    receivers.add(desk.engine, "quick", "board")

    def hangs(_alert):
        gate.hang()
        return [Picture("late.png", "late", PNG)]

    notifier = start(pictures=hangs, bundle=lambda _: b"zip", settings={"pictures_s": 0.2})
    notifier.handle(desk.alert())
    Board.await_told(("quick", 1), ("mail", 1))
    notifier.handle(desk.alert(sequence=2))  # the drawing still hangs: this one gives up waiting for its turn
    Board.await_told(("quick", 2), ("mail", 2))
    assert not gate.open.is_set()
    assert Letters.shown == [([], None), ([], None)]
    notifier.wait()
    assert {row.state for row in desk.rows()} == {"delivered"}


def test_more_letters_than_places_wait_for_their_pictures_and_the_others_do_not(desk, start, gate):
    names = [f"mail-{number}" for number in range(5)]
    for name in names:
        receivers.add(desk.engine, name, "letters")
    receivers.add(desk.engine, "quick", "board")

    def draw(alert):
        gate.hang()
        return [Picture("a.png", f"message {alert.sequence}", PNG)]

    notifier = start(pictures=draw, bundle=lambda _: b"zip", settings={"pictures_s": FOREVER / 10})
    notifier.handle(desk.alert())
    assert gate.reached.wait(LONG_S)
    notifier.handle(desk.alert(sequence=2))
    Board.await_told(("quick", 1), ("quick", 2))
    assert {name for name, _ in Board.told} == {"quick"}
    gate.open.set()
    notifier.wait()
    assert sorted(Board.told) == sorted((name, number) for name in [*names, "quick"] for number in (1, 2))
    assert sorted(caption for (caption,), _ in Letters.shown) == ["message 1"] * 5 + ["message 2"] * 5
    assert {evidence for _, evidence in Letters.shown} == {b"zip"}


def test_a_letter_that_is_late_already_leaves_at_once(desk, start):
    receivers.add(desk.engine, "mail", "letters")
    asked: list[object] = []
    notifier = start(pictures=lambda alert: asked.append(alert) or [], settings={"pictures_s": 60})
    deliveries.plan(desk.engine, desk.alert(), ["mail"], desk.now)
    desk.now += timedelta(seconds=61)
    notifier.deliver_due()
    notifier.wait()
    assert Board.told == [("mail", 1)]
    assert asked == []


def test_a_notifier_that_is_closed_finishes_what_it_has_in_hand_and_begins_nothing(desk, start, gate):
    receivers.add(desk.engine, "slow", "board")
    Board.hanging["slow"] = gate
    notifier = start()
    notifier.handle(desk.alert("fire"))
    assert gate.reached.wait(LONG_S)
    closing = threading.Thread(target=notifier.close)
    closing.start()
    deliveries.plan(desk.engine, desk.alert("flood"), ["slow"], desk.now)
    gate.open.set()
    closing.join(LONG_S)
    assert not closing.is_alive()
    notifier.deliver_due()
    assert sorted((row.state, row.attempts) for row in desk.rows()) == [("delivered", 1), ("pending", 0)]


def test_turns_are_one_at_a_time_for_each_name_and_fair():
    taken: list[str] = []
    left = {"a": 3, "b": 2}

    def take(name: str) -> bool:
        if left[name]:
            taken.append(name)
            left[name] -= 1
            return True
        return False

    gate = Gate()
    turns = Turns(lambda name: take(name) if name != "gate" else bool(gate.hang()), 1)
    for name in ("gate", "a", "b"):
        turns.begin(name)
    gate.open.set()
    turns.wait()
    assert taken == ["a", "b", "a", "b", "a"]
    turns.close()


def test_what_is_asked_for_during_a_turn_is_taken_after_it(gate):
    taken: list[str] = []

    def take(name: str) -> bool:
        taken.append(name)
        gate.hang()
        return False

    turns = Turns(take, 3)
    turns.begin("a")
    assert gate.reached.wait(LONG_S)
    for _ in range(5):
        turns.begin("a")
    assert taken == ["a"]
    gate.open.set()
    turns.wait()
    assert taken == ["a", "a"]
    turns.close()


def test_errors_of_turns_come_to_who_looks_and_a_bug_goes_before_an_outage():
    errors = {"down": StoreUnavailable("away"), "bug": ZeroDivisionError("bug")}

    def take(name: str) -> bool:
        raise errors[name]

    turns = Turns(take, 1)
    for name in ("down", "bug", "down"):
        turns.begin(name)
    with pytest.raises(ZeroDivisionError):
        turns.wait()
    turns.raise_error()
    turns.begin("down")
    with pytest.raises(StoreUnavailable):
        turns.wait()
    turns.close()
    turns.begin("down")  # a signal and a message at once: nothing begins any more
    turns.wait()


def test_a_workshop_makes_one_thing_at_a_time_and_lets_go_of_who_waits_too_long(gate):
    workshop = Workshop()
    made: list[str] = []

    def hangs(alert):
        gate.hang()
        made.append(alert)
        return alert

    with pytest.raises(OutOfTime):
        workshop.made(hangs, time.monotonic() + 0.3, "first")
    assert gate.reached.wait(LONG_S)
    with pytest.raises(OutOfTime):  # the first is still made
        workshop.made(hangs, time.monotonic() + 0.05, "second")
    gate.open.set()
    assert workshop.made(hangs, time.monotonic() + LONG_S, "third") == "third"
    assert made == ["first", "third"]
    with pytest.raises(OutOfTime):
        workshop.made(hangs, time.monotonic() - 1, "fourth")
    assert made == ["first", "third"]


def test_a_workshop_hands_errors_on_and_goes_on():
    workshop = Workshop()

    def broken(_alert):
        raise MemoryError

    for _ in range(2):
        with pytest.raises(MemoryError):
            workshop.made(broken, time.monotonic() + LONG_S, "alert")
    assert workshop.made(str.upper, time.monotonic() + LONG_S, "alert") == "ALERT"
