"""Routes: their order, their conditions, why a message does not take one, and what is refused."""

from __future__ import annotations

import pytest
import shapely
from shapely.geometry import mapping

from alerts import queries
from alerts.telling import receivers, routes
from alerts.telling.routing import decide
from schemas.cells import cell_at
from schemas.errors import InvalidArea, NotFound, UsageError
from schemas.messages import StandingQuery, stable_id
from schemas.notices import Notice

HERE = mapping(shapely.box(14.4, 41.1, 14.6, 41.3))
ELSEWHERE = mapping(shapely.box(20, 41.1, 21, 41.3))
BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}


def why(desk, message) -> dict[str, str]:
    """What each route that does not take a message says."""
    return {each.route.name: each.why for each in decide(routes.list_routes(desk.engine), message) if not each.taken}


def test_without_routes_every_receiver_is_told_at_once(desk):
    desk.tell(desk.alert())
    assert sorted(sent.receiver for sent in desk.told) == ["chief", "hook", "screen"]
    assert [sent.key for sent in desk.told if sent.receiver == "hook"] == [
        str(stable_id("delivery", stable_id("alert", "fire"), 1, "hook"))
    ]


def test_what_no_route_takes_is_told_to_everybody(desk):
    desk.route("confirmed", "chief", kinds=("confirmed",))
    desk.tell(desk.alert())
    assert sorted(sent.receiver for sent in desk.told) == ["chief", "hook", "screen"]
    assert why(desk, desk.alert("other")) == {"confirmed": "it is opened, not confirmed"}


def test_the_first_route_that_fits_ends_the_search_unless_it_continues(desk):
    desk.route("first", "screen", further=True)
    desk.route("second", "hook")
    desk.route("third", "chief")
    desk.tell(desk.alert())
    assert sorted(sent.receiver for sent in desk.told) == ["hook", "screen"]
    assert why(desk, desk.alert("other")) == {"third": "route second has taken it and does not go further"}


def test_a_receiver_of_two_routes_is_told_once(desk):
    desk.route("first", "screen", "hook", "hook", further=True)
    desk.route("second", "hook", "chief")
    desk.tell(desk.alert())
    assert sorted(sent.receiver for sent in desk.told) == ["chief", "hook", "screen"]


def test_a_route_to_nobody_tells_nobody(desk):
    routes.add(desk.engine, routes.checked(desk.engine, desk.data, {"name": "drop", "receivers": ()}))
    desk.tell(desk.alert())
    assert desk.told == [] == desk.rows()


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"area": ELSEWHERE}, "it lies outside the area"),
        ({"kinds": ("growing", "confirmed")}, "it is opened, not growing or confirmed"),
        ({"states": ("confirmed",)}, "its state is opened, not confirmed"),
        ({"sensors": ("s1",)}, "seen by s2, not by s1"),
        ({"simulated": True}, "it is not simulated"),
        ({"what": ("notice",)}, "it is for notices only"),
    ],
)
def test_conditions_that_an_alert_does_not_meet(desk, conditions, reason):
    desk.route("one", **conditions)
    assert why(desk, desk.alert()) == {"one": reason}


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"area": HERE},
        {"kinds": ("opened",)},
        {"states": ("opened", "growing")},
        {"sensors": ("s1", "s2")},
        {"simulated": False},
        {"what": ("alert",)},
        {"area": HERE, "kinds": ("opened",), "sensors": ("s2",), "simulated": False},
    ],
)
def test_conditions_that_an_alert_meets(desk, conditions):
    desk.route("one", **conditions)
    assert why(desk, desk.alert()) == {}


def test_a_route_of_a_query_takes_only_its_alerts_and_notices(desk):
    query = queries.add(desk.engine, "burn scar").query
    other = queries.add(desk.engine, "flooded fields").query
    desk.route("one", queries=(str(query.query_id)[:8],))
    assert why(desk, desk.notice(query=query)) == {}
    assert why(desk, desk.notice("s1", query=other)) == {"one": "it is for other queries"}
    assert why(desk, desk.alert()) == {"one": "it is for other queries"}


def test_an_alert_that_only_touches_an_area_takes_its_route(desk):
    cell = cell_at(14.4, 41.2)
    edge = mapping(shapely.box(14.0, 41.0, cell.polygon.centroid.x, 42.0))
    desk.route("one", area=edge)
    assert why(desk, desk.alert(cells=(cell.id,))) == {}


