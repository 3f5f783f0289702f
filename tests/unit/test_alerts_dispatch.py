"""When messages reach people: windows, digests, quiet hours, order, and clocks that are wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alerts.settings import NotifierSettings
from alerts.telling import deliveries, routes
from alerts.telling.notifying import Notifier
from embedded.progress import unfinished
from schemas.database import connect, reading, transaction
from schemas.errors import DeliveryFailed
from schemas.tables import NoticeRow, RouteRow

NIGHT = "22:00-07:00 Europe/Berlin"
"""20:00 to 05:00 UTC in summer."""


def messages(sent) -> list[tuple[str, tuple[tuple[str, int], ...]]]:
    return [(each.receiver, each.messages) for each in sent]


def test_what_comes_within_a_window_is_told_together(desk):
    desk.route("all", "screen", "hook", wait_s=60)
    desk.tell(desk.alert("fire"))
    desk.now += timedelta(seconds=40)
    desk.tell(desk.alert("flood"), desk.notice())
    assert desk.told == []
    told = desk.pass_time(seconds=20)
    (digest,) = [each for each in told if each.receiver == "screen"]
    assert sorted(digest.messages) == [("blind s2", 1), ("fire", 1), ("flood", 1)]
    assert [name for name, _ in digest.messages if name != "blind s2"] == ["fire", "flood"]  # in order of beginning
    alone = [each.messages for each in told if each.receiver == "hook"]
    assert sorted(alone) == [(("blind s2", 1),), (("fire", 1),), (("flood", 1),)]
    assert {row.state for row in desk.rows()} == {"delivered"}


def test_a_window_opens_with_the_next_message_and_not_before_the_interval(desk):
    desk.route("all", wait_s=60, interval_s=600)
    desk.tell(desk.alert("a"))
    assert messages(desk.pass_time(seconds=60)) == [("screen", (("a", 1),))]
    desk.now += timedelta(seconds=60)
    desk.tell(desk.alert("b"))
    desk.now += timedelta(seconds=60)
    desk.tell(desk.alert("c"))
    assert desk.pass_time(seconds=470) == []
    (digest,) = desk.pass_time(seconds=10)
    assert sorted(digest.messages) == [("b", 1), ("c", 1)]
    desk.now += timedelta(hours=1)
    desk.tell(desk.alert("d"))
    assert messages(desk.pass_time(seconds=60)) == [("screen", (("d", 1),))]


def test_without_a_window_each_message_is_told_at_once_and_alone(desk):
    desk.route("all")
    desk.tell(desk.alert("a"), desk.alert("b"))
    assert messages(desk.told) == [("screen", (("a", 1),)), ("screen", (("b", 1),))]


def test_a_digest_that_failed_is_repeated_with_the_same_content_and_key(desk):
    desk.route("all", wait_s=60)
    desk.tell(desk.alert("a"), desk.alert("b"))
    desk.down = {"screen"}
    assert desk.pass_time(seconds=60) == []
    first = {row.batch for row in desk.rows()}
    desk.tell(desk.alert("c"))
    desk.down = set()
    told = desk.pass_time(hours=1)
    assert sorted(len(each.messages) for each in told) == [1, 2]
    (digest,) = [each for each in told if len(each.messages) == 2]
    assert {str(each) for each in first} == {digest.key}
    assert sorted(digest.messages) == [("a", 1), ("b", 1)]


def test_a_digest_that_its_notifier_did_not_live_to_record_comes_again_with_the_same_key(desk):
    """Killed between the receiver's yes and our record of it; meanwhile more has come."""
    desk.route("all", wait_s=60)
    desk.tell(desk.alert("a"), desk.alert("b"))
    desk.now += timedelta(seconds=60)
    hold = timedelta(seconds=40)
    first = deliveries.claim(desk.engine, hold, together=["screen"], now=desk.now, holder="elsewhere/1")
    assert len(first.alerts) == 2
    desk.tell(desk.alert("c"))
    told = desk.pass_time(seconds=60)
    again = [each for each in told if each.key == str(first.delivery_id)]
    assert [sorted(each.messages) for each in again] == [[("a", 1), ("b", 1)]]
    assert sorted(each.messages for each in told if each not in again) == [(("c", 1),)]


