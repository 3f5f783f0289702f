"""What a STAC API can do, found by asking questions whose answers can be checked.

Flows in: a way to ask for one page. Flows out: which property to poll on, and whether filtering and sorting by it
work. Stops before reading. Conformance classes are not believed: servers announce what they do not do, do what they
do not announce, and ignore silently what they do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypedDict

from ingest.fetch import CatalogueRefused
from ingest.item import Json, mapping, moment
from schemas.errors import CatalogueUnavailable
from schemas.messages import utc

FilterWay = Literal["cql2", "query"]


class Question(TypedDict, total=False):
    """Search parameters beyond collection, place and limit, as pystac-client names them."""

    filter: dict[str, object] | str
    filter_lang: str
    query: dict[str, object]
    sortby: list[dict[str, str]]
    datetime: str


Ask = Callable[[int, Question], Sequence[object]]
"""Features of the first page for a limit and a question."""

_WAYS: tuple[FilterWay, ...] = ("cql2", "query")
SAMPLE = 10
"""Items looked at to learn which properties a collection has."""
BEFORE_ALL = datetime(1900, 1, 1, tzinfo=UTC)
"""No item was published before: a filter that works finds none."""


@dataclass(frozen=True, slots=True)
class Ability:
    """How to ask one collection what is new.

    Attributes:
        field: Property that says when an item came or changed; `datetime` when only the sensing time can be asked
            for; empty when nothing can.
        name: The same as the server wants it in filters and sorting.
        filter: Which filter works on it, or none.
        sort: Whether sorting by it works.
    """

    field: str
    name: str
    filter: FilterWay | None
    sort: bool

    def notes(self) -> tuple[str, ...]:
        """What does not work, and what is done instead."""
        if self.field == "datetime":
            return (
                "items say nothing of their publication: polled by sensing time, so what arrives later than the "
                "look-back is missed (a back-fill finds it)",
            )
        if self.filter and self.sort:
            return ()
        if self.filter:
            return (f"sorting by {self.field} does not work: every page is read before the cursor moves",)
        if self.sort:
            return (f"filtering by {self.field} does not work: read from the newest down to the last known",)
        return ("neither filter nor sorting by a time of publication works: everything is read at every poll",)


def probe(ask: Ask, fields: Sequence[str]) -> Ability | None:
    """Find out how to ask; none while the collection has no items to learn from.

    Args:
        ask: Asks one collection, within the source's area.
        fields: Properties to try, best first.

    Raises:
        CatalogueUnavailable: it does not answer at all.
    """
    sample = ask(SAMPLE, {})
    if not sample:
        return None
    found: list[Ability] = []
    for field in fields:
        if field == "datetime":
            found.append(Ability(field, field, None, False))
            break
        times = times_of(sample, field)
        if len(times) < len(sample):
            continue  # some items lack it: they would never be found
        for name in (field, f"properties.{field}"):
            way = next((way for way in _WAYS if _filters(ask, max(times), field, name, way)), None)
            ability = Ability(field, name, way, _sorts(ask, sample, field, name))
            if ability.filter:
                return ability
            found.append(ability)
    able = [ability for ability in found if ability.sort or ability.field == "datetime"]
    return able[0] if able else Ability("", "", None, False)


def filter_parameters(way: FilterWay, name: str, operator: Literal[">=", "<"], bound: datetime) -> Question:
    """Search parameters for `name` compared with a time.

    Source: CQL2 (OGC 21-065r2), JSON encoding; STAC API query extension 1.0.
    """
    if way == "query":
        return {"query": {name: {"gte" if operator == ">=" else "lt": utc(bound)}}}
    compared: dict[str, object] = {"op": operator, "args": [{"property": name}, {"timestamp": utc(bound)}]}
    return {"filter": compared, "filter_lang": "cql2-json"}


def sort_parameters(name: str, direction: Literal["asc", "desc"]) -> Question:
    """Search parameters for an order. Source: STAC API sort extension 1.1."""
    return {"sortby": [{"field": name, "direction": direction}]}


def times_of(features: Sequence[object], field: str) -> list[datetime]:
    """The times that features have in a property; those without one are left out."""
    found = (moment(_property(feature, field)) for feature in features)
    return [time for time in found if time is not None]


def _property(feature: object, field: str) -> object:
    properties: Json = mapping(mapping(feature).get("properties"))
    return properties.get(field)


def _filters(ask: Ask, newest: datetime, field: str, name: str, way: FilterWay) -> bool:
    """Two questions: what is as new as the newest we know (something, all of it so new), and what is older than all."""
    bound = newest.replace(microsecond=newest.microsecond // 1000 * 1000)
    as_new = _answers(ask, SAMPLE, filter_parameters(way, name, ">=", bound))
    if not as_new or any(time < bound for time in times_of(as_new, field)):
        return False
    return _answers(ask, 1, filter_parameters(way, name, "<", BEFORE_ALL)) == ()


def _sorts(ask: Ask, sample: Sequence[object], field: str, name: str) -> bool:
    """Both directions must be in order and begin no later, or earlier, than anything we have seen."""
    known = times_of(sample, field)
    up = _answers(ask, SAMPLE, sort_parameters(name, "asc"))
    down = _answers(ask, SAMPLE, sort_parameters(name, "desc"))
    if not up or not down or not known:
        return False
    rising, falling = times_of(up, field), times_of(down, field)
    return (
        bool(rising and falling)
        and rising == sorted(rising)
        and falling == sorted(falling, reverse=True)
        and rising[0] <= min(known)
        and falling[0] >= max(known)
    )


def _answers(ask: Ask, limit: int, parameters: Question) -> tuple[object, ...] | None:
    """Features, or none when the server stumbles over this question only."""
    try:
        return tuple(ask(limit, parameters))
    except CatalogueRefused:
        return None
    except CatalogueUnavailable:
        ask(1, {})  # raises when it is the server that is down, not the question that is too hard
        return None
