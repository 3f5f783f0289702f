"""Silences: what they hold for, that it is on record, when they end, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import shapely
from shapely.geometry import mapping, shape

from alerts import queries
from alerts.incidents.listing import show_alert
from alerts.telling import silences
from alerts.telling.told import within
from schemas.cells import cell_at
from schemas.errors import InvalidArea, NotFound, UsageError
from schemas.messages import stable_id

HERE = mapping(shapely.box(14.4, 41.1, 14.6, 41.3))
ELSEWHERE = mapping(shapely.box(20, 41.1, 21, 41.3))
BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
FIRE = str(stable_id("alert", "fire"))


def add(desk, hours: float = 2, **settings) -> silences.Silence:
    """A silence from now on the desk's clock."""
    whole = {"author": "Ada", "comment": "planned burning", "starts_at": desk.now, **settings}
    return silences.add(desk.engine, ends_at=whole["starts_at"] + timedelta(hours=hours), **whole)


def states(desk) -> dict[str, int]:
    found = [row.state for row in desk.rows()]
    return {state: found.count(state) for state in sorted(set(found))}


def test_what_is_silenced_is_on_record_and_told_to_nobody(desk):
    made = add(desk, area=HERE)
    desk.tell(desk.alert())
    assert desk.told == []
    assert states(desk) == {"silenced": 3}
    shown = show_alert(desk.engine, FIRE)["properties"]["deliveries"]
    assert {(each["state"], each["silence_id"]) for each in shown} == {("silenced", str(made.silence_id))}
    found, kept = silences.show(desk.engine, str(made.silence_id)[:8])
    assert (found.kept, found.author, found.comment) == (3, "Ada", "planned burning")
    assert sorted(row.receiver for row in kept) == ["chief", "hook", "screen"]
    assert [one.kept for one in silences.list_silences(desk.engine)] == [3]


@pytest.mark.parametrize(
    "where", [{"area": ELSEWHERE}, {"starts_at": datetime(2031, 7, 1, 11, tzinfo=UTC), "area": HERE}]
)
def test_what_is_elsewhere_or_earlier_is_told(desk, where):
    add(desk, **where)
    desk.tell(desk.alert())
    assert states(desk) == {"delivered": 3}


def test_a_silence_of_a_query_holds_for_its_alerts_and_notices_only(desk):
    query = queries.add(desk.engine, "burn scar").query
    add(desk, query=str(query.query_id)[:8])
    desk.tell(desk.notice(query=query))
    assert states(desk) == {"silenced": 3}
    desk.tell(desk.alert())
    assert states(desk) == {"delivered": 3, "silenced": 3}


def test_a_query_in_an_area_needs_both(desk):
    query = queries.add(desk.engine, "burn scar").query
    add(desk, query=str(query.query_id), area=HERE)
    desk.tell(desk.notice(query=query))
    assert states(desk) == {"delivered": 3}


def test_it_ends_at_its_time(desk):
    add(desk, everything=True)
    desk.now += timedelta(hours=2) - timedelta(seconds=1)
    desk.tell(desk.alert("a"))
    desk.now += timedelta(seconds=1)
    desk.tell(desk.alert("b"))
    assert {sent.messages for sent in desk.told} == {(("b", 1),)}


def test_news_of_an_incident_that_began_before_follow_the_silence_in_force(desk):
    desk.tell(desk.alert())
    add(desk, area=HERE)
    desk.tell(desk.alert(sequence=2))
    assert states(desk) == {"delivered": 3, "silenced": 3}
    desk.now += timedelta(hours=2)
    desk.tell(desk.alert(sequence=3))
    assert states(desk) == {"delivered": 6, "silenced": 3}


