"""Conditions as qdrant-client's models.

Flows in: `filters.conditions`. Flows out: a `models.Filter`. Stops before anything that we don't ask.
"""

from __future__ import annotations

from collections.abc import Sequence

from qdrant_client import models

from archive.filters import LAT, LON, AtMost, Between, Box, Condition, InBoxes, Is, OneOf


def to_models(conditions: Sequence[Condition]) -> models.Filter | None:
    """All conditions as one filter; None where there are none."""
    return models.Filter(must=[_condition(one) for one in conditions]) if conditions else None


def _condition(one: Condition) -> models.Condition:
    match one:
        case OneOf(key, values):
            return models.FieldCondition(key=key, match=models.MatchAny(any=list(values)))
        case Is(key, value):
            return models.FieldCondition(key=key, match=models.MatchValue(value=value))
        case AtMost(key, value):
            return models.FieldCondition(key=key, range=models.Range(lte=value))
        case Between(key, since, until):
            return models.FieldCondition(key=key, range=models.DatetimeRange(gte=since, lt=until))
        case InBoxes(boxes):
            return models.Filter(should=[_box(box) for box in boxes])


def _box(box: Box) -> models.Filter:
    west, south, east, north = box
    return models.Filter(
        must=[
            models.FieldCondition(key=LON, range=models.Range(gte=west, lte=east)),
            models.FieldCondition(key=LAT, range=models.Range(gte=south, lte=north)),
        ]
    )
