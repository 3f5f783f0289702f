"""Where everything in an explanation comes from, for programs.

Flows in: an `Explanation`. Flows out: one JSON document with every id, release and threshold. Stops before files.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final
from uuid import UUID

from alerts.evidence.explain import Explanation, Shown
from alerts.evidence.told import Line, Told
from alerts.evidence.unsigned import unsigned
from encoders.bands import SENTINEL_1, SENTINEL_2
from schemas.messages import Acquisition, Embedding, Match, utc

FORMAT: Final = "tocsin evidence"
VERSION: Final = 1
"""Of the format: fields are added freely, and a reader ignores those that it does not know."""
PICTURES: Final = "pictures/"
"""Folder of the pictures in the bundle."""
Json = dict[str, Any]


def provenance(explanation: Explanation) -> Json:
    """The document: the same for the same stores and scenes, without the time at which it was made."""
    told = explanation.told
    alert = told.alert
    document: Json = plain(
        {
            "format": FORMAT,
            "version": VERSION,
            "tocsin": tocsin_version(),
            "simulated": alert.simulated,
            "alert": {
                "alert_id": alert.alert_id,
                "sequence": alert.sequence,
                "kind": alert.kind,
                "mode": alert.mode,
                "sent_at": alert.sent_at,
                "earlier": [{"sequence": one.sequence, "sent_at": one.sent_at} for one in told.earlier],
            },
            "query": _query(told),
            "incident": alert.incident.model_dump(mode="json"),
            "thresholds": [_line(line) for line in told.lines],
            "encoder_release": explanation.release,
            "matches": [_match(match, told) for match in told.matches],
            "shown": [_shown(shown) for shown in explanation.shown],
            "acquisitions": [
                _acquisition(one)
                for one in sorted(explanation.ledger.values(), key=lambda one: (one.sensing_at, one.item_id))
            ],
            "occlusion": [asdict(one) for one in explanation.occlusions],
            "lookalikes": [asdict(one) for one in explanation.lookalikes],
            "bands": {"s2": [asdict(band) for band in SENTINEL_2], "s1": [asdict(band) for band in SENTINEL_1]},
            "pictures": [
                {"file": f"{PICTURES}{picture.name}", "caption": picture.caption} for picture in explanation.pictures
            ],
            "left_out": list(explanation.left_out),
        }
    )
    return document


def tocsin_version() -> str:
    """Of this build, or "unknown" where it was not installed."""
    try:
        return version("tocsin")
    except PackageNotFoundError:
        return "unknown"


def plain(value: Any) -> Any:
    """The same in JSON's types: times in UTC, ids and enumerations as text."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, datetime):
        return utc(value)
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, UUID) else value


def _query(told: Told) -> Json:
    alert = told.alert
    known: Json = {
        "query_id": alert.incident.query_id,
        "version": alert.incident.query_version,
        "sentence": alert.query,
        "mode": alert.mode,
    }
    if told.query is None:
        return known | {"now": None}
    return known | {"now": told.query.model_dump(mode="json")}


def _line(line: Line) -> Json:
    """A threshold, without its vectors: they follow from sentence and release."""
    fields = {name: value for name, value in asdict(line).items() if name != "vector"}
    return fields | {"vectors": len(line.vector) // (4 * 384)}


def _match(match: Match, told: Told) -> Json:
    return match.model_dump(mode="json") | {"releases": list(told.releases.get(match.acquisition_id, ()))}


def _shown(shown: Shown) -> Json:
    look = shown.look
    return {
        "cell": look.match.cell,
        "sensor": look.match.sensor,
        "release": look.release,
        "after": _point(look.after),
        "before": _point(look.before),
        "earlier_acquisitions": look.earlier,
        "picture": None if shown.picture is None else f"{PICTURES}{shown.picture}",
        "left_out": shown.left_out or None,
    }


def _point(point: Embedding | None) -> Json | None:
    return None if point is None else point.model_dump(mode="json")


def _acquisition(one: Acquisition) -> Json:
    """Without its footprint and hosts, which are the catalogue's, and without what its hrefs are signed with."""
    shown: Json = one.model_dump(mode="json", exclude={"footprint", "allowed_hosts"})
    for asset in shown["assets"].values():
        asset["href"] = unsigned(asset["href"])
    return shown