def test_notices_have_sensors_kinds_and_states_but_no_place(desk):
    raised: Notice = desk.notice("s2")
    desk.route("blind", kinds=("blind",), states=("raised",), sensors=("s2",), further=True)
    desk.route("s1", sensors=("s1",), further=True)
    desk.route("here", area=HERE, further=True)
    desk.route("over", states=("cleared",), further=True)
    assert set(why(desk, raised)) == {"s1", "here", "over"}
    assert set(why(desk, desk.notice("s2", cleared=True))) == {"blind", "s1", "here"}


def test_routes_keep_their_order_and_can_be_put_before_one_another(desk):
    for name in ("a", "b", "c"):
        desk.route(name)
    desk.route("first", before="a")
    desk.route("between", before="c")
    routes.remove(desk.engine, "b")
    assert [route.name for route in routes.list_routes(desk.engine)] == ["first", "a", "between", "c"]


def test_a_replaced_route_keeps_its_place(desk):
    for name in ("a", "b"):
        desk.route(name)
    desk.route("a", "hook", replace=True)
    assert [(route.name, route.receivers) for route in routes.list_routes(desk.engine)] == [
        ("a", ("hook",)),
        ("b", ("screen",)),
    ]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"receivers": ("pigeon",)}, "no receiver 'pigeon': there are chief, hook, screen"),
        ({"steps": ({"after_s": 600, "receivers": ("pigeon",)},)}, "no receiver 'pigeon'"),
        ({"steps": ({"after_s": 1, "receivers": ("chief",)},)}, "steps.0.after_s"),
        ({"steps": ({"after_s": 600, "receivers": ()},)}, "steps.0.receivers"),
        (
            {"steps": ({"after_s": 900, "receivers": ("chief",)}, {"after_s": 600, "receivers": ("hook",)})},
            "follow each other",
        ),
        ({"name": "Night Shift"}, "route name"),
        ({"name": ""}, "route name"),
        ({"name": "a" * 101}, "route name"),
        ({"kinds": ("exploded",)}, "kind 'exploded' is not known: give opened"),
        ({"states": ("exploded",)}, "state 'exploded'"),
        ({"sensors": ("s3",)}, "sensors.0"),
        ({"what": ()}, "what"),
        ({"what": ("letter",)}, "what.0"),
        ({"wait_s": -1}, "wait_s"),
        ({"wait_s": float("nan")}, "wait_s"),
        ({"wait_s": 1e9}, "wait_s"),
        ({"repeat_s": 1}, "repeat_s"),
        ({"receivers": ("screen",) * 101}, "receivers"),
    ],
)
def test_routes_that_are_refused(desk, settings, reason):
    with pytest.raises(UsageError, match=reason):
        routes.checked(desk.engine, desk.data, {"name": "one", "receivers": ("screen",), **settings})


def test_areas_and_queries_that_are_refused(desk):
    with pytest.raises(InvalidArea, match="not valid"):
        desk.route(area=BOW_TIE)
    with pytest.raises(NotFound, match="no standing query"):
        desk.route(queries=("abcd1234",))


def test_names_are_taken_and_must_exist(desk):
    desk.route("one")
    with pytest.raises(UsageError, match="already a route 'one'"):
        desk.route("one")
    for change in ({"before": "two"}, {"replace": True}):
        with pytest.raises(NotFound, match="no route 'two'"):
            desk.route("two", **change)
    with pytest.raises(NotFound, match="no route 'two'"):
        routes.remove(desk.engine, "two")


def test_a_receiver_that_was_removed_leaves_a_failed_delivery_behind(desk):
    desk.route("one", "hook", "screen")
    receivers.remove(desk.engine, "hook")
    desk.tell(desk.alert())
    assert [(row.receiver, row.state, row.error) for row in desk.rows()] == [
        ("hook", "failed", "there is no such receiver any more"),
        ("screen", "delivered", None),
    ]


def test_a_query_of_a_notice_may_be_none(desk):
    query: StandingQuery = queries.add(desk.engine, "burn scar").query
    desk.route("one", queries=(str(query.query_id),))
    assert why(desk, desk.notice()) == {"one": "it is for other queries"}
