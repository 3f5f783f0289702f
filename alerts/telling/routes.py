"""Routes: which messages go to whom, how long they are gathered, when they are told again and when not at all.

In: what an operator adds. Out: checked routes in their order. Stops before any message (`routing`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from alerts import queries
from alerts.locks import serialise
from alerts.telling.quiet import QuietHours
from alerts.telling.receivers import list_receivers
from alerts.telling.told import What
from schemas.database import reading, transaction
from schemas.errors import NotFound, UsageError
from schemas.geometry import read_area, to_geojson
from schemas.messages import IncidentState, Sensor
from schemas.notices import NoticeKind
from schemas.tables import RouteRow

LOCK = "routes"
DAY_S = 86_400.0
KINDS = tuple(kind.value for kind in (*IncidentState, *NoticeKind))
STATES = (*(state.value for state in IncidentState), "raised", "cleared")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")


class Escalation(BaseModel):
    """One step: whom to tell when nobody has acknowledged in time."""

    model_config = ConfigDict(frozen=True)

    after_s: float = Field(ge=60, le=30 * DAY_S)
    """Since the alert was first told on this route, seconds."""
    receivers: tuple[str, ...] = Field(min_length=1, max_length=100)


class Route(BaseModel):
    """A message is taken where all conditions that are given hold; conditions that are not given hold always."""

    model_config = ConfigDict(frozen=True)

    name: str
    receivers: tuple[str, ...] = Field(max_length=100)
    """Whom it tells; none: what it takes is told to nobody."""
    queries: tuple[UUID, ...] = ()
    area: dict[str, object] | None = None
    """GeoJSON geometry, lon/lat; touched by any part of the message's."""
    what: tuple[What, ...] = Field(default=("alert", "notice"), min_length=1)
    kinds: tuple[str, ...] = ()
    """What has happened: opened, growing, confirmed, … or a notice's kind."""
    states: tuple[str, ...] = ()
    """State of the incident, or raised and cleared of a notice."""
    sensors: tuple[Sensor, ...] = ()
    simulated: bool | None = None
    wait_s: float = Field(default=0, ge=0, le=DAY_S)
    """How long messages are gathered before they are told together, seconds."""
    interval_s: float = Field(default=0, ge=0, le=7 * DAY_S)
    """Least time between two such tellings, seconds."""
    repeat_s: float | None = Field(default=None, ge=60, le=366 * DAY_S)
    """After how long an alert is told again while it stands and nobody has acknowledged it, seconds."""
    quiet: QuietHours | None = None
    break_through: bool = False
    """Whether confirmed incidents are told in quiet hours too."""
    steps: tuple[Escalation, ...] = Field(default=(), max_length=20)
    further: bool = False
    """Whether the routes after it are asked too about what it has taken."""

    @property
    def gathers(self) -> bool:
        """Whether its messages are told together."""
        return self.wait_s > 0 or self.interval_s > 0 or self.quiet is not None


def checked(engine: Engine, data: Path, settings: Mapping[str, object]) -> Route:
    """A route whose parts exist.

    Args:
        engine: The database.
        data: The data folder, for the receivers that are there when none is configured.
        settings: Fields of `Route`; `queries` may be ids or the start of them, `area` any GeoJSON of polygons.

    Raises:
        UsageError: a part that cannot be used, or does not exist.
        InvalidArea: the area cannot be used.
        NotFound: no such query.
    """
    wanted = dict(settings)
    if not _NAME.fullmatch(str(wanted.get("name", ""))):
        raise UsageError(f"route name {wanted.get('name')!r}: give lower case letters, digits and . _ - (100 at most)")
    area, names = wanted.get("area"), wanted.get("queries")
    if isinstance(area, str | Mapping):
        wanted["area"] = to_geojson(read_area(area))
    if isinstance(names, Sequence) and not isinstance(names, str):
        wanted["queries"] = tuple(queries.show(engine, str(name)).query_id for name in names)
    try:
        route = Route.model_validate(wanted)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(f"route: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from error
    for given, known, word in ((route.kinds, KINDS, "kind"), (route.states, STATES, "state")):
        if unknown := sorted(set(given) - set(known)):
            raise UsageError(f"{word} {unknown[0]!r} is not known: give {', '.join(known)}")
    _check_receivers(engine, data, route)
    if list(route.steps) != sorted(route.steps, key=lambda step: step.after_s):
        raise UsageError("steps of escalation must follow each other in time: give the earliest first")
    return route


def add(engine: Engine, route: Route, *, before: str | None = None, replace: bool = False) -> Route:
    """Add a route: the last, or before another one; it holds for messages from now on.

    Args:
        engine: The database.
        route: From `checked`.
        before: Name of the route that it goes before.
        replace: Take the place of the route of the same name; what that holds back is looked at again.

    Raises:
        UsageError: the name is taken.
        NotFound: there is no route to go before, or to replace.
    """
    settings = route.model_dump(mode="json")
    with transaction(engine) as session:
        serialise(session, LOCK)
        if replace:
            _find(session, route.name).settings = settings
            return route
        if session.get(RouteRow, route.name) is not None:
            raise UsageError(f"there is already a route {route.name!r}: --replace changes it")
        position = (session.scalar(select(func.max(RouteRow.position))) or 0) + 1
        if before is not None:
            position = _find(session, before).position
            for row in session.scalars(select(RouteRow).where(RouteRow.position >= position)):
                row.position += 1
        session.add(
            RouteRow(name=route.name, position=position, settings=settings, release_at=None, added_at=datetime.now(UTC))
        )
    return route


def remove(engine: Engine, name: str) -> None:
    """Take a route away; what is on its way by it is still told, when it would have been.

    Raises:
        NotFound: no route of that name.
    """
    with transaction(engine) as session:
        serialise(session, LOCK)
        session.delete(_find(session, name))


def list_routes(engine: Engine) -> list[Route]:
    """All routes in the order in which they are asked."""
    with reading(engine) as session:
        return routes(session)


def routes(session: Session) -> list[Route]:
    """The same within a transaction."""
    rows = session.scalars(select(RouteRow).order_by(RouteRow.position, RouteRow.name))
    return [Route.model_validate(row.settings) for row in rows]


def route_named(session: Session, name: str) -> Route | None:
    """One route; none where it has been removed, or the name is empty."""
    row = session.get(RouteRow, name) if name else None
    return None if row is None else Route.model_validate(row.settings)


def _find(session: Session, name: str) -> RouteRow:
    row = session.get(RouteRow, name, with_for_update=True)
    if row is None:
        raise NotFound(f"no route {name!r}: `tocsin route list` shows them")
    return row


def _check_receivers(engine: Engine, data: Path, route: Route) -> None:
    known = [receiver.name for receiver in list_receivers(engine, data)]
    for name in (*route.receivers, *(name for step in route.steps for name in step.receivers)):
        if name not in known:
            raise UsageError(f"no receiver {name!r}: there are {', '.join(known)} (`tocsin receiver add` makes one)")