def test_a_digest_holds_at_most_so_many_and_loses_none(desk, monkeypatch):
    monkeypatch.setattr(deliveries, "MAX_TOGETHER", 3)
    desk.route("all", wait_s=60)
    desk.tell(*[desk.alert(str(number)) for number in range(7)])
    told = desk.pass_time(seconds=60)
    assert [len(each.messages) for each in told] == [3, 3, 1]
    assert len({each.key for each in told}) == 3


def test_what_comes_in_quiet_hours_is_told_when_they_end(desk):
    desk.route("night", quiet=NIGHT)
    desk.now = datetime(2031, 7, 1, 19, 59, tzinfo=UTC)
    desk.tell(desk.alert("before"))
    assert messages(desk.told) == [("screen", (("before", 1),))]
    desk.now = datetime(2031, 7, 1, 22, tzinfo=UTC)
    desk.tell(desk.alert("a"))
    desk.now = datetime(2031, 7, 2, 3, tzinfo=UTC)
    desk.tell(desk.alert("b"))
    assert desk.pass_time(minutes=119) == []
    (digest,) = desk.pass_time(minutes=1)
    assert sorted(digest.messages) == [("a", 1), ("b", 1)]


def test_a_restart_in_quiet_hours_changes_nothing(desk):
    desk.route("night", quiet=NIGHT)
    desk.now = datetime(2031, 7, 1, 22, tzinfo=UTC)
    desk.tell(desk.alert())
    engine = connect(str(desk.engine.url))
    deliveries.resume(engine)
    desk.notifier = Notifier(engine, desk.data, NotifierSettings(places=1), lambda: desk.now)
    assert desk.pass_time(hours=6) == []
    assert messages(desk.pass_time(hours=1)) == [("screen", (("fire", 1),))]
    engine.dispose()


@pytest.mark.parametrize(
    ("came", "end"),
    [
        (datetime(2031, 3, 29, 22, tzinfo=UTC), datetime(2031, 3, 30, 5, tzinfo=UTC)),  # the clock goes forward
        (datetime(2031, 10, 25, 22, tzinfo=UTC), datetime(2031, 10, 26, 6, tzinfo=UTC)),  # and back
    ],
)
def test_quiet_hours_end_by_the_clock_on_the_wall_when_it_is_changed(desk, came, end):
    desk.route("night", quiet=NIGHT)
    desk.now = came
    desk.tell(desk.alert())
    desk.now = end - timedelta(seconds=1)
    assert desk.pass_time() == []
    assert len(desk.pass_time(seconds=1)) == 1


def test_a_failure_that_leads_into_quiet_hours_waits_for_their_end(desk):
    desk.route("night", quiet=NIGHT)
    desk.now = datetime(2031, 7, 1, 19, 59, 59, tzinfo=UTC)
    desk.down = {"screen"}
    desk.tell(desk.alert())
    desk.down = set()
    assert desk.pass_time(minutes=5) == []
    (row,) = desk.rows()
    assert row.error == "quiet hours until 2031-07-02T05:00:00.000Z"
    assert row.attempts == 1
    desk.now = datetime(2031, 7, 2, 5, tzinfo=UTC)
    assert len(desk.pass_time()) == 1


def test_confirmed_incidents_break_through_where_the_route_says_so_and_bring_what_was_held(desk):
    desk.route("night", "hook", quiet=NIGHT, break_through=True)
    desk.now = datetime(2031, 7, 1, 22, tzinfo=UTC)
    desk.tell(desk.alert("fire"), desk.alert("other"))
    assert desk.told == []
    desk.now += timedelta(hours=1)
    desk.tell(desk.alert("fire", 2, kind="confirmed"))
    told = messages(desk.told) + messages(desk.pass_time(seconds=1))
    assert told == [("hook", (("fire", 1),)), ("hook", (("fire", 2),))]
    desk.tell(desk.alert("fire", 3, kind="growing", state="confirmed"))
    assert messages(desk.told[2:]) == [("hook", (("fire", 3),))]


