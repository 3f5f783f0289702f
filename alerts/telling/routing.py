"""Which routes a message takes, and why it does not take the others.

In: routes in their order and a message. Out: a decision for each route. Stops before deliveries (`dispatch`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shapely.geometry import shape

from alerts.telling.routes import Route
from alerts.telling.told import Told, query_of, sensors_of, simulated, state_of, touches, what


@dataclass(frozen=True, slots=True)
class Decision:
    """What a route says to a message.

    Attributes:
        route: The route.
        taken: Whether the message takes it.
        why: For people.
    """

    route: Route
    taken: bool
    why: str


def decide(routes: Sequence[Route], told: Told) -> list[Decision]:
    """Ask each route in its order; after one that takes the message and does not lead further none takes it."""
    decisions: list[Decision] = []
    ended = ""
    for route in routes:
        obstacle = f"route {ended} has taken it and does not go further" if ended else _obstacle(route, told)
        decisions.append(Decision(route, not obstacle, obstacle or _conditions(route)))
        if not obstacle and not route.further:
            ended = route.name
    return decisions


def taken(routes: Sequence[Route], told: Told) -> list[Route]:
    """The routes that a message takes; none: it is told to every receiver at once."""
    return [decision.route for decision in decide(routes, told) if decision.taken]


def _obstacle(route: Route, told: Told) -> str:
    """The first condition of a route that does not hold, in words; empty where all hold."""
    return next((words for words in (check(route, told) for check in _CHECKS) if words), "")


def _what(route: Route, told: Told) -> str:
    return "" if what(told) in route.what else f"it is for {route.what[0]}s only"


def _query(route: Route, told: Told) -> str:
    return "" if not route.queries or query_of(told) in route.queries else "it is for other queries"


def _kind(route: Route, told: Told) -> str:
    if not route.kinds or told.kind.value in route.kinds:
        return ""
    return f"it is {told.kind.value}, not {' or '.join(route.kinds)}"


def _state(route: Route, told: Told) -> str:
    if not route.states or state_of(told) in route.states:
        return ""
    return f"its state is {state_of(told)}, not {' or '.join(route.states)}"


def _sensors(route: Route, told: Told) -> str:
    seen = sensors_of(told)
    if not route.sensors or not seen or set(seen) & set(route.sensors):
        return ""
    return f"seen by {' and '.join(seen)}, not by {' or '.join(route.sensors)}"


def _simulated(route: Route, told: Told) -> str:
    if route.simulated is None or route.simulated == simulated(told):
        return ""
    return "it is simulated" if simulated(told) else "it is not simulated"


def _area(route: Route, told: Told) -> str:
    return "" if route.area is None or touches(told, shape(route.area)) else "it lies outside the area"


_CHECKS: tuple[Callable[[Route, Told], str], ...] = (_what, _query, _kind, _state, _sensors, _simulated, _area)
"""In this order, the area last because it costs most."""


def _conditions(route: Route) -> str:
    """What a route asks for, and the message has."""
    asked = [
        name
        for name, given in (
            ("alert or notice", len(route.what) == 1),
            ("query", route.queries),
            ("kind", route.kinds),
            ("state", route.states),
            ("sensor", route.sensors),
            ("simulated", route.simulated is not None),
            ("area", route.area),
        )
        if given
    ]
    return f"it fits: {', '.join(asked)}" if asked else "it takes everything"
