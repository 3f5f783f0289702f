"""Many standing queries in one file.

In: GeoJSON, a FeatureCollection or one Feature a line, each a query with its area. Out: checked standing queries, or
everything that is wrong with the file at once; and the same file back. Stops before keeping them (`queries`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from pydantic import TypeAdapter, ValidationError

from alerts.asked import SENSORS, asked
from schemas.errors import UsageError
from schemas.messages import ChipName, Mode, StandingQuery

GeoJSON = dict[str, object]
_CHIPS = TypeAdapter(tuple[ChipName, ...])

MOST_FAULTS = 20
"""Faults of one file that are named; the others are counted."""
_PROPERTIES = ("sentence", "budget", "mode", "sensors", "threshold", "wordings", "like", "unlike")


def read_queries(text: str) -> list[StandingQuery]:
    """Every query of a file.

    A Feature's geometry is the area, `null` for everywhere; its properties are `sentence` and, where they differ from
    what `query add` takes by itself, `budget`, `mode`, `sensors`, `threshold`, `wordings`, `like` and `unlike`: these
    two are chips as `ChipName` has them, and say something where the archive has the same scenes.

    Args:
        text: The file.

    Raises:
        UsageError: it is no GeoJSON, or queries in it cannot be: each is named by its number and its fault.
    """
    features = list(_features(text))
    if not features:
        raise UsageError("the file holds no query: give a FeatureCollection with one Feature a query")
    found, faults = [], []
    for number, feature in enumerate(features, start=1):
        try:
            found.append(_query(feature))
        except UsageError as error:
            faults.append(f"query {number}: {error}")
    if faults:
        more = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
        lines = "\n  ".join([*faults[:MOST_FAULTS], *more])
        raise UsageError(f"{len(faults)} of {len(features)} queries cannot be used, none was registered:\n  {lines}")
    return found


def write_queries(queries: Sequence[StandingQuery]) -> GeoJSON:
    """Standing queries as `read_queries` takes them, for another installation or for safe keeping."""
    return {"type": "FeatureCollection", "features": [_feature(query) for query in queries]}


def _features(text: str) -> Iterator[object]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        yield from _lines(text)
        return
    if isinstance(whole, dict) and whole.get("type") == "FeatureCollection":
        crs = whole.get("crs")
        features = whole.get("features")
        for feature in features if isinstance(features, list) else []:
            # the old way of naming a CRS holds for all features: the reader of areas must see it in each
            yield {**feature, "crs": crs} if crs is not None and isinstance(feature, dict) else feature
    elif isinstance(whole, dict) and whole.get("type") == "Feature":
        yield whole
    else:
        raise UsageError("the file is no GeoJSON FeatureCollection: one Feature a query, its geometry the area")


def _lines(text: str) -> Iterator[object]:
    """One Feature a line. Source: RFC 8142, GeoJSON text sequences, with or without record separators."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip(" \t\r\x1e"):
            continue
        try:
            yield json.loads(line.strip(" \t\r\x1e"))
        except json.JSONDecodeError as error:
            raise UsageError(f"line {number} is no JSON ({error.msg}, column {error.colno}): mend it there") from error


def _query(feature: object) -> StandingQuery:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise UsageError("it is no Feature: a Feature has geometry and properties")
    properties = feature.get("properties")
    if not isinstance(properties, dict):
        raise UsageError("it has no properties: at least a sentence is needed")
    unknown = sorted(set(properties) - set(_PROPERTIES))
    if unknown:
        raise UsageError(f"unknown property {unknown[0]!r}: known are {', '.join(_PROPERTIES)}")
    geometry = feature.get("geometry")
    if geometry is not None and not isinstance(geometry, dict):
        raise UsageError("its geometry is no GeoJSON geometry: give a Polygon, or null for everywhere")
    area = None if geometry is None else {**geometry, **({"crs": feature["crs"]} if "crs" in feature else {})}
    return asked(
        _text(properties, "sentence", ""),
        area=area,
        budget=_text(properties, "budget", "2/week"),
        mode=_text(properties, "mode", Mode.APPEARANCE.value),
        sensors=_texts(properties, "sensors") or SENSORS,
        threshold=_number(properties, "threshold"),
        wordings=_texts(properties, "wordings"),
        like=_chips(properties, "like"),
        unlike=_chips(properties, "unlike"),
    )


def _text(properties: Mapping[str, object], name: str, default: str) -> str:
    value = properties.get(name, default)
    if not isinstance(value, str):
        raise UsageError(f"property {name!r} is {json.dumps(value)}: give a text")
    return value


def _texts(properties: Mapping[str, object], name: str) -> list[str]:
    value = properties.get(name, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError(f"property {name!r} is {json.dumps(value)}: give a list of texts")
    return value


def _number(properties: Mapping[str, object], name: str) -> float | None:
    value = properties.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UsageError(f"property {name!r} is {json.dumps(value)}: give a number")
    return float(value)


def _chips(properties: Mapping[str, object], name: str) -> tuple[ChipName, ...]:
    try:
        return _CHIPS.validate_python(properties.get(name, []))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, (name, *first["loc"])))
        raise UsageError(
            f"property {where!r}: {first['msg'].lower()}; a chip has cell, sensor and physical_key, as `export` has it"
        ) from error


def _feature(query: StandingQuery) -> GeoJSON:
    properties: GeoJSON = {
        "sentence": query.sentence,
        "budget": f"{query.budget.alarms:g}/{query.budget.per_days:g}d",
        "mode": query.mode.value,
        "sensors": list(query.sensors),
    }
    if query.threshold is not None:
        properties["threshold"] = query.threshold
    if query.wordings:
        properties["wordings"] = list(query.wordings)
    for name, chips in (("like", query.like), ("unlike", query.unlike)):
        if chips:
            properties[name] = [chip.model_dump(mode="json") for chip in chips]
    return {"type": "Feature", "id": str(query.query_id), "geometry": query.area, "properties": properties}