def test_an_incident_that_grows_out_of_the_area_is_told(desk):
    inside, outside = cell_at(14.5, 41.2), cell_at(14.62, 41.2)
    add(desk, area=HERE)
    desk.tell(desk.alert(cells=(inside.id,)))
    desk.tell(desk.alert(sequence=2, cells=tuple(sorted((inside.id, outside.id)))))
    assert [(row.sequence, row.state) for row in desk.rows()] == [(1, "silenced")] * 3 + [(2, "delivered")] * 3


def test_a_silence_that_is_added_meanwhile_holds_for_what_waits(desk):
    """In a window, in quiet hours, or at a receiver that is down."""
    desk.route("one", "screen", wait_s=60)
    desk.tell(desk.alert("a"))
    desk.route("one", "screen", replace=True)
    desk.down = {"screen"}
    desk.tell(desk.alert("b"))
    desk.down = set()
    add(desk, area=HERE)
    assert desk.pass_time(hours=1) == []
    assert states(desk) == {"silenced": 2}


def test_what_a_silence_kept_back_stays_so_when_it_is_ended(desk):
    made = add(desk, everything=True)
    desk.tell(desk.alert())
    ended = silences.end(desk.engine, str(made.silence_id)[:6], "Bo")
    assert (ended.ended_by, ended.state(desk.now), ended.kept) == ("Bo", "over", 3)
    assert desk.pass_time(hours=1) == []
    desk.tell(desk.alert("next"))
    assert {sent.messages for sent in desk.told} == {(("next", 1),)}
    assert silences.list_silences(desk.engine) == []
    assert [one.ended_by for one in silences.list_silences(desk.engine, over=True)] == ["Bo"]
    with pytest.raises(UsageError, match="has been over since"):
        silences.end(desk.engine, str(made.silence_id), "Bo")


def test_a_digest_leaves_out_what_is_silenced(desk):
    desk.route("one", "screen", wait_s=60)
    far = cell_at(20.5, 41.2).id
    desk.tell(desk.alert("here"), desk.alert("there", cells=(far,)))
    add(desk, area=HERE)
    assert [sent.messages for sent in desk.pass_time(seconds=60)] == [(("there", 1),)]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hours": -1, "everything": True}, "no time left"),
        ({"hours": 0, "everything": True}, "no time left"),
        ({"starts_at": datetime(2020, 1, 1, tzinfo=UTC), "everything": True}, "no time left"),
        ({"hours": 24 * 400, "everything": True}, "a year at most"),
        ({}, "of a query or of an area"),
        ({"area": HERE, "everything": True}, "not both"),
        ({"author": "  ", "everything": True}, "author has 0 characters"),
        ({"author": "A" * 201, "everything": True}, "author has 201"),
        ({"comment": "\x1b\n", "everything": True}, "comment has 0"),
    ],
)
def test_silences_that_are_refused(desk, settings, reason):
    with pytest.raises(UsageError, match=reason):
        add(desk, **settings)


def test_areas_queries_and_ids_that_are_refused(desk):
    with pytest.raises(InvalidArea, match="not valid"):
        add(desk, area=BOW_TIE)
    with pytest.raises(NotFound, match="no standing query"):
        add(desk, query="abcd1234")
    for name in ("abcd", "", "abc"):
        with pytest.raises(NotFound, match="0 silences begin"):
            silences.end(desk.engine, name, "Ada")


@pytest.mark.parametrize(
    ("place", "silenced"),
    [
        (mapping(shapely.box(14.45, 41.15, 14.5, 41.2)), True),
        (mapping(shapely.box(14.45, 41.15, 14.8, 41.2)), False),
        ({"type": "GeometryCollection", "geometries": []}, False),
    ],
)
def test_an_alert_that_has_no_cells_left_lies_where_its_outline_does(desk, place, silenced):
    """No cell at all is no cell outside: every area would keep its retraction from people."""
    message = desk.alert()
    incident = message.incident.model_copy(update={"cells": ()})
    left = message.model_copy(update={"incident": incident, "geometry": place})
    assert within(left, shape(HERE)) is silenced
