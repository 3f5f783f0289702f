"""Told again and escalated until somebody acknowledges: once each, through restarts, silences and quiet hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.answers import acknowledge
from alerts.settings import NotifierSettings
from alerts.telling import reminders, routes, silences
from alerts.telling.notifying import Notifier
from schemas.database import connect, transaction
from schemas.messages import stable_id
from schemas.tables import AlertRow

QUARTER = 900
STEPS = ({"after_s": QUARTER, "receivers": ("hook",)}, {"after_s": 2 * QUARTER, "receivers": ("chief", "hook")})
FIRE = str(stable_id("alert", "fire"))


def told(sent) -> list[tuple[str, int, str]]:
    return [(each.receiver, sequence, each.occasion) for each in sent for _, sequence in each.messages]


def test_an_alert_is_told_again_until_somebody_acknowledges(desk):
    desk.route(repeat_s=3600)
    desk.tell(desk.alert())
    assert told(desk.pass_time(seconds=3599)) == []
    assert told(desk.pass_time(seconds=1)) == [("screen", 1, "repeat 1")]
    assert told(desk.pass_time(seconds=3600)) == [("screen", 1, "repeat 2")]
    acknowledge(desk.engine, FIRE, person="Ada")
    assert told(desk.pass_time(days=2)) == []
    assert len({each.key for each in desk.told}) == 3


def test_a_repeat_tells_the_alert_as_it_stands_and_counts_from_the_last_news(desk):
    desk.route(repeat_s=3600)
    desk.tell(desk.alert())
    desk.now += timedelta(minutes=30)
    desk.tell(desk.alert(sequence=2))
    assert told(desk.pass_time(minutes=59)) == []
    assert told(desk.pass_time(minutes=1)) == [("screen", 2, "repeat 1")]


@pytest.mark.parametrize("end", ["resolved", "expired", "retracted", "merged"])
def test_what_is_over_is_not_told_again(desk, end):
    desk.route(repeat_s=3600, steps=STEPS)
    desk.tell(desk.alert(), desk.alert(sequence=2, kind=end, state=end))
    assert told(desk.pass_time(days=1)) == []


def test_a_repeat_that_waits_when_somebody_acknowledges_is_withdrawn(desk):
    desk.route(repeat_s=3600, quiet="12:00-18:00 UTC")
    desk.now = datetime(2031, 7, 1, 11, 30, tzinfo=UTC)
    desk.tell(desk.alert())
    assert told(desk.pass_time(hours=1)) == []
    acknowledge(desk.engine, FIRE, person="Ada")
    assert told(desk.pass_time(hours=7)) == []
    assert [(row.occasion, row.state) for row in desk.rows()] == [("", "delivered"), ("repeat 1", "withdrawn")]
    assert "Ada acknowledged it" in desk.rows()[1].error


def test_a_receiver_that_is_down_is_not_told_the_same_twice_when_it_is_back(desk):
    desk.route(repeat_s=3600)
    desk.down = {"screen"}
    desk.tell(desk.alert())
    for _ in range(3):
        assert told(desk.pass_time(hours=1)) == []
    desk.down = set()
    assert told(desk.pass_time(minutes=40)) == [("screen", 1, "")]


def test_escalation_tells_each_step_once_in_its_time(desk):
    desk.route(steps=STEPS)
    desk.tell(desk.alert())
    assert told(desk.told) == [("screen", 1, "")]
    assert told(desk.pass_time(seconds=QUARTER - 1)) == []
    assert told(desk.pass_time(seconds=1)) == [("hook", 1, "step 1")]
    assert sorted(told(desk.pass_time(seconds=QUARTER))) == [("chief", 1, "step 2"), ("hook", 1, "step 2")]
    assert told(desk.pass_time(days=1)) == []


def test_an_acknowledgement_ends_escalation(desk):
    desk.route(steps=STEPS)
    desk.tell(desk.alert())
    desk.pass_time(seconds=QUARTER)
    acknowledge(desk.engine, FIRE, person="Ada")
    assert told(desk.pass_time(days=1)) == []


def test_escalation_counts_from_the_first_message_not_from_later_ones(desk):
    desk.route(steps=STEPS)
    desk.tell(desk.alert())
    desk.now += timedelta(seconds=QUARTER - 60)
    desk.tell(desk.alert(sequence=2))
    assert told(desk.pass_time(seconds=60)) == [("hook", 2, "step 1")]


def test_escalation_survives_a_restart_and_what_was_missed_is_told_once(desk):
    desk.route(steps=STEPS)
    desk.tell(desk.alert())
    engine = connect(str(desk.engine.url))
    desk.notifier = Notifier(engine, desk.data, NotifierSettings(places=1), lambda: desk.now)
    assert sorted(told(desk.pass_time(days=1))) == [
        ("chief", 1, "step 2"),
        ("hook", 1, "step 1"),
        ("hook", 1, "step 2"),
    ]
    assert told(desk.pass_time(days=1)) == []
    engine.dispose()


def test_two_notifiers_write_each_step_once(desk):
    desk.route(steps=STEPS, repeat_s=3600)
    desk.tell(desk.alert("fire"), desk.alert("flood"))
    engine = connect(str(desk.engine.url))
    later = desk.now + timedelta(hours=1)
    assert [reminders.remind(each, later) for each in (desk.engine, engine, desk.engine)] == [8, 0, 0]
    engine.dispose()


def test_the_clock_of_escalation_starts_when_the_message_is_told(desk):
    """Held until the end of the quiet hours: nobody could have acknowledged it before."""
    desk.route(steps=STEPS, quiet="22:00-07:00 UTC")
    desk.now = datetime(2031, 7, 1, 23, tzinfo=UTC)
    desk.tell(desk.alert())
    assert told(desk.pass_time(hours=8)) == [("screen", 1, "")]
    assert told(desk.pass_time(seconds=QUARTER - 1)) == []
    assert told(desk.pass_time(seconds=1)) == [("hook", 1, "step 1")]


def test_a_silence_stops_the_clock_of_escalation(desk):
    desk.route(steps=STEPS)
    desk.tell(desk.alert())
    silences.add(
        desk.engine, author="Ada", comment="drill", ends_at=desk.now + timedelta(hours=2), starts_at=desk.now,
        everything=True,
    )  # fmt: skip
    for _ in range(134):
        assert told(desk.pass_time(minutes=1)) == []
    assert told(desk.pass_time(minutes=1)) == [("hook", 1, "step 1")]


def test_a_silence_that_is_ended_early_lets_repeats_go_on(desk):
    desk.route(repeat_s=600)
    desk.tell(desk.alert())
    made = silences.add(
        desk.engine, author="Ada", comment="drill", ends_at=desk.now + timedelta(days=30), starts_at=desk.now,
        everything=True,
    )  # fmt: skip
    assert told(desk.pass_time(hours=1)) == []
    silences.end(desk.engine, str(made.silence_id), "Ada")
    assert told(desk.pass_time(minutes=1)) == [("screen", 1, "repeat 1")]


def test_a_route_that_is_gone_reminds_nobody(desk):
    desk.route(steps=STEPS, repeat_s=600)
    desk.tell(desk.alert())
    routes.remove(desk.engine, "all")
    assert told(desk.pass_time(days=1)) == []


def test_an_alert_that_cannot_be_read_is_looked_at_again_and_holds_up_no_other(desk):
    desk.route(repeat_s=3600)
    desk.tell(desk.alert(), desk.alert("other"))
    with transaction(desk.engine) as session:
        row = session.get_one(AlertRow, (stable_id("alert", "fire"), 1))
        kept, row.message = row.message, '{"schema_version": 99}'
    assert [each.messages for each in desk.pass_time(hours=1)] == [(("other", 1),)]
    with transaction(desk.engine) as session:
        session.get_one(AlertRow, (stable_id("alert", "fire"), 1)).message = kept
    assert [each.messages for each in desk.pass_time(minutes=1)] == [(("fire", 1),)]


def test_notices_are_not_told_again(desk):
    desk.route(steps=STEPS, repeat_s=600)
    desk.tell(desk.notice())
    assert told(desk.pass_time(days=1)) == []


def test_repeats_of_a_route_that_gathers_come_together(desk):
    desk.route(wait_s=60, repeat_s=3600)
    desk.tell(desk.alert("fire"), desk.alert("flood"))
    desk.pass_time(seconds=60)
    (digest,) = desk.pass_time(hours=1)
    assert (digest.occasion, sorted(digest.messages)) == ("repeat 1", [("fire", 1), ("flood", 1)])


def test_two_routes_that_remind_the_same_receivers_do_not_get_in_each_others_way(desk):
    desk.route("first", steps=STEPS, repeat_s=3600, further=True)
    desk.route("second", steps=({"after_s": 2 * QUARTER, "receivers": ("hook",)},), repeat_s=3600)
    desk.tell(desk.alert())
    assert told(desk.told) == [("screen", 1, "")]
    assert told(desk.pass_time(seconds=QUARTER)) == [("hook", 1, "step 1")]
    assert sorted(told(desk.pass_time(seconds=QUARTER))) == [
        ("chief", 1, "step 2"),
        ("hook", 1, "step 1"),
        ("hook", 1, "step 2"),
    ]
    assert told(desk.pass_time(seconds=2 * QUARTER)) == [("screen", 1, "repeat 1")]
    assert len({each.key for each in desk.told}) == len(desk.told)


def test_what_is_reopened_is_told_again_and_escalated_anew(desk):
    desk.route(steps=STEPS)
    desk.tell(desk.alert())
    desk.pass_time(seconds=QUARTER)
    acknowledge(desk.engine, FIRE, person="Ada")
    assert told(desk.pass_time(days=1)) == []
    desk.tell(desk.alert(sequence=2, kind="reopened", state="opened"))
    assert told(desk.pass_time(seconds=QUARTER)) == [("hook", 2, "step 1")]
    assert acknowledge(desk.engine, FIRE, person="Bo").person == "Bo"
    assert told(desk.pass_time(days=1)) == []
