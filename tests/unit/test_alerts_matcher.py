"""What the matcher's service does beside matching."""

from __future__ import annotations

import pytest

from alerts.matcher import Resending
from schemas.errors import StoreUnavailable


class Clock:
    """Moves when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def sends(waiting: list[int], hours: float) -> tuple[list[float], Resending, Clock]:
    """When so many messages that nobody takes up are sent, at sweeps of half a minute."""
    clock, sent = Clock(), []

    def send() -> int:
        if waiting[0]:
            sent.append(clock.now)
        return waiting[0]

    resending = Resending(send, clock)
    while clock.now <= hours * 3600:
        resending.run()
        clock.now += 30
    return sent, resending, clock


def test_what_nobody_takes_up_is_sent_less_and_less_often():
    sent, _, _ = sends([5], 24)
    assert sent[:5] == [0, 30, 90, 210, 450]
    assert sent[-1] - sent[-2] == 3600
    assert 25 < len(sent) < 35


def test_when_all_was_taken_up_the_next_message_need_not_wait():
    waiting = [5]
    sent, resending, clock = sends(waiting, 10)
    waiting[0] = 0
    clock.now += 3600
    resending.run()
    waiting[0], before = 1, len(sent)
    clock.now += 30
    resending.run()
    assert sent[before:] == [clock.now]


def test_what_could_not_be_sent_is_tried_at_the_next_sweep():
    tries = []

    def fails() -> int:
        tries.append(1)
        raise StoreUnavailable("the broker is away")

    resending = Resending(fails, Clock())
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            resending.run()
    assert len(tries) == 3