def test_confirmed_incidents_wait_where_the_route_does_not_say_so(desk):
    desk.route("night", quiet=NIGHT)
    desk.now = datetime(2031, 7, 1, 22, tzinfo=UTC)
    desk.tell(desk.alert("fire", kind="confirmed"))
    assert desk.told == []


def test_something_urgent_is_not_held_by_what_another_route_holds(desk):
    desk.route("urgent", "hook", kinds=("confirmed",))
    desk.route("night", "hook", quiet=NIGHT)
    desk.now = datetime(2031, 7, 1, 22, tzinfo=UTC)
    desk.tell(desk.alert("fire"))
    desk.tell(desk.alert("fire", 2, kind="confirmed"))
    told = messages(desk.told) + messages(desk.pass_time(seconds=1))
    assert told == [("hook", (("fire", 1),)), ("hook", (("fire", 2),))]


def test_messages_of_one_alert_keep_their_order_in_a_digest_and_alone(desk):
    desk.route("all", "screen", "hook", wait_s=60)
    first, second = desk.alert("fire"), desk.alert("fire", 2, sent_at=desk.now - timedelta(days=1))
    desk.tell(second, first)
    told = desk.pass_time(seconds=60) + desk.pass_time(seconds=1)
    assert sorted(messages(told)) == [
        ("hook", (("fire", 1),)),
        ("hook", (("fire", 2),)),
        ("screen", (("fire", 1), ("fire", 2))),
    ]
    assert [each.messages for each in told if each.receiver == "hook"] == [(("fire", 1),), (("fire", 2),)]


def test_a_changed_route_holds_for_what_it_holds_back(desk):
    """Quiet hours that are moved hold at the next look; a route that is gone holds nothing back any longer."""
    desk.route("night", quiet=NIGHT)
    desk.now = datetime(2031, 7, 2, 4, tzinfo=UTC)
    desk.tell(desk.alert("a"))
    desk.route("night", quiet="22:00-08:00 Europe/Berlin", replace=True)
    assert desk.pass_time(hours=1) == []
    assert len(desk.pass_time(hours=1)) == 1
    desk.now = datetime(2031, 7, 3, 4, tzinfo=UTC)
    desk.tell(desk.alert("b"))
    routes.remove(desk.engine, "night")
    assert desk.pass_time(minutes=119) == []
    assert messages(desk.pass_time(minutes=1)) == [("screen", (("b", 1),))]


def test_the_clock_of_the_host_that_wrote_a_message_does_not_matter(desk):
    """A matcher whose clock is a week ahead, or behind: told at once, in order, held and repeated as any other."""
    desk.route("all", "hook")
    ahead, behind = desk.now + timedelta(days=7), desk.now - timedelta(days=7)
    desk.tell(desk.alert("fire", sent_at=ahead))
    desk.tell(desk.alert("fire", 2, sent_at=behind))
    desk.tell(desk.alert("flood", sent_at=behind))
    assert messages(desk.told) == [("hook", (("fire", 1),)), ("hook", (("fire", 2),)), ("hook", (("flood", 1),))]


def test_a_window_from_a_host_whose_clock_is_ahead_is_not_believed(desk):
    desk.route("all", wait_s=60)
    with transaction(desk.engine) as session:
        session.get(RouteRow, "all").release_at = desk.now + timedelta(days=1)
    desk.tell(desk.alert())
    assert len(desk.pass_time(seconds=60)) == 1


def test_a_notice_is_told_like_an_alert_and_once(desk):
    raised = desk.notice()
    desk.tell(raised, raised, desk.notice(cleared=True))
    assert sorted(messages(desk.told)) == sorted(
        (name, (("blind s2", sequence),)) for name in ("chief", "hook", "screen") for sequence in (1, 2)
    )
    with reading(desk.engine) as session:
        assert session.get(NoticeRow, (raised.notice_id, 1)).notified_at == desk.now


