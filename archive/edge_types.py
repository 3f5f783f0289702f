"""Conditions as the in-process engine's own types.

Flows in: `filters.conditions`. Flows out: a `qdrant_edge` filter. Stops before anything that we don't ask.
"""

from __future__ import annotations

from collections.abc import Sequence

import qdrant_edge as edge

from archive.filters import LAT, LON, AtMost, Between, Box, Condition, InBoxes, Is, OneOf
from archive.points import stamp


def to_edge(conditions: Sequence[Condition]) -> edge.Filter | None:
    """All conditions as one filter; None where there are none."""
    return edge.Filter(must=[_condition(one) for one in conditions]) if conditions else None


def _condition(one: Condition) -> edge.ConditionType:
    match one:
        case OneOf(key, values):
            return edge.FieldCondition(key=key, match=edge.MatchAny(list(values)))
        case Is(key, value):
            return edge.FieldCondition(key=key, match=edge.MatchValue(value))
        case AtMost(key, value):
            return edge.FieldCondition(key=key, range=edge.RangeFloat(lte=value))
        case Between(key, since, until):
            span = edge.RangeDateTime(gte=stamp(since) if since else None, lt=stamp(until) if until else None)
            return edge.FieldCondition(key=key, range=span)
        case InBoxes(boxes):
            return edge.Filter(should=[_box(box) for box in boxes])


def _box(box: Box) -> edge.Filter:
    west, south, east, north = box
    return edge.Filter(
        must=[
            edge.FieldCondition(key=LON, range=edge.RangeFloat(gte=west, lte=east)),
            edge.FieldCondition(key=LAT, range=edge.RangeFloat(gte=south, lte=north)),
        ]
    )
