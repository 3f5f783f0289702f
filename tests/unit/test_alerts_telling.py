"""Whatever happens in whatever order: nothing is lost, a key always means the same content, order is kept."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from alerts.answers import acknowledge
from alerts.telling import deliveries, silences
from schemas.messages import stable_id

NAMES = ("fire", "flood", "slide")


class Chance:
    """A desk to which things happen by chance."""

    def __init__(self, desk, seed: int) -> None:
        self.desk, self.chance = desk, random.Random(seed)
        self.last = dict.fromkeys(NAMES, 0)

    def news(self) -> None:
        name = self.chance.choice(NAMES)
        self.last[name] += 1
        kind = "opened" if self.last[name] == 1 else self.chance.choice(("growing", "confirmed"))
        self.desk.tell(self.desk.alert(name, self.last[name], kind=kind))

    def time(self) -> None:
        self.desk.pass_time(seconds=self.chance.choice((1, 8, 30, 90, 600, 7200, 30_000)))

    def failure(self) -> None:
        self.desk.down = set(self.chance.sample(("screen", "hook", "chief"), self.chance.randrange(3)))

    def death(self) -> None:
        """A notifier takes something in hand, tells it or not, and dies before it can say so."""
        desk, told = self.desk, len(self.desk.told)
        desk.now += timedelta(seconds=self.chance.choice((60, 600)))
        due = deliveries.claim(
            desk.engine, timedelta(seconds=40), together=["screen"], now=desk.now, holder="elsewhere/1"
        )
        if due is not None and self.chance.random() < 0.5:
            receiver = type("Receiver", (), {"name": due.receiver})
            desk.down, down = set(), desk.down
            desk.take(None, receiver, due, None)
            desk.down = down
            assert len(desk.told) == told + 1

    def silence(self) -> None:
        silences.add(
            self.desk.engine,
            author="Ada",
            comment="drill",
            starts_at=self.desk.now,
            ends_at=self.desk.now + timedelta(minutes=self.chance.choice((1, 20))),
            everything=True,
        )

    def answer(self) -> None:
        known = [name for name in NAMES if self.last[name]]
        if known and self.chance.random() < 0.3:
            acknowledge(self.desk.engine, str(stable_id("alert", self.chance.choice(known))), person="Ada")


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_nothing_is_lost_and_a_key_means_one_content(desk, seed):
    steps = ({"after_s": 1800, "receivers": ("chief",)},)
    desk.route("urgent", "hook", "screen", kinds=("confirmed",), repeat_s=7200)
    desk.route(
        "night", "screen", "hook", wait_s=60, interval_s=300, quiet="22:00-07:00 UTC", break_through=True, steps=steps
    )
    life = Chance(desk, seed)
    happenings = [life.news, life.news, life.news, life.time, life.time, life.failure, life.death, life.answer]
    if seed % 2:
        happenings.append(life.silence)
    for _ in range(80):
        life.chance.choice(happenings)()
    desk.down = set()
    for name in NAMES:
        if life.last[name]:
            acknowledge(desk.engine, str(stable_id("alert", name)), person="Ada")
    for _ in range(200):  # a day and a half in which nothing happens any more
        desk.pass_time(minutes=11)

    rows = desk.rows()
    assert {row.state for row in rows} <= {"delivered", "silenced", "withdrawn"}
    news = {(row.alert_id, row.sequence, row.receiver) for row in rows if row.occasion == ""}
    expected = {(stable_id("alert", name), n + 1, to) for name in NAMES for n in range(life.last[name])
                for to in ("hook", "screen")}  # fmt: skip
    assert news == expected
    content: dict[tuple[str, str], tuple] = {}
    for sent in desk.told:
        assert content.setdefault((sent.receiver, sent.key), sent.messages) == sent.messages
    if not seed % 2:  # a silence, once in force, takes its own out of a digest that is repeated
        keys: dict[tuple[str, str, tuple[str, int]], set[str]] = {}
        for sent in desk.told:
            for message in sent.messages:
                keys.setdefault((sent.receiver, sent.occasion, message), set()).add(sent.key)
        assert {key: len(found) for key, found in keys.items() if len(found) > 1} == {}
    delivered = {(row.receiver, row.alert_id, row.sequence, row.occasion) for row in rows if row.state == "delivered"}
    told = {(s.receiver, stable_id("alert", name), n, s.occasion) for s in desk.told for name, n in s.messages}
    assert {each[:3] for each in delivered} <= {each[:3] for each in told}
    for receiver in ("hook", "screen"):
        for name in NAMES:
            firsts = [n for s in desk.told if s.receiver == receiver for other, n in s.messages if other == name]
            new = list(dict.fromkeys(firsts))
            assert new == sorted(new), (receiver, name, firsts)