def test_two_notifiers_side_by_side_tell_everything_once(desk):
    desk.route("all", "screen", "hook", wait_s=60)
    for number in range(20):
        desk.tell(desk.alert(str(number)))
    desk.now += timedelta(seconds=60)
    engines = [connect(str(desk.engine.url)) for _ in range(2)]
    claimed: list[deliveries.Due] = []
    turn = 0
    while True:  # in turns, as their transactions would be
        found = [
            deliveries.claim(engine, timedelta(minutes=1), together=["screen"], now=desk.now, holder=f"host/{number}")
            for number, engine in enumerate(engines)
        ]
        claimed += [due for due in found if due is not None]
        turn += 1
        if not any(found):
            break
    ids = [delivery_id for due in claimed for delivery_id in due.ids]
    assert len(ids) == len(set(ids)) == 40
    assert [len(due.alerts) for due in claimed if due.receiver == "screen"] == [20]
    assert turn > 5
    for engine in engines:
        engine.dispose()


def test_a_start_leaves_alone_what_a_living_notifier_is_sending(desk):
    for name in ("a", "b", "c"):
        deliveries.plan(desk.engine, desk.alert(name), ["hook"], desk.now)
    hold = timedelta(seconds=40)
    host = deliveries.this_process().rpartition("/")[0]
    holders = ("elsewhere/1", f"{host}/1", f"{host}/{2**22 + 1}")  # another machine, a living process, a dead one
    for holder in holders:
        deliveries.claim(desk.engine, hold, now=desk.now, holder=holder)
    assert deliveries.resume(desk.engine) == 1
    by_holder = {row.holder: row.next_attempt_at for row in desk.rows()}
    assert by_holder[holders[0]] == by_holder[holders[1]] == desk.now + hold
    assert by_holder[holders[2]] < desk.now


def test_one_message_that_is_never_taken_does_not_take_the_others_with_it(desk, monkeypatch):
    """Those that wait with it would be given up unattempted, if it came first each time."""
    alerts = [desk.alert(str(number)) for number in range(6)]
    for each in alerts:
        deliveries.plan(desk.engine, each, ["hook"], desk.now)
    poison = min(desk.rows(), key=lambda row: row.delivery_id).delivery_id
    taken = desk.take

    def take(engine, receiver, due, *more):
        if due.delivery_id == poison:
            raise DeliveryFailed("hook answered 413")
        taken(engine, receiver, due, *more)

    monkeypatch.setattr("alerts.telling.notifying.tell", take)
    assert desk.pass_time() == []  # it happens to be the first
    assert len(desk.pass_time(seconds=30)) == 5
    for _ in range(40):
        desk.pass_time(hours=1)
    assert sorted(row.state for row in desk.rows()) == ["delivered"] * 5 + ["failed"]


def test_a_later_message_does_not_wait_out_what_another_notifier_has_done_long_ago(desk):
    first, second = desk.alert(), desk.alert(sequence=2)
    deliveries.plan(desk.engine, first, ["hook"], desk.now)
    due = deliveries.claim(desk.engine, timedelta(minutes=2), now=desk.now, holder="elsewhere/1")
    deliveries.plan(desk.engine, second, ["hook"], desk.now)
    assert desk.pass_time() == []  # not before the first
    assert desk.pass_time(seconds=2) == []
    deliveries.delivered(desk.engine, due)
    assert messages(desk.pass_time(seconds=2)) == [("hook", (("fire", 2),))]


def test_what_is_being_sent_is_not_done_yet(desk):
    deliveries.plan(desk.engine, desk.alert(), ["hook"], desk.now)
    assert unfinished(desk.engine).deliveries == 0  # due in a summer to come
    due = deliveries.claim(desk.engine, timedelta(minutes=1), now=desk.now)
    assert unfinished(desk.engine).deliveries == 1
    deliveries.delivered(desk.engine, due)
    assert unfinished(desk.engine).deliveries == 0


def test_a_receiver_without_a_form_for_notices_is_not_told_and_that_is_on_record(desk, tmp_path):
    from alerts.telling import receivers

    receivers.add(desk.engine, "cap", "cap", folder=tmp_path / "cap")
    desk.route("all", "cap", "hook")
    desk.tell(desk.notice())
    assert [(row.receiver, row.state, row.error) for row in desk.rows()] == [
        ("cap", "withdrawn", "a receiver of kind cap has no form for notices"),
        ("hook", "delivered", None),
    ]
