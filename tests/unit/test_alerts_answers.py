"""Acknowledgements and verdicts: who was first, what replaces what, and answers that are refused."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select

from alerts.answers import acknowledge, judge, verdicts_of, verdicts_on
from alerts.incidents.listing import list_alerts, show_alert
from schemas.cells import cell_at
from schemas.database import reading
from schemas.errors import NotFound, UsageError
from schemas.messages import Alert, stable_id
from schemas.tables import AlertRow, OutboxRow

FIRE, FLOOD = (str(stable_id("alert", name)) for name in ("fire", "flood"))
QUERY = stable_id("query", "burn scar")


def test_the_first_to_acknowledge_is_kept_and_named(desk):
    desk.alert()
    first = acknowledge(desk.engine, FIRE[:8], person=" Ada  Lovelace ", note="called\nthe fire service")
    second = acknowledge(desk.engine, FIRE, person="Bo")
    assert (first.person, first.note, first.first) == ("Ada Lovelace", "called the fire service", True)
    assert (second.person, second.acknowledged_at, second.first) == ("Ada Lovelace", first.acknowledged_at, False)
    shown = show_alert(desk.engine, FIRE)["properties"]["acknowledged"]
    assert (shown["person"], shown["sequence"]) == ("Ada Lovelace", 1)
    assert [each["properties"]["acknowledged"] for each in list_alerts(desk.engine)["features"]] == [shown]


def test_of_many_who_acknowledge_at_once_one_is_first(desk):
    desk.alert()
    answers = []

    def answer(person: str) -> None:
        answers.append(acknowledge(desk.engine, FIRE, person=person))

    threads = [threading.Thread(target=answer, args=(f"person {number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each.first for each in answers].count(True) == 1
    assert len({each.person for each in answers}) == 1


@pytest.mark.parametrize("name", ["abcd1234", "", "abc", "no-hexadecimal", "0" * 40, "%", "e6cc_"])
def test_unknown_alerts_are_a_clear_error(desk, name):
    desk.alert()
    with pytest.raises(NotFound, match="no alert"):
        acknowledge(desk.engine, name, person="Ada")
    with pytest.raises(NotFound, match="no alert"):
        judge(desk.engine, name, "true", person="Ada")


def test_the_start_of_two_ids_is_not_enough(desk, monkeypatch):
    desk.alert("fire")
    desk.alert("flood")
    monkeypatch.setattr("alerts.answers.SHORTEST_PREFIX", 0)
    with pytest.raises(NotFound, match="several alerts begin"):
        acknowledge(desk.engine, "", person="Ada")


def test_what_is_over_cannot_be_taken_in_hand_but_judged(desk):
    desk.alert()
    desk.alert(sequence=2, kind="resolved", state="resolved")
    with pytest.raises(NotFound, match="is resolved: there is nothing to take in hand"):
        acknowledge(desk.engine, FIRE, person="Ada")
    assert judge(desk.engine, FIRE, "true", person="Ada").answer.value == "true"
    assert show_alert(desk.engine, FIRE)["properties"]["acknowledged"] is None


@pytest.mark.parametrize(("person", "note"), [("", ""), (" \x00 ", ""), ("A" * 201, ""), ("Ada", "n" * 2001)])
def test_names_and_notes_that_are_refused(desk, person, note):
    desk.alert()
    with pytest.raises(UsageError, match="characters"):
        acknowledge(desk.engine, FIRE, person=person, note=note)
    with pytest.raises(UsageError, match="characters"):
        judge(desk.engine, FIRE, "true", person=person, note=note)


def test_a_later_verdict_of_the_same_person_replaces_the_earlier(desk):
    desk.alert("fire")
    desk.alert("flood")
    judge(desk.engine, FIRE, "true", person="Ada")
    judge(desk.engine, FIRE, "unsure", person="Bo")
    judge(desk.engine, FIRE, "false", person="Ada", reason="water level", note="the lake is high")
    judge(desk.engine, FLOOD, "true", person="Ada")
    assert [(each.person, each.answer.value) for each in verdicts_of(desk.engine, QUERY)] == [
        ("Ada", "true"),
        ("Ada", "false"),
        ("Bo", "unsure"),
    ]
    on_fire = verdicts_on(desk.engine, stable_id("alert", "fire"))
    assert [(each.person, each.reason and each.reason.value) for each in on_fire] == [
        ("Ada", "water level"),
        ("Bo", None),
    ]
    shown = show_alert(desk.engine, FIRE)["properties"]["verdicts"]
    assert [(each["person"], each["answer"], each["reason"], each["note"]) for each in shown] == [
        ("Ada", "false", "water level", "the lake is high"),
        ("Bo", "unsure", None, ""),
    ]


def test_whoever_judges_has_it_in_hand(desk):
    desk.alert()
    judge(desk.engine, FIRE, "unsure", person="Ada")
    assert acknowledge(desk.engine, FIRE, person="Bo").person == "Ada"


@pytest.mark.parametrize(
    "reason", ["cloud", "Agriculture", "water-level", "water_level", "SEASON", "artefact", "other"]
)
def test_reasons_as_people_write_them(desk, reason):
    desk.alert()
    given = judge(desk.engine, FIRE, "FALSE", person="Ada", reason=reason).reason
    assert given.value == reason.lower().replace("-", " ").replace("_", " ")


@pytest.mark.parametrize(
    ("answer", "reason", "text"),
    [
        ("maybe", None, "give true, false or unsure"),
        ("", None, "give true, false or unsure"),
        ("false", "aliens", "give cloud, agriculture, water level"),
        ("true", "cloud", "goes with false, not with true"),
        ("unsure", "cloud", "goes with false, not with unsure"),
    ],
)
def test_answers_that_are_refused(desk, answer, reason, text):
    desk.alert()
    with pytest.raises(UsageError, match=text):
        judge(desk.engine, FIRE, answer, person="Ada", reason=reason)
    assert verdicts_of(desk.engine, QUERY) == []


def test_cells_must_be_the_incidents_own(desk):
    message = desk.alert()
    cells = message.incident.cells
    assert judge(desk.engine, FIRE, "false", person="Ada", cells=[cells[1], cells[0], cells[1]]).cells == cells[:2]
    with pytest.raises(UsageError, match="is not of alert"):
        judge(desk.engine, FIRE, "false", person="Ada", cells=[cell_at(20, 41.2).id])


def told_of(desk) -> list[Alert]:
    with reading(desk.engine) as session:
        rows = session.scalars(select(AlertRow).order_by(AlertRow.sequence))
        return [Alert.from_bytes(row.message.encode()) for row in rows]


@pytest.mark.parametrize("state", ["opened", "growing", "confirmed", "resolved"])
def test_only_a_false_verdict_on_all_of_it_retracts_the_incident_and_all_are_told(desk, state):
    message = desk.alert(state=state)
    for answer, more in (("true", {}), ("unsure", {}), ("false", {"cells": message.incident.cells[:1]})):
        judge(desk.engine, FIRE, answer, person="Ada", **more)
    assert len(told_of(desk)) == 1
    for _ in range(2):
        judge(desk.engine, FIRE, "false", person="Ada", reason="cloud")
    _, last = told_of(desk)
    assert (last.kind, last.incident.state, last.sequence) == ("retracted", "retracted", 2)
    assert last.incident.why == "Ada: cloud"
    with reading(desk.engine) as session:
        assert session.scalar(select(func.count()).select_from(OutboxRow)) == 1


@pytest.mark.parametrize("state", ["expired", "retracted", "merged"])
def test_a_false_verdict_on_what_has_ended_for_good_is_only_kept(desk, state):
    desk.alert(state=state)
    judge(desk.engine, FIRE, "false", person="Ada")
    assert len(told_of(desk)) == len(verdicts_of(desk.engine, QUERY)) == 1


def test_a_verdict_and_what_it_ends_stand_or_fall_together(desk, monkeypatch):
    desk.alert()

    def fails(*_) -> None:
        raise RuntimeError("the incident cannot be ended")

    monkeypatch.setattr("alerts.answers.retract", fails)
    with pytest.raises(RuntimeError):
        judge(desk.engine, FIRE, "false", person="Bo")
    assert verdicts_of(desk.engine, QUERY) == []
